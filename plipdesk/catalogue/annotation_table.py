"""What people drew on slides."""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, select
from sqlalchemy.dialects.sqlite import insert

from plipdesk.base.errors import NotFound, UsageProblem
from plipdesk.catalogue import schema
from plipdesk.catalogue.clock import now_text
from plipdesk.catalogue.connection import Database
from plipdesk.catalogue.rows import AnnotationRow, SlideFilter
from plipdesk.catalogue.slide_table import conditions

_annotations = schema.drawn
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_GEOMETRIES = ("Polygon", "MultiPolygon", "Point", "LineString")
MAX_NAME = 1000


class AnnotationTable:
    """The annotations of one workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_slide(self, slide_id: str) -> list[AnnotationRow]:
        """Everything drawn on a slide, oldest first."""
        return self.select(SlideFilter(slide_ids=(slide_id,)))

    def select(self, filters: SlideFilter | None = None) -> list[AnnotationRow]:
        """What is drawn on the slides that pass ``filters``: slide by slide, oldest first."""
        statement = select(_annotations).join(schema.slides).where(*conditions(filters or SlideFilter()))
        order = (_annotations.c.slide_id, _annotations.c.created_at, _annotations.c.annotation_id)
        with self._database.reading() as connection:
            return [_row(row) for row in connection.execute(statement.order_by(*order))]

    def edit(self, slide_id: str, put: Sequence[AnnotationRow] = (), remove: Sequence[str] = ()) -> None:
        """Add or replace annotations of a slide by id, and take others away, in one transaction.

        What is not there any more is taken away without complaint. An annotation keeps the time when it was made.

        Raises:
            NotFound: no such slide.
            UsageProblem: an annotation of another slide, an id that is no UUID, or a geometry or colour that is none.
        """
        for row in put:
            _check(row, slide_id)
        now = now_text()
        with self._database.writing() as connection:
            there = select(schema.slides.c.slide_id).where(schema.slides.c.slide_id == slide_id)
            if connection.execute(there).one_or_none() is None:
                raise NotFound(f"There is no slide {slide_id} in this workspace.")
            of_slide = _annotations.c.slide_id == slide_id
            for annotation_id in remove:
                connection.execute(delete(_annotations).where(of_slide, _annotations.c.annotation_id == annotation_id))
            for row in put:
                values = dataclasses.asdict(row) | {"created_at": row.created_at or now, "changed_at": now}
                changed = {key: value for key, value in values.items() if key not in ("annotation_id", "created_at")}
                statement = insert(_annotations).values(values)
                connection.execute(
                    statement.on_conflict_do_update(index_elements=["annotation_id"], set_=changed, where=of_slide)
                )


def _check(row: AnnotationRow, slide_id: str) -> None:
    try:
        uuid.UUID(row.annotation_id)
    except ValueError as error:
        raise UsageProblem(f"{row.annotation_id!r} is not the id of an annotation.") from error
    if row.slide_id != slide_id:
        raise UsageProblem("An annotation belongs to another slide than the one that is edited.")
    if row.geometry.get("type") not in _GEOMETRIES or not isinstance(row.geometry.get("coordinates"), list | tuple):
        raise UsageProblem("An annotation has no geometry that can be kept: polygon, point or line.")
    if row.colour is not None and not _COLOUR.fullmatch(row.colour):
        raise UsageProblem(f"{row.colour!r} is not a colour.", remedy="Write it as #rrggbb.")
    if max(len(row.name), len(row.class_name or "")) > MAX_NAME:
        raise UsageProblem(f"A name has more than {MAX_NAME} letters.", remedy="Shorten it.")


def _row(row: Row[Any]) -> AnnotationRow:
    return AnnotationRow(**row._mapping)
