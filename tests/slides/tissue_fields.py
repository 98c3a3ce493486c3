"""Fields of real slides with tissue outlined by eye (tests/golden/tissue), ink drawn over them, and the Dice score."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

FOLDER = Path(__file__).resolve().parent.parent / "golden" / "tissue"

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Stroke:
    """A pen stroke in level-0 pixels: light passes ``transmittance`` (RGB, 0 to 1); the edge is ``soft_px`` wide."""

    colour: str
    transmittance: tuple[float, float, float]
    width_px: float
    soft_px: float
    points: Points


@dataclass(frozen=True)
class Field:
    """One outlined field; polygons are lists of rings (outer, holes …) in level-0 pixels of ``source``.

    ``tissue`` is everything that is tissue inside ``field_px`` (x, y, width, height), but for what ink covers.
    ``not_tissue`` are regions that are surely no tissue, where a field is not outlined as a whole.
    """

    name: str
    source: str
    stain: str
    pale: bool
    field_px: tuple[int, int, int, int]
    ink: tuple[Stroke, ...]
    tissue: list[list[Points]] | None
    not_tissue: list[list[Points]] | None


def _polygons(document: dict[str, Any], key: str) -> list[list[Points]] | None:
    if key not in document:
        return None
    return [[[(x, y) for x, y in ring] for ring in polygon] for polygon in document[key]]


def load_field(path: Path) -> Field:
    """Read one golden file."""
    document = json.loads(path.read_text(encoding="utf-8"))
    x0, y0, width, height = document["field_px"]
    return Field(
        name=path.stem,
        source=document["source"],
        stain=document["stain"],
        pale=bool(document.get("pale", False)),
        field_px=(x0, y0, width, height),
        ink=tuple(
            Stroke(
                colour=stroke["colour"],
                transmittance=tuple(stroke["transmittance"]),
                width_px=stroke["width_px"],
                soft_px=stroke["soft_px"],
                points=[(x, y) for x, y in stroke["points"]],
            )
            for stroke in document.get("ink", [])
        ),
        tissue=_polygons(document, "tissue"),
        not_tissue=_polygons(document, "not_tissue"),
    )


def all_fields() -> list[Field]:
    """Every golden field, by name."""
    return [load_field(path) for path in sorted(FOLDER.glob("*.json"))]


def fill(polygons: list[list[Points]], shape: tuple[int, int], downsample: float) -> NDArray[np.bool_]:
    """The polygons as a mask of ``shape`` (h, w), one pixel per ``downsample`` level-0 pixels."""
    total = np.zeros(shape, dtype=bool)
    for rings in polygons:
        one = np.zeros(shape, dtype=bool)
        for number, ring in enumerate(rings):
            canvas = Image.new("1", (shape[1], shape[0]))
            # A pixel's centre lies at (i + 0.5) · downsample, where ImageDraw means i.
            moved = [(x / downsample - 0.5, y / downsample - 0.5) for x, y in ring]
            ImageDraw.Draw(canvas).polygon(moved, fill=1)
            drawn = np.asarray(canvas)
            one = one | drawn if number == 0 else one & ~drawn
        total |= one
    return total


def ink_density(stroke: Stroke, shape: tuple[int, int], downsample: float = 1.0) -> NDArray[np.float32]:
    """How thick the ink lies (h, w), 0 to 1: full inside the stroke, falling off softly at its edge."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    x, y = (x + 0.5) * downsample, (y + 0.5) * downsample
    distance = np.full(shape, np.inf, dtype=np.float32)
    for (x0, y0), (x1, y1) in zip(stroke.points, stroke.points[1:], strict=False):
        length2 = (x1 - x0) ** 2 + (y1 - y0) ** 2
        along = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length2, 0, 1)
        distance = np.minimum(distance, np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0)))
    return np.clip((stroke.width_px / 2 - distance) / stroke.soft_px + 0.5, 0, 1).astype(np.float32)


def draw_ink(pixels: NDArray[np.uint8], strokes: tuple[Stroke, ...]) -> NDArray[np.uint8]:
    """Pen over a picture (h, w, 3): ink takes light away as a filter does (Beer-Lambert), so tissue shows through."""
    result = pixels.astype(np.float32)
    for stroke in strokes:
        density = ink_density(stroke, pixels.shape[:2])
        result *= np.asarray(stroke.transmittance, dtype=np.float32) ** density[..., None]
    return np.clip(np.rint(result), 0, 255).astype(np.uint8)


def truth(field: Field, shape: tuple[int, int], downsample: float) -> NDArray[np.bool_]:
    """The outlined tissue as a mask of ``shape``, without what ink covers."""
    assert field.tissue is not None
    mask = fill(field.tissue, shape, downsample)
    for stroke in field.ink:
        mask &= ink_density(stroke, shape, downsample) < 0.5
    return mask


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Sørensen-Dice coefficient of two masks of one shape."""
    both = int(one.sum()) + int(other.sum())
    return 1.0 if both == 0 else 2.0 * int((one & other).sum()) / both
