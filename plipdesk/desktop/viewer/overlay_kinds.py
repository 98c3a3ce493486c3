"""Layers of squares and of pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QPainter, QPen

from plipdesk.desktop.viewer.overlays import Glass, Overlay
from plipdesk.desktop.viewer.rasters import Raster, patch_raster

FROM_AFAR_PX = 5.0
"""Squares that are smaller on the screen are drawn as one picture."""
MOST_SQUARES = 4000
LEAST_LABELLED_PX = 26.0


def image_of(raster: Raster) -> QImage:
    """The raster's pixels as a picture of Qt, on memory of its own."""
    height, width = raster.rgba.shape[:2]
    pixels = np.ascontiguousarray(raster.rgba)
    image = QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_RGBA8888)
    return image.convertToFormat(QImage.Format.Format_ARGB32_Premultiplied)


class PictureOverlay(Overlay):
    """A picture stretched over a rectangle of the slide, such as a heat map of one pixel per patch.

    ``smooth`` blends between its pixels; without it each patch keeps its edges.
    """

    def __init__(
        self,
        key: str,
        title: str,
        raster: Raster,
        *,
        smooth: bool = False,
        order: int = 0,
        visible: bool = True,
        opacity: float = 0.6,
        on_overview: bool = True,
    ) -> None:
        super().__init__(key, title, order=order, visible=visible, opacity=opacity, on_overview=on_overview)
        self._smooth = smooth
        self._image = image_of(raster)
        self._rect = raster.rect

    def set_raster(self, raster: Raster) -> None:
        """Another picture in its place."""
        self._image, self._rect = image_of(raster), raster.rect

    def paint(self, glass: Glass) -> None:
        """Draw the part of the picture that is seen."""
        rect = self._rect
        part = rect.clipped(glass.seen)
        if part is None:
            return
        x, y = self._image.width() / rect.width, self._image.height() / rect.height
        # Whole pixels of the picture, or a movement would make its edges tremble.
        left, top = int((part.x - rect.x) * x), int((part.y - rect.y) * y)
        right = min(self._image.width(), int(np.ceil((part.right - rect.x) * x)))
        bottom = min(self._image.height(), int(np.ceil((part.bottom - rect.y) * y)))
        source = QRectF(left, top, right - left, bottom - top)
        target = QRectF(rect.x + left / x, rect.y + top / y, source.width() / x, source.height() / y)
        glass.painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, self._smooth or glass.zoom / x < 1)
        glass.painter.setTransform(glass.transform(), True)
        glass.painter.drawImage(target, self._image, source)


class SquaresOverlay(Overlay):
    """Squares of one size, such as the patches of a tiling or the hits of a search: outlines near, a tint from afar."""

    def __init__(
        self,
        key: str,
        title: str,
        x0_px: NDArray[np.int32],
        y0_px: NDArray[np.int32],
        size0_px: float,
        colour: str,
        *,
        labels: Sequence[str] = (),
        width_px: float = 1.0,
        order: int = 10,
        visible: bool = True,
        opacity: float = 1.0,
        on_overview: bool = False,
    ) -> None:
        super().__init__(key, title, order=order, visible=visible, opacity=opacity, on_overview=on_overview)
        self._x0_px = x0_px.astype(np.float64)
        self._y0_px = y0_px.astype(np.float64)
        self._size0_px = size0_px
        self._colour = QColor(colour)
        self._labels = labels
        self._width_px = width_px
        tint = np.array([self._colour.red(), self._colour.green(), self._colour.blue(), 110], np.uint8)
        raster = patch_raster(x0_px, y0_px, size0_px, tint)
        self._far = None if raster is None else PictureOverlay(f"{key}-far", title, raster)

    def paint(self, glass: Glass) -> None:
        """Draw the squares that are seen."""
        seen, size = glass.seen, self._size0_px
        inside = (
            (self._x0_px < seen.right)
            & (self._x0_px + size > seen.x)
            & (self._y0_px < seen.bottom)
            & (self._y0_px + size > seen.y)
        )
        chosen = np.flatnonzero(inside)
        if len(chosen) == 0 or self._far is None:
            return
        few = len(self._x0_px) <= 400
        if (size * glass.zoom < FROM_AFAR_PX and not few) or len(chosen) > MOST_SQUARES:
            self._far.paint(glass)
            return
        painter = glass.painter
        side = max(size, 3.0 / glass.zoom)
        squares = [QRectF(self._x0_px[at], self._y0_px[at], side, side) for at in chosen]
        painter.save()
        painter.setTransform(glass.transform(), True)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for colour, width in ((QColor(0, 0, 0, 120), self._width_px + 2), (self._colour, self._width_px)):
            pen = QPen(colour, width)
            pen.setCosmetic(True)
            pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
            painter.setPen(pen)
            painter.drawRects(squares)
        painter.restore()
        if self._labels and size * glass.zoom >= LEAST_LABELLED_PX:
            self._label(glass, chosen)

    def _label(self, glass: Glass, chosen: NDArray[np.intp]) -> None:
        painter = glass.painter
        metrics = QFontMetricsF(painter.font())
        for at in chosen:
            corner = glass.point(self._x0_px[at], self._y0_px[at])
            text = self._labels[at]
            ground = QRectF(corner.x(), corner.y(), metrics.horizontalAdvance(text) + 6, metrics.height())
            painter.fillRect(ground, self._colour)
            painter.setPen(Qt.GlobalColor.black if self._colour.lightnessF() > 0.5 else Qt.GlobalColor.white)
            painter.drawText(QPointF(ground.x() + 3, ground.y() + metrics.ascent()), text)
