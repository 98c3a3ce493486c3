"""Pictures at patch resolution, made of numbers per patch: heat maps, label maps, densities, masks. No Qt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plipdesk.desktop.viewer.camera import Rect

MAX_SIDE = 4096
"""Cells along a side; a picture that would need more is made coarser."""
HEAT_STOPS = (
    (0.0, (68, 1, 84)),
    (0.25, (59, 82, 139)),
    (0.5, (33, 145, 140)),
    (0.75, (94, 201, 98)),
    (1.0, (253, 231, 37)),
)
"""Dark blue over green to yellow: told apart by those who see colours otherwise, too."""


@dataclass(frozen=True, eq=False)
class Raster:
    """A picture ``rgba`` (h, w, 4) uint8, alpha not multiplied in, and the rectangle of the slide that it covers."""

    rgba: NDArray[np.uint8]
    rect: Rect


def patch_raster(
    x0_px: NDArray[np.int32], y0_px: NDArray[np.int32], size0_px: float, colours: NDArray[np.uint8]
) -> Raster | None:
    """Patches as cells of one colour each.

    Args:
        x0_px: (n,) left edges in level-0 pixels.
        y0_px: (n,) top edges.
        size0_px: side of a patch in level-0 pixels.
        colours: (n, 4) or (4,) uint8 RGBA; of patches that share a cell the last one's counts.

    Returns:
        None without patches.
    """
    if len(x0_px) == 0:
        return None
    left, top = float(x0_px.min()), float(y0_px.min())
    width, height = float(x0_px.max()) + size0_px - left, float(y0_px.max()) + size0_px - top
    # Patches that overlap need finer cells than themselves: half a patch shows every overlap up to one half.
    cell = size0_px if _apart(x0_px, y0_px, size0_px) else size0_px / 2
    cell = max(cell, width / MAX_SIDE, height / MAX_SIDE)
    columns, rows = max(1, int(np.ceil(width / cell - 1e-6))), max(1, int(np.ceil(height / cell - 1e-6)))
    rgba = np.zeros((rows, columns, 4), np.uint8)
    span = max(1, round(size0_px / cell))
    column = np.rint((x0_px - left) / cell).astype(np.int64)
    row = np.rint((y0_px - top) / cell).astype(np.int64)
    for down in range(span):
        for right in range(span):
            rgba[np.minimum(row + down, rows - 1), np.minimum(column + right, columns - 1)] = colours
    return Raster(rgba, Rect(left, top, columns * cell, rows * cell))


def heat_colours(values: NDArray[np.float64], *, low: float, high: float, alpha: int = 200) -> NDArray[np.uint8]:
    """(n, 4) RGBA of numbers from ``low`` to ``high``."""
    share = np.clip((values - low) / (high - low if high > low else 1.0), 0, 1)
    places = [stop for stop, _ in HEAT_STOPS]
    channels = [np.interp(share, places, [colour[channel] for _, colour in HEAT_STOPS]) for channel in range(3)]
    return np.stack([*channels, np.full(len(share), float(alpha))], axis=1).round().astype(np.uint8)


def mask_from_bits(bits: bytes, width_px: int, height_px: int) -> NDArray[np.bool_]:
    """The mask (h, w) that the reader sent, each of its rows padded to whole bytes."""
    rows = np.frombuffer(bits, np.uint8).reshape(height_px, -1)
    return np.unpackbits(rows, axis=1, count=width_px).astype(bool)


def mask_raster(mask: NDArray[np.bool_], downsample: float, colour: tuple[int, int, int]) -> Raster:
    """A mask (h, w) tinted inside, with a firm line around it."""
    inside = np.zeros_like(mask)
    inside[1:-1, 1:-1] = mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    rgba = np.zeros((*mask.shape, 4), np.uint8)
    rgba[mask] = (*colour, 50)
    rgba[mask & ~inside] = (*colour, 255)
    return Raster(rgba, Rect(0, 0, mask.shape[1] * downsample, mask.shape[0] * downsample))


def _apart(x0_px: NDArray[np.int32], y0_px: NDArray[np.int32], size0_px: float) -> bool:
    columns = np.unique(x0_px)
    rows = np.unique(y0_px)
    # The last row or column of a tiling lies flush with the edge of the slide, over the one before.
    return all(len(edges) < 3 or np.median(np.diff(edges)) >= 0.95 * size0_px for edges in (columns, rows))
