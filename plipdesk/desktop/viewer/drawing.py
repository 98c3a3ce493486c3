"""What is drawn over pictures of tissue: scale bars, outlines, marks. All sizes in screen pixels."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QFontMetricsF, QPainter, QPen, QPolygonF

from plipdesk.desktop.viewer.scale import ScaleBar

INK = QColor(18, 18, 22)
PAPER = QColor(255, 255, 255, 215)
HIT = QColor("#ffd400")
BOX = QColor("#00b7ff")


def draw_scale_bar(painter: QPainter, bar: ScaleBar, left_px: float, bottom_px: float) -> QRectF:
    """A scale bar with its label on a light ground that stands off any stain; returns the ground's rectangle."""
    metrics = QFontMetricsF(painter.font())
    text_width = metrics.horizontalAdvance(bar.label)
    pad = 4.0
    width = max(bar.length_px, text_width) + 2 * pad
    height = metrics.height() + 9.0
    ground = QRectF(left_px, bottom_px - height, width, height)
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(PAPER)
    painter.drawRoundedRect(ground, 3, 3)
    painter.setPen(INK)
    painter.drawText(QPointF(ground.left() + (width - text_width) / 2, ground.top() + 1 + metrics.ascent()), bar.label)
    pen = QPen(INK, 2)
    pen.setCapStyle(Qt.PenCapStyle.FlatCap)
    painter.setPen(pen)
    start, line = ground.left() + (width - bar.length_px) / 2, ground.bottom() - 5
    painter.drawLine(QPointF(start, line), QPointF(start + bar.length_px, line))
    for end in (start + 1, start + bar.length_px - 1):
        painter.drawLine(QPointF(end, line - 3), QPointF(end, line + 3))
    painter.restore()
    return ground


def draw_outline(painter: QPainter, frame: QPolygonF, colour: QColor, *, dashed: bool = False) -> None:
    """A frame that is seen on dark and on light tissue: a coloured line between two dark ones."""
    painter.save()
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(QColor(0, 0, 0, 190), 5))
    painter.drawPolygon(frame)
    painter.setPen(QPen(colour, 2.5, Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine))
    painter.drawPolygon(frame)
    painter.restore()


def draw_unread(painter: QPainter, frame: QRectF) -> None:
    """A part of the slide that cannot be read, so that it is not taken for empty glass."""
    painter.save()
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QBrush(QColor(120, 30, 30, 110), Qt.BrushStyle.BDiagPattern))
    painter.drawRect(frame)
    painter.restore()


def draw_crosshair(painter: QPainter, at: QPointF) -> None:
    """Where a key would set a point."""
    painter.save()
    for colour, width in ((QColor(255, 255, 255, 220), 4), (INK, 1.6)):
        painter.setPen(QPen(colour, width))
        for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            painter.drawLine(at + QPointF(4 * x, 4 * y), at + QPointF(14 * x, 14 * y))
    painter.restore()
