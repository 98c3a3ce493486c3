"""``plipdesk slides``: what is in the workspace."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from plipdesk.base.errors import NotFound, UsageProblem
from plipdesk.catalogue.rows import EmbeddingRow, SlideFilter, SlideRow
from plipdesk.cli.commands import command, group
from plipdesk.cli.index import DONE_STATES
from plipdesk.cli.places import absolute, slide_place
from plipdesk.cli.session import Session
from plipdesk.cli.watching import follow_job
from plipdesk.engine import messages

app = group("List, inspect, change, relink and remove slides.")
SlideArgument = Annotated[str, typer.Argument(metavar="SLIDE", help="Path, slide id or unique name.")]


@command(app, "list")
def list_slides(
    session: Session,
    in_collection: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only of this collection.")] = None,
    in_case: Annotated[list[str] | None, typer.Option(metavar="CASE", help="Only of this case.")] = None,
) -> None:
    """List the slides of the workspace."""
    catalogue = session.catalogue()
    found: list[dict[str, Any]] = []
    if catalogue is not None:
        filters = SlideFilter(collections=tuple(in_collection or ()), cases=tuple(in_case or ()))
        with catalogue:
            embeddings = catalogue.embeddings.select(filters=filters)
            found = [slide_document(row, embeddings) for row in catalogue.slides.select(filters)]
    if session.as_json:
        session.answer({"slides": found})
        return
    from rich.table import Table

    table = Table("slide_id", "name", "case", "stain", "MPP (µm)", "patches", "path")
    for slide in found:
        mpp = "unknown" if slide["mpp_um"] is None else f"{slide['mpp_um']:.4g} {slide['mpp_source']}"
        patches = str(sum(indexed["patches"] for indexed in slide["indexed"]))
        row = (slide["slide_id"], slide["name"], slide["case"] or "", slide["stain"] or "", mpp, patches, slide["path"])
        table.add_row(*row)
    session.table().print(table)


@command(app, "info")
def info(session: Session, slide: SlideArgument) -> None:
    """Show what is known of a slide, indexed or not."""
    catalogue = session.catalogue()
    document: dict[str, Any] | None = None
    if catalogue is not None:
        with catalogue:
            try:
                row = catalogue.slides.resolve(slide_place(slide))
                filters = SlideFilter(slide_ids=(row.slide_id,))
                document = slide_document(row, catalogue.embeddings.select(filters=filters))
            except NotFound:
                if not Path(slide).exists():
                    raise
    if document is None:
        document = _unindexed(Path(slide))
    if session.as_json:
        session.answer(document)
    else:
        for key, value in document.items():
            session.say(f"{key:>16}  {value}")


@command(app, "set")
def set_slide(
    session: Session,
    slide: SlideArgument,
    case: Annotated[str | None, typer.Option(help="Case; '' clears it.")] = None,
    stain: Annotated[str | None, typer.Option(help="Stain; '' clears it.")] = None,
    organ: Annotated[str | None, typer.Option(help="Organ; '' clears it.")] = None,
    name: Annotated[str | None, typer.Option(help="Name shown.")] = None,
    mpp: Annotated[float | None, typer.Option(help="Level-0 µm per pixel; its patches are cut anew.")] = None,
) -> None:
    """Change what is said about a slide."""
    if case is stain is organ is name is None and mpp is None:
        raise UsageProblem("There is nothing to set.", remedy="Give --case, --stain, --organ, --name or --mpp.")
    from plipdesk.indexing.cutting import recuts

    message = messages.SetSlide(slide=slide_place(slide), case=case, stain=stain, organ=organ, name=name, mpp_um=mpp)
    with session.engine() as engine:
        reply = engine.request(message)
        assert isinstance(reply, messages.SlideList)
        # The same engine for the jobs, which would else wait for the next one.
        stale = recuts(reply.slides[0], reply.embeddings)
        if stale and not Path(reply.slides[0].path).exists():
            stale = []
            session.remark("The slide is not where it was: its patches are cut anew once it is indexed again.")
        for params in stale:
            job = follow_job(session, "index", params)
            for indexed in job.result.get("slides", ()):
                if indexed["status"] not in DONE_STATES:
                    session.remark(f"Its patches stay as they are: {indexed['reason']}")
        reply = engine.request(messages.ListSlides(SlideFilter(slide_ids=(reply.slides[0].slide_id,))))
    assert isinstance(reply, messages.SlideList)
    _print(session, reply, "Changed.")


@command(app, "relink")
def relink(
    session: Session, slide: SlideArgument, path: Annotated[Path, typer.Argument(help="Where the slide lies now.")]
) -> None:
    """Tell where a moved slide lies now."""
    _answer(session, messages.RelinkSlide(slide=slide_place(slide), path=str(absolute(path))), "Relinked.")


@command(app, "remove")
def remove(session: Session, slide: SlideArgument) -> None:
    """Forget a slide and its vectors. The slide's own file is never touched."""
    with session.engine() as engine:
        engine.request(messages.RemoveSlide(slide=slide_place(slide)))
    if session.as_json:
        session.answer({"removed": slide})
    else:
        session.say("Removed from the workspace. The slide's own file was not touched.")


def slide_document(slide: SlideRow, embeddings: list[EmbeddingRow]) -> dict[str, Any]:
    """A slide as ``--json`` prints it, with what is indexed of it."""
    document = dataclasses.asdict(slide)
    document["notes"] = list(slide.notes)
    document["indexed"] = [
        {
            "encoder": row.encoder_id, "patch_mpp_um": row.patch_mpp_um, "patches": row.patches,
            "tiling": row.tiling, "tissue_mm2": row.tissue_mm2,
        }
        for row in embeddings
        if row.slide_id == slide.slide_id
    ]  # fmt: skip
    return document


def _unindexed(path: Path) -> dict[str, Any]:
    from plipdesk.slides.fingerprint import fingerprint
    from plipdesk.slides.opening import open_slide

    place = absolute(path)
    with open_slide(place) as reader:
        known = reader.info
    return {
        "slide_id": fingerprint(place), "path": str(place), "name": place.name, "format": known.format,
        "vendor": known.vendor, "width_px": known.width_px, "height_px": known.height_px, "mpp_um": known.mpp_um,
        "mpp_source": known.mpp_source, "objective_power": known.objective_power, "levels": len(known.levels),
        "notes": list(known.notes), "indexed": [],
    }  # fmt: skip


def _answer(session: Session, message: messages.Message, words: str) -> None:
    with session.engine() as engine:
        reply = engine.request(message)
    assert isinstance(reply, messages.SlideList)
    _print(session, reply, words)


def _print(session: Session, reply: messages.SlideList, words: str) -> None:
    if session.as_json:
        session.answer({"slides": [slide_document(row, list(reply.embeddings)) for row in reply.slides]})
    else:
        session.say(words)
