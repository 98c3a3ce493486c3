"""Regions of slides: which patches they cover, and where to read patches that are not indexed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.errors import UsageProblem
from plipdesk.base.geometry import (
    Box,
    cut_polygon,
    polygon_from_points,
    squares_overlap_box,
    squares_overlap_polygon,
)
from plipdesk.search.query import RegionPart

if TYPE_CHECKING:
    from shapely.geometry import Polygon

COVERED = 0.5
"""A patch belongs to a region if more than this share of it lies inside."""
MOST_READ = 64
"""Patches of a region that are read and encoded for one query; a larger region is read at evenly spread places."""


@dataclass(frozen=True)
class Region:
    """A box, or a polygon with its bounding box, on a slide; level-0 pixels."""

    box: Box
    polygon: Polygon | None = None

    @property
    def centre(self) -> tuple[float, float]:
        """A point inside, in the middle where that is inside."""
        if self.polygon is None:
            return self.box.x0_px + self.box.width_px / 2, self.box.y0_px + self.box.height_px / 2
        point = self.polygon.centroid
        if not self.polygon.contains(point):
            point = self.polygon.representative_point()
        return float(point.x), float(point.y)

    def shares(self, x0_px: NDArray[np.int32], y0_px: NDArray[np.int32], size0_px: float) -> NDArray[np.float64]:
        """Share (n,) of each square patch that lies inside, 0 to 1."""
        shares = squares_overlap_box(x0_px, y0_px, size0_px, self.box)
        if self.polygon is not None:
            near = np.flatnonzero(shares > 0)
            shares[near] = squares_overlap_polygon(x0_px[near], y0_px[near], size0_px, self.polygon)
        return shares


def region_on_slide(part: RegionPart, width_px: int, height_px: int) -> Region:
    """The region of a part, cut at the slide's edges.

    Raises:
        UsageProblem: neither box nor polygon or both, one without area, or one that lies beside the slide.
    """
    if (part.box is None) == (part.polygon is None):
        raise UsageProblem("A region is either a box or a polygon.")
    if part.polygon is None:
        assert part.box is not None
        return Region(_cut(Box(*part.box), width_px, height_px))
    outline = polygon_from_points([(float(x), float(y)) for x, y in part.polygon])
    shape = cut_polygon(outline, width_px, height_px)
    if shape is None:
        raise _beside(width_px, height_px)
    left, top, right, bottom = shape.bounds
    return Region(Box(left, top, right - left, bottom - top), shape)


def _cut(box: Box, width_px: int, height_px: int) -> Box:
    left, top = max(box.x0_px, 0.0), max(box.y0_px, 0.0)
    right, bottom = min(box.x1_px, float(width_px)), min(box.y1_px, float(height_px))
    if right <= left or bottom <= top:
        raise _beside(width_px, height_px)
    return Box(left, top, right - left, bottom - top)


def _beside(width_px: int, height_px: int) -> UsageProblem:
    return UsageProblem(
        f"The region lies outside the slide, which is {width_px} × {height_px} pixels.",
        remedy="Give the region in level-0 pixels.",
    )


def places_to_read(region: Region, size0_px: float) -> list[tuple[int, int]]:
    """Top left corners (x0, y0) of patches that show the region: side by side inside it, at most 64, or one around it.

    A region narrower than a patch is shown by patches centred over it.
    """
    columns = _starts(region.box.x0_px, region.box.width_px, size0_px)
    rows = _starts(region.box.y0_px, region.box.height_px, size0_px)
    y0_px, x0_px = (axis.ravel() for axis in np.meshgrid(rows, columns, indexing="ij"))
    if region.polygon is not None:
        inside = np.flatnonzero(region.shares(x0_px, y0_px, size0_px) > COVERED)
        if not len(inside):
            x, y = region.centre
            return [(round(x - size0_px / 2), round(y - size0_px / 2))]
        x0_px, y0_px = x0_px[inside], y0_px[inside]
    if len(x0_px) > MOST_READ:
        chosen = np.linspace(0, len(x0_px) - 1, MOST_READ).round().astype(int)
        x0_px, y0_px = x0_px[chosen], y0_px[chosen]
    return list(zip(x0_px.tolist(), y0_px.tolist(), strict=True))


def _starts(start_px: float, length_px: float, size0_px: float) -> NDArray[np.int32]:
    """Starts of the patches along one side of a region: as many as fit, evenly spread; one centred if none fits."""
    count = max(1, min(int(length_px // size0_px), 4096))
    if count == 1:
        return np.array([round(start_px + (length_px - size0_px) / 2)], dtype=np.int32)
    starts = start_px + np.arange(count) * (length_px - size0_px) / (count - 1)
    return np.rint(starts).astype(np.int32)
