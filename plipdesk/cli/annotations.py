"""``plipdesk annotations``: areas drawn on slides, from QuPath and back."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plipdesk.base.errors import NotFound, UsageProblem
from plipdesk.catalogue.rows import SlideFilter, SlideRow
from plipdesk.cli.commands import command, group
from plipdesk.cli.places import absolute, existing_file, slide_place
from plipdesk.cli.session import Session
from plipdesk.engine import messages

if TYPE_CHECKING:
    from plipdesk.catalogue.catalogue import Catalogue
    from plipdesk.catalogue.rows import AnnotationRow
    from plipdesk.exchange.qupath import Feature

app = group("List annotations, and exchange them with QuPath.")
_ENDINGS = (".geojson", ".json")
WhatArgument = Annotated[list[str], typer.Argument(metavar="FILE.geojson [SLIDE…]", help="The file; then slides.")]
SlideOption = Annotated[list[str] | None, typer.Option("--slide", metavar="SLIDE", help="Slide the file is about.")]


@command(app, "import")
def import_annotations(
    session: Session,
    what: WhatArgument,
    slide: SlideOption = None,
    everything: Annotated[
        bool, typer.Option("--all-objects", help="Detections, cells and tiles, too; not only annotations.")
    ] = False,
) -> int:
    """Take QuPath's GeoJSON into the workspace; importing a file twice changes nothing.

    An object lies on the slide that its metadata names (slide_id), else on the slide given here, else on the slide that
    is called like the file. Areas of a label set's classes then label the patches in them.
    """
    from plipdesk.exchange.qupath import read_features
    from plipdesk.labelling.annotations import rows_of

    file, slides = _parted(what, slide)
    features = read_features(existing_file(file))
    wanted = [one for one in features if everything or one.object_type == "annotation"]
    notes = []
    if len(wanted) < len(features):
        notes.append(f"{len(features) - len(wanted)} detections, cells or tiles were passed over (--all-objects).")
    catalogue = _catalogue(session)
    by_slide: dict[str, list[AnnotationRow]] = {}
    beside = 0
    with catalogue:
        default = _default_slide(catalogue, slides, file, wanted)
        found: dict[str, SlideRow] = {}
        for feature in wanted:
            named = feature.metadata.get("slide_id")
            if named and named not in found:
                found[named] = catalogue.slides.resolve(named)
            place = found[named] if named else default
            assert place is not None
            rows = list(rows_of(feature, place))
            beside += not rows
            by_slide.setdefault(place.slide_id, []).extend(rows)
    if beside:
        notes.append(f"{beside} objects lie beside their slide and were left out.")
    with session.engine() as engine:
        for slide_id, rows in by_slide.items():
            if rows:
                engine.request(messages.EditAnnotations(slide_id, tuple(rows), origin="import"))
    document = {
        "imported": sum(map(len, by_slide.values())),
        "skipped": len(features) - len(wanted) + beside,
        "slides": [{"slide_id": slide_id, "annotations": len(rows)} for slide_id, rows in by_slide.items()],
        "notes": notes,
    }
    if session.as_json:
        session.answer(document)
    else:
        session.say(f"{document['imported']} annotations on {len(by_slide)} slides.")
        for note in notes:
            session.remark(note)
    return 0


@command(app, "export")
def export_annotations(session: Session, what: WhatArgument, slide: SlideOption = None) -> None:
    """Write the annotations of slides (none named: of all) as GeoJSON that QuPath opens."""
    from plipdesk.exchange.qupath import write_features
    from plipdesk.labelling.annotations import feature_of

    file, slides = _parted(what, slide)
    with _catalogue(session) as catalogue:
        ids = tuple(catalogue.slides.resolve(slide_place(name)).slide_id for name in slides)
        rows = catalogue.annotations.select(SlideFilter(slide_ids=ids))
    count = write_features(absolute(file), [feature_of(row) for row in rows])
    document = {"path": str(absolute(file)), "annotations": count, "slides": len({row.slide_id for row in rows})}
    if session.as_json:
        session.answer(document)
    else:
        session.say(f"{count} annotations of {document['slides']} slides in {document['path']}")
        session.remark("For research use only. Not for diagnosis.")


@command(app, "list")
def list_annotations(
    session: Session,
    slides: Annotated[list[str] | None, typer.Argument(metavar="SLIDE…", help="None: all slides.")] = None,
) -> None:
    """List how many annotations of each class lie on each slide."""
    with _catalogue(session) as catalogue:
        ids = tuple(catalogue.slides.resolve(slide_place(name)).slide_id for name in slides or ())
        rows = catalogue.annotations.select(SlideFilter(slide_ids=ids))
        known = {one.slide_id: one for one in catalogue.slides.select()}
    counts = Counter((row.slide_id, row.class_name or row.name or "") for row in rows)
    found: list[dict[str, Any]] = [
        {"slide_id": slide_id, "name": known[slide_id].name, "class": name, "annotations": number}
        for (slide_id, name), number in counts.items()
    ]
    if session.as_json:
        session.answer({"annotations": found})
        return
    for one in found:
        session.say(f"{one['name']}  {one['class'] or 'without a class'}: {one['annotations']}")


def _catalogue(session: Session) -> Catalogue:
    catalogue = session.catalogue()
    if catalogue is None:
        raise NotFound("There is no workspace here yet.", remedy="Index a slide first: plipdesk index PATH.")
    return catalogue


def _parted(what: list[str], slide: list[str] | None) -> tuple[Path, list[str]]:
    """The file and the slides among the arguments, in whichever order they stand."""
    files = [text for text in what if text.lower().endswith(_ENDINGS)]
    if len(files) != 1:
        raise UsageProblem("Name one GeoJSON file.", remedy="Its name ends in .geojson or .json.")
    return Path(files[0]), [*(text for text in what if text != files[0]), *(slide or ())]


def _default_slide(catalogue: Catalogue, slides: list[str], file: Path, features: list[Feature]) -> SlideRow | None:
    """The slide of objects that do not say on which they lie; None where all say it."""
    if all(feature.metadata.get("slide_id") for feature in features):
        return None
    if len(slides) > 1:
        raise UsageProblem("These objects do not say on which slide they lie.", remedy="Name one slide: --slide SLIDE.")
    try:
        return catalogue.slides.resolve(slide_place(slides[0]) if slides else file.stem)
    except NotFound as error:
        if slides:
            raise
        raise UsageProblem(
            "These objects do not say on which slide they lie, and no slide is called like the file.",
            path=file,
            remedy="Name it: --slide SLIDE.",
        ) from error
