"""The canvas of the viewer: draws tiles, turns mouse and keys into movements of the camera."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QKeyEvent,
    QMouseEvent,
    QNativeGestureEvent,
    QPainter,
    QPaintEvent,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QPushButton, QWidget

from plipdesk.desktop.link import Link
from plipdesk.desktop.pictures import pixmap_of
from plipdesk.desktop.state.lru import Lru
from plipdesk.desktop.theme import Theme
from plipdesk.desktop.viewer.camera import Camera, Rect, Viewport, rect_between
from plipdesk.desktop.viewer.drawing import BOX, HIT, draw_outline, draw_scale_bar, draw_unread
from plipdesk.desktop.viewer.overview import Overview
from plipdesk.desktop.viewer.pyramid import Pyramid, TileKey
from plipdesk.desktop.viewer.scale import scale_bar
from plipdesk.desktop.viewer.scheduler import TileScheduler
from plipdesk.engine import messages as m

CACHE_BYTES = 256 * 1024 * 1024
TILE_BYTES = 512 * 512 * 4
KEY_ZOOM = 2**0.5
KEY_PAN_SHARE = 0.2
LEAST_BOX_PX = 6
MARGIN_PX = 12

Tool = Literal["pan", "box"]


class SlideCanvas(QWidget):
    """One slide in deep zoom."""

    camera_changed = Signal()
    cursor_moved = Signal(object)
    """(x0_px, y0_px) under the mouse, or None."""
    box_changed = Signal(object)
    """The box drawn (a Rect in level-0 pixels), or None."""
    similar_wanted = Signal()
    tool_changed = Signal(str)
    menu_wanted = Signal(object)
    """Global position of a context menu."""

    def __init__(self, link: Link, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._link = link
        self._theme = theme
        self._slide: m.SlideOpened | None = None
        self._camera: Camera | None = None
        self._scheduler: TileScheduler | None = None
        self._tiles: Lru[TileKey, QPixmap] = Lru(CACHE_BYTES)
        self._tickets: set[int] = set()
        self._box: Rect | None = None
        self._patch: Rect | None = None
        self._tool: Tool = "pan"
        self._fits = True
        self._drag_from: QPointF | None = None
        self._box_from: tuple[float, float] | None = None
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(200, 160)
        self.setAccessibleName(self.tr("Slide viewer"))
        self.overview = Overview(self)
        self.overview.moved.connect(self._go_to)
        self.overview.hide()
        self._overview_wanted = True
        self.similar_button = QPushButton(self.tr("Find similar"), self)
        self.similar_button.setObjectName("primaryButton")
        self.similar_button.setToolTip(self.tr("Search every slide for tissue like that in the box (S)"))
        self.similar_button.setAccessibleName(self.tr("Find tissue similar to the box"))
        self.similar_button.setCursor(Qt.CursorShape.ArrowCursor)
        self.similar_button.clicked.connect(self.similar_wanted)
        self.similar_button.hide()

    # --- what is shown ---

    @property
    def slide(self) -> m.SlideOpened | None:
        """The slide that is open."""
        return self._slide

    @property
    def camera(self) -> Camera | None:
        """Where the canvas looks; None without a slide."""
        return self._camera

    @property
    def box(self) -> Rect | None:
        """The box drawn, in level-0 pixels."""
        return self._box

    @property
    def patch(self) -> Rect | None:
        """The hit's patch, in level-0 pixels."""
        return self._patch

    @property
    def tool(self) -> Tool:
        """What dragging does."""
        return self._tool

    @property
    def view(self) -> Viewport:
        """The canvas as the camera needs it."""
        return Viewport(self.width(), self.height(), self.devicePixelRatioF())

    def at_rest(self) -> bool:
        """Whether all that the view can show is drawn sharp."""
        return self._scheduler is not None and self._scheduler.at_rest()

    def open(self, slide: m.SlideOpened, *, patch: Rect | None = None) -> None:
        """Show a slide, whole or at a patch."""
        for ticket in self._tickets:
            self._link.forget(ticket)
        self._tickets.clear()
        self._tiles.clear()
        generation = 0 if self._scheduler is None else self._scheduler.generation + 1
        pyramid = Pyramid(slide.width_px, slide.height_px)
        self._scheduler = TileScheduler(pyramid, self._tiles.__contains__, generation=generation)
        self._tiles.pinned.add(pyramid.top)
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
        self._slide = self._camera = None
        if self._scheduler is not None:
            self._scheduler.look(Rect(-2, -2, 1, 1), 1)
        self._tiles.clear()
        self.overview.hide()
        self.set_box(None)
        self.update()

    def show_patch(self, patch: Rect) -> None:
        """Outline a patch and bring it to the middle with its surroundings."""
        self._patch = patch
        if self._camera is not None:
            self._move(self._camera.showing(patch, self.view, share=0.4))

    def set_box(self, box: Rect | None) -> None:
        """Put a box on the slide (cut at its edges), or take it away."""
        if box is not None and self._slide is not None:
            box = box.clipped(Rect(0, 0, self._slide.width_px, self._slide.height_px))
        self._box = box
        self._place_children()
        self.update()
        self.box_changed.emit(box)

    def box_in_the_middle(self) -> None:
        """A box over the middle third of the view: drawing without a mouse."""
        if self._camera is not None:
            seen = self._camera.seen(self.view)
            side = min(seen.width, seen.height) / 3
            self.set_box(Rect(self._camera.x0_px - side / 2, self._camera.y0_px - side / 2, side, side))

    def set_tool(self, tool: Tool) -> None:
        """What dragging does from now on."""
        self._tool = tool
        self.setCursor(Qt.CursorShape.CrossCursor if tool == "box" else Qt.CursorShape.OpenHandCursor)
        self.tool_changed.emit(tool)

    def set_overview(self, shown: bool) -> None:
        """Show or hide the overview."""
        self._overview_wanted = shown
        self.overview.setVisible(shown and self._slide is not None)

    # --- movements ---

    def fit(self) -> None:
        """The whole slide."""
        if self._slide is not None:
            self._move(Camera.fitting(self._slide.width_px, self._slide.height_px, self.view))
            self._fits = True

    def zoom_by(self, factor: float, at: QPointF | None = None) -> None:
        """Zoom about a point of the canvas, else about its middle."""
        if self._camera is not None:
            x, y = (self.width() / 2, self.height() / 2) if at is None else (at.x(), at.y())
            self._move(self._camera.zoomed(factor, x, y, self.view))

    def to_objective(self, power: float) -> None:
        """Exactly the magnification of an objective, where the slide's µm per pixel are known."""
        if self._camera is not None and self._slide is not None and self._slide.mpp_um is not None:
            self._move(self._camera.at_magnification(power, self._slide.mpp_um, self.view))

    def _go_to(self, x0_px: float, y0_px: float) -> None:
        if self._camera is not None:
            self._move(self._camera.moved_to(x0_px, y0_px))

    def _move(self, camera: Camera) -> None:
        self._camera = camera
        self._fits = False
        self._look()
        self._place_children()
        self.update()
        self.camera_changed.emit()

    # --- tiles ---

    def _look(self) -> None:
        if self._camera is None or self._scheduler is None:
            return
        view = self.view
        self._scheduler.look(self._camera.seen(view), self._camera.zoom * view.device_ratio)
        self._tiles.budget = max(CACHE_BYTES, round(1.25 * self._scheduler.cache_tiles * TILE_BYTES))
        self.overview.set_seen(self._camera.seen(view))
        self._pump()

    def _pump(self) -> None:
        scheduler, slide = self._scheduler, self._slide
        if scheduler is None or slide is None:
            return
        for key in scheduler.due():
            rect = scheduler.pyramid.rect(key)
            width_px, height_px = scheduler.pyramid.size_px(key)
            request = m.ReadRegion(
                slide.path,
                rect.x,
                rect.y,
                rect.width,
                rect.height,
                width_px,
                height_px,
                generation=scheduler.generation,
            )
            self._ask(scheduler, key, request)

    def _ask(self, scheduler: TileScheduler, key: TileKey, request: m.ReadRegion) -> None:
        ticket = 0

        def done(reply: m.Message) -> None:
            self._tickets.discard(ticket)
            if isinstance(reply, m.Pixels) and reply.width_px > 0:
                self._tiles.put(key, pixmap_of(reply), reply.width_px * reply.height_px * 4)
                scheduler.answered(key, "pixels")
                if key == scheduler.pyramid.top:
                    self.overview.set_pixmap(self._tiles.get(key))
                self.update()
            else:
                scheduler.answered(key, "dropped")
            self._pump()

        def failed(_failure: m.Failed) -> None:
            self._tickets.discard(ticket)
            scheduler.answered(key, "failed")
            self.update()
            self._pump()

        ticket = self._link.ask(request, done, failed, channel="viewer")
        self._tickets.add(ticket)

    # --- drawing ---

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802
        """Draw the best tiles there are, then what lies over them."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), self._theme.colours.canvas)
        if self._camera is not None and self._scheduler is not None and self._slide is not None:
            self._draw_tiles(painter, self._scheduler)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            if self._patch is not None:
                draw_outline(painter, self._on_screen(self._patch), HIT)
            if self._box is not None:
                draw_outline(painter, self._on_screen(self._box), BOX, dashed=True)
            if self._slide.mpp_um is not None:
                bar = scale_bar(self._slide.mpp_um / self._camera.zoom, min(160.0, self.width() / 3))
                draw_scale_bar(painter, bar, MARGIN_PX, self.height() - MARGIN_PX)
        painter.end()

    def _draw_tiles(self, painter: QPainter, scheduler: TileScheduler) -> None:
        pyramid = scheduler.pyramid
        drawn: dict[TileKey, QPixmap] = {}
        unread = []
        for key in scheduler.visible:
            if key in scheduler.unreadable:
                unread.append(key)
            for up in range(pyramid.top_level - key.level + 1):
                candidate = pyramid.ancestor(key, up)
                pixmap = drawn.get(candidate) or self._tiles.get(candidate)
                if pixmap is not None:
                    drawn[candidate] = pixmap
                    break
        painter.save()
        ratio = self.devicePixelRatioF()
        painter.scale(1 / ratio, 1 / ratio)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.fillRect(self._on_device(Rect(0, 0, pyramid.width0_px, pyramid.height0_px)), Qt.GlobalColor.white)
        for key in sorted(drawn, key=lambda key: -key.level):
            pixmap = drawn[key]
            painter.drawPixmap(self._on_device(pyramid.rect(key)), pixmap, QRectF(pixmap.rect()))
        for key in unread:
            draw_unread(painter, self._on_device(pyramid.rect(key)))
        painter.restore()

    def _on_screen(self, rect: Rect) -> QRectF:
        assert self._camera is not None
        x, y = self._camera.to_screen(rect.x, rect.y, self.view)
        return QRectF(x, y, rect.width * self._camera.zoom, rect.height * self._camera.zoom)

    def _on_device(self, rect: Rect) -> QRectF:
        """In device pixels with whole edges, so that neighbouring tiles leave no seam."""
        assert self._camera is not None
        view, ratio = self.view, self.devicePixelRatioF()
        left, top = self._camera.to_screen(rect.x, rect.y, view)
        right, bottom = self._camera.to_screen(rect.right, rect.bottom, view)
        x, y = round(left * ratio), round(top * ratio)
        return QRectF(x, y, round(right * ratio) - x, round(bottom * ratio) - y)

    def _place_children(self) -> None:
        self.overview.fit_into(self.width(), self.height())
        self.overview.move(
            self.width() - self.overview.width() - MARGIN_PX, self.height() - self.overview.height() - MARGIN_PX
        )
        if self._box is None or self._camera is None or self._box_from is not None:
            self.similar_button.hide()
            return
        frame = self._on_screen(self._box)
        self.similar_button.adjustSize()
        width, height = self.similar_button.width(), self.similar_button.height()
        x = min(max(frame.right() - width, 4), self.width() - width - 4)
        y = frame.bottom() + 6
        if y + height > self.height() - 4:
            y = max(4.0, frame.top() - height - 6)
        self.similar_button.move(round(x), round(y))
        self.similar_button.setVisible(frame.intersects(QRectF(self.rect())))

    # --- events ---

    def resizeEvent(self, _event: QResizeEvent) -> None:  # noqa: N802
        """Keep the middle in the middle, and the whole slide whole."""
        self._place_children()
        if self._fits:
            self.fit()
        elif self._camera is not None:
            self._look()
            self.camera_changed.emit()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Zoom about the cursor."""
        steps = event.angleDelta().y() or event.angleDelta().x()
        if steps:
            self.zoom_by(2 ** (steps / 240), event.position())
        event.accept()

    def event(self, event: QEvent) -> bool:
        """Pinch on a touch pad zooms."""
        if isinstance(event, QNativeGestureEvent) and event.gestureType() == Qt.NativeGestureType.ZoomNativeGesture:
            self.zoom_by(1 + event.value(), event.position())
            return True
        return super().event(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Begin to drag the slide, or a box."""
        if event.button() == Qt.MouseButton.LeftButton and self._camera is not None:
            if self._tool == "box" or event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
                self._box_from = self._camera.to_slide(event.position().x(), event.position().y(), self.view)
            else:
                self._drag_from = event.position()
                self.setCursor(Qt.CursorShape.ClosedHandCursor)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Drag the slide or the box; tell where the cursor is."""
        if self._camera is None:
            return
        at = event.position()
        if self._drag_from is not None:
            moved = self._drag_from - at
            self._drag_from = at
            self._move(self._camera.panned(moved.x(), moved.y()))
        elif self._box_from is not None:
            self._box = rect_between(*self._box_from, *self._camera.to_slide(at.x(), at.y(), self.view))
            self.update()
        self.cursor_moved.emit(self._camera.to_slide(at.x(), at.y(), self.view))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """End a drag; a box of a few pixels was a slip."""
        if event.button() != Qt.MouseButton.LeftButton:
            return
        self._drag_from = None
        if self._box_from is not None and self._camera is not None:
            self._box_from = None
            box = self._box
            least = LEAST_BOX_PX / self._camera.zoom
            self.set_box(box if box is not None and box.width >= least and box.height >= least else None)
            if self._box is not None:
                self.set_tool("pan")
        self.set_tool(self._tool)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Twice as close."""
        self.zoom_by(2.0, event.position())

    def leaveEvent(self, _event: QEvent) -> None:  # noqa: N802
        """The cursor is nowhere on the slide."""
        self.cursor_moved.emit(None)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:  # noqa: N802
        """What can be done here."""
        self.menu_wanted.emit(event.globalPos())

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Arrows move; Shift makes the step a whole view. Enter places a box while the box tool is on."""
        directions = {
            Qt.Key.Key_Left: (-1, 0),
            Qt.Key.Key_Right: (1, 0),
            Qt.Key.Key_Up: (0, -1),
            Qt.Key.Key_Down: (0, 1),
        }
        direction = directions.get(Qt.Key(event.key()))
        if self._camera is not None and direction is not None:
            share = 0.9 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else KEY_PAN_SHARE
            self._move(self._camera.panned(direction[0] * share * self.width(), direction[1] * share * self.height()))
        elif self._tool == "box" and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.box_in_the_middle()
            self.set_tool("pan")
        else:
            super().keyPressEvent(event)
