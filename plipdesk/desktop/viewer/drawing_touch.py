"""The tools that draw and change annotations, by mouse and by keys."""

from __future__ import annotations

import math
from collections.abc import Callable

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPen, QPolygonF

from plipdesk.catalogue.rows import AnnotationKind, AnnotationRow
from plipdesk.desktop.state import shapes
from plipdesk.desktop.state.annotations import CLASS_COLOURS, DEFAULT_COLOUR, AnnotationBook
from plipdesk.desktop.state.shapes import Geometry, Point
from plipdesk.desktop.state.sketch import Kind, Sketch, painted
from plipdesk.desktop.viewer.overlays import Glass

NEAR_PX = 6.0
"""On the screen: so near to a point, line or corner counts as on it."""
USUAL_BRUSH_PX, LEAST_BRUSH_PX, MOST_BRUSH_PX = 24.0, 3.0, 200.0
PLACE_KEYS = (Qt.Key.Key_Space,)
FINISH_KEYS = (Qt.Key.Key_Return, Qt.Key.Key_Enter)


class Brush:
    """The size that brush and eraser of a view share: radius in screen pixels."""

    def __init__(self) -> None:
        self.radius_px = USUAL_BRUSH_PX

    def resize(self, factor: float) -> None:
        """Larger or smaller, within reason."""
        self.radius_px = min(max(self.radius_px * factor, LEAST_BRUSH_PX), MOST_BRUSH_PX)


class DrawTouch:
    """Draws one kind of shape; brush and eraser work on the selected area, or begin a new one."""

    cursor = Qt.CursorShape.CrossCursor

    def __init__(self, book: AnnotationBook, kind: Kind, brush: Brush, zoom: Callable[[], float]) -> None:
        self.sketch = Sketch(kind)
        self._book = book
        self._brush = brush
        self._zoom = zoom
        self._at: Point | None = None

    @property
    def paints(self) -> bool:
        """Whether it is the brush or the eraser."""
        return self.sketch.kind in ("brush", "eraser")

    def press(self, at: Point, /) -> bool:
        """Begin, or add a corner."""
        self._take(self.sketch.press(at))
        return True

    def move(self, at: Point, /) -> bool:
        """Go on."""
        self._at = at
        return self.sketch.drag(at) or self.paints

    def release(self, at: Point, /) -> None:
        """End what a drag draws."""
        if self.paints:
            self._paint()
        else:
            self._take(self.sketch.release(at, self._zoom()))

    def double(self, _at: Point, /) -> bool:
        """End a polygon."""
        if self.sketch.kind == "polygon" and self.sketch.begun:
            self._take(self.sketch.finish(self._zoom()))
        return True

    def key(self, event: QKeyEvent, middle: Point, /) -> bool:
        """Space sets a point in the middle of the view, Enter ends, Backspace takes a point back."""
        key = event.key()
        if key in PLACE_KEYS:
            self._take(self.sketch.place(middle))
            if self.paints:
                self._paint()
        elif key in FINISH_KEYS:
            if self.sketch.begun:
                self.sketch.drag(middle)
                self._take(self.sketch.finish(self._zoom()))
            elif self.sketch.kind in ("rectangle", "ellipse"):
                self._take(self._in_the_middle(middle))
            elif self.sketch.kind == "point":
                self._take(self.sketch.place(middle))
            else:
                return False
        elif key == Qt.Key.Key_Backspace and self.sketch.begun:
            self.sketch.back()
        elif self.paints and event.text() in ("<", ">"):
            self._brush.resize(1.25 if event.text() == ">" else 0.8)
        else:
            return False
        return True

    def leave(self) -> None:
        """Drop what is unfinished."""
        self.sketch.cancel()

    def paint(self, glass: Glass) -> None:
        """The shape as it would be, and the brush."""
        painter = glass.painter
        painter.save()
        colour = QColor(CLASS_COLOURS.get(self._book.class_name or "", DEFAULT_COLOUR))
        points = [glass.point(*at) for at in self._outline()]
        if self.paints:
            if points:
                tint = QColor(255, 255, 255, 150) if self.sketch.kind == "eraser" else QColor(colour)
                tint.setAlpha(120)
                pen = QPen(tint, 2 * self._brush.radius_px)
                pen.setCapStyle(Qt.PenCapStyle.RoundCap)
                pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
                painter.setPen(pen)
                painter.drawPolyline(QPolygonF(points if len(points) > 1 else [points[0], points[0] + QPointF(0.1, 0)]))
            if self._at is not None:
                painter.setBrush(Qt.BrushStyle.NoBrush)
                for ink, width in ((QColor(255, 255, 255, 200), 3.0), (QColor(20, 20, 24), 1.2)):
                    painter.setPen(QPen(ink, width))
                    painter.drawEllipse(glass.point(*self._at), self._brush.radius_px, self._brush.radius_px)
        elif points:
            closed = self.sketch.kind in ("rectangle", "ellipse") and len(points) > 2
            for ink, width in ((QColor(255, 255, 255, 200), 4.0), (colour, 2.0)):
                painter.setPen(QPen(ink, width))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawPolygon(QPolygonF(points)) if closed else painter.drawPolyline(QPolygonF(points))
            if self.sketch.kind == "polygon":
                painter.setBrush(Qt.GlobalColor.white)
                for at in points[: len(self.sketch.points)]:
                    painter.drawEllipse(at, 3.5, 3.5)
        painter.restore()

    def _outline(self) -> list[Point]:
        points = self.sketch.preview()
        if self.sketch.kind in ("rectangle", "ellipse") and len(points) >= 2:
            # While keys draw, the middle of the view is the loose corner.
            make = shapes.rectangle if self.sketch.kind == "rectangle" else shapes.ellipse
            return list(shapes.points_of(make(points[0], points[-1])))
        return points

    def _in_the_middle(self, middle: Point) -> Geometry:
        half = 60 / self._zoom()
        first, second = (middle[0] - half, middle[1] - half), (middle[0] + half, middle[1] + half)
        return shapes.rectangle(first, second) if self.sketch.kind == "rectangle" else shapes.ellipse(first, second)

    def _paint(self) -> None:
        path = self.sketch.points
        erase = self.sketch.kind == "eraser"
        self.sketch.cancel()
        if not path:
            return
        row = self._book.chosen
        if row is not None and (row.locked or not shapes.polygons_of(row.geometry)):
            row = None
        if row is None and erase:
            return
        before = None if row is None else row.geometry
        after = painted(before, path, self._brush.radius_px / self._zoom(), erase=erase)
        if row is None and after is not None:
            self._book.add("brush", after)
        elif row is not None and after is not None:
            self._book.edit(row.annotation_id, geometry=after)
        elif row is not None:
            self._book.remove(row.annotation_id)

    def _take(self, geometry: Geometry | None) -> None:
        if geometry is not None:
            kind: AnnotationKind = "brush" if self.sketch.kind == "eraser" else self.sketch.kind
            self._book.add(kind, geometry)


class SelectTouch:
    """Chooses annotations, moves them and their corners; Delete removes the chosen one."""

    cursor = Qt.CursorShape.ArrowCursor

    def __init__(self, book: AnnotationBook, zoom: Callable[[], float], edit: Callable[[], None]) -> None:
        self._book = book
        self._zoom = zoom
        self._edit = edit
        self._from: Point | None = None
        self._corner: int | None = None
        self._row: AnnotationRow | None = None
        self._shape: Geometry | None = None

    def press(self, at: Point, /) -> bool:
        """Choose what lies here; where nothing does, the slide is dragged."""
        chosen, near = self._book.chosen, NEAR_PX / self._zoom()
        self._corner = None
        if chosen is not None and not chosen.locked and chosen.kind != "ellipse":
            corners = list(shapes.points_of(chosen.geometry))
            distances = [math.dist(corner, at) for corner in corners]
            if min(distances) <= near:
                self._corner = distances.index(min(distances))
        row = chosen if self._corner is not None else self._book.at(*at, near)
        self._book.select(None if row is None else row.annotation_id)
        if row is None:
            return False
        self._row, self._from, self._shape = row, at, None
        return True

    def move(self, at: Point, /) -> bool:
        """Move the chosen one, or its corner."""
        row, begun = self._row, self._from
        if row is None or begun is None or row.locked:
            return False
        if self._corner is None:
            self._shape = shapes.moved(row.geometry, at[0] - begun[0], at[1] - begun[1])
        elif row.kind == "rectangle":
            opposite = list(shapes.points_of(row.geometry))[(self._corner + 2) % 4]
            self._shape = shapes.rectangle(opposite, at)
        else:
            self._shape = shapes.with_corner(row.geometry, self._corner, at)
        return True

    def release(self, _at: Point, /) -> None:
        """The chosen one stays where it was moved."""
        row, shape = self._row, self._shape
        self.leave()
        if row is not None and shape is not None:
            self._book.edit(row.annotation_id, geometry=shape)

    def double(self, at: Point, /) -> bool:
        """Name, class and colour of what lies here."""
        row = self._book.at(*at, NEAR_PX / self._zoom())
        if row is None:
            return False
        self._book.select(row.annotation_id)
        self._edit()
        return True

    def key(self, event: QKeyEvent, _middle: Point, /) -> bool:
        """Enter edits, Delete removes, N and Shift+N choose the next; Alt with arrows moves."""
        key, chosen = event.key(), self._book.chosen
        if key in FINISH_KEYS and chosen is not None:
            self._edit()
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and chosen is not None:
            self._book.remove(chosen.annotation_id)
        elif event.modifiers() & Qt.KeyboardModifier.AltModifier and chosen is not None and not chosen.locked:
            ways = {Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0), Qt.Key.Key_Up: (0, -1), Qt.Key.Key_Down: (0, 1)}
            way = ways.get(Qt.Key(key))
            if way is None:
                return False
            step = 4 / self._zoom()
            geometry = shapes.moved(chosen.geometry, way[0] * step, way[1] * step)
            self._book.edit(chosen.annotation_id, geometry=geometry)
        else:
            return False
        return True

    def leave(self) -> None:
        """Nothing is held any more."""
        self._row = self._from = self._corner = self._shape = None

    def paint(self, glass: Glass) -> None:
        """Where the chosen one would come to lie."""
        if self._shape is None:
            return
        painter: QPainter = glass.painter
        painter.save()
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(255, 255, 255), 1.5, Qt.PenStyle.DashLine))
        if self._shape["type"] == "Point":
            painter.drawEllipse(glass.point(*next(shapes.points_of(self._shape))), 6, 6)
        elif self._shape["type"] == "LineString":
            painter.drawPolyline(QPolygonF([glass.point(*at) for at in shapes.points_of(self._shape)]))
        for rings in shapes.polygons_of(self._shape):
            for ring in rings:
                painter.drawPolygon(QPolygonF([glass.point(*at) for at in ring]))
        painter.restore()
