"""Scores smoothed over neighbouring patches: optional, off by default, and told in every result."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float32s = NDArray[np.float32]

MAX_RADIUS = 20


def smoothed(
    scores: Float32s, x0_px: NDArray[np.integer], y0_px: NDArray[np.integer], size0_px: float, radius: int
) -> Float32s:
    """The mean (n, c) of ``scores`` over the patches that lie at most ``radius`` patch sides away along both axes.

    A patch is its own neighbour; what is not there is left out of the mean. Patches lie on a grid, so the means are
    sums over blocks of it.
    """
    if radius < 1 or not len(scores):
        return scores
    reach = radius * size0_px + 0.5
    columns, column = np.unique(x0_px, return_inverse=True)
    rows, row = np.unique(y0_px, return_inverse=True)
    left = np.searchsorted(columns, columns - reach, side="left")[column]
    right = np.searchsorted(columns, columns + reach, side="right")[column]
    top = np.searchsorted(rows, rows - reach, side="left")[row]
    bottom = np.searchsorted(rows, rows + reach, side="right")[row]
    shape = (len(rows), len(columns))
    place = row * shape[1] + column

    def around(values: NDArray[np.floating] | None) -> NDArray[np.float64]:
        laid = np.bincount(place, weights=values, minlength=shape[0] * shape[1]).astype(np.float64).reshape(shape)
        integral = np.zeros((shape[0] + 1, shape[1] + 1))
        np.cumsum(np.cumsum(laid, axis=0), axis=1, out=integral[1:, 1:])
        found: NDArray[np.float64] = (
            integral[bottom, right] - integral[top, right] - integral[bottom, left] + integral[top, left]
        )
        return found

    count = around(None)
    result = np.empty_like(scores)
    for number in range(scores.shape[1]):
        result[:, number] = around(scores[:, number]) / count
    return result
