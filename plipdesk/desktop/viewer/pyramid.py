"""A slide cut into square tiles at levels that halve from one to the next.

The levels are the viewer's own: the reader process draws any rectangle at any size from the level of the file that
suits, so the tiles need not know how the file was written.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from plipdesk.desktop.viewer.camera import Rect

TILE_PX = 512


class TileKey(NamedTuple):
    """A tile: the level (0 is full resolution, each next half of it), and its place there."""

    level: int
    column: int
    row: int


@dataclass(frozen=True)
class Pyramid:
    """The tiles of a slide of ``width0_px`` × ``height0_px`` level-0 pixels."""

    width0_px: int
    height0_px: int
    tile_px: int = TILE_PX

    @property
    def top_level(self) -> int:
        """The level at which one tile holds the whole slide."""
        return max(0, math.ceil(math.log2(max(self.width0_px, self.height0_px) / self.tile_px)))

    @property
    def top(self) -> TileKey:
        """The tile that shows the whole slide."""
        return TileKey(self.top_level, 0, 0)

    def level_for(self, device_zoom: float) -> int:
        """The level whose tiles are never enlarged at ``device_zoom`` device pixels per level-0 pixel (below 1)."""
        if device_zoom >= 1:
            return 0
        return min(self.top_level, math.floor(math.log2(1 / device_zoom) + 1e-6))

    def rect(self, key: TileKey) -> Rect:
        """The tile's rectangle in level-0 pixels, cut at the slide's edges."""
        side = self.tile_px * 2.0**key.level
        x, y = key.column * side, key.row * side
        return Rect(x, y, min(side, self.width0_px - x), min(side, self.height0_px - y))

    def size_px(self, key: TileKey) -> tuple[int, int]:
        """The width and height at which the tile is drawn by the reader."""
        rect, shrink = self.rect(key), 2.0**key.level
        return max(1, round(rect.width / shrink)), max(1, round(rect.height / shrink))

    def covering(self, level: int, seen: Rect, *, margin_tiles: int = 0) -> list[TileKey]:
        """The tiles of a level that touch ``seen`` (level-0 pixels) and the ring around them, nearest first."""
        inside = seen.clipped(Rect(0, 0, self.width0_px, self.height0_px))
        if inside is None:
            return []
        side = self.tile_px * 2.0**level
        columns, rows = math.ceil(self.width0_px / side), math.ceil(self.height0_px / side)
        first_column = max(0, int(inside.x // side) - margin_tiles)
        last_column = min(columns - 1, math.ceil(inside.right / side) - 1 + margin_tiles)
        first_row = max(0, int(inside.y // side) - margin_tiles)
        last_row = min(rows - 1, math.ceil(inside.bottom / side) - 1 + margin_tiles)
        middle_x, middle_y = seen.centre
        keys = [
            TileKey(level, column, row)
            for row in range(first_row, last_row + 1)
            for column in range(first_column, last_column + 1)
        ]
        return sorted(
            keys,
            key=lambda key: (
                ((key.column + 0.5) * side - middle_x) ** 2 + ((key.row + 0.5) * side - middle_y) ** 2,
                key,
            ),
        )

    def ancestor(self, key: TileKey, levels_up: int) -> TileKey:
        """The coarser tile that holds this one."""
        return TileKey(key.level + levels_up, key.column >> levels_up, key.row >> levels_up)
