"""Asks the engine for labels, corrections and label sets, and keeps the latest answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from plipdesk.base.progress import Json
from plipdesk.catalogue.rows import CorrectionRow
from plipdesk.desktop.link import Link
from plipdesk.desktop.state.query_draft import Turn
from plipdesk.engine import messages as m

if TYPE_CHECKING:
    from plipdesk.desktop.state.labels import LabelledPatches

AGAIN_MS = 1500
"""Corrections made within this time are learned from together."""


class LabelController(QObject):
    """One slide is labelled at a time; an answer that is no longer wanted is dropped."""

    started = Signal()
    answered = Signal()
    """:attr:`found` is new; empty where there is no answer any more."""
    failed = Signal(object)
    corrected = Signal()
    """Something in :attr:`found` was corrected."""
    sets_changed = Signal()

    def __init__(self, link: Link, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._link = link
        self._turn = Turn()
        self._asked: tuple[str, dict[str, Json], dict[str, Json]] | None = None
        self.sets: tuple[m.LabelSetState, ...] = ()
        self.found: LabelledPatches | None = None
        self.table: dict[str, Json] = {}
        self.notes: tuple[str, ...] = ()
        self.busy = False
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.setInterval(AGAIN_MS)
        self._again.timeout.connect(self.again)

    def list_sets(self) -> None:
        """Ask which label sets there are."""
        self._link.ask(m.ListLabelSets(), self._on_sets)

    def keep_set(self, document: dict[str, Json]) -> None:
        """Keep a label set in the workspace."""
        self._link.ask(m.KeepLabelSet(document), self._on_sets, self.failed.emit)

    def _on_sets(self, reply: m.Message) -> None:
        if isinstance(reply, m.LabelSetList):
            self.sets = reply.label_sets
            self.sets_changed.emit()

    def label(self, slide_id: str, labels: dict[str, Json], settings: dict[str, Json]) -> None:
        """Label a slide."""
        self._asked = (slide_id, labels, settings)
        self.again()

    def again(self) -> None:
        """Label the same slide once more, with what was corrected since."""
        if self._asked is None:
            return
        self._again.stop()
        turn = self._turn.next()
        self.busy = True
        self.started.emit()

        def done(reply: m.Message) -> None:
            if self._turn.is_latest(turn) and isinstance(reply, m.SlideLabelled):
                from plipdesk.desktop.state.labels import LabelledPatches

                self.busy = False
                self.found, self.table, self.notes = LabelledPatches.of(reply), reply.table, reply.notes
                self.answered.emit()

        def refused(failure: m.Failed) -> None:
            if self._turn.is_latest(turn):
                self.busy = False
                self.failed.emit(failure)

        slide_id, labels, settings = self._asked
        self._link.ask(m.LabelSlide(slide_id, labels, settings), done, refused)

    def forget(self) -> None:
        """Another slide is shown: the answer is not for it."""
        self._turn.next()
        self._again.stop()
        self._asked = None
        had = self.found is not None or self.busy
        self.found, self.table, self.notes, self.busy = None, {}, (), False
        if had:
            self.answered.emit()

    def correct(self, patches: list[int], number: int | None) -> None:
        """Say that patches are of a class (by number), or (None) take back what was said of them."""
        found = self.found
        if found is None or not patches:
            return
        rows = tuple(
            CorrectionRow(
                found.slide_id, found.label_set, int(found.x0_px[patch]), int(found.y0_px[patch]), found.size0_px,
                found.names[number] if number is not None else "-",
            )
            for patch in patches
        )  # fmt: skip
        found.corrected[patches] = -1 if number is None else number
        message = m.CorrectPatches(put=rows) if number is not None else m.CorrectPatches(remove=rows)
        self._link.ask(message, lambda _: self._again.start())
        self.corrected.emit()
