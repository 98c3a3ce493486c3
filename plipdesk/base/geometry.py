"""Boxes and polygons in level-0 pixels of a slide."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.errors import UsageProblem

if TYPE_CHECKING:
    from shapely.geometry import LinearRing, Polygon

Ring = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Box:
    """An axis-parallel rectangle in level-0 pixels; ``x0_px``, ``y0_px`` is its top left corner."""

    x0_px: float
    y0_px: float
    width_px: float
    height_px: float

    def __post_init__(self) -> None:
        numbers = (self.x0_px, self.y0_px, self.width_px, self.height_px)
        if not all(math.isfinite(number) for number in numbers) or self.width_px <= 0 or self.height_px <= 0:
            raise UsageProblem("A box needs four finite numbers X,Y,W,H with a width and height above zero.")

    @classmethod
    def parse(cls, text: str) -> Box:
        """Read ``"X,Y,W,H"`` in level-0 pixels.

        Raises:
            UsageProblem: not four numbers, or no area.
        """
        try:
            x0_px, y0_px, width_px, height_px = (float(part) for part in text.split(","))
        except ValueError as error:
            raise UsageProblem(
                f"{text!r} is not a box.", remedy="Write X,Y,W,H in level-0 pixels, for example 1000,2000,512,512."
            ) from error
        return cls(x0_px, y0_px, width_px, height_px)

    @property
    def x1_px(self) -> float:
        """Right edge."""
        return self.x0_px + self.width_px

    @property
    def y1_px(self) -> float:
        """Bottom edge."""
        return self.y0_px + self.height_px

    @property
    def area_px2(self) -> float:
        """Area in squared level-0 pixels."""
        return self.width_px * self.height_px

    def corners(self) -> tuple[tuple[float, float], ...]:
        """The four corners, clockwise from the top left, as (x, y)."""
        return (
            (self.x0_px, self.y0_px),
            (self.x1_px, self.y0_px),
            (self.x1_px, self.y1_px),
            (self.x0_px, self.y1_px),
        )


def squares_overlap_box(
    x0_px: NDArray[np.int32], y0_px: NDArray[np.int32], size0_px: float | NDArray[np.float64], box: Box
) -> NDArray[np.float64]:
    """Share (n,) of each square's own area that lies inside ``box``, 0 to 1; squares are given by their top left."""
    width = np.clip(np.minimum(x0_px + size0_px, box.x1_px) - np.maximum(x0_px, box.x0_px), 0, None)
    height = np.clip(np.minimum(y0_px + size0_px, box.y1_px) - np.maximum(y0_px, box.y0_px), 0, None)
    share: NDArray[np.float64] = (width * height) / (np.asarray(size0_px, dtype=np.float64) ** 2)
    return share


def polygon_from_points(points: list[tuple[float, float]]) -> Polygon:
    """A valid polygon from (x, y) points in level-0 pixels, closed or not.

    Raises:
        UsageProblem: fewer than three distinct points, a number that is not finite, or a shape without area.
    """
    from shapely.geometry import Polygon

    if any(not (math.isfinite(x) and math.isfinite(y)) for x, y in points) or len(set(points)) < 3:
        raise UsageProblem("A polygon needs at least three different points with finite coordinates.")
    shape = Polygon(points).buffer(0)
    if shape.is_empty or shape.area <= 0:
        raise UsageProblem("The polygon has no area.")
    if shape.geom_type == "MultiPolygon":
        shape = max(shape.geoms, key=lambda part: part.area)
    return shape


def cut_polygon(shape: Polygon, width0_px: float, height0_px: float) -> Polygon | None:
    """The largest piece of ``shape`` that lies on a slide of this size, or None where it lies beside it."""
    from shapely.geometry import box

    cut = shape.intersection(box(0, 0, width0_px, height0_px))
    pieces = [piece for piece in getattr(cut, "geoms", (cut,)) if piece.geom_type == "Polygon" and piece.area > 0]
    return max(pieces, key=lambda piece: piece.area, default=None)


def squares_overlap_polygon(
    x0_px: NDArray[np.int32], y0_px: NDArray[np.int32], size0_px: float, shape: Polygon
) -> NDArray[np.float64]:
    """Share (n,) of each square's own area that lies inside ``shape``, 0 to 1; squares are given by their top left."""
    import shapely

    x, y = x0_px.astype(float), y0_px.astype(float)
    squares = shapely.box(x, y, x + size0_px, y + size0_px)
    share: NDArray[np.float64] = shapely.area(shapely.intersection(squares, shape)) / size0_px**2
    return share


def squares_overlap_outline(
    x0_px: NDArray[np.int32], y0_px: NDArray[np.int32], size0_px: float, outer: Ring, holes: Iterable[Ring] = ()
) -> NDArray[np.float64]:
    """:func:`squares_overlap_polygon` of a valid polygon given by its rings; quick where it touches few squares."""
    from shapely.geometry import Polygon

    corners = np.array(outer, dtype=np.float64)
    low, high = corners.min(axis=0), corners.max(axis=0)
    shares = np.zeros(len(x0_px))
    if (high > low).all():
        around = Box(float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]))
        near = np.flatnonzero(squares_overlap_box(x0_px, y0_px, size0_px, around) > 0)
        if len(near):
            shape = Polygon(outer, list(holes))
            shares[near] = squares_overlap_polygon(x0_px[near], y0_px[near], size0_px, shape)
    return shares


def polygons_on_slide(
    outlines: Iterable[tuple[Ring, Iterable[Ring]]], width0_px: float, height0_px: float
) -> list[tuple[Ring, tuple[Ring, ...]]]:
    """Those parts of outlines (outer ring, holes) that lie on a slide, as valid polygons that cross nowhere.

    Rings that cross themselves are repaired: a figure of eight gives two polygons.
    The answer may be empty.
    """
    from shapely import make_valid
    from shapely.geometry import Polygon, box

    slide = box(0, 0, width0_px, height0_px)
    found = []
    for outer, holes in outlines:
        shape = make_valid(Polygon(outer))
        for hole in holes:
            shape = shape.difference(make_valid(Polygon(hole)))
        shape = shape.intersection(slide)
        for part in getattr(shape, "geoms", (shape,)):
            if part.geom_type == "Polygon" and part.area > 0:
                found.append((_ring(part.exterior), tuple(_ring(ring) for ring in part.interiors)))
    return found


def cells_as_polygons(
    cells: NDArray[np.bool_], x_edges: NDArray[np.float64], y_edges: NDArray[np.float64]
) -> list[tuple[Ring, tuple[Ring, ...]]]:
    """The outlines (outer ring, holes) of the areas where ``cells`` (r, c) is True, between the edges (c + 1), (r + 1).

    Cells that share a side belong to one polygon, those that only touch at a corner do not. The same cells always give
    the same points in the same order: polygons by their top left corner, rings from theirs.
    """
    import shapely

    padded = np.zeros((cells.shape[0], cells.shape[1] + 2), dtype=np.int8)
    padded[:, 1:-1] = cells
    steps = np.diff(padded, axis=1)
    row, begin = np.nonzero(steps == 1)
    end = np.nonzero(steps == -1)[1]
    if not len(row):
        return []
    runs = shapely.box(x_edges[begin], y_edges[row], x_edges[end], y_edges[row + 1])
    # Without points in the middle of a straight side.
    shape = shapely.simplify(shapely.union_all(runs), 0)
    parts = [part for part in getattr(shape, "geoms", (shape,)) if part.geom_type == "Polygon"]
    found = [
        (_canonical(_ring(part.exterior)), tuple(sorted(_canonical(_ring(hole)) for hole in part.interiors)))
        for part in parts
    ]
    return sorted(found, key=lambda polygon: (polygon[0][0][::-1], polygon[0]))


def _canonical(ring: Ring) -> Ring:
    """The same ring from its top left point on, clockwise on the screen, without points within a straight side."""
    count = len(ring)
    corners = [
        point for place, point in enumerate(ring) if _turn(ring[place - 1], point, ring[(place + 1) % count]) != 0
    ]
    area = sum(x * corners[place - 1][1] - y * corners[place - 1][0] for place, (x, y) in enumerate(corners))
    if area > 0:
        corners.reverse()
    start = min(range(len(corners)), key=lambda place: corners[place][::-1])
    return tuple(corners[start:] + corners[:start])


def _turn(before: tuple[float, float], here: tuple[float, float], after: tuple[float, float]) -> float:
    return (here[0] - before[0]) * (after[1] - here[1]) - (here[1] - before[1]) * (after[0] - here[0])


def _ring(ring: LinearRing) -> Ring:
    return tuple((float(x), float(y)) for x, y in ring.coords[:-1])
