"""Keeps the annotations of one view: loads them, shows them, and saves them by itself."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from PySide6.QtCore import QObject, QTimer, Signal

from plipdesk.desktop.link import Link
from plipdesk.desktop.state.annotations import AnnotationBook
from plipdesk.desktop.viewer.annotation_overlay import KEY, AnnotationOverlay
from plipdesk.desktop.viewer.overlays import OverlayStack
from plipdesk.engine import messages as m

SAVE_AFTER_MS = 400
RETRY_MS = 3000


class Annotator(QObject):
    """One slide at a time; what is drawn is saved as soon as the hand rests."""

    changed = Signal()
    """Something was drawn, changed, selected, or saved."""
    failed = Signal(object)
    """What was drawn cannot be saved for now (a Failed); it is tried again."""
    unkept = Signal()
    """Something was drawn on a slide that is not in the workspace, where it cannot be kept."""

    def __init__(self, link: Link, stack: OverlayStack, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._link = link
        self._stack = stack
        self._origin = str(uuid.uuid4())
        self._kept = False
        self._saving = False
        self._told = False
        self._overlay: AnnotationOverlay | None = None
        self.book = AnnotationBook()
        self.book.listeners.append(self._on_change)
        self._save_soon = QTimer(self)
        self._save_soon.setSingleShot(True)
        self._save_soon.setInterval(SAVE_AFTER_MS)
        self._save_soon.timeout.connect(self.save)
        link.event_arrived.connect(self._on_event)

    @property
    def saved(self) -> bool:
        """Whether everything drawn is in the catalogue."""
        return not self._kept or self.book.unsaved() == ((), ())

    def begin(self, slide_id: str | None, mpp_um: float | None) -> None:
        """Another slide is shown; ``slide_id`` is None where it is not in the workspace."""
        self.save()
        self._kept = slide_id is not None
        self._told = False
        self._saving = False
        self.book.begin(slide_id or "")
        self._overlay = AnnotationOverlay(self.book, self.tr("Annotations"), mpp_um=mpp_um)
        self._overlay.again.timeout.connect(self._stack.changed)
        self._stack.put(self._overlay)
        if slide_id is not None:
            self._load(slide_id)
        self.changed.emit()

    def end(self) -> None:
        """No slide is shown."""
        self.save()
        self._kept = False
        self.book.begin("")
        self._overlay = None
        self._stack.take(KEY)
        self.changed.emit()

    def save(self) -> None:
        """Bring the catalogue up to date now."""
        self._save_soon.stop()
        put, remove = self.book.unsaved()
        if not self._kept or self._saving or not (put or remove):
            return
        slide_id = self.book.slide_id
        self._saving = True

        def done(_reply: m.Message) -> None:
            if self.book.slide_id == slide_id:
                self._saving = False
                self.book.mark_saved(put, remove)
                if not self.saved:
                    self._save_soon.start()
                self.changed.emit()

        def refused(failure: m.Failed) -> None:
            if self.book.slide_id == slide_id:
                self._saving = False
                self._save_soon.start(RETRY_MS)
            self.failed.emit(failure)

        self._link.ask(m.EditAnnotations(slide_id, put, remove, self._origin), done, refused)

    def _load(self, slide_id: str) -> None:
        def found(reply: m.Message) -> None:
            if isinstance(reply, m.AnnotationList) and self.book.slide_id == slide_id:
                self.book.load(reply.annotations)

        self._link.ask(m.ListAnnotations(slide_id), found, self.failed.emit)

    def _on_event(self, event: m.Message) -> None:
        if not isinstance(event, m.AnnotationsChanged) or event.origin == self._origin:
            return
        if self._kept and event.slide_id == self.book.slide_id:
            self._load(event.slide_id)

    def _on_change(self, keys: Iterable[str]) -> None:
        if self._overlay is not None:
            self._overlay.changed(keys)
            self._stack.changed.emit()
        if self.book.unsaved() != ((), ()):
            if self._kept:
                self._save_soon.start(SAVE_AFTER_MS)
            elif not self._told:
                self._told = True
                self.unkept.emit()
        self.changed.emit()
