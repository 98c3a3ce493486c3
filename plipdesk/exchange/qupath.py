"""QuPath's GeoJSON, both ways.

A feature is ``{"type", "id", "geometry", "properties"}``; properties are ``objectType``, ``name``, ``color``,
``classification``, ``isLocked`` (only if true), ``measurements`` and ``metadata``, and no more. Coordinates are level-0
pixels, rings are closed, a single polygon is never a MultiPolygon. What is written depends on nothing but the features,
to the byte. What is read may also be of older versions: measurements as a list, colours as one number.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plipdesk.base.errors import NotFound
from plipdesk.base.files import atomic_write
from plipdesk.exchange.errors import ExchangeProblem

OBJECT_TYPES = ("annotation", "detection", "cell", "tile", "tmaCore", "root")
GEOMETRIES = ("Polygon", "MultiPolygon", "Point", "MultiPoint", "LineString", "MultiLineString")
MAX_FILE_BYTES = 512 * 1024 * 1024
MOST_FEATURES = 5_000_000
_REMEDY = "Export it from QuPath as GeoJSON."
_NAMESPACE = uuid.UUID("6f3c9a52-8b1e-5f64-9d0a-70c1a6b5e2d4")

Ring = Sequence[tuple[float, float]]
Geometry = Mapping[str, Any]
Rgb = tuple[int, int, int]


@dataclass(frozen=True)
class Feature:
    """An object on a slide. ``geometry`` is GeoJSON in level-0 pixels; ``classes``: several for a derived class."""

    geometry: Geometry
    object_type: str = "annotation"
    id: str = ""
    """A UUID; empty: made from the content, so that equal features get equal ids."""
    name: str | None = None
    colour: Rgb | None = None
    classes: tuple[str, ...] = ()
    class_colour: Rgb | None = None
    locked: bool = False
    measurements: Mapping[str, float] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def class_name(self) -> str | None:
        """The classes in one name, as QuPath shows them; None without any."""
        return ": ".join(self.classes) if self.classes else None


def polygons(parts: Sequence[tuple[Ring, Sequence[Ring]]]) -> Geometry:
    """The geometry of one or several polygons, each an outer ring and its holes, rings without the repeated point.

    A Polygon for one, a MultiPolygon for several.
    """
    closed = [[_closed(ring) for ring in (outer, *holes)] for outer, holes in parts]
    if len(closed) == 1:
        return {"type": "Polygon", "coordinates": closed[0]}
    return {"type": "MultiPolygon", "coordinates": closed}


def square(x0_px: float, y0_px: float, size0_px: float) -> Geometry:
    """A patch as a polygon."""
    x1_px, y1_px = x0_px + size0_px, y0_px + size0_px
    return polygons([(((x0_px, y0_px), (x1_px, y0_px), (x1_px, y1_px), (x0_px, y1_px)), ())])


def write_features(path: Path, features: Iterable[Feature]) -> int:
    """Write a FeatureCollection, one feature a line, whole or not at all; returns how many.

    Raises:
        EnvironmentProblem: the place cannot be written to.
        ExchangeProblem: a feature that QuPath would refuse.
    """
    count = 0
    with atomic_write(path) as stream:
        stream.write(b'{"type":"FeatureCollection","features":[')
        for feature in features:
            stream.write((b",\n" if count else b"\n") + feature_json(feature).encode())
            count += 1
        stream.write(b"\n]}\n")
    return count


def feature_json(feature: Feature) -> str:
    """A feature as QuPath writes it; keys in a fixed order."""
    kind = feature.geometry.get("type")
    if kind not in GEOMETRIES or feature.object_type not in OBJECT_TYPES:
        raise ExchangeProblem(f"QuPath knows no {feature.object_type} with a geometry {kind}.", remedy=_REMEDY)
    if kind == "MultiPolygon" and len(feature.geometry["coordinates"]) == 1:
        raise ExchangeProblem("A single polygon must not be written as several.", remedy=_REMEDY)
    geometry = {"type": kind, "coordinates": _plain(feature.geometry["coordinates"])}
    properties: dict[str, Any] = {"objectType": feature.object_type}
    if feature.name:
        properties["name"] = feature.name
    if feature.colour is not None:
        properties["color"] = list(feature.colour)
    if feature.classes:
        named: dict[str, Any] = (
            {"name": feature.classes[0]} if len(feature.classes) == 1 else {"names": list(feature.classes)}
        )
        if feature.class_colour is not None:
            named["color"] = list(feature.class_colour)
        properties["classification"] = named
    if feature.locked:
        properties["isLocked"] = True
    if feature.measurements:
        properties["measurements"] = {key: _number(value) for key, value in feature.measurements.items()}
    if feature.metadata:
        properties["metadata"] = {key: str(value) for key, value in feature.metadata.items()}
    content = {"geometry": geometry, "properties": properties}
    own = feature.id or str(uuid.uuid5(_NAMESPACE, json.dumps(content, sort_keys=True, ensure_ascii=False)))
    document = {"type": "Feature", "id": own, **content}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _closed(ring: Ring) -> list[list[float]]:
    return [[x, y] for x, y in (*ring, ring[0])]


def _number(value: float) -> float | int | str:
    """As short as it goes; QuPath writes what is not a number as a string."""
    number = float(value)
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    return int(number) if number.is_integer() and abs(number) < 1e15 else float(f"{number:.6g}")


def _plain(node: Any) -> Any:
    """Coordinates as short numbers: whole ones without a point, others to a hundredth of a pixel."""
    if isinstance(node, list | tuple):
        return [_plain(part) for part in node]
    number = round(float(node), 2)
    if not math.isfinite(number):
        raise ExchangeProblem("A coordinate is not finite.", remedy=_REMEDY)
    return int(number) if number.is_integer() else number


def read_features(path: Path) -> list[Feature]:
    """The features of a file: a FeatureCollection, a bare array, or a single feature.

    Raises:
        NotFound: no such file.
        ExchangeProblem: too large, not JSON, or not GeoJSON; the message names the feature.
    """
    try:
        size_bytes = path.stat().st_size
    except OSError as error:
        raise NotFound("There is no such file.", path=path, remedy="Check the path.") from error
    if size_bytes > MAX_FILE_BYTES:
        raise ExchangeProblem("This GeoJSON file is too large.", path=path, remedy="Export it in parts.")
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ExchangeProblem("This file is not GeoJSON.", path=path, remedy=_REMEDY) from error
    found: list[Feature] = []
    for number, node in enumerate(_nodes(document, path), start=1):
        if number > MOST_FEATURES:
            raise ExchangeProblem("This GeoJSON file holds too many objects.", path=path, remedy="Export it in parts.")
        try:
            feature = _feature(node)
        except (TypeError, ValueError, KeyError, AttributeError, IndexError, RecursionError) as error:
            raise ExchangeProblem(
                f"Object {number} of this file is not as QuPath writes it.", path=path, remedy=_REMEDY
            ) from error
        if feature is not None:
            found.append(feature)
    return found


def _nodes(document: Any, path: Path) -> Iterator[Any]:
    if isinstance(document, dict) and document.get("type") == "FeatureCollection":
        document = document.get("features")
    elif isinstance(document, dict):
        document = [document]
    if not isinstance(document, list):
        raise ExchangeProblem("This file is not GeoJSON.", path=path, remedy=_REMEDY)
    yield from document


def _feature(node: Any) -> Feature | None:
    """The feature in a node; None where it has no geometry (QuPath's root)."""
    if node["type"] in GEOMETRIES:
        return Feature(_geometry(node))
    if node["type"] != "Feature":
        raise ValueError(node["type"])
    if node.get("geometry") is None:
        return None
    said = node.get("properties") or {}
    kind = said.get("objectType") or said.get("object_type") or "annotation"
    if kind not in OBJECT_TYPES:
        raise ValueError(kind)
    classification = said.get("classification") or {}
    names = classification.get("names") or ([classification["name"]] if classification.get("name") else [])
    locked = said.get("isLocked", said.get("locked", False))
    return Feature(
        geometry=_geometry(node["geometry"]),
        object_type=kind,
        id=_uuid(node.get("id")),
        name=None if said.get("name") is None else str(said["name"]),
        colour=_colour(said),
        classes=tuple(str(name) for name in names),
        class_colour=_colour(classification),
        locked=locked is True,
        measurements=_measurements(said.get("measurements")),
        metadata={str(key): str(value) for key, value in (said.get("metadata") or {}).items()},
    )


def _uuid(value: Any) -> str:
    """The id as a UUID; another id becomes one that is always the same."""
    if value is None:
        return ""
    try:
        return str(uuid.UUID(str(value)))
    except ValueError:
        return str(uuid.uuid5(_NAMESPACE, str(value)))


def _colour(said: Mapping[str, Any]) -> Rgb | None:
    if isinstance(said.get("color"), list):
        red, green, blue = (int(part) for part in said["color"][:3])
        if not all(0 <= part <= 255 for part in (red, green, blue)):
            raise ValueError("a colour is out of range")
        return red, green, blue
    if isinstance(said.get("colorRGB"), int):
        packed = said["colorRGB"] & 0xFFFFFF
        return packed >> 16, packed >> 8 & 255, packed & 255
    return None


def _measurements(said: Any) -> dict[str, float]:
    if isinstance(said, list):
        return {str(one["name"]): float(one["value"]) for one in said}
    return {str(key): float(value) for key, value in (said or {}).items()}


def _geometry(node: Any) -> Geometry:
    kind = node["type"]
    if kind == "GeometryCollection":
        raise ValueError(kind)
    if kind not in GEOMETRIES:
        raise ValueError(kind)
    found: dict[str, Any] = {"type": kind, "coordinates": _checked(node["coordinates"], _DEPTH[kind])}
    if kind == "MultiPolygon" and len(found["coordinates"]) == 1:
        found = {"type": "Polygon", "coordinates": found["coordinates"][0]}
    rings = {"Polygon": [found["coordinates"]], "MultiPolygon": found["coordinates"]}.get(found["type"], [])
    for polygon in rings:
        if not polygon or any(len(ring) < 4 for ring in polygon):
            raise ValueError("a ring is too short")
    return found


_DEPTH = {"Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3}


def _checked(node: Any, depth: int) -> Any:
    if depth:
        return [_checked(part, depth - 1) for part in node]
    x, y = float(node[0]), float(node[1])
    if not (math.isfinite(x) and math.isfinite(y)):
        raise ValueError("a coordinate is not finite")
    return [x, y]
