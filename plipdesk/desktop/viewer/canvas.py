"""The canvas of the viewer: shows tiles and layers, turns mouse and keys into movements of the camera."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from PySide6.QtCore import QEvent, QPointF, Qt, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPolygonF,
)
from PySide6.QtWidgets import QWidget

from plipdesk.desktop.link import Link
from plipdesk.desktop.theme import Theme
from plipdesk.desktop.viewer.box_frame import BoxFrame
from plipdesk.desktop.viewer.camera import Rect
from plipdesk.desktop.viewer.drawing import BOX, HIT, draw_crosshair, draw_outline, draw_scale_bar
from plipdesk.desktop.viewer.look import Look
from plipdesk.desktop.viewer.moving import MovingWidget
from plipdesk.desktop.viewer.overlays import Glass, OverlayStack
from plipdesk.desktop.viewer.overview import Overview
from plipdesk.desktop.viewer.scale import scale_bar
from plipdesk.desktop.viewer.tiles import TileStore
from plipdesk.desktop.viewer.touching import Touch
from plipdesk.engine import messages as m

MARGIN_PX = 12

Tool = Literal["pan", "box", "other"]
ARROWS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}


class SlideCanvas(MovingWidget):
    """One slide in deep zoom."""

    cursor_moved = Signal(object)
    """(x0_px, y0_px) under the mouse, or None."""
    box_changed = Signal(object)
    """The box drawn (a Rect in level-0 pixels), or None."""
    similar_wanted = Signal()
    tool_changed = Signal(str)
    menu_wanted = Signal(object)
    """Global position of a context menu."""
    focused = Signal()

    def __init__(
        self,
        link: Link,
        theme: Theme,
        parent: QWidget | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(parent, clock=clock)
        self._theme = theme
        self._patch: Rect | None = None
        self._tool: Tool = "pan"
        self._touch: Touch | None = None
        self._touching = False
        self.tiles = TileStore(link, self)
        self.overlays = OverlayStack(self)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(200, 160)
        self.setAccessibleName(self.tr("Slide viewer"))
        self.overview = Overview(self.overlays, self)
        self.overview.moved.connect(self._go_to)
        self.overview.hide()
        self._overview_wanted = True
        self.frame = BoxFrame(self)
        self.similar_button = self.frame.button
        self.frame.similar_wanted.connect(self.similar_wanted)
        self.tiles.arrived.connect(self.update)
        self.tiles.top_changed.connect(self.overview.set_pixmap)
        self.overlays.changed.connect(self.update)
        self.overlays.changed.connect(self.overview.draw_anew)

    # --- what is shown ---

    @property
    def box(self) -> Rect | None:
        """The box drawn, in level-0 pixels."""
        return self.frame.box

    @property
    def patch(self) -> Rect | None:
        """The hit's patch, in level-0 pixels."""
        return self._patch

    @property
    def tool(self) -> Tool:
        """What dragging does."""
        return self._tool

    @property
    def touch(self) -> Touch | None:
        """The tool at work, where it is neither the hand nor the box."""
        return self._touch

    def at_rest(self) -> bool:
        """Whether all that the view can show is drawn sharp."""
        return self.tiles.at_rest() and not self.gliding

    def open(self, slide: m.SlideOpened, *, patch: Rect | None = None) -> None:
        """Show a slide, whole or at a patch."""
        self.overlays.clear()
        self.tiles.open(slide)
        self._slide = slide
        self._patch = None
        self.overview.set_slide(slide.width_px, slide.height_px)
        self.overview.setVisible(self._overview_wanted)
        self._place_children()
        self.set_box(None)
        self.fit()
        if patch is not None:
            self.show_patch(patch)

    def close_slide(self) -> None:
        """Show nothing."""
        self._stop()
        if self._touch is not None:
            self._touch.leave()
        self._slide = self._camera = None
        self.tiles.close()
        self.overlays.clear()
        self.overview.hide()
        self.set_box(None)
        self.update()

    def show_patch(self, patch: Rect | None) -> None:
        """Outline a patch and bring it to the middle with its surroundings; None takes the outline away."""
        self._patch = patch
        if self._camera is not None and patch is not None:
            self._move(self._camera.showing(patch, self.view, share=0.4))
        self.update()

    def set_box(self, box: Rect | None) -> None:
        """Put a box on the slide (cut at its edges), or take it away."""
        if box is not None and self._slide is not None:
            box = box.clipped(Rect(0, 0, self._slide.width_px, self._slide.height_px))
        self.frame.box = box
        self._place_children()
        self.update()
        self.box_changed.emit(box)

    def box_in_the_middle(self) -> None:
        """A box over the middle third of the view: drawing without a mouse."""
        if self._camera is not None:
            seen = self._camera.seen(self.view)
            side = min(seen.width, seen.height) / 3
            self.set_box(Rect(self._camera.x0_px - side / 2, self._camera.y0_px - side / 2, side, side))

    def set_tool(self, tool: Tool, touch: Touch | None = None) -> None:
        """What dragging does from now on; ``touch`` is the tool at work where it is another."""
        if self._touch is not None and touch is not self._touch:
            self._touch.leave()
        self._tool, self._touch = tool, touch
        self._show_cursor()
        self.update()
        self.tool_changed.emit(tool)

    def set_overview(self, shown: bool) -> None:
        """Show or hide the overview."""
        self._overview_wanted = shown
        self.overview.setVisible(shown and self._slide is not None)

    def set_look(self, look: Look) -> None:
        """Brightness, contrast, gamma and profile, for the eye only."""
        self.tiles.set_look(look)

    def _look(self) -> None:
        if self._camera is not None:
            view = self.view
            self.tiles.see(self._camera.seen(view), self._camera.zoom * view.device_ratio)
            corners = ((0.0, 0.0), (view.width_px, 0.0), (view.width_px, view.height_px), (0.0, view.height_px))
            self.overview.set_seen(tuple(self._camera.to_slide(x, y, view) for x, y in corners))

    # --- drawing ---

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802
        """Draw the best tiles there are, then what lies over them."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), self._theme.colours.canvas)
        if self._camera is not None and self._slide is not None:
            self.tiles.draw(painter, self._camera, self.view)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            glass = Glass(painter, self._camera, self.view)
            self.overlays.paint(glass)
            if self._patch is not None:
                draw_outline(painter, glass.frame(self._patch), HIT)
            if self.frame.box is not None:
                draw_outline(painter, glass.frame(self.frame.box), BOX, dashed=True)
            if self._touch is not None:
                self._touch.paint(glass)
                if self.hasFocus() and self._touch.cursor == Qt.CursorShape.CrossCursor:
                    draw_crosshair(painter, QPointF(self.width() / 2, self.height() / 2))
            if self._slide.mpp_um is not None:
                bar = scale_bar(self._slide.mpp_um / self._camera.zoom, min(160.0, self.width() / 3))
                draw_scale_bar(painter, bar, MARGIN_PX, self.height() - MARGIN_PX)
        painter.end()

    def _place_children(self) -> None:
        self.overview.fit_into(self.width(), self.height())
        self.overview.move(
            self.width() - self.overview.width() - MARGIN_PX, self.height() - self.overview.height() - MARGIN_PX
        )
        box = self.frame.box
        shown = box is not None and self._camera is not None
        self.frame.place_button(self._on_screen(box).boundingRect() if shown and box is not None else None)

    def _on_screen(self, rect: Rect) -> QPolygonF:
        assert self._camera is not None
        corners = ((rect.x, rect.y), (rect.right, rect.y), (rect.right, rect.bottom), (rect.x, rect.bottom))
        return QPolygonF([QPointF(*self._camera.to_screen(x, y, self.view)) for x, y in corners])

    def _show_cursor(self) -> None:
        if self.dragging:
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
        elif self._touch is not None:
            self.setCursor(self._touch.cursor)
        else:
            self.setCursor(Qt.CursorShape.CrossCursor if self._tool == "box" else Qt.CursorShape.OpenHandCursor)

    # --- events ---

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Begin to drag the slide, a box, or what the tool makes."""
        self.focused.emit()
        self._stop()
        if self._camera is None or event.button() not in (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton):
            return
        at, left = event.position(), event.button() == Qt.MouseButton.LeftButton
        place = self._camera.to_slide(at.x(), at.y(), self.view)
        if left and self._touch is not None and self._touch.press(place):
            self._touching = True
            self.update()
        elif left and self._touch is None and (self._tool == "box" or _shift(event)):
            self.frame.begin(*place)
        else:
            self.begin_drag(at)
            self._show_cursor()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Drag the slide, the box, or what the tool makes; tell where the cursor is."""
        if self._camera is None:
            return
        at = event.position()
        dragged = self.drag(at)
        place = self._camera.to_slide(at.x(), at.y(), self.view)
        if self.frame.begun:
            self.frame.drag(*place)
            self.update()
        elif not dragged and self._touch is not None and self._touch.move(place):
            self.update()
        self.cursor_moved.emit(place)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """End a drag: a slide that was thrown glides on; a box of a few pixels was a slip."""
        self.end_drag()
        if self._camera is not None and event.button() == Qt.MouseButton.LeftButton:
            if self._touching and self._touch is not None:
                place = self._camera.to_slide(event.position().x(), event.position().y(), self.view)
                self._touch.release(place)
                self.update()
            if self.frame.begun:
                self.set_box(self.frame.end(self._camera.zoom))
                if self.frame.box is not None:
                    self.set_tool("pan")
        self._touching = False
        self._show_cursor()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Twice as close, unless the tool ends something with it."""
        at = event.position()
        if self._camera is not None and self._touch is not None:
            place = self._camera.to_slide(at.x(), at.y(), self.view)
            if self._touch.double(place):
                self.update()
                return
        self.zoom_by(2.0, at)

    def leaveEvent(self, _event: QEvent) -> None:  # noqa: N802
        """The cursor is nowhere on the slide."""
        self.cursor_moved.emit(None)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:  # noqa: N802
        """What can be done here."""
        self.menu_wanted.emit(event.globalPos())

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Arrows move: with Shift by a whole view, with Ctrl finely. Enter places a box while the box tool is on."""
        direction = ARROWS.get(Qt.Key(event.key()))
        if self._camera is not None and self._touch is not None:
            middle = self._camera.to_slide(self.width() / 2, self.height() / 2, self.view)
            if self._touch.key(event, middle):
                self.update()
                return
        if self._camera is not None and direction is not None:
            self.step(*direction, event.modifiers())
        elif self._tool == "box" and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.box_in_the_middle()
            self.set_tool("pan")
        else:
            super().keyPressEvent(event)


def _shift(event: QMouseEvent | QKeyEvent) -> bool:
    return bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
