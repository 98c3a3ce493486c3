"""Areas that a brush adds to and an eraser takes from, in level-0 pixels of a slide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

Point = tuple[float, float]
Rings = tuple[tuple[Point, ...], ...]
"""The outer ring of a polygon and its holes, none of them closed by a repeated point."""

_QUARTER_SEGMENTS = 8
_SMOOTH = 0.02
"""Of the radius: by so much an outline may be simplified, which nobody sees."""


def brushed(area: Sequence[Rings], path: Sequence[Point], radius_px: float, *, erase: bool = False) -> list[Rings]:
    """``area`` with a stroke of a round brush added, or taken away; pieces without area are dropped.

    Args:
        area: polygons that do not overlap.
        path: the points that the middle of the brush went through; one is a dab.
        radius_px: of the brush, above 0.
        erase: take away instead of adding.
    """
    from shapely.geometry import LineString
    from shapely.geometry import Point as Dab

    line = LineString(path) if len(set(path)) > 1 else Dab(path[0])
    stroke = line.buffer(radius_px, quad_segs=_QUARTER_SEGMENTS)
    before = _joined(area)
    after = before.difference(stroke) if erase else before.union(stroke)
    return _parts(after.simplify(radius_px * _SMOOTH))


def combined(area: Sequence[Rings], other: Sequence[Rings], *, erase: bool = False) -> list[Rings]:
    """``area`` with another area added, or taken away."""
    before, more = _joined(area), _joined(other)
    return _parts(before.difference(more) if erase else before.union(more))


def cut_to(area: Sequence[Rings], width0_px: float, height0_px: float) -> list[Rings]:
    """The part of ``area`` that lies on a slide of this size."""
    from shapely.geometry import box

    return _parts(_joined(area).intersection(box(0, 0, width0_px, height0_px)))


def _joined(area: Sequence[Rings]) -> BaseGeometry:
    from shapely import make_valid, union_all
    from shapely.geometry import Polygon

    return union_all([make_valid(Polygon(outer, holes)) for outer, *holes in area if len(outer) >= 3])


def _parts(shape: BaseGeometry) -> list[Rings]:
    found: list[Rings] = []
    for part in getattr(shape, "geoms", (shape,)):
        if part.geom_type == "Polygon" and part.area > 0:
            rings = (part.exterior, *part.interiors)
            found.append(tuple(tuple((float(x), float(y)) for x, y in ring.coords[:-1]) for ring in rings))
    return found
