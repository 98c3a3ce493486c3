"""Annotations in the catalogue: kept, replaced, taken away, refused in words, and gone with their slide."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from plipdesk.base.errors import NotFound, UsageProblem
from plipdesk.base.paths import Workspace
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.rows import AnnotationRow
from tests.catalogue.helpers import slide

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]]}


def annotation(number: int = 1, **changes: object) -> AnnotationRow:
    values: dict[str, object] = {
        "annotation_id": str(uuid.UUID(int=number)),
        "slide_id": slide(1).slide_id,
        "kind": "rectangle",
        "geometry": SQUARE,
    }
    return AnnotationRow(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    opened = Catalogue.open(Workspace(tmp_path))
    opened.slides.put(slide(1))
    opened.slides.put(slide(2))
    return opened


def test_annotations_are_kept_replaced_and_taken_away(catalogue: Catalogue) -> None:
    table, slide_id = catalogue.annotations, slide(1).slide_id
    table.edit(slide_id, [annotation(1, name="vessel", class_name="artery", colour="#a00000"), annotation(2)])
    first, second = table.of_slide(slide_id)
    assert (first.name, first.class_name, first.colour, first.geometry) == ("vessel", "artery", "#a00000", SQUARE)
    table.edit(slide_id, [annotation(1, name="vein", locked=True)], [second.annotation_id, str(uuid.UUID(int=9))])
    (changed,) = table.of_slide(slide_id)
    assert (changed.name, changed.class_name, changed.locked) == ("vein", None, True)
    assert changed.created_at == first.created_at
    assert table.of_slide(slide(2).slide_id) == []
    catalogue.slides.remove(slide_id)
    assert table.select() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"annotation_id": "7"},
        {"slide_id": slide(2).slide_id},
        {"geometry": {"type": "Circle", "coordinates": []}},
        {"geometry": {"type": "Point"}},
        {"colour": "red"},
        {"name": "n" * 1001},
    ],
)
def test_what_cannot_be_kept_is_refused(catalogue: Catalogue, changes: dict[str, object]) -> None:
    with pytest.raises(UsageProblem):
        catalogue.annotations.edit(slide(1).slide_id, [annotation(2), annotation(**changes)])
    assert catalogue.annotations.select() == []


def test_an_unknown_slide_has_none(catalogue: Catalogue) -> None:
    with pytest.raises(NotFound):
        catalogue.annotations.edit("f" * 32, [annotation(slide_id="f" * 32)])
