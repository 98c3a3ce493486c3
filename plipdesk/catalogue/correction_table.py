"""What people said of patches that a labelling got wrong, or right."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sqlalchemy import and_, delete, select
from sqlalchemy.dialects.sqlite import insert

from plipdesk.base.errors import NotFound, UsageProblem
from plipdesk.catalogue import schema
from plipdesk.catalogue.clock import now_text
from plipdesk.catalogue.connection import Database
from plipdesk.catalogue.rows import CorrectionRow, SlideFilter
from plipdesk.catalogue.slide_table import conditions

_corrections = schema.corrections
_KEY = ("slide_id", "label_set", "x0_px", "y0_px", "size0_px")
MAX_NAME = 200


class CorrectionTable:
    """The corrections of one workspace; the last word on a patch counts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def select(self, label_set: str, filters: SlideFilter | None = None) -> list[CorrectionRow]:
        """Corrections in a label set's words on the slides that pass ``filters``; slide by slide, oldest first."""
        wanted = [_corrections.c.label_set == label_set, *conditions(filters or SlideFilter())]
        order = (_corrections.c.slide_id, _corrections.c.created_at, _corrections.c.y0_px, _corrections.c.x0_px)
        with self._database.reading() as connection:
            rows = connection.execute(select(_corrections).join(schema.slides).where(*wanted).order_by(*order))
            return [CorrectionRow(**row._mapping) for row in rows]

    def edit(self, put: Sequence[CorrectionRow] = (), remove: Sequence[CorrectionRow] = ()) -> None:
        """Keep corrections, and forget others (by slide, label set and place), in one transaction.

        Raises:
            NotFound: no such slide.
            UsageProblem: a name that is empty or too long, or a patch without size.
        """
        for row in put:
            names = (row.label_set.strip(), row.class_name.strip())
            if not all(names) or max(map(len, names)) > MAX_NAME or not row.size0_px > 0:
                raise UsageProblem("A correction names a label set, a class and a patch.")
        now = now_text()
        with self._database.writing() as connection:
            for slide_id in {row.slide_id for row in put}:
                there = select(schema.slides.c.slide_id).where(schema.slides.c.slide_id == slide_id)
                if connection.execute(there).one_or_none() is None:
                    raise NotFound(f"There is no slide {slide_id} in this workspace.")
            for row in remove:
                same = and_(*(_corrections.c[key] == getattr(row, key) for key in _KEY))
                connection.execute(delete(_corrections).where(same))
            for row in put:
                values = dataclasses.asdict(row) | {"created_at": row.created_at or now}
                changed = {"class_name": row.class_name, "created_at": values["created_at"]}
                statement = insert(_corrections).values(values)
                connection.execute(statement.on_conflict_do_update(index_elements=list(_KEY), set_=changed))
