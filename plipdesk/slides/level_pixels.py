"""The pixels of one level exactly as stored, and where they lie on level 0.

OpenSlide takes places in level-0 pixels and divides them by a downsample that it works out from the levels' sizes:
2.0002 where a level of odd width was halved. It then interpolates between two stored pixels, which shifts and blurs the
picture, by up to a quarter of a pixel where a place is chosen well. Both are undone here, so that a patch does not
depend on where on a slide it lies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plipdesk.slides.openslide_reader import OpenSlideReader
from plipdesk.slides.protocol import SlideInfo, SlideReader

Pixels = NDArray[np.uint8]

# Shifts below this many pixels cannot be seen.
NEGLIGIBLE_SHIFT = 0.02
# Pixels read beyond each edge, so that the inverse of an interpolation has run in: what is left of a shift by a quarter
# is (1/3) ** 6.
RUN_IN_PX = 6
# Rows corrected at a time: floating-point copies stay in the processor's cache.
ROWS_AT_ONCE = 64


def level_scale(info: SlideInfo, level: int) -> float:
    """Level-0 pixels per pixel of ``level``: the whole number it was made with, where the sizes agree with one.

    Levels are made by whole factors and lose the odd pixels at the far edges, so the ratio of sizes is a little more.
    """
    stated = info.levels[level]
    nearest = round(stated.downsample)
    power = 2 ** round(np.log2(max(stated.downsample, 1)))
    for factor in (power, nearest):
        across, down = info.width_px / factor, info.height_px / factor
        if abs(across - stated.width_px) < 1 and abs(down - stated.height_px) < 1:
            return float(factor)
    return stated.downsample


def read_level(reader: SlideReader, level: int, x_px: int, y_px: int, width_px: int, height_px: int) -> Pixels:
    """Pixels (height_px, width_px, 3) of ``level`` from its own pixel (x_px, y_px) on; outside of the slide is white.

    Raises:
        SlideProblem: the file is damaged here.
    """
    if isinstance(reader, OpenSlideReader):
        stored = reader.read_stored(level, x_px, y_px, width_px, height_px)
        if stored is not None:
            return stored
    downsample = reader.info.levels[level].downsample
    if not isinstance(reader, OpenSlideReader) or float(downsample).is_integer():
        return reader.read_region(round(x_px * downsample), round(y_px * downsample), level, width_px, height_px)
    # Left of and above the slide OpenSlide counts in whole pixels, and from its corner on there is no shift.
    left_px, top_px = max(0, x_px - RUN_IN_PX), max(0, y_px - RUN_IN_PX)
    right_px, bottom_px = x_px + width_px + RUN_IN_PX, y_px + height_px + RUN_IN_PX
    result = np.full((height_px, width_px, 3), 255, dtype=np.uint8)
    if right_px - RUN_IN_PX <= left_px or bottom_px - RUN_IN_PX <= top_px:
        return result
    x0_px, y0_px = round(left_px * downsample), round(top_px * downsample)
    shift_x, shift_y = x0_px / downsample - left_px, y0_px / downsample - top_px
    region = reader.read_region(x0_px, y0_px, level, right_px - left_px, bottom_px - top_px)
    before_x, before_y = max(0, RUN_IN_PX - (x_px - left_px)), max(0, RUN_IN_PX - (y_px - top_px))
    if before_x or before_y:
        region = np.pad(region, ((before_y, 0), (before_x, 0), (0, 0)), constant_values=255)
    for first in range(0, height_px, ROWS_AT_ONCE):
        rows = region[first : first + ROWS_AT_ONCE + 2 * RUN_IN_PX].astype(np.float32)
        unshifted = _unshifted(_unshifted(rows, shift_y, 0), shift_x, 1)
        result[first : first + ROWS_AT_ONCE] = np.clip(unshifted + 0.5, 0, 255)
    return result


def _unshifted(values: NDArray[np.float32], shift: float, axis: int) -> NDArray[np.float32]:
    """Undo a linear interpolation along ``axis``; the answer is :data:`RUN_IN_PX` shorter at both ends.

    Interpolated by e, a value is (1 - e) times its own pixel and e times the next one, so each pixel is its value less
    e times the next pixel, over (1 - e): a series in -e / (1 - e), which is at most 1/3.
    """
    length = values.shape[axis] - 2 * RUN_IN_PX

    def moved(by_px: int) -> NDArray[np.float32]:
        part = slice(RUN_IN_PX + by_px, RUN_IN_PX + by_px + length)
        return values[part] if axis == 0 else values[:, part]

    weight = abs(shift)
    if weight < NEGLIGIBLE_SHIFT:
        return moved(0)
    towards = 1 if shift > 0 else -1
    ratio = -weight / (1 - weight)
    total = moved(0) * np.float32(1 / (1 - weight))
    factor = 1 / (1 - weight)
    for step in range(1, RUN_IN_PX + 1):
        factor *= ratio
        if abs(factor) * 255 < 0.25:
            break
        total += moved(step * towards) * np.float32(factor)
    return total
