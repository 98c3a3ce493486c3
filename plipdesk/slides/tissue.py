"""Where tissue is on a slide: found at low power, everything, or drawn by a person."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plipdesk.slides.protocol import SlideInfo, SlideReader
from plipdesk.slides.tissue_detector import find_tissue

# The MPP at which tissue is looked for: nuclei still make texture, a slide of 16 × 16 mm is 4 megapixels.
MASK_MPP_UM = 8.0
# A larger slide is looked at from further away, so that time and memory stay bounded.
MAX_MASK_PX = 2048
# A small one from nearer, so that there is something to look at.
MIN_MASK_PX = 512
# What a slide of unknown MPP is taken for when gaps are filled and dust is dropped.
USUAL_UM_PER_PX = 12.0
CORRECTED_SUFFIX = ".tissue.json"


@dataclass(frozen=True, eq=False)
class TissueMask:
    """Tissue of one slide.

    ``mask`` (h, w) bool; pixel (row, column) stands for the square of ``downsample`` level-0 pixels whose top left is
    (column, row) · ``downsample``, as far as it lies on the slide (``width0_px`` × ``height0_px``). ``rule`` is
    ``auto``, ``all`` or ``drawn``.
    """

    mask: NDArray[np.bool_]
    downsample: float
    rule: str
    width0_px: int
    height0_px: int

    @cached_property
    def sha256(self) -> str:
        """64 hex digits over the mask and its frame: equal where, and only where, the same tissue is meant."""
        frame = f"{self.mask.shape[0]} {self.mask.shape[1]} {self.downsample!r} {self.width0_px} {self.height0_px} "
        return hashlib.sha256(frame.encode() + np.packbits(self.mask).tobytes()).hexdigest()

    def area_mm2(self, mpp_um: float | None) -> float | None:
        """Area of the tissue; None where the slide's level-0 MPP is not known."""
        if mpp_um is None:
            return None
        rows_px, columns_px = (np.diff(edges) for edges in self.edges0_px())
        area_px2 = float(rows_px @ (self.mask @ columns_px))
        return area_px2 * mpp_um**2 / 1e6

    def edges0_px(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Level-0 coordinates of the mask's rows (h + 1) and columns (w + 1), none beyond the slide."""
        height, width = self.mask.shape
        rows = np.minimum(np.arange(height + 1) * self.downsample, self.height0_px)
        columns = np.minimum(np.arange(width + 1) * self.downsample, self.width0_px)
        return rows, columns


def tissue_mask(reader: SlideReader, rule: str) -> TissueMask:
    """The tissue of a slide after ``rule``: ``auto``, ``all``, or the path of a file with drawn outlines (GeoJSON) or
    with corrections (its name ends with ``.tissue.json``).

    Raises:
        NotFound: the GeoJSON file is not there.
        EnvironmentProblem: it holds no outlines that can be used.
        SlideProblem: the slide cannot be read.
    """
    if rule == "auto":
        return detect_tissue(reader)
    if rule == "all":
        return all_tissue(reader.info)
    if rule.endswith(CORRECTED_SUFFIX):
        from plipdesk.slides.corrected_tissue import corrected_tissue

        return corrected_tissue(Path(rule), reader)
    # Late, since few need it and it brings shapely.
    from plipdesk.slides.drawn_tissue import mask_from_geojson

    return mask_from_geojson(Path(rule), reader.info)


def detect_tissue(reader: SlideReader) -> TissueMask:
    """Find tissue at about 8 µm per pixel, or, where the MPP is unknown, on a picture of at most 2048 pixels.

    Raises:
        SlideProblem: the slide cannot be read at any level.
    """
    info = reader.info
    longest_px = max(info.width_px, info.height_px)
    wanted_px = MAX_MASK_PX if info.mpp_um is None else round(longest_px * info.mpp_um / MASK_MPP_UM)
    max_px = min(longest_px, max(MIN_MASK_PX, min(MAX_MASK_PX, wanted_px)))
    pixels = reader.thumbnail(max_px)
    downsample = longest_px / max(pixels.shape[:2])
    um_per_px = USUAL_UM_PER_PX if info.mpp_um is None else info.mpp_um * downsample
    return TissueMask(find_tissue(pixels, um_per_px), downsample, "auto", info.width_px, info.height_px)


def all_tissue(info: SlideInfo) -> TissueMask:
    """Everything on the slide counts as tissue."""
    longest_px = float(max(info.width_px, info.height_px))
    return TissueMask(np.ones((1, 1), dtype=bool), longest_px, "all", info.width_px, info.height_px)
