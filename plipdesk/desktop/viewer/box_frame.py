"""The box that a search begins with, and the button under it."""

from __future__ import annotations

from PySide6.QtCore import QObject, QRectF, Qt, Signal
from PySide6.QtWidgets import QPushButton, QWidget

from plipdesk.desktop.viewer.camera import Rect, rect_between

LEAST_BOX_PX = 6
"""A smaller one was a slip."""


class BoxFrame(QObject):
    """One box at most, in level-0 pixels."""

    changed = Signal(object)
    """The box (a Rect), or None."""
    similar_wanted = Signal()

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._begun: tuple[float, float] | None = None
        self.box: Rect | None = None
        self.button = QPushButton(self.tr("Find similar"), canvas)
        self.button.setObjectName("primaryButton")
        self.button.setToolTip(self.tr("Search every slide for tissue like that in the box (S)"))
        self.button.setAccessibleName(self.tr("Find tissue similar to the box"))
        self.button.setCursor(Qt.CursorShape.ArrowCursor)
        self.button.clicked.connect(self.similar_wanted)
        self.button.hide()

    @property
    def begun(self) -> bool:
        """Whether it is being drawn."""
        return self._begun is not None

    def begin(self, x0_px: float, y0_px: float) -> None:
        """One corner."""
        self._begun = (x0_px, y0_px)

    def drag(self, x0_px: float, y0_px: float) -> None:
        """The corner opposite, for now."""
        if self._begun is not None:
            self.box = rect_between(*self._begun, x0_px, y0_px)

    def end(self, zoom: float) -> Rect | None:
        """It is drawn; None where it is too small to be meant."""
        self._begun = None
        box, least = self.box, LEAST_BOX_PX / zoom
        return box if box is not None and box.width >= least and box.height >= least else None

    def place_button(self, frame: QRectF | None) -> None:
        """Put the button below the box, or above it, as far as it is seen (screen pixels)."""
        if frame is None or self.begun:
            self.button.hide()
            return
        self.button.adjustSize()
        width, height = self.button.width(), self.button.height()
        x = min(max(frame.right() - width, 4), self._canvas.width() - width - 4)
        y = frame.bottom() + 6
        if y + height > self._canvas.height() - 4:
            y = max(4.0, frame.top() - height - 6)
        self.button.move(round(x), round(y))
        self.button.setVisible(frame.intersects(QRectF(self._canvas.rect())))
