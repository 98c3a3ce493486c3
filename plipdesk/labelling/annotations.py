"""QuPath's annotations and the catalogue's, one from the other; and patches labelled by the areas they lie in."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.geometry import polygons_on_slide, squares_overlap_outline
from plipdesk.catalogue.rows import AnnotationKind, AnnotationRow, SlideRow
from plipdesk.exchange.notice import NOTICE
from plipdesk.exchange.qupath import Feature
from plipdesk.labelling.palette import hex_colour, rgb

COVERED = 0.5
"""A patch belongs to an area if more than this share of it lies inside."""
_NAMESPACE = uuid.UUID("0b7c1d5e-41f3-5c02-8c5b-95a1d4a7f6e3")
_KINDS: Mapping[str, AnnotationKind] = {
    "Polygon": "polygon", "MultiPolygon": "polygon", "Point": "point", "LineString": "ruler",
}  # fmt: skip


def rows_of(feature: Feature, slide: SlideRow) -> Iterator[AnnotationRow]:
    """The annotation (or, of several points or lines, each) of a feature; none for one that lies beside the slide.

    The same feature on the same slide always gets the same id, so that importing twice changes nothing.
    """
    for number, geometry in enumerate(_single(feature.geometry)):
        if not _touches(geometry, slide):
            continue
        own = feature.id or repr((geometry, feature.name, feature.classes))
        known = feature.id and number == 0
        colour = feature.colour or feature.class_colour
        yield AnnotationRow(
            annotation_id=str(feature.id) if known else str(uuid.uuid5(_NAMESPACE, f"{slide.slide_id} {own} {number}")),
            slide_id=slide.slide_id,
            kind=_KINDS[geometry["type"]],
            geometry=dict(geometry),
            name=(feature.name or "")[:1000],
            class_name=feature.class_name[:1000] if feature.class_name else None,
            colour=None if colour is None else hex_colour(colour),
            locked=feature.locked,
        )


def feature_of(row: AnnotationRow) -> Feature:
    """An annotation as QuPath knows it; ``metadata.slide_id`` says where it lies."""
    colour = None if row.colour is None else rgb(row.colour.lower())
    return Feature(
        geometry=_single_polygon(row.geometry),
        object_type="annotation",
        id=row.annotation_id,
        name=row.name or None,
        colour=colour if row.class_name is None else None,
        classes=tuple(row.class_name.split(": ")) if row.class_name else (),
        class_colour=colour if row.class_name else None,
        locked=row.locked,
        metadata={"slide_id": row.slide_id, "notice": NOTICE},
    )


def _single(geometry: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    kind = geometry["type"]
    if kind in ("MultiPoint", "MultiLineString"):
        for part in geometry["coordinates"]:
            yield {"type": kind.removeprefix("Multi"), "coordinates": part}
    else:
        yield geometry


def _single_polygon(geometry: Mapping[str, Any]) -> Mapping[str, Any]:
    if geometry["type"] == "MultiPolygon" and len(geometry["coordinates"]) == 1:
        return {"type": "Polygon", "coordinates": geometry["coordinates"][0]}
    return geometry


def _touches(geometry: Mapping[str, Any], slide: SlideRow) -> bool:
    points = np.array(list(_points(geometry["coordinates"])), dtype=np.float64).reshape(-1, 2)
    low, high = points.min(axis=0), points.max(axis=0)
    return bool((high >= 0).all() and low[0] <= slide.width_px and low[1] <= slide.height_px)


def _points(node: Any) -> Iterator[tuple[float, float]]:
    if isinstance(node[0], int | float):
        yield float(node[0]), float(node[1])
    else:
        for part in node:
            yield from _points(part)


def outlines_of(geometry: Mapping[str, Any], slide: SlideRow) -> list[tuple[Any, tuple[Any, ...]]]:
    """The areas of a geometry as valid polygons (outer ring, holes) on the slide; none for points and lines."""
    parts = {"Polygon": [geometry["coordinates"]], "MultiPolygon": geometry["coordinates"]}.get(geometry["type"], [])
    rings = [[[tuple(point[:2]) for point in ring] for ring in part] for part in parts]
    return polygons_on_slide(
        [(tuple(outer), [tuple(hole) for hole in holes]) for outer, *holes in rings], slide.width_px, slide.height_px
    )


def covered_shares(
    geometry: Mapping[str, Any],
    slide: SlideRow,
    x0_px: NDArray[np.int32],
    y0_px: NDArray[np.int32],
    size0_px: float,
) -> NDArray[np.float64]:
    """Share (n) of each patch that lies inside an area."""
    shares = np.zeros(len(x0_px))
    for outer, holes in outlines_of(geometry, slide):
        shares += squares_overlap_outline(x0_px, y0_px, size0_px, outer, holes)
    return np.minimum(shares, 1.0)


def labels_by_overlap(
    annotations: Iterable[AnnotationRow],
    names: Sequence[str],
    slide: SlideRow,
    x0_px: NDArray[np.int32],
    y0_px: NDArray[np.int32],
    size0_px: float,
) -> NDArray[np.int32]:
    """For each patch (n) the number of the class in ``names`` whose areas cover most of it, more than half; else −1.

    A class is an annotation's class or, without one, its name; upper and lower case do not matter.
    """
    number = {name.casefold(): place for place, name in enumerate(names)}
    covered = np.zeros((len(names), len(x0_px)))
    for row in annotations:
        said = (row.class_name or row.name).casefold().strip()
        if said in number:
            covered[number[said]] += covered_shares(row.geometry, slide, x0_px, y0_px, size0_px)
    if not len(names) or not len(x0_px):
        return np.full(len(x0_px), -1, dtype=np.int32)
    best = covered.argmax(axis=0)
    return np.where(covered.max(axis=0) > COVERED, best, -1).astype(np.int32)
