"""A whole slide as one small picture, read piece by piece."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plipdesk.base.errors import Bug
from plipdesk.slides.errors import SlideProblem
from plipdesk.slides.protocol import Level, SlideReader

# Pixels read at once while a level is reduced: 12 MB as RGB.
BLOCK_PX = 2048
# A thumbnail is a small picture; whoever wants more reads regions.
MAX_REDUCED_PX = 8192


def reduced_slide(reader: SlideReader, max_px: int) -> NDArray[np.uint8]:
    """The whole slide (h, w, 3) uint8, longer side at most ``max_px``, area-averaged from the best level.

    Never larger than the slide itself. Where the best level is damaged the others are tried, finer ones first.

    Raises:
        SlideProblem: no level is whole.
        Bug: ``max_px`` is below 1 or above 8192.
    """
    if not 1 <= max_px <= MAX_REDUCED_PX:
        raise Bug(f"A thumbnail of {max_px} pixels was asked for.", path=reader.info.path)
    info = reader.info
    scale = min(1.0, max_px / max(info.width_px, info.height_px))
    width_px, height_px = max(1, round(info.width_px * scale)), max(1, round(info.height_px * scale))
    best = best_level(info.levels, 1 / scale)
    problem: SlideProblem | None = None
    for level in (*range(best, -1, -1), *range(best + 1, len(info.levels))):
        try:
            return _reduced_level(reader, level, width_px, height_px)
        except SlideProblem as error:
            problem = problem or error
    assert problem is not None
    raise problem


def best_level(levels: tuple[Level, ...], downsample: float) -> int:
    """The coarsest level that is at least as fine as ``downsample`` (with 1 % tolerance for odd sizes)."""
    fitting = [number for number, level in enumerate(levels) if level.downsample <= downsample * 1.01]
    return max(fitting, key=lambda number: levels[number].downsample, default=0)


def _reduced_level(reader: SlideReader, number: int, width_px: int, height_px: int) -> NDArray[np.uint8]:
    """Average by a whole factor while reading, then by the rest; memory stays near four times the result."""
    level = reader.info.levels[number]
    factor = max(1, min(level.width_px // width_px, level.height_px // height_px))
    step = max(1, BLOCK_PX // factor) * factor
    rows = []
    for y_px in range(0, level.height_px, step):
        row = []
        for x_px in range(0, level.width_px, step):
            block = reader.read_region(
                round(x_px * level.downsample),
                round(y_px * level.downsample),
                number,
                min(step, level.width_px - x_px),
                min(step, level.height_px - y_px),
            )
            row.append(np.asarray(Image.fromarray(block).reduce(factor)))
        rows.append(np.concatenate(row, axis=1))
    whole = Image.fromarray(np.concatenate(rows, axis=0))
    if whole.size != (width_px, height_px):
        whole = whole.resize((width_px, height_px), Image.Resampling.BOX)
    return np.array(whole)
