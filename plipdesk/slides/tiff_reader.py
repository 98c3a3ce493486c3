"""TIFF files that OpenSlide does not read, or not wholly: OME-TIFF, strips, other compressions, chosen channels.

Their structure is read by :mod:`plipdesk.slides.tiff_structure`, the planes that make up the slide are named by
:mod:`plipdesk.slides.tiff_plan` and decoded piece by piece, so that a region costs what it covers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plipdesk.slides.errors import SlideProblem
from plipdesk.slides.mpp import settle_mpp
from plipdesk.slides.protocol import Level, SlideInfo
from plipdesk.slides.reader_base import CheckedReader
from plipdesk.slides.tiff_pieces import TiffPieces, paste
from plipdesk.slides.tiff_plan import Plane, TiffPlan
from plipdesk.slides.tiff_structure import TiffDirectory

# What becomes black and white of a chosen channel that is deeper than 8 bits.
WINDOW_PERCENTILES = (0.1, 99.9)
# How many pieces of the coarsest level, and values of each, are looked at to find these.
WINDOW_PIECES = 64
WINDOW_VALUES = 65_536
MINIMUM_IS_WHITE = 0


class TiffReader(CheckedReader):
    """A TIFF read piece by piece; see :class:`~plipdesk.slides.protocol.SlideReader`.

    A region's corner is rounded to the nearest pixel of its level. Chosen channels that are not 8-bit are scaled
    linearly, each by itself: the 0.1 and 99.9 percentile of its coarsest level become 0 and 255.
    """

    def __init__(self, path: Path, plan: TiffPlan, *, mpp_um: float | None = None) -> None:
        """Open the planes that ``plan`` names.

        Raises:
            SlideProblem: the file cannot be read.
        """
        self._plan = plan
        self._info = _info_of(path, plan, mpp_um)
        self._pieces = TiffPieces(path, (plane for planes in plan.levels for plane in planes))
        self._windows = [self._window(plane) for plane in plan.levels[-1]] if plan.channels else []

    def icc_profile(self) -> bytes | None:
        """The ICC profile of the pixels as the file has it, or None."""
        self._check_open()
        place = self._plan.levels[0][0].directory.icc_place
        return None if place is None else self._pieces.bytes_at(*place)

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        self._pieces.close()

    def _read(self, x0_px: int, y0_px: int, level: int, width_px: int, height_px: int) -> NDArray[np.uint8]:
        downsample = self._info.levels[level].downsample
        left_px, top_px = round(x0_px / downsample), round(y0_px / downsample)
        planes = self._plan.levels[level]
        if not self._plan.channels:
            directory = planes[0].directory
            white = 0 if directory.photometric == MINIMUM_IS_WHITE else 255
            return _over_white(self._region(planes[0], left_px, top_px, width_px, height_px, fill=white), directory)
        region = np.full((height_px, width_px, len(planes)), 255, np.uint8)
        inside = _inside(planes[0].directory, left_px, top_px, width_px, height_px)
        for number, (plane, (low, high)) in enumerate(zip(planes, self._windows, strict=True)):
            raw = self._region(plane, left_px, top_px, width_px, height_px, fill=0)[..., 0]
            region[inside, number] = _scaled(raw[inside], low, high)
        return region if len(planes) == 3 else np.repeat(region, 3, axis=2)

    def _region(
        self, plane: Plane, left_px: int, top_px: int, width_px: int, height_px: int, *, fill: int
    ) -> NDArray[Any]:
        """(height_px, width_px, samples) in the file's own dtype; ``fill`` where there is nothing."""
        directory = plane.directory
        samples = range(directory.samples) if plane.sample is None else (plane.sample,)
        region = np.full((height_px, width_px, len(samples)), fill, self._pieces.dtype(directory))
        (across, down), (piece_width_px, piece_height_px) = directory.grid, directory.piece_px
        first_row, last_row = (
            max(0, top_px // piece_height_px),
            min(down - 1, (top_px + height_px - 1) // piece_height_px),
        )
        first_column = max(0, left_px // piece_width_px)
        last_column = min(across - 1, (left_px + width_px - 1) // piece_width_px)
        for row in range(first_row, last_row + 1):
            for column in range(first_column, last_column + 1):
                x_px, y_px = column * piece_width_px, row * piece_height_px
                for number, sample in enumerate(samples):
                    layer = self._layer(directory, row * across + column, sample)
                    if layer is None:
                        continue
                    paste(region[..., number], layer, x_px - left_px, y_px - top_px)
        return region

    def _layer(self, directory: TiffDirectory, place: int, sample: int) -> NDArray[Any] | None:
        """One sample (h, w) of the piece at a place in the grid; None where the file left it out."""
        across, down = directory.grid
        apart = directory.separate_planes
        piece = self._pieces.piece(directory, place + (sample * across * down if apart else 0))
        if piece is None:
            return None
        # What pads the last tiles beyond the plane's edge is no picture.
        height_px = directory.height_px - place // across * directory.piece_px[1]
        width_px = directory.width_px - place % across * directory.piece_px[0]
        layer: NDArray[Any] = piece[:height_px, :width_px, 0 if apart else sample]
        return layer

    def _window(self, plane: Plane) -> tuple[float, float]:
        """The values of a chosen channel that become black and white."""
        if self._pieces.dtype(plane.directory) == np.uint8:
            return 0.0, 255.0
        across, down = plane.directory.grid
        places = np.unique(np.linspace(0, across * down - 1, min(WINDOW_PIECES, across * down)).astype(int))
        values = []
        for place in places:
            try:
                layer = self._layer(plane.directory, int(place), plane.sample or 0)
            except SlideProblem:
                continue  # the others tell enough; whoever reads this region will be told
            if layer is not None:
                flat = layer.ravel().astype(np.float64)
                values.append(flat[:: -(-flat.size // WINDOW_VALUES)])
        seen = np.concatenate(values) if values else np.zeros(1)
        seen = seen[np.isfinite(seen)]
        low, high = np.percentile(seen, WINDOW_PERCENTILES) if seen.size else (0.0, 0.0)
        return float(low), float(high) if high > low else float(low) + 1.0


def _info_of(path: Path, plan: TiffPlan, mpp_um: float | None) -> SlideInfo:
    sizes = [planes[0].directory for planes in plan.levels]
    main = sizes[0]
    mpp = settle_mpp(
        path,
        given_um=mpp_um,
        scanner_um=plan.scanner_um,
        resolution_um=main.resolution_um(),
        objective_power=plan.objective_power,
    )
    return SlideInfo(
        path=path,
        format=plan.format,
        vendor=None,
        width_px=main.width_px,
        height_px=main.height_px,
        levels=tuple(
            Level(size.width_px, size.height_px, (main.width_px / size.width_px + main.height_px / size.height_px) / 2)
            for size in sizes
        ),
        mpp_um=mpp.mpp_um,
        mpp_source=mpp.source,
        objective_power=plan.objective_power,
        has_icc_profile=main.icc_place is not None,
        notes=(*plan.notes, *mpp.notes),
        channels=plan.channels,
    )


def _inside(directory: TiffDirectory, left_px: int, top_px: int, width_px: int, height_px: int) -> NDArray[np.bool_]:
    """Which pixels (height_px, width_px) of a region lie on the plane."""
    x_px, y_px = np.arange(left_px, left_px + width_px), np.arange(top_px, top_px + height_px)
    inside: NDArray[np.bool_] = np.logical_and.outer(
        (y_px >= 0) & (y_px < directory.height_px), (x_px >= 0) & (x_px < directory.width_px)
    )
    return inside


def _scaled(raw: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    if raw.dtype == np.uint8:
        return raw
    share = np.nan_to_num((raw.astype(np.float64) - low) / (high - low))
    scaled: NDArray[np.uint8] = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return scaled


def _over_white(raw: NDArray[np.uint8], directory: TiffDirectory) -> NDArray[np.uint8]:
    """8-bit grey or RGB (h, w, 1 to 4), with or without alpha, as RGB over white."""
    colours = 1 if directory.photometric in (0, 1) else 3
    rgb = raw[..., :colours]
    if directory.photometric == MINIMUM_IS_WHITE:
        rgb = 255 - rgb
    if directory.samples > colours and directory.extra_samples[:1] in ((1,), (2,)):
        alpha = raw[..., colours : colours + 1].astype(np.uint16)
        # Extra sample 1 is alpha that the colours were multiplied with already, 2 is alpha still to be applied.
        weighted = rgb * np.uint16(255) if directory.extra_samples[0] == 1 else rgb * alpha
        rgb = np.minimum((weighted + 255 * (255 - alpha) + 127) // 255, 255).astype(np.uint8)
    return np.ascontiguousarray(rgb) if colours == 3 else np.repeat(rgb, 3, axis=2)
