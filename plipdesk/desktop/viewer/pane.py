"""One view of one slide: its title, the canvas, and what is said while the slide opens or cannot be opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QStackedLayout, QToolButton, QVBoxLayout, QWidget

from plipdesk.desktop.elided import ElidedLabel
from plipdesk.desktop.empty import EmptyState
from plipdesk.desktop.link import Link
from plipdesk.desktop.notices import failure_text
from plipdesk.desktop.state import shapes
from plipdesk.desktop.state.query_draft import Turn
from plipdesk.desktop.theme import Theme
from plipdesk.desktop.viewer.annotating import Annotator
from plipdesk.desktop.viewer.camera import Rect
from plipdesk.desktop.viewer.canvas import SlideCanvas
from plipdesk.desktop.viewer.slide_layers import SlideLayers
from plipdesk.engine import messages as m


@dataclass(frozen=True)
class SlideToShow:
    """What the viewer is asked to open; ``slide_id`` is None for a file that is not in the workspace."""

    path: str
    name: str
    slide_id: str | None = None
    given_mpp_um: float | None = None
    """µm per pixel that a person gave; None: as the file says."""


class SlidePane(QFrame):
    """Opens slides by the reader process, one after another."""

    opened = Signal()
    closed = Signal()
    """No slide is shown any more, or not yet."""
    close_wanted = Signal()

    def __init__(self, link: Link, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._link = link
        self._theme = theme
        self._turn = Turn()
        self._shown: SlideToShow | None = None
        self.setObjectName("slidePane")
        self.canvas = SlideCanvas(link, theme, self)
        self.layers = SlideLayers(link, self.canvas.overlays, self)
        self.annotator = Annotator(link, self.canvas.overlays, self)
        self.message = EmptyState(theme, "slide", self)
        self.message.say(self.tr("No slide is open"), self.tr("Open one from the list of slides, or from a hit."))
        self._title = ElidedLabel("", Qt.TextElideMode.ElideMiddle)
        self._title.setObjectName("panelTitle")
        self._close = QToolButton()
        self._close.setAutoRaise(True)
        self._close.setToolTip(self.tr("Close this view"))
        self._close.setAccessibleName(self.tr("Close this view"))
        self._close.clicked.connect(self.close_wanted)
        self._head = QWidget(self)
        head = QHBoxLayout(self._head)
        head.setContentsMargins(8, 2, 2, 2)
        head.addWidget(self._title, 1)
        head.addWidget(self._close)
        self._head.hide()
        self._stack = QStackedLayout()
        self._stack.addWidget(self.message)
        self._stack.addWidget(self.canvas)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._head)
        column.addLayout(self._stack, 1)
        theme.changed.connect(self._dress)
        self._dress()

    @property
    def shown(self) -> SlideToShow | None:
        """The slide that is open, or being opened."""
        return self._shown

    def set_one_of_many(self, many: bool, active: bool) -> None:
        """Show the own title where there are several views, and mark the one that keys go to."""
        self._head.setVisible(many)
        self.setProperty("active", many and active)
        self.setProperty("many", many)
        self.style().unpolish(self)
        self.style().polish(self)

    def show_slide(
        self, slide: SlideToShow, *, patch: Rect | None = None, then: Callable[[], None] | None = None
    ) -> None:
        """Open a slide, whole or at a patch; one that is open already is not opened again. ``then``: once it is."""
        turn = self._turn.next()
        if self.canvas.slide is not None and self._shown == slide:
            if patch is not None:
                self.canvas.show_patch(patch)
            if then is not None:
                then()
            return
        self._shown = slide
        self._title.setText(slide.name)
        self.annotator.end()
        self.canvas.close_slide()
        self.layers.end()
        self.closed.emit()
        self.message.say(self.tr("Opening the slide…"), slide.name)
        self._stack.setCurrentWidget(self.message)

        def opened(reply: m.Message) -> None:
            if self._turn.is_latest(turn) and isinstance(reply, m.SlideOpened):
                self._stack.setCurrentWidget(self.canvas)
                self.canvas.open(reply, patch=patch)
                self.layers.begin(slide.path, slide.slide_id, slide.given_mpp_um)
                self.annotator.begin(slide.slide_id, reply.mpp_um)
                self.opened.emit()
                if then is not None:
                    then()

        def refused(failure: m.Failed) -> None:
            if self._turn.is_latest(turn):
                again = self.tr("Try again")
                self.message.say(
                    self.tr("This slide cannot be opened."),
                    failure_text(failure),
                    (again, lambda: self._again(slide, patch, then)),
                )

        self._link.ask(m.OpenSlide(slide.path, slide.given_mpp_um), opened, refused, channel="viewer")

    def _again(self, slide: SlideToShow, patch: Rect | None, then: Callable[[], None] | None) -> None:
        self._shown = None
        self.show_slide(slide, patch=patch, then=then)

    def show_chosen(self) -> None:
        """Bring the chosen annotation into sight."""
        row, camera = self.annotator.book.chosen, self.canvas.camera
        if row is None or camera is None:
            return
        left, top, right, bottom = shapes.bounds(row.geometry)
        least = 100 / camera.zoom
        width, height = max(right - left, least), max(bottom - top, least)
        box = Rect((left + right - width) / 2, (top + bottom - height) / 2, width, height)
        seen = camera.seen(self.canvas.view)
        if seen.x <= box.x and seen.y <= box.y and seen.right >= box.right and seen.bottom >= box.bottom:
            self.canvas.update()
        else:
            self.canvas.look_at(box)

    def end(self) -> None:
        """The view is taken away: answers that still come are not for it."""
        self._turn.next()
        self.annotator.end()
        self.canvas.close_slide()
        self.layers.end()
        self._shown = None

    def _dress(self) -> None:
        self._close.setIcon(self._theme.icon("close"))
        self.canvas.update()
