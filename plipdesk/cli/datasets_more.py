"""``plipdesk dataset stats|split|release|rehydrate|review``: what is done with a data set once it is built."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from plipdesk.base.errors import UsageProblem
from plipdesk.cli.commands import command
from plipdesk.cli.places import absolute
from plipdesk.cli.session import Session
from plipdesk.cli.watching import watched

NO_ENCODER = "none"
FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a data set.")]
SourceOption = Annotated[
    list[str], typer.Option("--source", metavar="KIND:PATH", help="An export, such as x-api-v2:FILE; repeatable.")
]
MediaOption = Annotated[list[Path] | None, typer.Option("--media", metavar="DIR", help="Pictures' folder; repeatable.")]
EncoderOption = Annotated[
    str | None, typer.Option("--encoder", help="Encoder for embeddings; 'none' compares pictures by hash alone.")
]


def declare(app: typer.Typer) -> None:
    """Add the commands."""

    @command(app, "stats")
    def stats(
        session: Session,
        folder: FolderArgument,
        report: Annotated[bool, typer.Option("--report/--no-report", help="Write report.html and card.md.")] = True,
        encoder: EncoderOption = NO_ENCODER,
    ) -> None:
        """Count sources, hashtags, years, stains, organs and caption lengths; write the report and the data card."""
        from plipdesk.datasets.dataset import DataSet
        from plipdesk.datasets.report import write_report
        from plipdesk.datasets.statistics import statistics_of

        made = DataSet.open(absolute(folder))
        if not report:
            found = statistics_of(made)
        else:
            loaded = encoder_called(session, encoder)
            try:
                found = write_report(made, loaded)
            finally:
                if loaded is not None:
                    loaded.close()
        if session.as_json:
            places = {"report": str(made.layout.report), "card": str(made.layout.card)} if report else {}
            session.answer({**found, **places})
            return
        for name in ("by_source", "by_year", "by_stain", "by_organ"):
            few = ", ".join(f"{what} {count:,}" for what, count in list(found[name].items())[:8])
            session.say(f"{name.removeprefix('by_')}: {few or 'none'}")
        for source, one in found["captions"].items():
            paper = f" (paper: {one['paper_median_words']})" if one["paper_median_words"] else ""
            session.say(f"{source}: median {one['median_words']} words{paper}")
        if report:
            session.say(f"Report: {made.layout.report}")

    @command(app, "split")
    def split(
        session: Session,
        folder: FolderArgument,
        by: Annotated[
            Literal["author", "source", "given"],
            typer.Option(help="What stays together; 'given' keeps the sources' own."),
        ] = "author",
        seed: Annotated[int, typer.Option(help="Which groups go where.")] = 0,
        shares: Annotated[
            str, typer.Option(metavar="NAME=SHARE,…", help="The splits and their shares, adding up to 1.")
        ] = "train=0.8,validation=0.1,test=0.1",
    ) -> None:
        """Divide a data set anew: no author and no picture on two sides; what leaks all the same is told."""
        from plipdesk.datasets.dataset import DataSet
        from plipdesk.datasets.exporting import split_pairs, write_manifest_of
        from plipdesk.datasets.shards import write_shards

        rule = _rule(by, seed, shares)
        made = DataSet.open(absolute(folder))
        made.document["split"] = split_pairs(made.pairs, rule, made.embeddings())
        if made.document["split"]["leaks"] == 0 or by != "given":
            write_manifest_of(made)
        with watched(session) as context:
            if "shards" in made.document:
                made.document["shards"] = write_shards(made.layout.root, made.layout.shards, made.pairs, context)
        made.write()
        document = made.document["split"]
        if session.as_json:
            session.answer(document)
        else:
            session.say(", ".join(f"{name}: {count:,} pairs" for name, count in document["pairs"].items()))
            session.say(f"Shared between splits: {document['leaks']:,}")

    @command(app, "release")
    def release(
        session: Session,
        folder: FolderArgument,
        out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to (else 'release' in DIR).")] = None,
    ) -> None:
        """Write ids and links for others to build the same data set; never a picture, never a text."""
        from plipdesk.datasets.dataset import DataSet
        from plipdesk.datasets.releasing import write_release

        made = DataSet.open(absolute(folder))
        document = write_release(made, absolute(out) if out is not None else made.layout.root / "release")
        if session.as_json:
            session.answer(document)
        else:
            session.say(f"{document['pairs']:,} pairs in {document['out']}")
            if document["left_out"]:
                session.say(f"{document['left_out']:,} pairs have no public link and were left out.")

    @command(app, "rehydrate")
    def rehydrate(
        session: Session,
        folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a release, or its release.csv.")],
        source: SourceOption,
        out: Annotated[Path, typer.Option(metavar="DIR", help="Where the data set goes.")],
        media: MediaOption = None,
        encoder: EncoderOption = NO_ENCODER,
    ) -> None:
        """Join a release to local exports again, and tell what has been deleted since."""
        from plipdesk.datasets.releasing import rehydrate as join_again
        from plipdesk.datasets.sources.kinds import parse_source

        loaded = encoder_called(session, encoder)
        try:
            with watched(session) as context:
                document = join_again(
                    absolute(folder), [parse_source(words) for words in source], media_folders(media), absolute(out),
                    loaded, context,
                )  # fmt: skip
        finally:
            if loaded is not None:
                loaded.close()
        if session.as_json:
            session.answer(document)
            return
        session.say(f"{document['pairs']:,} of {document['released']:,} pairs are in {document['out']}")
        session.say(f"Not in these exports (deleted since, or never in them): {document['deleted']:,}")
        for why, count in document["incomplete"].items():
            session.say(f"{why}: {count:,}")

    @command(app, "review")
    def review(
        session: Session,
        folder: FolderArgument,
        drop: Annotated[list[str] | None, typer.Option(metavar="ID", help="Drop a pair; repeatable.")] = None,
        keep: Annotated[list[str] | None, typer.Option(metavar="ID", help="Keep a pair for good; repeatable.")] = None,
        caption: Annotated[
            list[str] | None, typer.Option(metavar="ID=WORDS", help="Give a pair another caption; repeatable.")
        ] = None,
        why: Annotated[str, typer.Option(help="Why pairs are dropped; counted.")] = "",
        undo: Annotated[bool, typer.Option("--undo", help="Take back the last decision.")] = False,
        unsure: Annotated[bool, typer.Option("--unsure", help="List pictures that may not be pathology.")] = False,
        limit: Annotated[int, typer.Option(min=1, help="How many pairs are listed.")] = 20,
        encoder: EncoderOption = None,
    ) -> None:
        """List pairs to look at, least agreement of picture and caption first; log decisions and apply them."""
        from plipdesk.datasets import reviewing
        from plipdesk.datasets.dataset import DataSet

        made = DataSet.open(absolute(folder))
        edits = [_edit(words) for words in caption or ()]
        if undo and (drop or keep or edits):
            raise UsageProblem("Undo stands alone.", remedy="Undo first, then decide.")
        if undo:
            reviewing.log(made, "undo", ())
        if drop:
            reviewing.log(made, "drop", drop, why)
        if keep:
            reviewing.log(made, "keep", keep)
        for name, words in edits:
            reviewing.log(made, "caption", [name], words)
        if undo or drop or keep or edits:
            document = reviewing.apply(made)
            if session.as_json:
                session.answer({"step": document, "pairs": len(made.pairs)})
            else:
                session.say(f"{document['dropped']:,} pairs dropped in review, {len(made.pairs):,} left.")
                if made.document.get("shards") == []:
                    session.remark("The webdataset was removed; 'plipdesk dataset split' writes it anew.")
            return
        _list(session, made, unsure, limit, encoder)


def _list(session: Session, made: Any, unsure: bool, limit: int, encoder: str | None) -> None:
    from plipdesk.datasets import reviewing

    scores = None
    if not unsure and made.document["encoder"] is not None and encoder != NO_ENCODER:
        loaded = encoder_called(session, encoder or made.document["encoder"]["id"])
        try:
            scores = reviewing.agreement(made, loaded)
        finally:
            loaded.close()
    numbers = reviewing.to_look_at(made, scores=scores, unsure=reviewing.unsure_bounds(made) if unsure else None)
    rows = []
    for number in numbers[:limit]:
        pair = made.pairs[number]
        score = float("nan") if scores is None else float(scores[number])
        rows.append({
            "id": pair.id, "image": str(made.layout.root / pair.image), "caption": pair.caption, "source": pair.source,
            "agreement": None if math.isnan(score) else round(score, 4),
            "pathology": None if pair.pathology < 0 else round(pair.pathology, 4), "class": pair.picture_class,
        })  # fmt: skip
    if session.as_json:
        session.answer({"pairs": rows, "left": len(numbers)})
        return
    for row in rows:
        agreed = "" if row["agreement"] is None else f"{row['agreement']:.3f}  "
        session.say(f"{agreed}{row['id']}  {row['caption'][:100]}")
    session.remark(f"{len(numbers):,} pairs not decided on.")


def _edit(words: str) -> tuple[str, str]:
    name, equals, caption = words.partition("=")
    if not equals or not name:
        raise UsageProblem(f"{words!r} is no edit.", remedy="Write ID=WORDS.")
    return name, caption


def _rule(by: Literal["author", "source", "given"], seed: int, shares: str) -> Any:
    from pydantic import ValidationError

    from plipdesk.datasets.flow import SplitRule

    try:
        parts = {name.strip(): float(share) for name, _, share in (part.partition("=") for part in shares.split(","))}
        return SplitRule(by=by, seed=seed, shares=parts)
    except (ValueError, ValidationError) as error:
        raise UsageProblem(f"{shares!r} are no shares.", remedy="For example: train=0.8,test=0.2.") from error


def media_folders(media: list[Path] | None) -> tuple[Path, ...]:
    """The folders of pictures, all of them there.

    Raises:
        UsageProblem: one is not.
    """
    folders = tuple(absolute(folder) for folder in media or ())
    for folder in folders:
        if not folder.is_dir():
            raise UsageProblem("This folder of pictures does not exist.", path=folder, remedy="Check --media.")
    return folders


def encoder_called(session: Session, name: str | None) -> Any:
    """The encoder called ``name``, loaded; None for ``none``."""
    if name == NO_ENCODER:
        return None
    from plipdesk.encoders.loading import find_encoder, load_encoder

    return load_encoder(find_encoder(name, session.workspace.models), report=session.remark)
