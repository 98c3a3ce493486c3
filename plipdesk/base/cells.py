"""Squares of a slide as cells that do not overlap: areas counted once, votes of overlapping patches, maps.

The edges of all squares part the slide into cells; a square covers a block of them, and each cell is covered by some
squares or none. Sums over blocks are taken with integral images, so that time grows with squares and cells, not with
their product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.errors import UsageProblem

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

MAX_CELLS = 64_000_000
_SNAP_PX = 1.5
"""Edges nearer than this are one: positions are whole pixels, sides need not be."""


@dataclass(frozen=True, eq=False)
class CellGrid:
    """The cells between ``x_edges`` (c + 1) and ``y_edges`` (r + 1), level-0 pixels, and the block of each square.

    Square i covers columns ``left[i]`` to ``right[i] - 1`` and rows ``top[i]`` to ``bottom[i] - 1``.
    """

    x_edges: Floats
    y_edges: Floats
    left: Places
    right: Places
    top: Places
    bottom: Places

    @classmethod
    def of(
        cls,
        x0_px: NDArray[np.integer],
        y0_px: NDArray[np.integer],
        size0_px: float,
        *,
        width0_px: float | None = None,
        height0_px: float | None = None,
    ) -> Self:
        """The cells of squares with these top left corners and this side, cut at the slide's edges where given.

        Raises:
            UsageProblem: so many edges that the cells would not fit into memory.
        """
        x_edges, left, right = _axis(x0_px, size0_px, width0_px)
        y_edges, top, bottom = _axis(y0_px, size0_px, height0_px)
        if max(len(x_edges) - 1, 0) * max(len(y_edges) - 1, 0) > MAX_CELLS:
            raise UsageProblem("These patches overlap so finely that their map would not fit into memory.")
        return cls(x_edges, y_edges, left, right, top, bottom)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return max(len(self.y_edges) - 1, 0), max(len(self.x_edges) - 1, 0)

    @property
    def cell_areas_px2(self) -> Floats:
        """Area (r, c) of each cell in squared level-0 pixels."""
        return np.outer(np.diff(self.y_edges), np.diff(self.x_edges))

    def spread(self, values: NDArray[np.generic] | None = None) -> Floats:
        """Sum (r, c) over the squares that cover each cell of their ``values`` (n); without, how many cover it."""
        rows, columns = self.shape
        weights = np.ones(len(self.left)) if values is None else np.asarray(values, dtype=np.float64)
        steps = np.zeros((rows + 1) * (columns + 1))
        for row, column, sign in (
            (self.top, self.left, 1.0), (self.top, self.right, -1.0),
            (self.bottom, self.left, -1.0), (self.bottom, self.right, 1.0),
        ):  # fmt: skip
            steps += sign * np.bincount(row * (columns + 1) + column, weights=weights, minlength=len(steps))
        summed = steps.reshape(rows + 1, columns + 1).cumsum(axis=0).cumsum(axis=1)[:rows, :columns]
        return np.ascontiguousarray(summed)

    def gather(self, cells: Floats) -> Floats:
        """Sum (n) over the cells (r, c) that each square covers."""
        rows, columns = self.shape
        integral = np.zeros((rows + 1, columns + 1))
        np.cumsum(np.cumsum(cells, axis=0), axis=1, out=integral[1:, 1:])
        found: Floats = (
            integral[self.bottom, self.right] - integral[self.top, self.right]
            - integral[self.bottom, self.left] + integral[self.top, self.left]
        )  # fmt: skip
        return found

    def own_areas_px2(self) -> Floats:
        """Area (n) of each square, where what several cover is divided among them: the sum is that of their union."""
        cover = np.rint(self.spread())
        shared = np.divide(self.cell_areas_px2, cover, out=np.zeros(self.shape), where=cover > 0)
        return np.maximum(self.gather(shared), 0.0)

    def votes(self, numbers: NDArray[np.integer], weights: Floats, count: int) -> NDArray[np.int32]:
        """For each cell (r, c) the number (0 to ``count`` − 1) that has most weight among the squares that cover it.

        −1 where none does; the smaller number wins a tie.
        """
        best = np.full(self.shape, -1, dtype=np.int32)
        most = np.full(self.shape, 1e-9)
        for number in np.unique(numbers):
            if 0 <= number < count:
                chosen = numbers == number
                part = CellGrid(
                    self.x_edges, self.y_edges, self.left[chosen], self.right[chosen], self.top[chosen],
                    self.bottom[chosen],
                )  # fmt: skip
                weight = part.spread(weights[chosen])
                better = weight > most + 1e-9
                best[better] = number
                most[better] = weight[better]
        return best


def _axis(starts: NDArray[np.integer], size_px: float, most_px: float | None) -> tuple[Floats, Places, Places]:
    """The edges along one axis, and the numbers of the first and last edge of each square."""
    if not len(starts):
        return np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    first = np.asarray(starts, dtype=np.float64)
    begins = np.unique(first)
    last = first + size_px
    after = np.clip(np.searchsorted(begins, last), 0, len(begins) - 1)
    for candidate in (begins[after], begins[np.maximum(after - 1, 0)]):
        near = np.abs(candidate - last) <= min(_SNAP_PX, size_px / 4)
        last = np.where(near, candidate, last)
    if most_px is not None:
        first, last = np.clip(first, 0, most_px), np.clip(last, 0, most_px)
    edges = np.unique(np.concatenate([first, last]))
    return edges, np.searchsorted(edges, first), np.searchsorted(edges, last)
