"""Boxes of a slide at any scale, the same from whichever level they are read.

Scanners halve levels by averaging squares of pixels, so a finer level is first averaged by the power of two that fits,
on the grid on which the coarser level was made: from there on both hold the same pixels. What remains, a factor of one
to two and a part of a pixel, is resampled with an antialiased bicubic kernel; where nothing remains pixels are copied.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plipdesk.slides.level_pixels import level_scale, read_level
from plipdesk.slides.protocol import SlideInfo, SlideReader
from plipdesk.slides.reduction import best_level

Pixels = NDArray[np.uint8]

# Side of what is read at once: 12 MB as RGB, and OpenSlide's copy.
PIECE_PX = 2048
# A box whose edges lie this near whole pixels is copied.
COPIED_WITHIN_PX = 0.02
# Reach of the bicubic kernel, in target pixels.
REACH = 2


@dataclass(frozen=True)
class Grid:
    """Squares of ``factor`` × ``factor`` pixels of ``level``, averaged; ``scale`` is a square's side at level 0.

    ``width``, ``height``: whole squares on the slide.
    """

    level: int
    factor: int
    scale: float
    width: int
    height: int


@dataclass(frozen=True)
class Window:
    """A box in a grid's squares (floats), and the whole squares that resampling it takes in (x0, y0, x1, y1)."""

    box: tuple[float, float, float, float]
    squares: tuple[int, int, int, int]


def grid_for(info: SlideInfo, downsample: float, level: int | None = None) -> Grid:
    """The coarsest grid that is at least as fine as ``downsample``, on ``level`` (None: the best for it)."""
    chosen = best_level(info.levels, downsample) if level is None else level
    scale = level_scale(info, chosen)
    factor = 2 ** max(0, math.floor(math.log2(downsample * 1.01 / scale)))
    size = info.levels[chosen]
    return Grid(chosen, factor, scale * factor, size.width_px // factor, size.height_px // factor)


def window(
    grid: Grid, x0_px: float, y0_px: float, width0_px: float, height0_px: float, out_px: tuple[int, int]
) -> Window:
    """What of ``grid`` a box in level-0 pixels takes when it becomes ``out_px`` (width, height) pixels."""
    box = (x0_px / grid.scale, y0_px / grid.scale, (x0_px + width0_px) / grid.scale, (y0_px + height0_px) / grid.scale)
    across = _span(box[0], box[2], out_px[0], grid.width)
    down = _span(box[1], box[3], out_px[1], grid.height)
    return Window(box, (across[0], down[0], across[1], down[1]))


def _span(start: float, stop: float, out: int, on_slide: int) -> tuple[int, int]:
    """First and last square along one side; the kernel's reach ends at the slide's edge, the box itself does not."""
    if _copied(start, stop, out):
        return round(start), round(start) + out
    reach = math.ceil(REACH * max(1.0, (stop - start) / out))
    first, last = math.floor(start), math.ceil(stop)
    return max(first - reach, min(first, 0)), min(last + reach, max(last, on_slide))


def _copied(start: float, stop: float, out: int) -> bool:
    return abs(start - round(start)) < COPIED_WITHIN_PX and abs(stop - start - out) < COPIED_WITHIN_PX


@dataclass(frozen=True, eq=False)
class Squares:
    """Squares of a grid as ``pixels`` (h, w, 3), the first of which is number (``x0``, ``y0``) on the grid."""

    x0: int
    y0: int
    pixels: Pixels

    @cached_property
    def _picture(self) -> Image.Image:
        return Image.fromarray(self.pixels)

    def cut(self, wanted: Window, out_px: tuple[int, int]) -> Pixels:
        """The box of a window whose squares are all here, as (out height, out width, 3).

        The answer depends on the window's own squares alone, not on what else is here.
        """
        width, height = out_px
        left, top, right, bottom = wanted.squares
        x0, y0, x1, y1 = wanted.box
        here = (left - self.x0, top - self.y0, right - self.x0, bottom - self.y0)
        if (right - left, bottom - top) == out_px and _copied(x0, x1, width) and _copied(y0, y1, height):
            return self.pixels[here[1] : here[3], here[0] : here[2]]
        # A box that by rounding reaches a hair beyond what there is would be refused.
        inside = (
            max(0.0, x0 - left),
            max(0.0, y0 - top),
            min(float(right - left), x1 - left),
            min(float(bottom - top), y1 - top),
        )
        return np.asarray(self._picture.crop(here).resize((width, height), Image.Resampling.BICUBIC, box=inside))


def read_squares(reader: SlideReader, grid: Grid, squares: tuple[int, int, int, int]) -> Squares:
    """The squares x0, y0, x1, y1 (exclusive) of ``grid``, read piece by piece.

    Raises:
        SlideProblem: the file is damaged here.
    """
    x0, y0, x1, y1 = squares
    step = max(1, PIECE_PX // grid.factor)
    if grid.factor == 1 and x1 - x0 <= step and y1 - y0 <= step:
        return Squares(x0, y0, read_level(reader, grid.level, x0, y0, x1 - x0, y1 - y0))
    whole = np.empty((y1 - y0, x1 - x0, 3), dtype=np.uint8)
    for top in range(y0, y1, step):
        for left in range(x0, x1, step):
            width, height = min(step, x1 - left), min(step, y1 - top)
            piece = read_level(
                reader,
                grid.level,
                left * grid.factor,
                top * grid.factor,
                width * grid.factor,
                height * grid.factor,
            )
            if grid.factor > 1:
                piece = np.asarray(Image.fromarray(piece).reduce(grid.factor))
            whole[top - y0 : top - y0 + height, left - x0 : left - x0 + width] = piece
    return Squares(x0, y0, whole)
