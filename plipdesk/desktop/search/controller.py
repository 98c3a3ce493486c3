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
        self._indexed = ("", 0)
        self._indexed_then = ("", 0)
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

        def done(reply: m.Message) -> None:
            if self._turn.is_latest(turn) and isinstance(reply, m.SearchAnswer):
                self.busy = False
                self.result = reply.result
                # The engine counts: the status that the window knows may be older than the question, or none yet.
                status = reply.status
                self._indexed_then = ("", 0) if status is None else (status.encoder, status.patches)
                self.answered.emit()
                self._tell_if_outdated()

        def refused(failure: m.Failed) -> None:
            if self._turn.is_latest(turn):
                self.busy = False
                self.failed.emit(failure)

        self._link.ask(m.Search(draft.query()), done, refused)
        self.started.emit()

    def set_indexed(self, encoder: str, patches: int) -> None:
        """How many patches are indexed now, with the workspace's encoder."""
        self._indexed = (encoder, patches)
        self._tell_if_outdated()

    def without_example(self) -> None:
        """Take the example off the question."""
        self.change(replace(self.draft, example=None, example_name=""))

    def _tell_if_outdated(self) -> None:
        (encoder, patches), (encoder_then, patches_then) = self._indexed, self._indexed_then
        # The patches of another encoder are another count.
        if self.result is not None and not self.busy and encoder == encoder_then and patches > patches_then:
            self.outdated.emit()
