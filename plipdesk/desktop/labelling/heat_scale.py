"""The colours of a heat map with the numbers at their ends."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize
from PySide6.QtGui import QColor, QLinearGradient, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

_PAD_PX = 6


class HeatScale(QWidget):
    """A strip from the lowest to the highest value on the slide."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._low, self._high = 0.0, 1.0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_range(self, low: float, high: float) -> None:
        """Other ends."""
        self._low, self._high = low, high
        self.setAccessibleName(self.tr("Colours from {low} to {high}").format(low=f"{low:.2f}", high=f"{high:.2f}"))
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """One line high."""
        return QSize(160, self.fontMetrics().height() + 2)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802, ARG002
        """Number, strip, number."""
        from plipdesk.desktop.viewer.rasters import HEAT_STOPS

        painter = QPainter(self)
        metrics = self.fontMetrics()
        low, high = f"{self._low:.2f}", f"{self._high:.2f}"
        left = metrics.horizontalAdvance(low) + _PAD_PX
        right = self.width() - metrics.horizontalAdvance(high) - _PAD_PX
        strip = QRectF(left, 3, max(1, right - left), self.height() - 6)
        gradient = QLinearGradient(strip.topLeft(), strip.topRight())
        for place, colour in HEAT_STOPS:
            gradient.setColorAt(place, QColor(*colour))
        painter.fillRect(strip, gradient)
        baseline = (self.height() + metrics.ascent() - metrics.descent()) // 2
        painter.drawText(0, baseline, low)
        painter.drawText(right + _PAD_PX, baseline, high)
