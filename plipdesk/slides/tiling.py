"""How a slide is cut into patches: a regular grid at a wanted MPP, kept where there is tissue."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.errors import UsageProblem
from plipdesk.base.ids import settings_id
from plipdesk.base.progress import Json
from plipdesk.slides.errors import SlideProblem
from plipdesk.slides.protocol import SlideInfo
from plipdesk.slides.tissue import TissueMask
from plipdesk.slides.tissue_detector import DETECTOR_VERSION

# Of a patch's side: a strip at the far edge that is at least this wide gets patches of its own, flush with the edge.
EDGE_STRIP = 0.25
# Patches finer than the slide by less than this are taken as they are; beyond the second they would be invented.
NOTED_ENLARGEMENT, MAX_ENLARGEMENT = 1.02, 4.0
# A downsample this near a whole number is one: over a patch of 512 pixels the rest is a twentieth of a pixel.
WHOLE_WITHIN = 1e-4
# A grid with more positions than this is a slip of the pen; a million patches are a large library.
MAX_POSITIONS = 20_000_000


@dataclass(frozen=True)
class TilingSettings:
    """How to cut.

    A patch is ``patch_px`` pixels wide at ``patch_mpp_um``; neighbours share ``overlap`` (0 to below 1) of a side.
    ``tissue`` is ``auto``, ``all`` or ``drawn``; a drawn mask is part of the settings by its hash ``mask_sha256``,
    the others follow from the slide.

    ``min_tissue`` is the least share of a patch that is tissue. With 0.15, a round fragment as wide as a patch that
    lies across four of them (0.2 of each) and a strand half as wide across two (0.25) are kept; with 0.3 both would be
    lost.

    ``channels`` are those that were chosen of a slide that is no 8-bit colour; ``slide_mpp_um`` is the level-0 MPP
    where the same settings cut the same slide at another one before.
    """

    patch_px: int
    patch_mpp_um: float
    overlap: float = 0.0
    tissue: str = "auto"
    min_tissue: float = 0.15
    mask_sha256: str | None = None
    channels: tuple[int, ...] | None = None
    slide_mpp_um: float | None = None

    def __post_init__(self) -> None:
        if self.patch_px < 1 or not (math.isfinite(self.patch_mpp_um) and self.patch_mpp_um > 0):
            raise UsageProblem("A patch needs at least one pixel and an MPP above zero.")
        if not 0 <= self.overlap < 1:
            raise UsageProblem(f"An overlap of {self.overlap} cannot be.", remedy="Choose 0 or more, and less than 1.")
        if not 0 <= self.min_tissue <= 1:
            raise UsageProblem(f"A tissue share of {self.min_tissue} cannot be.", remedy="Choose a share from 0 to 1.")

    def document(self) -> dict[str, Json]:
        """The settings as stored with the vectors; equal documents cut the same slide into the same patches."""
        document: dict[str, Json] = {
            "patch_px": self.patch_px,
            "patch_mpp_um": float(self.patch_mpp_um),
            "overlap": float(self.overlap),
            "tissue": self.tissue,
            "min_tissue": float(self.min_tissue),
        }
        if self.tissue == "auto":
            document["tissue_detector"] = DETECTOR_VERSION
        elif self.tissue != "all":
            document["mask_sha256"] = self.mask_sha256
        if self.channels is not None:
            document["channels"] = list(self.channels)
        if self.slide_mpp_um is not None:
            document["slide_mpp_um"] = float(self.slide_mpp_um)
        return document

    @property
    def tiling_id(self) -> str:
        """16 hex digits that name the settings."""
        return settings_id(self.document(), digits=16)


@dataclass(frozen=True, eq=False)
class Tiling:
    """The patches of one slide: top left corners ``x0_px``, ``y0_px`` int32 (n) and the common side, at level 0.

    Neighbours follow each other, so that they can be read together: the grid is walked in Z-order (Morton, 1966).
    ``notes`` are plain sentences a person should read.
    """

    settings: TilingSettings
    x0_px: NDArray[np.int32]
    y0_px: NDArray[np.int32]
    size0_px: float
    notes: tuple[str, ...] = ()


def plan_tiling(info: SlideInfo, mask: TissueMask, settings: TilingSettings, *, mpp_um: float | None) -> Tiling:
    """Lay the grid over a slide and keep the patches with enough tissue.

    The grid starts at the slide's top left corner whatever the mask, so that a corrected mask keeps the positions of
    its unchanged patches. Patches lie wholly on the slide, but where the slide is smaller than a patch: there one lies
    centred over it, and what is beyond the edge will be white. The share of tissue is taken of what lies on the slide.

    Raises:
        SlideProblem: the MPP is not known, or the slide is much coarser than the patches.
        UsageProblem: the overlap leaves less than a pixel between patches, or there would be absurdly many.
    """
    if mpp_um is None:
        raise SlideProblem(
            "The size of this slide's pixels is not known.",
            path=info.path,
            remedy="Give its level-0 MPP with --mpp, for example --mpp 0.25 for a scan at 40×.",
        )
    enlargement = mpp_um / settings.patch_mpp_um
    if enlargement > MAX_ENLARGEMENT:
        raise SlideProblem(
            f"The slide has {mpp_um:g} µm per pixel, too coarse for patches at {settings.patch_mpp_um:g}.",
            path=info.path,
            remedy=f"Choose patches of at least {mpp_um / MAX_ENLARGEMENT:g} µm per pixel with --patch-mpp.",
        )
    notes = []
    if enlargement > NOTED_ENLARGEMENT:
        notes.append(
            f"The slide has {mpp_um:g} µm per pixel, so that patches at {settings.patch_mpp_um:g} are enlarged "
            f"{enlargement:.3g} times and hold no finer detail."
        )
    size0_px = settings.patch_px * settings.patch_mpp_um / mpp_um
    step0_px = size0_px * (1 - settings.overlap)
    if step0_px < 1:
        raise UsageProblem(
            "With this overlap patches would lie less than a pixel apart.", remedy="Choose a smaller one."
        )
    across, down = _count(info.width_px, size0_px, step0_px), _count(info.height_px, size0_px, step0_px)
    if across * down > MAX_POSITIONS:
        raise UsageProblem(
            f"This would cut the slide into {across * down:,} patches.",
            remedy="Choose a smaller overlap or larger patches.",
        )
    unit_px = _unit_px(size0_px / settings.patch_px)
    columns_px = _positions(info.width_px, size0_px, step0_px, unit_px)
    rows_px = _positions(info.height_px, size0_px, step0_px, unit_px)
    row, column = _where_tissue(mask, rows_px, columns_px, size0_px, settings.min_tissue)
    order = np.argsort(_spread(column) | _spread(row) << 1, kind="stable")
    return Tiling(settings, columns_px[column[order]], rows_px[row[order]], size0_px, tuple(notes))


def _count(side_px: int, size0_px: float, step0_px: float) -> int:
    """How many whole patches fit on a side; one at least."""
    # A slide that is a hair too short by the rounding of its MPP still holds its last patch.
    return 1 + max(0, math.floor((side_px - size0_px) / step0_px + 1e-6))


def _unit_px(downsample: float) -> int:
    """What positions are multiples of: where patches take a whole number of level-0 pixels per pixel, that number.

    Patches then lie on whole pixels of the level that is read, which need not be resampled.
    """
    whole = round(downsample)
    return whole if whole >= 1 and abs(downsample / whole - 1) < WHOLE_WITHIN else 1


def _positions(side_px: int, size0_px: float, step0_px: float, unit_px: int) -> NDArray[np.int32]:
    """Left (or top) edges int32 of the patches along one side of the slide."""
    if side_px < size0_px:
        return np.array([round((side_px - size0_px) / 2)], dtype=np.int32)
    flush = math.floor((side_px - size0_px) / unit_px) * unit_px
    starts = np.rint(np.arange(_count(side_px, size0_px, step0_px)) * (step0_px / unit_px)) * unit_px
    starts = np.minimum(starts, flush)
    if side_px - (starts[-1] + size0_px) >= EDGE_STRIP * size0_px:
        starts = np.append(starts, flush)
    return np.asarray(starts, dtype=np.int32)


def _spread(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers below 2 ** 32 with a zero put before each binary digit; two of them interleave to a place in Z-order."""
    spread = numbers.astype(np.int64)
    for shift, digits in (
        (16, 0x0000FFFF0000FFFF),
        (8, 0x00FF00FF00FF00FF),
        (4, 0x0F0F0F0F0F0F0F0F),
        (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    ):
        spread = (spread | spread << shift) & digits
    return spread


def _where_tissue(
    mask: TissueMask, rows_px: NDArray[np.int32], columns_px: NDArray[np.int32], size0_px: float, min_tissue: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column numbers of the grid positions whose share of tissue is at least ``min_tissue`` (and not none)."""
    rows, columns = [], []
    for first, share in _shares(mask, rows_px, columns_px, size0_px):
        # A share that equals the limit counts, whatever the last digit of its sums.
        row, column = np.nonzero((share > 0) & (share >= min_tissue - 1e-9))
        rows.append(row + first)
        columns.append(column)
    return np.concatenate(rows), np.concatenate(columns)


def _shares(
    mask: TissueMask, rows_px: NDArray[np.int32], columns_px: NDArray[np.int32], size0_px: float
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Exact share of tissue of the patches, some rows of the grid at a time: (number of the first row, shares).

    The integral of a mask of constant squares is bilinear between their corners, so four look-ups give the exact area
    of tissue under a patch, and interpolating along rows and columns one after the other gives them for whole grids.
    """
    row_edges, column_edges = mask.edges0_px()
    heights, widths = np.diff(row_edges), np.diff(column_edges)
    integral = np.zeros((len(row_edges), len(column_edges)))
    np.cumsum(np.cumsum(mask.mask * widths, axis=1) * heights[:, None], axis=0, out=integral[1:, 1:])
    left, right = (np.clip(columns_px + shift, 0, mask.width0_px) for shift in (0, size0_px))
    top, bottom = (np.clip(rows_px + shift, 0, mask.height0_px) for shift in (0, size0_px))
    between = _interpolated(integral, column_edges, right) - _interpolated(integral, column_edges, left)
    at_once = max(1, 4_000_000 // len(columns_px))
    for first in range(0, len(rows_px), at_once):
        part = slice(first, first + at_once)
        area = _interpolated(between.T, row_edges, bottom[part]) - _interpolated(between.T, row_edges, top[part])
        on_slide = (bottom[part] - top[part])[:, None] * (right - left)
        yield first, area.T / np.maximum(on_slide, 1e-9)


def _interpolated(
    values: NDArray[np.float64], edges: NDArray[np.float64], places: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Linear interpolation of every row of ``values`` (r, len(edges)) at ``places`` (p): (r, p)."""
    number = np.clip(np.searchsorted(edges, places, side="right") - 1, 0, len(edges) - 2)
    gap = edges[number + 1] - edges[number]
    along = np.clip((places - edges[number]) / np.where(gap > 0, gap, 1), 0, 1)
    lower = values[:, number]
    result: NDArray[np.float64] = lower + (values[:, number + 1] - lower) * along
    return result
