"""Slides in the catalogue: identity by fingerprint, last known place, and what people say about them."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from plipdesk.base.errors import NotFound, UsageProblem
from plipdesk.base.paths import Workspace
from plipdesk.catalogue import schema
from plipdesk.catalogue.clock import now_text
from plipdesk.catalogue.connection import Database
from plipdesk.catalogue.rows import SlideFilter, SlideRow

_SLIDE_ID = re.compile(r"[0-9a-f]{32}")
_slides = schema.slides


class SlideTable:
    """The slides of one workspace."""

    def __init__(self, database: Database, workspace: Workspace) -> None:
        self._database = database
        self._workspace = workspace

    # --- places -------------------------------------------------------------------------------------------------------

    def stored_path(self, path: str) -> str:
        """How a place is stored: relative where slide and workspace lie under one folder and move together."""
        absolute = Path(path).absolute()
        home = self._workspace.root.parent
        if absolute.is_relative_to(home) and home != Path(home.anchor):
            return Path(os.path.relpath(absolute, self._workspace.root)).as_posix()
        return str(absolute)

    def seen_path(self, stored: str) -> str:
        """The absolute place of a stored path."""
        return os.path.normpath(self._workspace.root / stored)

    # --- reading ------------------------------------------------------------------------------------------------------

    def get(self, slide_id: str) -> SlideRow | None:
        """The slide with this id, or None."""
        with self._database.reading() as connection:
            row = connection.execute(select(_slides).where(_slides.c.slide_id == slide_id)).one_or_none()
        return None if row is None else self._row(row)

    def select(self, filters: SlideFilter | None = None) -> list[SlideRow]:
        """Slides for which every condition of ``filters`` holds, sorted by name, then id."""
        statement = select(_slides).where(*conditions(filters or SlideFilter()))
        with self._database.reading() as connection:
            rows = connection.execute(statement.order_by(_slides.c.name, _slides.c.slide_id)).all()
        return [self._row(row) for row in rows]

    def at_path(self, path: Path) -> SlideRow | None:
        """The slide last seen at this place, or None."""
        with self._database.reading() as connection:
            statement = select(_slides).where(_slides.c.path == self.stored_path(str(path)))
            row = connection.execute(statement.order_by(_slides.c.added_at.desc()).limit(1)).one_or_none()
        return None if row is None else self._row(row)

    def resolve(self, text: str) -> SlideRow:
        """Find a slide by id, by path or by its name (with or without the ending).

        Raises:
            NotFound: no slide of this workspace is called so.
            UsageProblem: several are; the message lists them.
        """
        if _SLIDE_ID.fullmatch(text):
            found = self.get(text)
            if found is not None:
                return found
        found = self.at_path(Path(text))
        if found is not None:
            return found
        with self._database.reading() as connection:
            named = or_(_slides.c.name == text, _slides.c.name.like(_escape_like(text) + ".%", escape="\\"))
            rows = connection.execute(select(_slides).where(named).order_by(_slides.c.name)).all()
        if not rows:
            raise NotFound(
                f"No slide of this workspace is called {text!r}.",
                remedy="See 'plipdesk slides list', or index the slide first: plipdesk index PATH.",
            )
        if len(rows) > 1:
            listed = ", ".join(f"{row.slide_id} ({row.name})" for row in rows[:5])
            raise UsageProblem(f"Several slides are called {text!r}: {listed}.", remedy="Name it by its slide id.")
        return self._row(rows[0])

    def _row(self, row: Row[Any]) -> SlideRow:
        values = dict(row._mapping)
        values["path"] = self.seen_path(values["path"])
        values["case"] = values.pop("case_name")
        values["notes"] = tuple(values["notes"])
        values["channels"] = None if values["channels"] is None else tuple(values["channels"])
        return SlideRow(**values)

    # --- writing ------------------------------------------------------------------------------------------------------

    def put(self, slide: SlideRow) -> SlideRow:
        """Add a slide, or bring its place and properties up to date; what a person said about it is kept."""
        with self._database.writing() as connection:
            self.put_within(connection, slide)
        stored = self.get(slide.slide_id)
        assert stored is not None
        return stored

    def put_within(self, connection: Connection, slide: SlideRow) -> None:
        """:meth:`put` as part of a larger transaction."""
        values = dataclasses.asdict(slide)
        values["path"] = self.stored_path(slide.path)
        values["case_name"] = values.pop("case")
        values["added_at"] = slide.added_at or now_text()
        values["notes"] = list(slide.notes)
        values["channels"] = None if slide.channels is None else list(slide.channels)
        kept = connection.execute(select(_slides).where(_slides.c.slide_id == slide.slide_id)).one_or_none()
        if kept is not None:
            values["added_at"] = kept.added_at
            for said in ("case_name", "stain", "organ", "tissue_mm2"):
                if values[said] is None:
                    values[said] = getattr(kept, said)
            if kept.mpp_source == "given" and slide.mpp_source != "given":
                values["mpp_um"], values["mpp_source"] = kept.mpp_um, kept.mpp_source
        statement = insert(_slides).values(values)
        connection.execute(statement.on_conflict_do_update(index_elements=["slide_id"], set_=values))

    def change(
        self,
        slide_id: str,
        *,
        case: str | None = None,
        stain: str | None = None,
        organ: str | None = None,
        name: str | None = None,
        mpp_um: float | None = None,
    ) -> SlideRow:
        """Change what people say about a slide: None leaves a field alone, an empty string clears it.

        Raises:
            NotFound: no such slide.
            UsageProblem: an empty name, or an MPP outside 0.01–100 µm per pixel.
        """
        values: dict[str, object] = {}
        for column, said in (("case_name", case), ("stain", stain), ("organ", organ)):
            if said is not None:
                values[column] = said or None
        if name is not None:
            if not name.strip():
                raise UsageProblem("A slide's name cannot be empty.")
            values["name"] = name
        if mpp_um is not None:
            if not 0.01 <= mpp_um <= 100:
                raise UsageProblem(f"{mpp_um} µm per pixel is not a slide's MPP.", remedy="Give 0.01 to 100.")
            values["mpp_um"], values["mpp_source"] = mpp_um, "given"
        self._update(slide_id, values)
        return self._must_have(slide_id)

    def relink(self, slide_id: str, path: Path, *, file_bytes: int, file_mtime_ns: int) -> SlideRow:
        """Note where a moved slide lies now; the caller has compared the fingerprint."""
        place = self.stored_path(str(path))
        self._update(slide_id, {"path": place, "file_bytes": file_bytes, "file_mtime_ns": file_mtime_ns})
        return self._must_have(slide_id)

    def remove(self, slide_id: str) -> list[Path]:
        """Forget a slide and its embeddings; returns the vectors files that no row names any more.

        Raises:
            NotFound: no such slide.
        """
        with self._database.writing() as connection:
            files = connection.execute(
                select(schema.embeddings.c.file).where(schema.embeddings.c.slide_id == slide_id)
            ).scalars()
            orphans = [self._workspace.root / file for file in files]
            if connection.execute(delete(_slides).where(_slides.c.slide_id == slide_id)).rowcount == 0:
                raise NotFound(f"There is no slide {slide_id} in this workspace.")
        return orphans

    def _update(self, slide_id: str, values: dict[str, object]) -> None:
        if not values:
            return
        with self._database.writing() as connection:
            connection.execute(update(_slides).where(_slides.c.slide_id == slide_id).values(values))

    def _must_have(self, slide_id: str) -> SlideRow:
        found = self.get(slide_id)
        if found is None:
            raise NotFound(f"There is no slide {slide_id} in this workspace.")
        return found


def conditions(filters: SlideFilter) -> list[ColumnElement[bool]]:
    """The SQL conditions of a slide filter; all of them must hold."""
    wanted: list[ColumnElement[bool]] = []
    if filters.collections:
        members = (
            select(schema.collection_slides.c.slide_id)
            .join(schema.collections)
            .where(schema.collections.c.name.in_(filters.collections))
        )
        wanted.append(_slides.c.slide_id.in_(members))
    for column, any_of in (
        (_slides.c.case_name, filters.cases),
        (_slides.c.slide_id, filters.slide_ids),
        (_slides.c.stain, filters.stains),
        (_slides.c.organ, filters.organs),
    ):
        if any_of:
            wanted.append(column.in_(any_of))
    if filters.not_slide_ids:
        wanted.append(_slides.c.slide_id.not_in(filters.not_slide_ids))
    if filters.not_cases:
        wanted.append(or_(_slides.c.case_name.is_(None), _slides.c.case_name.not_in(filters.not_cases)))
    if filters.mpp_min_um is not None:
        wanted.append(_slides.c.mpp_um >= filters.mpp_min_um)
    if filters.mpp_max_um is not None:
        wanted.append(_slides.c.mpp_um <= filters.mpp_max_um)
    if filters.name_globs:
        wanted.append(or_(*(_slides.c.name.op("GLOB", is_comparison=True)(glob) for glob in filters.name_globs)))
    if filters.since is not None:
        wanted.append(_slides.c.added_at >= filters.since)
    if filters.before is not None:
        wanted.append(_slides.c.added_at < filters.before)
    return wanted


def _escape_like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
