"""``plipdesk models cost | encode | compare``: several encoders in one workspace, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from plipdesk.base.errors import UsageProblem
from plipdesk.base.geometry import Box
from plipdesk.catalogue.rows import SlideFilter
from plipdesk.cli.answers import result_document
from plipdesk.cli.commands import command
from plipdesk.cli.models import EncoderArgument, counted
from plipdesk.cli.places import existing_file, slide_place
from plipdesk.cli.session import Session
from plipdesk.cli.watching import follow_job
from plipdesk.engine import messages
from plipdesk.search.comparing import Comparison
from plipdesk.search.query import PicturePart, Query, RegionPart, TextPart

OfCollection = Annotated[str | None, typer.Option(metavar="NAME", help="Only the slides of this collection.")]


def declare(app: typer.Typer) -> None:
    """Add the commands to ``plipdesk models``."""
    for name, function in (("cost", cost), ("encode", encode), ("compare", compare)):
        command(app, name)(function)


def cost(session: Session, encoder: EncoderArgument, collection: OfCollection = None) -> None:
    """Tell how much there is to encode before an encoder knows all slides, and how long that takes here."""
    found = _cost(session, encoder, collection)
    if session.as_json:
        session.answer(_cost_document(encoder, collection, found))
        return
    for note in found.notes:
        session.remark(note)
    session.say(cost_in_words(found))
    if found.patches:
        limited = "" if collection is None else f" --collection {collection!r}"
        session.remark(f"To do it: plipdesk models encode {encoder}{limited}")


def encode(session: Session, encoder: EncoderArgument, collection: OfCollection = None) -> int:
    """Encode the slides that are in the workspace with another encoder; what it encoded before is kept."""
    found = _cost(session, encoder, collection)
    for note in found.notes:
        session.remark(note)
    session.remark(cost_in_words(found))
    slides: list[dict[str, Any]] = []
    for params in found.jobs:
        slides += follow_job(session, "index", params).result.get("slides", [])
    failed = [slide for slide in slides if slide["status"] not in ("indexed", "unchanged")]
    if session.as_json:
        session.answer({"encoder": encoder, "slides": slides})
    else:
        for slide in failed:
            session.say(f"{slide['status']:>9}  {slide['path']}\n           {slide['reason']}")
        session.say(f"Done: {counted(len(slides) - len(failed), 'slide')} with {encoder}.")
    return 1 if failed else 0


def compare(
    session: Session,
    words: Annotated[str | None, typer.Argument(metavar="[WORDS]", help="What the tissue looks like.")] = None,
    encoder: Annotated[list[str] | None, typer.Option(help="Encoder id; give it twice.")] = None,
    region: Annotated[
        str | None, typer.Option(metavar="SLIDE", help="Ask by a region of this slide (with --box).")
    ] = None,
    box: Annotated[str | None, typer.Option(metavar="X,Y,W,H", help="A box in level-0 pixels.")] = None,
    image: Annotated[Path | None, typer.Option(metavar="FILE", help="Ask by a picture.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=10_000, help="How many hits of each.")] = 20,
    collection: OfCollection = None,
) -> None:
    """Ask two encoders the same, and show how far their best hits are the same places."""
    if encoder is None or len(encoder) != 2:
        raise UsageProblem("Two encoders are compared.", remedy="Give --encoder twice.")
    parts: dict[str, Any] = {}
    if words is not None and words.strip():
        parts["texts"] = (TextPart(words),)
    if (region is None) != (box is None):
        raise UsageProblem("A region needs --region and --box.")
    if region is not None and box is not None:
        area = Box.parse(box)
        corners = (area.x0_px, area.y0_px, area.width_px, area.height_px)
        parts["regions"] = (RegionPart(slide_place(region), corners),)
    if image is not None:
        parts["pictures"] = (PicturePart(path=str(existing_file(image))),)
    if not parts:
        raise UsageProblem("Nothing is asked.", remedy="Give words, a region or a picture.")
    filters = SlideFilter(collections=() if collection is None else (collection,))
    with session.engine() as engine:
        query = Query(**parts, k=k, filters=filters)
        reply = engine.request(messages.Compare(query, (encoder[0], encoder[1])))
    assert isinstance(reply, messages.Compared)
    if session.as_json:
        session.answer(_comparison_document(reply.comparison))
    else:
        _tell(session, reply.comparison)


def cost_in_words(cost: messages.Cost) -> str:
    """``4 slides, 31,000 patches to encode, about 25 min on this machine``."""
    if not cost.slides:
        return "Nothing is left to encode."
    work = f"{counted(cost.slides, 'slide')}, {cost.patches:,} patches to encode"
    return f"{work}, about {_duration(cost.seconds)} on this machine."


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60):,} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


def _cost(session: Session, encoder: str, collection: str | None) -> messages.Cost:
    with session.engine() as engine:
        reply = engine.request(messages.GetCost(id=encoder, collection=collection))
    assert isinstance(reply, messages.Cost)
    return reply


def _cost_document(encoder: str, collection: str | None, cost: messages.Cost) -> dict[str, Any]:
    return {
        "encoder": encoder, "collection": collection, "slides": cost.slides, "patches": cost.patches,
        "rate_per_s": round(cost.rate_per_s, 3), "rate_is": "measured" if cost.measured else "remembered",
        "seconds": round(cost.seconds, 1), "notes": list(cost.notes),
    }  # fmt: skip


def _comparison_document(comparison: Comparison) -> dict[str, Any]:
    overlap = comparison.overlap
    return {
        "encoders": [comparison.first.encoder, comparison.second.encoder],
        "k": overlap.k,
        "common": len(overlap.pairs),
        "share": round(overlap.share, 4),
        "rank_correlation": None if overlap.rank_correlation is None else round(overlap.rank_correlation, 4),
        "pairs": [list(pair) for pair in overlap.pairs],
        "notes": list(comparison.notes),
        "answers": [result_document(comparison.first), result_document(comparison.second)],
    }


def _tell(session: Session, comparison: Comparison) -> None:
    from rich.table import Table

    for note in comparison.notes:
        session.remark(note)
    overlap = comparison.overlap
    partner = dict(overlap.pairs)
    mirrored = {second: first for first, second in overlap.pairs}
    names = (comparison.first.encoder, comparison.second.encoder)
    table = Table("rank", names[0], f"also rank in {names[1]}", names[1], f"also rank in {names[0]}")
    for rank in range(1, overlap.k + 1):
        table.add_row(
            str(rank), _place(comparison.first.hits, rank), str(partner.get(rank, "")),
            _place(comparison.second.hits, rank), str(mirrored.get(rank, "")),
        )  # fmt: skip
    session.table().print(table)
    order = (
        "" if overlap.rank_correlation is None else f" The order of these agrees to {overlap.rank_correlation:+.2f}."
    )
    session.say(f"{len(overlap.pairs)} places are among the hits of both ({overlap.share:.0%}).{order}")


def _place(hits: tuple[Any, ...], rank: int) -> str:
    if rank > len(hits):
        return ""
    hit = hits[rank - 1]
    return f"{hit.score:.3f}  {hit.name}  {hit.x0_px}, {hit.y0_px}"
