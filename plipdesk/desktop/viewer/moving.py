"""A widget with a camera over a slide: dragging, throwing, wheel, pinch and steps move it."""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import QEvent, QPointF, Qt, QTimer, Signal
from PySide6.QtGui import QNativeGestureEvent, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QGestureEvent, QPinchGesture, QWidget

from plipdesk.desktop.viewer.camera import Camera, Rect, Viewport
from plipdesk.desktop.viewer.motion import Glide, Hand
from plipdesk.engine import messages as m

KEY_ZOOM = 2**0.5
KEY_PAN_SHARE, FINE_PAN_PX, FAR_PAN_SHARE = 0.2, 8.0, 0.9
FRAME_MS = 15


class MovingWidget(QWidget):
    """Moves a camera; what derives from it shows what the camera sees."""

    camera_changed = Signal()
    moved = Signal(object, object)
    """The person moved the camera: from where, to where (two Cameras)."""

    def __init__(self, parent: QWidget | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(parent)
        self._clock = clock
        self._slide: m.SlideOpened | None = None
        self._camera: Camera | None = None
        self._fits = True
        self._drag_from: QPointF | None = None
        self._hand = Hand()
        self._glide: Glide | None = None
        self._glided = (0.0, 0.0)
        self._glide_timer = QTimer(self)
        self._glide_timer.setInterval(FRAME_MS)
        self._glide_timer.timeout.connect(self._glide_on)
        self.grabGesture(Qt.GestureType.PinchGesture)

    @property
    def slide(self) -> m.SlideOpened | None:
        """The slide that is open."""
        return self._slide

    @property
    def camera(self) -> Camera | None:
        """Where the canvas looks; None without a slide."""
        return self._camera

    @property
    def view(self) -> Viewport:
        """The canvas as the camera needs it."""
        return Viewport(self.width(), self.height(), self.devicePixelRatioF())

    @property
    def gliding(self) -> bool:
        """Whether it still moves after a throw."""
        return self._glide is not None

    @property
    def dragging(self) -> bool:
        """Whether the slide is held by the mouse."""
        return self._drag_from is not None

    # --- what derives from it does ---

    def _look(self) -> None:
        """The camera sees something else now."""

    def _place_children(self) -> None:
        """The widget or the camera has changed."""

    # --- movements ---

    def fit(self) -> None:
        """The whole slide, turned as it is."""
        if self._slide is not None:
            turned = 0.0 if self._camera is None else self._camera.rotation_deg
            camera = Camera.fitting(self._slide.width_px, self._slide.height_px, self.view).turned(turned)
            self._move(camera.with_zoom(camera.fit_zoom(self.view), self.view))
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

    def step_objective(self, step: int) -> None:
        """The next larger (1) or smaller (−1) objective."""
        if self._camera is not None and self._slide is not None and self._slide.mpp_um is not None:
            self._move(self._camera.next_objective(step, self._slide.mpp_um, self.view))

    def turn_by(self, degrees: float) -> None:
        """Rotate clockwise; a whole slide stays whole."""
        if self._camera is not None:
            fits = self._fits
            self._move(self._camera.turned(degrees))
            if fits:
                self.fit()

    def look_at(self, box: Rect) -> None:
        """Bring a box of the slide to the middle."""
        if self._camera is not None:
            self._move(self._camera.showing(box, self.view))

    def go_to(self, camera: Camera) -> None:
        """Look elsewhere, without telling :attr:`moved`: the canvas follows another one."""
        self._stop()
        self._show(camera)

    def _go_to(self, x0_px: float, y0_px: float) -> None:
        if self._camera is not None:
            self._move(self._camera.moved_to(x0_px, y0_px))

    def _move(self, camera: Camera, *, gliding: bool = False) -> None:
        if not gliding:
            self._stop()
        before = self._camera
        self._show(camera)
        if before is not None:
            self.moved.emit(before, camera)

    def _show(self, camera: Camera) -> None:
        self._camera = camera
        self._fits = False
        self._look()
        self._place_children()
        self.update()
        self.camera_changed.emit()

    def _glide_on(self) -> None:
        if self._glide is None or self._camera is None:
            self._stop()
            return
        now = self._clock()
        x, y = self._glide.way_px(now)
        before, self._glided = self._glided, (x, y)
        done = self._glide.at_rest(now)
        self._move(self._camera.panned(before[0] - x, before[1] - y), gliding=True)
        if done:
            self._stop()

    def _stop(self) -> None:
        self._glide = None
        self._glide_timer.stop()

    def step(self, right: int, down: int, modifiers: Qt.KeyboardModifier) -> None:
        """An arrow key: a part of the view; with Shift nearly all of it, with Ctrl a few pixels."""
        if self._camera is None:
            return
        share = FAR_PAN_SHARE if modifiers & Qt.KeyboardModifier.ShiftModifier else KEY_PAN_SHARE
        x, y = share * self.width(), share * self.height()
        if modifiers & Qt.KeyboardModifier.ControlModifier:
            x = y = FINE_PAN_PX
        self._move(self._camera.panned(right * x, down * y))

    def begin_drag(self, at: QPointF) -> None:
        """The slide is held."""
        self._drag_from = at
        self._hand.at(at.x(), at.y(), self._clock())

    def drag(self, at: QPointF) -> bool:
        """The mouse has moved; False where the slide is not held."""
        if self._drag_from is None or self._camera is None:
            return False
        moved = self._drag_from - at
        self._drag_from = at
        self._hand.at(at.x(), at.y(), self._clock())
        self._move(self._camera.panned(moved.x(), moved.y()))
        return True

    def end_drag(self) -> None:
        """The slide is let go: it glides on if it was thrown."""
        if self._drag_from is not None:
            self._drag_from = None
            self._glide = self._hand.let_go(self._clock())
            self._glided = (0.0, 0.0)
            if self._glide is not None:
                self._glide_timer.start()

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
        """Pinch on a touch pad or a touch screen zooms and turns."""
        if isinstance(event, QNativeGestureEvent):
            if event.gestureType() == Qt.NativeGestureType.ZoomNativeGesture:
                self.zoom_by(1 + event.value(), event.position())
                return True
            if event.gestureType() == Qt.NativeGestureType.RotateNativeGesture:
                self.turn_by(event.value())
                return True
        if isinstance(event, QGestureEvent):
            pinch = event.gesture(Qt.GestureType.PinchGesture)
            if isinstance(pinch, QPinchGesture):
                self.zoom_by(pinch.scaleFactor(), QPointF(self.mapFromGlobal(pinch.centerPoint().toPoint())))
                return True
        return super().event(event)
