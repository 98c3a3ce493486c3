"""Asks the engine what the draft says, and keeps the answer that belongs to it."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from plipdesk.desktop.link import Link
from plipdesk.desktop.state.query_draft import QueryDraft, Turn
from plipdesk.engine import messages as m
from plipdesk.search.query import SearchResult


class SearchController(QObject):
    """One question at a time: a new one makes older answers stale."""

    draft_changed = Signal()
    started = Signal()
    answered = Signal()
    """:attr:`result` is new."""
    failed = Signal(object)
    """The search was refused (a Failed)."""
    outdated = Signal()
    """Slides were indexed since the answer came."""

    def __init__(self, link: Link, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._link = link
        self._turn = Turn()
        self._patches = 0
        self._patches_searched = 0
        self.draft = QueryDraft()
        self.asked: QueryDraft | None = None
        """The draft that :attr:`result` answers, or that is being asked."""
        self.result: SearchResult | None = None
        self.busy = False

    def change(self, draft: QueryDraft) -> None:
        """The person builds another question; nothing is asked yet."""
        if draft != self.draft:
            self.draft = draft
            self.draft_changed.emit()

    def ask(self, draft: QueryDraft) -> None:
        """Change the question and ask it."""
        self.change(draft)
        self.search()

    def search(self) -> None:
        """Ask the question as it stands; an empty one clears the answer."""
        turn = self._turn.next()
        draft = self.draft
        if draft.empty:
            self.busy = False
            self.asked = self.result = None
            self.answered.emit()
            return
        self.asked = draft
        self.busy = True
        patches_then = self._patches

        def done(reply: m.Message) -> None:
            if self._turn.is_latest(turn) and isinstance(reply, m.SearchAnswer):
                self.busy = False
                self.result = reply.result
                # The status lags behind: what was searched tells of patches that it has not told of yet.
                self._patches_searched = max(patches_then, reply.result.searched.patches)
                self.answered.emit()
                self._tell_if_outdated()

        def refused(failure: m.Failed) -> None:
            if self._turn.is_latest(turn):
                self.busy = False
                self.failed.emit(failure)

        self._link.ask(m.Search(draft.query()), done, refused)
        self.started.emit()

    def set_patches(self, patches: int) -> None:
        """How many patches the index holds now."""
        self._patches = patches
        self._tell_if_outdated()

    def without_example(self) -> None:
        """Take the example off the question."""
        self.change(replace(self.draft, example=None, example_name=""))

    def _tell_if_outdated(self) -> None:
        if self.result is not None and not self.busy and self._patches > self._patches_searched:
            self.outdated.emit()
