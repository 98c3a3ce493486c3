"""Outlines from GeoJSON files, in level-0 pixels, as QuPath and others write them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plipdesk.base.errors import EnvironmentProblem, NotFound

MAX_FILE_BYTES = 512 * 1024 * 1024
Ring = tuple[tuple[float, float], ...]
_REMEDY = "Export the outlines as GeoJSON polygons in level-0 pixels, as QuPath does."


class OutlineProblem(EnvironmentProblem):
    """A file with outlines cannot be used."""

    kind = "outlines"


@dataclass(frozen=True)
class Outline:
    """A polygon: the outer ring and its holes, each a ring of (x0_px, y0_px) without the repeated last point."""

    outer: Ring
    holes: tuple[Ring, ...] = ()


def read_outlines(path: Path) -> list[Outline]:
    """Every polygon in a GeoJSON file: a FeatureCollection, a bare array of features, one feature or one geometry.

    Other geometries (points, lines) are passed over.

    Raises:
        NotFound: no such file.
        OutlineProblem: too large, not JSON, not GeoJSON, a ring that is none, or no polygon at all.
    """
    try:
        size_bytes = path.stat().st_size
    except OSError as error:
        raise NotFound("The file with outlines does not exist.", path=path, remedy="Check the path.") from error
    if size_bytes > MAX_FILE_BYTES:
        raise OutlineProblem("This file with outlines is too large.", path=path, remedy="Split it into smaller files.")
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise OutlineProblem("This file is not GeoJSON.", path=path, remedy=_REMEDY) from error
    try:
        found = list(_polygons(document))
    except (TypeError, ValueError, KeyError, IndexError, RecursionError) as error:
        raise OutlineProblem("An outline in this file is not a GeoJSON polygon.", path=path, remedy=_REMEDY) from error
    if not found:
        raise OutlineProblem("There is no polygon in this file.", path=path, remedy=_REMEDY)
    return found


def _polygons(node: Any) -> Iterator[Outline]:
    if isinstance(node, list):
        for part in node:
            yield from _polygons(part)
        return
    kind = node["type"]
    if kind == "FeatureCollection":
        yield from _polygons(list(node["features"]))
    elif kind == "GeometryCollection":
        yield from _polygons(list(node["geometries"]))
    elif kind == "Feature":
        if node["geometry"] is not None:
            yield from _polygons(node["geometry"])
    elif kind == "Polygon":
        yield _outline(node["coordinates"])
    elif kind == "MultiPolygon":
        for rings in node["coordinates"]:
            yield _outline(rings)
    elif kind not in ("Point", "MultiPoint", "LineString", "MultiLineString"):
        raise ValueError(kind)


def _outline(rings: Any) -> Outline:
    outer, *holes = (_ring(ring) for ring in rings)
    return Outline(outer, tuple(holes))


def _ring(points: Any) -> Ring:
    ring = tuple((float(point[0]), float(point[1])) for point in points)
    if any(not (math.isfinite(x) and math.isfinite(y)) for x, y in ring):
        raise ValueError("a coordinate is not finite")
    if len(ring) > 1 and ring[0] == ring[-1]:
        ring = ring[:-1]
    if len(set(ring)) < 3:
        raise ValueError("a ring has fewer than three points")
    return ring
