"""Up to four views side by side, moving together where they are linked."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QWidget

from plipdesk.desktop.link import Link
from plipdesk.desktop.theme import Theme
from plipdesk.desktop.viewer.camera import Camera, Rect
from plipdesk.desktop.viewer.linking import MOST_VIEWS, aligned, followed, grid_place
from plipdesk.desktop.viewer.look import Look
from plipdesk.desktop.viewer.pane import SlidePane, SlideToShow

GAP_PX = 2


class SlideViews(QWidget):
    """The views; :attr:`active` is the one that keys and buttons mean."""

    activated = Signal()
    """Another view is the active one, or what it shows has changed."""
    added = Signal(object)
    """A new view (a SlidePane)."""
    linked_changed = Signal(bool)

    def __init__(self, link: Link, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._link = link
        self._theme = theme
        self._linked = False
        self._look = Look()
        self._overview = True
        self.panes: list[SlidePane] = []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(GAP_PX)
        self.active = self._new()
        self._arrange()

    @property
    def linked(self) -> bool:
        """Whether the views move together."""
        return self._linked

    @property
    def can_add(self) -> bool:
        """Whether there is room for one more view."""
        return len(self.panes) < MOST_VIEWS

    def add(self) -> SlidePane | None:
        """One more view, which becomes the active one; None where there are four already."""
        if not self.can_add:
            return None
        pane = self._new()
        self.added.emit(pane)
        self._arrange()
        self.activate(pane)
        return pane

    def close_pane(self, pane: SlidePane) -> None:
        """Take a view away; the last one stays."""
        if len(self.panes) == 1:
            return
        number = self.panes.index(pane)
        self.panes.remove(pane)
        pane.end()
        self._grid.removeWidget(pane)
        pane.hide()
        pane.deleteLater()
        if len(self.panes) == 1:
            self.set_linked(False)
        self._arrange()
        if pane is self.active:
            self.activate(self.panes[min(number, len(self.panes) - 1)])

    def activate(self, pane: SlidePane) -> None:
        """Keys and buttons mean this view from now on."""
        if pane not in self.panes:
            return
        self.active = pane
        for each in self.panes:
            each.set_one_of_many(len(self.panes) > 1, each is pane)
        self.activated.emit()

    def activate_next(self, step: int = 1) -> None:
        """The next view, for keys."""
        self.activate(self.panes[(self.panes.index(self.active) + step) % len(self.panes)])
        self.active.canvas.setFocus()

    def set_linked(self, linked: bool) -> None:
        """Let the views move together; they take the active one's µm per pixel at once."""
        self._linked = linked
        if linked:
            self._align()
        self.linked_changed.emit(linked)

    def set_look(self, look: Look) -> None:
        """Show all slides in another way."""
        self._look = look
        for pane in self.panes:
            pane.canvas.set_look(look)

    @property
    def look(self) -> Look:
        """How slides are shown."""
        return self._look

    def set_overview(self, shown: bool) -> None:
        """Show or hide the overview of every view."""
        self._overview = shown
        for pane in self.panes:
            pane.canvas.set_overview(shown)

    def compare(self, first: tuple[SlideToShow, Rect | None], second: tuple[SlideToShow, Rect | None]) -> None:
        """Two slides side by side at equal µm per pixel, linked; a rectangle is outlined and in the middle."""
        self.set_linked(False)
        while len(self.panes) < 2:
            self.add()
        while len(self.panes) > 2:
            self.close_pane(self.panes[-1])
        left, right = self.panes
        waiting = {left, right}

        def ready(pane: SlidePane) -> None:
            waiting.discard(pane)
            if not waiting and self.panes == [left, right]:
                # The leader is the view that the rectangle fills less, so that both are seen whole.
                self.activate(min((left, right), key=self._um_shown_inverse))
                self.set_linked(True)
                self.activate(right)

        for pane, (slide, patch) in ((left, first), (right, second)):
            pane.show_slide(slide, patch=patch, then=partial(ready, pane))

    def _um_shown_inverse(self, pane: SlidePane) -> float:
        camera, slide = pane.canvas.camera, pane.canvas.slide
        if camera is None or slide is None or slide.mpp_um is None:
            return 0.0
        return camera.zoom / slide.mpp_um

    def _new(self) -> SlidePane:
        pane = SlidePane(self._link, self._theme, self)
        pane.canvas.set_look(self._look)
        pane.canvas.set_overview(self._overview)
        pane.canvas.focused.connect(lambda: self.activate(pane) if pane is not self.active else None)
        pane.canvas.moved.connect(lambda before, after: self._follow(pane, before, after))
        pane.opened.connect(lambda: self._opened(pane))
        pane.closed.connect(lambda: self.activated.emit() if pane is self.active else None)
        pane.close_wanted.connect(lambda: self.close_pane(pane))
        self.panes.append(pane)
        return pane

    def _opened(self, pane: SlidePane) -> None:
        if self._linked and pane is not self.active:
            self._align()
        if pane is self.active:
            self.activated.emit()

    def _arrange(self) -> None:
        count = len(self.panes)
        for number, pane in enumerate(self.panes):
            row, column, span = grid_place(number, count)
            self._grid.addWidget(pane, row, column, 1, span)
            pane.show()
        for line in range(2):
            self._grid.setColumnStretch(line, 1 if line < min(count, 2) else 0)
            self._grid.setRowStretch(line, 1 if line < (count + 1) // 2 else 0)
        for each in self.panes:
            each.set_one_of_many(count > 1, each is self.active)

    def _follow(self, pane: SlidePane, before: Camera, after: Camera) -> None:
        if not self._linked or pane is not self.active:
            return
        for other in self.panes:
            camera = other.canvas.camera
            if other is not pane and camera is not None:
                other.canvas.go_to(followed(before, after, camera, _mpp(pane), _mpp(other)))

    def _align(self) -> None:
        leader = self.active.canvas.camera
        if leader is None:
            return
        for other in self.panes:
            camera = other.canvas.camera
            if other is not self.active and camera is not None:
                other.canvas.go_to(aligned(leader, camera, _mpp(self.active), _mpp(other)))


def _mpp(pane: SlidePane) -> float | None:
    slide = pane.canvas.slide
    return None if slide is None else slide.mpp_um
