"""GeoJSON geometries in level-0 pixels: making, measuring, hitting and moving them. Plain Python, no Qt."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Point = tuple[float, float]
Geometry = dict[str, Any]
Rings = tuple[tuple[Point, ...], ...]
ELLIPSE_CORNERS = 72


def polygon(points: Sequence[Point]) -> Geometry:
    """A polygon without holes; the ring is closed here."""
    return area_of([(tuple(points),)])


def rectangle(first: Point, second: Point) -> Geometry:
    """A rectangle between two opposite corners."""
    left, right = sorted((first[0], second[0]))
    top, bottom = sorted((first[1], second[1]))
    return polygon([(left, top), (right, top), (right, bottom), (left, bottom)])


def ellipse(first: Point, second: Point) -> Geometry:
    """The ellipse in the rectangle between two opposite corners, as a polygon of many corners."""
    x, y = (first[0] + second[0]) / 2, (first[1] + second[1]) / 2
    a, b = abs(second[0] - first[0]) / 2, abs(second[1] - first[1]) / 2
    angles = (2 * math.pi * number / ELLIPSE_CORNERS for number in range(ELLIPSE_CORNERS))
    return polygon([(x + a * math.cos(angle), y + b * math.sin(angle)) for angle in angles])


def point(at: Point) -> Geometry:
    """A point."""
    return {"type": "Point", "coordinates": list(at)}


def line(first: Point, second: Point) -> Geometry:
    """A straight line."""
    return {"type": "LineString", "coordinates": [list(first), list(second)]}


def area_of(polygons: Sequence[Rings]) -> Geometry:
    """Polygons with their holes: a Polygon if there is one, else a MultiPolygon."""
    closed = [[[list(at) for at in (*ring, ring[0])] for ring in rings] for rings in polygons]
    if len(closed) == 1:
        return {"type": "Polygon", "coordinates": closed[0]}
    return {"type": "MultiPolygon", "coordinates": closed}


def polygons_of(geometry: Mapping[str, Any]) -> list[Rings]:
    """The polygons of an area, each with its holes, rings not closed; none of a point or line."""
    if geometry["type"] not in ("Polygon", "MultiPolygon"):
        return []
    parts = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    return [tuple(tuple((at[0], at[1]) for at in ring[:-1]) for ring in rings) for rings in parts]


def points_of(geometry: Mapping[str, Any]) -> Iterator[Point]:
    """Every point of a geometry."""
    coordinates = geometry["coordinates"]
    match geometry["type"]:
        case "Point":
            yield coordinates[0], coordinates[1]
        case "LineString":
            yield from ((at[0], at[1]) for at in coordinates)
        case _:
            for rings in polygons_of(geometry):
                for ring in rings:
                    yield from ring


def bounds(geometry: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """(left, top, right, bottom)."""
    xs, ys = zip(*points_of(geometry), strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def moved(geometry: Mapping[str, Any], right: float, down: float) -> Geometry:
    """The geometry somewhere else."""

    def shift(node: Any) -> Any:
        if isinstance(node[0], int | float):
            return [node[0] + right, node[1] + down]
        return [shift(part) for part in node]

    return {"type": geometry["type"], "coordinates": shift(geometry["coordinates"])}


def with_corner(geometry: Mapping[str, Any], number: int, at: Point) -> Geometry:
    """The geometry with one of its points (as :func:`points_of` counts them) somewhere else."""
    points = list(points_of(geometry))
    points[number] = at
    match geometry["type"]:
        case "Point":
            return point(points[0])
        case "LineString":
            return line(points[0], points[1])
        case _:
            left = iter(points)
            return area_of(
                [tuple(tuple(next(left) for _ in ring) for ring in rings) for rings in polygons_of(geometry)]
            )


def hit(geometry: Mapping[str, Any], x: float, y: float, within: float) -> bool:
    """Whether (x, y) lies in an area, or within a distance of a point or line."""
    match geometry["type"]:
        case "Point":
            px, py = geometry["coordinates"][:2]
            return math.hypot(x - px, y - py) <= within
        case "LineString":
            (ax, ay), (bx, by) = (at[:2] for at in geometry["coordinates"][:2])
            return _distance(x, y, ax, ay, bx, by) <= within
        case _:
            return any(
                _inside(rings[0], x, y) and not any(_inside(hole, x, y) for hole in rings[1:])
                for rings in polygons_of(geometry)
            )


def area_px2(geometry: Mapping[str, Any]) -> float:
    """Area in squared level-0 pixels, holes left out."""
    return sum(_ring_area(rings[0]) - sum(map(_ring_area, rings[1:])) for rings in polygons_of(geometry))


def length_px(geometry: Mapping[str, Any]) -> float:
    """Length of a line, or perimeter of an area's outer rings."""
    if geometry["type"] == "LineString":
        (ax, ay), (bx, by) = (at[:2] for at in geometry["coordinates"][:2])
        return math.hypot(bx - ax, by - ay)
    total = 0.0
    for rings in polygons_of(geometry):
        ring = rings[0]
        total += sum(math.dist(at, ring[number - 1]) for number, at in enumerate(ring))
    return total


def simplified(points: Sequence[Point], within: float) -> list[Point]:
    """Fewer points on the same way, none off it by more than ``within`` (Douglas and Peucker's rule)."""
    if len(points) < 3:
        return list(points)
    keep = {0, len(points) - 1}
    open_parts = [(0, len(points) - 1)]
    while open_parts:
        first, last = open_parts.pop()
        (ax, ay), (bx, by) = points[first], points[last]
        far, number = 0.0, -1
        for at in range(first + 1, last):
            off = _distance(*points[at], ax, ay, bx, by)
            if off > far:
                far, number = off, at
        if far > within:
            keep.add(number)
            open_parts += [(first, number), (number, last)]
    return [points[number] for number in sorted(keep)]


def _distance(x: float, y: float, ax: float, ay: float, bx: float, by: float) -> float:
    length2 = (bx - ax) ** 2 + (by - ay) ** 2
    along = 0.0 if length2 == 0 else min(1.0, max(0.0, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length2))
    return math.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay))


def _inside(ring: Sequence[Point], x: float, y: float) -> bool:
    inside = False
    before = ring[-1]
    for at in ring:
        if (at[1] > y) != (before[1] > y) and x < (before[0] - at[0]) * (y - at[1]) / (before[1] - at[1]) + at[0]:
            inside = not inside
        before = at
    return inside


def _ring_area(ring: Sequence[Point]) -> float:
    return abs(sum(ring[n - 1][0] * at[1] - at[0] * ring[n - 1][1] for n, at in enumerate(ring))) / 2
