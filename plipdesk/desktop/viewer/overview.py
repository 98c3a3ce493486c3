"""The whole slide in a corner of the viewer, with the part that is seen framed; click to go there."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPixmap, QPolygonF
from PySide6.QtWidgets import QWidget

from plipdesk.desktop.viewer.camera import Camera, Viewport
from plipdesk.desktop.viewer.overlays import Glass, OverlayStack

LONGER_SIDE_PX = 150
SHARE = 0.4
"""Of the canvas's shorter side, at most."""


class Overview(QWidget):
    """Shows a picture of the slide; ``moved`` asks for another point of it (level-0 pixels)."""

    moved = Signal(float, float)

    def __init__(self, overlays: OverlayStack, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._overlays = overlays
        self._pixmap: QPixmap | None = None
        self._ground: QPixmap | None = None
        self._slide = (1, 1)
        self._seen: tuple[tuple[float, float], ...] = ()
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName(self.tr("Overview of the slide"))
        self.setToolTip(self.tr("The whole slide; click to go there. Hide it with O."))

    def set_slide(self, width0_px: int, height0_px: int) -> None:
        """Another slide, of which there is no picture yet."""
        self._slide = (width0_px, height0_px)
        self._pixmap = self._ground = None

    def fit_into(self, width_px: int, height_px: int) -> None:
        """Take no more than a corner of a canvas of this size."""
        width0_px, height0_px = self._slide
        longer_px = min(LONGER_SIDE_PX, SHARE * min(width_px, height_px))
        scale = longer_px / max(width0_px, height0_px)
        self.resize(QSize(max(24, round(scale * width0_px)), max(24, round(scale * height0_px))))

    def set_pixmap(self, pixmap: QPixmap | None) -> None:
        """The picture of the whole slide."""
        if pixmap is not self._pixmap:
            self._pixmap = pixmap
            self.draw_anew()

    def draw_anew(self) -> None:
        """The picture, or something over it, has changed."""
        self._ground = None
        self.update()

    def set_seen(self, seen: tuple[tuple[float, float], ...]) -> None:
        """The corners of what the viewer shows, in level-0 pixels."""
        if seen != self._seen:
            self._seen = seen
            self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802
        """Draw picture and frame."""
        ratio = self.devicePixelRatioF()
        if self._ground is None or self._ground.size() != self.size() * ratio:
            self._ground = self._draw_ground(ratio)
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._ground)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        scale = self.width() / self._slide[0]
        frame = QPolygonF([QPointF(x * scale, y * scale) for x, y in self._seen])
        around = frame.boundingRect()
        # A frame of a few pixels would be lost from sight at 40×.
        if around.width() < 6 or around.height() < 6:
            frame = QPolygonF(QRectF(around.center().x() - 4, around.center().y() - 4, 8, 8))
        frame = frame.intersected(QPolygonF(QRectF(1, 1, self.width() - 2, self.height() - 2)))
        painter.setPen(QPen(QColor(0, 0, 0, 170), 3))
        painter.drawPolygon(frame)
        painter.setPen(QPen(QColor("#00b7ff"), 1.5))
        painter.drawPolygon(frame)
        painter.end()

    def _draw_ground(self, ratio: float) -> QPixmap:
        ground = QPixmap(self.size() * ratio)
        ground.setDevicePixelRatio(ratio)
        ground.fill(QColor(255, 255, 255))
        painter = QPainter(ground)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if self._pixmap is not None:
            painter.drawPixmap(self.rect(), self._pixmap)
        width0_px, height0_px = self._slide
        camera = Camera(width0_px, height0_px, width0_px / 2, height0_px / 2, self.width() / width0_px)
        self._overlays.paint(Glass(painter, camera, Viewport(self.width(), self.height(), ratio), overview=True))
        painter.setPen(QPen(QColor(0, 0, 0, 150), 1))
        painter.drawRect(QRectF(0.5, 0.5, self.width() - 1, self.height() - 1))
        painter.end()
        return ground

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Go to the point clicked."""
        self._go(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Follow the mouse while its button is held."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._go(event)

    def _go(self, event: QMouseEvent) -> None:
        scale = self._slide[0] / self.width()
        self.moved.emit(event.position().x() * scale, event.position().y() * scale)
        event.accept()
