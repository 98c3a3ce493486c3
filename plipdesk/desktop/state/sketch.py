"""A shape while it is being drawn, by mouse or by keys. Plain Python, no Qt."""

from __future__ import annotations

import math
from typing import Literal

from plipdesk.base.brush import brushed
from plipdesk.desktop.state import shapes
from plipdesk.desktop.state.shapes import Geometry, Point

Kind = Literal["rectangle", "ellipse", "polygon", "freehand", "brush", "eraser", "point", "ruler"]
KINDS: tuple[Kind, ...] = ("rectangle", "ellipse", "polygon", "freehand", "brush", "eraser", "point", "ruler")
LEAST_PX = 3.0
"""On the screen: what is smaller was a slip of the mouse."""
FINE_PX = 0.75
"""By so much on the screen a freehand line is simplified."""


class Sketch:
    """Takes points in level-0 pixels; ``zoom`` is screen pixels per level-0 pixel when they were taken.

    Corner kinds (rectangle, ellipse, ruler) have two points, which a drag gives at once; a polygon takes one with each
    click; freehand, brush and eraser take all that the mouse goes through while it is pressed.
    """

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.points: list[Point] = []
        self.loose: Point | None = None
        """Where the mouse is, as the point that would come next."""
        self._pressed = False

    @property
    def begun(self) -> bool:
        """Whether there is something unfinished."""
        return bool(self.points)

    # --- the mouse ---

    def press(self, at: Point) -> Geometry | None:
        """The button went down."""
        self._pressed = True
        if self.kind == "point":
            return shapes.point(at)
        if self.kind in ("rectangle", "ellipse", "ruler") and self.points:
            return self.place(at)
        self.points.append(at)
        self.loose = at
        return None

    def drag(self, at: Point) -> bool:
        """The mouse moved; whether there is something new to draw."""
        if not self.points:
            return False
        if self.kind in ("freehand", "brush", "eraser"):
            if self._pressed and at != self.points[-1]:
                self.points.append(at)
        else:
            self.loose = at
        return True

    def release(self, at: Point, zoom: float) -> Geometry | None:
        """The button went up."""
        if not self._pressed:
            return None
        self._pressed = False
        if not self.points or self.kind == "polygon":
            return None
        if self.kind in ("rectangle", "ellipse", "ruler"):
            if math.dist(self.points[0], at) * zoom < LEAST_PX:
                return None  # a click: the next one sets the other corner
            return self._corners(self.points[0], at)
        return self.finish(zoom)

    # --- keys, and the end of a polygon ---

    def place(self, at: Point) -> Geometry | None:
        """Set a point: the shape, where that completes it."""
        if self.kind == "point":
            return shapes.point(at)
        if self.kind in ("rectangle", "ellipse", "ruler"):
            if not self.points:
                self.points.append(at)
                self.loose = at
                return None
            if at == self.points[0]:
                return None
            return self._corners(self.points[0], at)
        self.points.append(at)
        return None

    def finish(self, zoom: float) -> Geometry | None:
        """End the shape as it stands; None where it has no area."""
        points, kind = self.points, self.kind
        loose = self.loose
        if kind in ("rectangle", "ellipse", "ruler"):
            return self._corners(points[0], loose) if points and loose is not None and loose != points[0] else None
        self.cancel()
        if kind == "freehand":
            points = shapes.simplified(points, FINE_PX / zoom)
        # A double click ends a polygon with the same point twice.
        points = [at for number, at in enumerate(points) if number == 0 or at != points[number - 1]]
        if kind in ("polygon", "freehand") and len(set(points)) >= 3:
            made = shapes.polygon(points)
            return made if shapes.area_px2(made) * zoom**2 >= LEAST_PX**2 else None
        return None

    def back(self) -> None:
        """Take the last point back."""
        if self.points:
            self.points.pop()

    def cancel(self) -> None:
        """Nothing is being drawn any more."""
        self.points, self.loose, self._pressed = [], None, False

    def preview(self) -> list[Point]:
        """The line to draw: the points, and the loose one."""
        return self.points if self.loose is None or not self.points else [*self.points, self.loose]

    def _corners(self, first: Point, second: Point) -> Geometry:
        self.cancel()
        match self.kind:
            case "rectangle":
                return shapes.rectangle(first, second)
            case "ellipse":
                return shapes.ellipse(first, second)
            case _:
                return shapes.line(first, second)


def painted(before: Geometry | None, path: list[Point], radius_px: float, *, erase: bool) -> Geometry | None:
    """An area after a stroke of the brush or the eraser; None where nothing is left."""
    area = [] if before is None else shapes.polygons_of(before)
    after = brushed(area, path, radius_px, erase=erase)
    return shapes.area_of(after) if after else None
