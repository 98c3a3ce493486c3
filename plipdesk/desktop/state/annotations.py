"""The annotations of one slide as they are edited: undo, redo, selection, and what is not saved yet. No Qt."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from plipdesk.catalogue.rows import AnnotationKind, AnnotationRow
from plipdesk.desktop.state import shapes

UNDO_STEPS = 200
DEFAULT_COLOUR = "#e5226b"
CLASS_COLOURS = {
    "Tumour": "#c8202a",
    "Stroma": "#2f9e6a",
    "Immune cells": "#7b4fc0",
    "Necrosis": "#5a5a5a",
    "Vessel": "#e07000",
    "Other": "#c8a000",
}
"""Classes that are offered at the start, with their colours."""


def colour_of(row: AnnotationRow) -> str:
    """The colour to draw an annotation in: its own, its class's, or the usual one."""
    return row.colour or CLASS_COLOURS.get(row.class_name or "", DEFAULT_COLOUR)


@dataclass(frozen=True)
class _Step:
    """One thing that can be undone: rows by id as they were and as they are; None where there is none."""

    before: Mapping[str, AnnotationRow | None]
    after: Mapping[str, AnnotationRow | None]


class AnnotationBook:
    """Holds the rows in the order in which they were drawn; ``listeners`` are told the ids that changed."""

    def __init__(self) -> None:
        self.slide_id = ""
        self.rows: dict[str, AnnotationRow] = {}
        self.selected: str | None = None
        self.class_name: str | None = None
        """Of what is drawn next."""
        self.listeners: list[Callable[[Iterable[str]], None]] = []
        self._undo: deque[_Step] = deque(maxlen=UNDO_STEPS)
        self._redo: list[_Step] = []
        self._unsaved: dict[str, None] = {}

    # --- loading and saving ---

    def begin(self, slide_id: str) -> None:
        """Another slide, of which nothing is known yet."""
        old = list(self.rows)
        self.slide_id, self.rows, self.selected = slide_id, {}, None
        self._undo.clear()
        self._redo.clear()
        self._unsaved.clear()
        self._tell(old)

    def load(self, rows: Sequence[AnnotationRow]) -> None:
        """What the catalogue holds; what is not saved yet stays as it is here."""
        fresh = {row.annotation_id: row for row in rows}
        for key in self._unsaved:
            fresh.pop(key, None)
            if key in self.rows:
                fresh[key] = self.rows[key]
        touched = [key for key in {**self.rows, **fresh} if self.rows.get(key) != fresh.get(key)]
        self.rows = fresh
        if self.selected not in fresh:
            self.selected = None
        self._tell(touched)

    def unsaved(self) -> tuple[tuple[AnnotationRow, ...], tuple[str, ...]]:
        """Rows to put and ids to take away, to bring the catalogue up to date."""
        put = tuple(self.rows[key] for key in self._unsaved if key in self.rows)
        return put, tuple(key for key in self._unsaved if key not in self.rows)

    def mark_saved(self, put: Iterable[AnnotationRow], removed: Iterable[str]) -> None:
        """These are in the catalogue now; what was changed meanwhile is still to be saved."""
        for row in put:
            if self.rows.get(row.annotation_id) == row:
                self._unsaved.pop(row.annotation_id, None)
        for key in removed:
            if key not in self.rows:
                self._unsaved.pop(key, None)

    # --- editing ---

    def add(self, kind: AnnotationKind, geometry: shapes.Geometry) -> AnnotationRow:
        """Something new, selected, of the present class."""
        row = AnnotationRow(str(uuid.uuid4()), self.slide_id, kind, geometry, class_name=self.class_name)
        self.change({row.annotation_id: row})
        self.select(row.annotation_id)
        return row

    def change(self, after: Mapping[str, AnnotationRow | None]) -> None:
        """Put rows by id, or take them away (None), as one step that can be undone."""
        before = {key: self.rows.get(key) for key in after}
        if before == dict(after):
            return
        self._undo.append(_Step(before, dict(after)))
        self._redo.clear()
        self._put(after)

    def edit(self, key: str, *, geometry: shapes.Geometry) -> None:
        """Another shape for an annotation, unless it is locked."""
        row = self.rows.get(key)
        if row is not None and not row.locked:
            self.change({key: replace(row, geometry=geometry)})

    def remove(self, key: str) -> bool:
        """Take an annotation away; False where it is locked or gone."""
        row = self.rows.get(key)
        if row is None or row.locked:
            return False
        self.change({key: None})
        return True

    def undo(self) -> bool:
        """Take the last step back."""
        if not self._undo:
            return False
        step = self._undo.pop()
        self._redo.append(step)
        self._put(step.before)
        return True

    def redo(self) -> bool:
        """Do again what was taken back."""
        if not self._redo:
            return False
        step = self._redo.pop()
        self._undo.append(step)
        self._put(step.after)
        return True

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to do again."""
        return bool(self._redo)

    # --- selecting ---

    def select(self, key: str | None) -> None:
        """Choose an annotation, or none."""
        if key != self.selected:
            touched = [each for each in (self.selected, key) if each is not None]
            self.selected = key if key in self.rows else None
            self._tell(touched)

    def select_next(self, step: int) -> AnnotationRow | None:
        """The next annotation in the order drawn; the first one after the last."""
        keys = list(self.rows)
        if not keys:
            return None
        at = keys.index(self.selected) + step if self.selected in self.rows else (0 if step > 0 else -1)
        self.select(keys[at % len(keys)])
        return self.chosen

    @property
    def chosen(self) -> AnnotationRow | None:
        """The selected annotation."""
        return None if self.selected is None else self.rows.get(self.selected)

    def at(self, x0_px: float, y0_px: float, within_px: float) -> AnnotationRow | None:
        """The annotation at a place that was drawn last; points and lines go before areas."""
        found: AnnotationRow | None = None
        for row in reversed(self.rows.values()):
            thin = row.geometry["type"] in ("Point", "LineString")
            if (thin or found is None) and shapes.hit(row.geometry, x0_px, y0_px, within_px):
                if thin:
                    return row
                found = row
        return found

    def classes(self) -> list[str]:
        """Classes that can be chosen: those offered and those in use."""
        used = (row.class_name for row in self.rows.values() if row.class_name)
        return list(dict.fromkeys([*CLASS_COLOURS, *used]))

    def _put(self, rows: Mapping[str, AnnotationRow | None]) -> None:
        for key, row in rows.items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
            self._unsaved[key] = None
        if self.selected not in self.rows:
            self.selected = None
        self._tell(rows)

    def _tell(self, keys: Iterable[str]) -> None:
        keys = list(keys)
        for listener in self.listeners:
            listener(keys)
