"""``plipdesk dataset learn-filter|nearest``: which pictures are pathology, and which are like given ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plipdesk.base.errors import UsageProblem
from plipdesk.cli.commands import command
from plipdesk.cli.datasets_more import FolderArgument, encoder_called
from plipdesk.cli.places import absolute
from plipdesk.cli.session import Session
from plipdesk.cli.watching import watched


def declare(app: typer.Typer) -> None:
    """Add the commands."""

    @command(app, "learn-filter")
    def learn_filter(
        session: Session,
        examples: Annotated[
            Path, typer.Option(metavar="DIR", help="Pictures in folders by class: histology, chart, people, …")
        ],
        out: Annotated[Path, typer.Option(metavar="DIR", help="Where the filter and its card go.")],
        encoder: Annotated[str | None, typer.Option(help="Whose embeddings it judges.")] = None,
        seed: Annotated[int, typer.Option(help="Which groups are held out.")] = 0,
    ) -> None:
        """Learn which pictures are pathology from your own examples; its card tells precision and recall."""
        from plipdesk.datasets import pathology_filter

        loaded = encoder_called(session, encoder)
        if loaded is None:
            raise UsageProblem("A filter needs an encoder.")
        try:
            with watched(session) as context:
                found = pathology_filter.gather_examples(absolute(examples), loaded, context, seed=seed)
            probe, card = pathology_filter.learn_filter(found, loaded, seed=seed)
        finally:
            loaded.close()
        pathology_filter.save_filter(absolute(out), probe, card)
        if session.as_json:
            session.answer({**card, "out": str(absolute(out))})
            return
        for name, one in card["classes"].items():
            rates = f"precision {one['precision']}, recall {one['recall']}" if one.get("held_out") else "not measured"
            session.say(f"{name:>22}  {one['origin']:<6}  {one['learned_from']:>5} learned from, {rates}")
        for one in card["pathology"]:
            session.say(f"threshold {one['threshold']}: precision {one['precision']}, recall {one['recall']}")

    @command(app, "nearest")
    def nearest(
        session: Session,
        folder: FolderArgument,
        examples: Annotated[Path, typer.Option(metavar="DIR", help="Pathology pictures to compare with.")],
        out: Annotated[Path | None, typer.Option(metavar="FILE", help="The page (else nearest.html in DIR).")] = None,
    ) -> None:
        """Show a data set's pictures in bands of likeness to given ones, to choose a threshold by look."""
        from plipdesk.datasets.dataset import DataSet
        from plipdesk.datasets.looking import bands_of

        made = DataSet.open(absolute(folder))
        if made.document["encoder"] is None:
            raise UsageProblem("This data set was built without an encoder.", path=made.layout.root)
        loaded = encoder_called(session, made.document["encoder"]["id"])
        try:
            with watched(session) as context:
                place = absolute(out) if out is not None else made.layout.root / "nearest.html"
                document = bands_of(made, absolute(examples), loaded, place, context)
        finally:
            loaded.close()
        if session.as_json:
            session.answer(document)
        else:
            for cosine, count in document["by_cosine"].items():
                session.say(f"from {cosine}: {count:,}")
            session.say(f"Look at {document['page']}, then set least_cosine of the step alike.")
