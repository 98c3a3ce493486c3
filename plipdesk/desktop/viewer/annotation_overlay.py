"""Annotations over the slide: few are drawn as they are, many by tiles that are kept, so that movements stay smooth."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, Qt, QTimer
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPainterPath, QPen, QPixmap, QPolygonF, QTransform

from plipdesk.catalogue.rows import AnnotationRow
from plipdesk.desktop.state import shapes
from plipdesk.desktop.state.annotations import AnnotationBook, colour_of
from plipdesk.desktop.state.lru import Lru
from plipdesk.desktop.viewer.camera import Rect
from plipdesk.desktop.viewer.overlays import Glass, Overlay
from plipdesk.desktop.viewer.scale import length_label

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KEY = "annotations"
DIRECT = 150
"""So many are drawn anew with each frame; more by tiles."""
TILE_PX = 512
TILES_BYTES = 96 * 1024 * 1024
FRAME_S = 0.012
"""For drawing tiles that are missing, in one frame; the rest comes with the next."""
SMALL_PX = 3.0
POINT_PX = 5.0
HANDLES_MOST = 120
LABEL_LEAST_PX = 70.0
_TileKey = tuple[int, int, int]


class AnnotationOverlay(Overlay):
    """Draws a book; ``mpp_um`` gives rulers their length."""

    def __init__(self, book: AnnotationBook, title: str, *, mpp_um: float | None) -> None:
        super().__init__(KEY, title, order=50, on_overview=True)
        self._book = book
        self._mpp_um = mpp_um
        self._paths: dict[str, tuple[AnnotationRow, QPainterPath]] = {}
        self._keys: list[str] = []
        self._bounds: NDArray[np.float64] | None = None
        self._tiles: Lru[_TileKey, QPixmap] = Lru(TILES_BYTES)
        self._stale: set[_TileKey] = set()
        self._drawn_bounds: dict[str, tuple[float, float, float, float]] = {}
        self.again = QTimer()
        """Runs out when there are tiles still to be drawn."""
        self.again.setSingleShot(True)
        self.again.setInterval(0)

    def changed(self, keys: Iterable[str]) -> None:
        """These annotations came, went, or look otherwise: tiles that show them are drawn anew."""
        self._bounds = None
        for key in keys:
            before = self._drawn_bounds.pop(key, None)
            row = self._book.rows.get(key)
            after = None if row is None else shapes.bounds(row.geometry)
            if after is not None:
                self._drawn_bounds[key] = after
            for box in (before, after):
                if box is not None:
                    self._stale.update(tile for tile in self._tiles if _touches(tile, box))

    def paint(self, glass: Glass) -> None:
        """Draw what is seen; the selected one always on top, with its corners."""
        seen = self._seen(glass.seen)
        if glass.overview or len(seen) <= DIRECT:
            for key in seen:
                if key != self._book.selected or glass.overview:
                    self._draw(glass.painter, glass.transform(), self._book.rows[key])
        else:
            self._draw_tiles(glass)
        if glass.overview:
            return
        chosen = self._book.chosen
        if chosen is not None:
            self._draw_chosen(glass, chosen)
        if len(seen) <= DIRECT:
            for key in seen:
                self._label(glass, self._book.rows[key])

    # --- what is seen ---

    def _seen(self, seen: Rect) -> list[str]:
        if not self._book.rows:
            return []
        # Late, since most windows have no annotation when they open.
        import numpy as np

        if self._bounds is None:
            self._keys = list(self._book.rows)
            for key in self._keys:
                if key not in self._drawn_bounds:
                    self._drawn_bounds[key] = shapes.bounds(self._book.rows[key].geometry)
            self._bounds = np.array([self._drawn_bounds[key] for key in self._keys])
        bounds = self._bounds
        # Points and strokes reach a little beyond themselves.
        more = 0.02 * max(seen.width, seen.height)
        inside = (
            (bounds[:, 0] <= seen.right + more)
            & (bounds[:, 2] >= seen.x - more)
            & (bounds[:, 1] <= seen.bottom + more)
            & (bounds[:, 3] >= seen.y - more)
        )
        return [self._keys[number] for number in np.flatnonzero(inside)]

    # --- drawing ---

    def _draw_tiles(self, glass: Glass) -> None:
        ratio = glass.view.device_ratio
        level = math.floor(math.log2(1 / (glass.zoom * ratio)) + 0.5)
        side = TILE_PX * 2.0**level
        seen, began = glass.seen, time.perf_counter()
        painter = glass.painter
        painter.save()
        painter.setTransform(glass.transform(), True)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        for row in range(math.floor(seen.y / side), math.ceil(seen.bottom / side)):
            for column in range(math.floor(seen.x / side), math.ceil(seen.right / side)):
                key = (level, column, row)
                pixmap = self._tiles.get(key)
                if pixmap is None or key in self._stale:
                    if time.perf_counter() - began < FRAME_S:
                        pixmap = self._tile(key, side)
                        self._stale.discard(key)
                        self._tiles.put(key, pixmap, 4 * TILE_PX * TILE_PX)
                    else:
                        self.again.start()
                if pixmap is not None:
                    painter.drawPixmap(QRectF(column * side, row * side, side, side), pixmap, QRectF(pixmap.rect()))
        painter.restore()

    def _tile(self, key: _TileKey, side: float) -> QPixmap:
        level, column, row = key
        pixmap = QPixmap(TILE_PX, TILE_PX)
        pixmap.fill(Qt.GlobalColor.transparent)
        zoom = 2.0**-level
        transform = QTransform(zoom, 0, 0, zoom, -column * TILE_PX, -row * TILE_PX)
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        small: dict[str, list[QRectF]] = {}
        for name in self._seen(Rect(column * side, row * side, side, side)):
            annotation = self._book.rows[name]
            left, top, right, bottom = self._drawn_bounds[name]
            if max(right - left, bottom - top) * zoom < SMALL_PX and annotation.kind != "point":
                corner = transform.map(QPointF(left, top))
                dot = QRectF(corner.x(), corner.y(), max(2.0, (right - left) * zoom), max(2.0, (bottom - top) * zoom))
                small.setdefault(colour_of(annotation), []).append(dot)
            else:
                self._draw(painter, transform, annotation)
        painter.setPen(Qt.PenStyle.NoPen)
        for colour, dots in small.items():
            painter.setBrush(QColor(colour))
            painter.drawRects(dots)
        painter.end()
        return pixmap

    def _draw(self, painter: QPainter, transform: QTransform, row: AnnotationRow) -> None:
        colour = QColor(colour_of(row))
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if row.geometry["type"] == "Point":
            at = transform.map(QPointF(*next(shapes.points_of(row.geometry))))
            painter.setPen(QPen(Qt.GlobalColor.white, 1.5))
            painter.setBrush(colour)
            painter.drawEllipse(at, POINT_PX, POINT_PX)
        else:
            tint = QColor(colour)
            tint.setAlpha(0 if row.geometry["type"] == "LineString" else 38)
            painter.setTransform(transform, True)
            pen = QPen(colour, 2.0, Qt.PenStyle.DashLine if row.locked else Qt.PenStyle.SolidLine)
            pen.setCosmetic(True)
            painter.setPen(pen)
            painter.setBrush(tint)
            painter.drawPath(self._path(row))
        painter.restore()

    def _draw_chosen(self, glass: Glass, row: AnnotationRow) -> None:
        painter, transform = glass.painter, glass.transform()
        if row.geometry["type"] != "Point":
            painter.save()
            painter.setTransform(transform, True)
            pen = QPen(Qt.GlobalColor.white, 5.0)
            pen.setCosmetic(True)
            painter.setPen(pen)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawPath(self._path(row))
            painter.restore()
        self._draw(painter, transform, row)
        corners = list(shapes.points_of(row.geometry))
        if row.locked or len(corners) > HANDLES_MOST or row.kind in ("ellipse", "point"):
            return
        painter.save()
        painter.setPen(QPen(QColor(colour_of(row)), 1.5))
        painter.setBrush(Qt.GlobalColor.white)
        for corner in corners:
            at = transform.map(QPointF(*corner))
            painter.drawRect(QRectF(at.x() - 3.5, at.y() - 3.5, 7, 7))
        painter.restore()

    def _label(self, glass: Glass, row: AnnotationRow) -> None:
        left, top, right, _bottom = self._drawn_bounds[row.annotation_id]
        text = " · ".join(part for part in (row.name, row.class_name or "") if part)
        if row.kind == "ruler":
            length_px = shapes.length_px(row.geometry)
            length = f"{length_px:,.0f} px" if self._mpp_um is None else length_label(length_px * self._mpp_um)
            text = f"{text} {length}".strip()
        large = (right - left) * glass.zoom >= LABEL_LEAST_PX
        if not text or not (large or row.kind in ("ruler", "point") or row.annotation_id == self._book.selected):
            return
        anchor = glass.point((left + right) / 2, top)
        metrics = QFontMetricsF(glass.painter.font())
        width = metrics.horizontalAdvance(text) + 10
        ground = QRectF(anchor.x() - width / 2, anchor.y() - metrics.height() - 9, width, metrics.height() + 2)
        glass.painter.setPen(Qt.PenStyle.NoPen)
        glass.painter.setBrush(QColor(20, 20, 24, 205))
        glass.painter.drawRoundedRect(ground, 3, 3)
        glass.painter.setPen(Qt.GlobalColor.white)
        glass.painter.drawText(ground, Qt.AlignmentFlag.AlignCenter, text)

    def _path(self, row: AnnotationRow) -> QPainterPath:
        kept = self._paths.get(row.annotation_id)
        if kept is not None and kept[0] == row:
            return kept[1]
        path = QPainterPath()
        path.setFillRule(Qt.FillRule.OddEvenFill)
        polygons = shapes.polygons_of(row.geometry)
        if not polygons:
            first, *others = shapes.points_of(row.geometry)
            path.moveTo(*first)
            for at in others:
                path.lineTo(*at)
        for rings in polygons:
            for ring in rings:
                path.addPolygon(QPolygonF([QPointF(x, y) for x, y in (*ring, ring[0])]))
        self._paths[row.annotation_id] = (row, path)
        return path


def _touches(tile: _TileKey, box: tuple[float, float, float, float]) -> bool:
    level, column, row = tile
    side = TILE_PX * 2.0**level
    more = 10 * 2.0**level
    return (
        box[0] <= (column + 1) * side + more
        and box[2] >= column * side - more
        and box[1] <= (row + 1) * side + more
        and box[3] >= row * side - more
    )
