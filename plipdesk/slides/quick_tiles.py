"""JPEG tiles of slides that OpenSlide reads, decoded without OpenSlide: a quarter of the time, the same pixels.

OpenSlide's own decoder makes no use of the processor's vector instructions: a tile of 256 × 256 pixels takes it 1.4 ms,
libjpeg-turbo as imagecodecs has it 0.3 ms, and decoding is most of reading. OpenSlide goes on telling what the levels
are; what it alone can do (tiles that were left out, damage, other compressions) is left to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plipdesk.slides.errors import SlideProblem
from plipdesk.slides.protocol import Level
from plipdesk.slides.tiff_pieces import TiffPieces, paste
from plipdesk.slides.tiff_plan import Plane
from plipdesk.slides.tiff_structure import TiffDirectory, TiffStructure

Pixels = NDArray[np.uint8]

_JPEG = 7
_UNSIGNED = 1
_RGB, _YCBCR = 2, 6


class QuickTiles:
    """The tiled JPEG levels of one TIFF. Thread-safe."""

    def __init__(self, pieces: TiffPieces, directories: Sequence[TiffDirectory | None]) -> None:
        self._pieces = pieces
        self._directories = tuple(directories)

    @classmethod
    def of(
        cls,
        path: Path,
        structure: TiffStructure,
        levels: Sequence[Level],
        openslide: Callable[[int, int, int, int], Pixels],
    ) -> QuickTiles | None:
        """The levels that can be read so, or None if there is none, or if one tile of the finest gives other pixels.

        ``openslide``: OpenSlide's pixels of a box (x, y, width, height) of level 0.
        """
        planes = [_plane_of(structure, level) for level in levels]
        main = planes[0] if planes else None
        if main is None or structure.is_ndpi:
            return None
        alike = [
            plane if plane and plane.directory.photometric == main.directory.photometric else None for plane in planes
        ]
        try:
            pieces = TiffPieces(path, [plane for plane in alike if plane is not None])
        except SlideProblem:
            return None
        quick = cls(pieces, [None if plane is None else plane.directory for plane in alike])
        if not quick._agrees(main.directory, openslide):
            quick.close()
            return None
        return quick

    def region(self, level: int, left_px: int, top_px: int, width_px: int, height_px: int) -> Pixels | None:
        """Stored pixels (height_px, width_px, 3) of ``level`` from its own pixel (left_px, top_px) on, white outside.

        None where OpenSlide has to be asked.
        """
        directory = self._directories[level]
        if directory is None:
            return None
        (across, down), (tile_width_px, tile_height_px) = directory.grid, directory.piece_px
        region = np.full((height_px, width_px, 3), 255, dtype=np.uint8)
        rows = range(max(0, top_px // tile_height_px), min(down, -(-(top_px + height_px) // tile_height_px)))
        columns = range(max(0, left_px // tile_width_px), min(across, -(-(left_px + width_px) // tile_width_px)))
        for row in rows:
            for column in columns:
                try:
                    tile = self._pieces.piece(directory, row * across + column)
                except SlideProblem:
                    return None
                if tile is None:
                    return None
                x_px, y_px = column * tile_width_px, row * tile_height_px
                # What pads the last tiles beyond the level's edge is no picture.
                tile = tile[: directory.height_px - y_px, : directory.width_px - x_px]
                paste(region, tile, x_px - left_px, y_px - top_px)
        return region

    def close(self) -> None:
        """Close the file."""
        self._pieces.close()

    def _agrees(self, directory: TiffDirectory, openslide: Callable[[int, int, int, int], Pixels]) -> bool:
        """Whether the tile in the middle has OpenSlide's pixels, to the last bit."""
        width_px, height_px = directory.piece_px
        x_px, y_px = directory.grid[0] // 2 * width_px, directory.grid[1] // 2 * height_px
        box = (x_px, y_px, min(width_px, directory.width_px - x_px), min(height_px, directory.height_px - y_px))
        try:
            seen = self.region(0, *box)
            return seen is not None and np.array_equal(seen, openslide(*box))
        except SlideProblem:
            return False


def _plane_of(structure: TiffStructure, level: Level) -> Plane | None:
    """The one directory that holds a level as JPEG tiles in colour."""
    found = [
        Plane(directory, number, None, None)
        for number, directory in enumerate(structure.directories)
        if (directory.width_px, directory.height_px) == (level.width_px, level.height_px)
    ]
    if len(found) != 1:
        return None
    one = found[0].directory
    suits = (
        one.compression == _JPEG
        and one.tile_width_px is not None
        and (one.samples, one.bits, one.sample_format) == (3, 8, _UNSIGNED)
        and one.photometric in (_RGB, _YCBCR)
        and not one.separate_planes
        and one.orientation == 1
    )
    return found[0] if suits else None
