"""Maps of a labelled slide: rasters with a pixel for each step between patches, and pictures of them over the slide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from plipdesk.labelling.labelled import LabelledSlide
from plipdesk.labelling.palette import rgb

Pixels = NDArray[np.uint8]
Float32s = NDArray[np.float32]

OUTSIDE = -1
MOST_PIXELS = 16_000_000
# Viridis (van der Walt and Smith, CC0), which most people with a colour-vision deficiency read as well as others.
_ANCHORS = ("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725")


@dataclass(frozen=True, eq=False)
class SlideMap:
    """A raster over a whole slide. A pixel is a square of ``pixel0_px`` level-0 pixels; ``cell`` (h, w) is the number
    of the cell at its middle, −1 where no patch is."""

    labelled: LabelledSlide
    pixel0_px: float
    cell: NDArray[np.int64]

    @classmethod
    def of(cls, labelled: LabelledSlide) -> Self:
        """The map at the patches' own resolution: the step between them."""
        slide, cells = labelled.slide, labelled.cells
        step = min(_step(labelled.x0_px), _step(labelled.y0_px), labelled.size0_px)
        step = max(step, (slide.width_px * slide.height_px / MOST_PIXELS) ** 0.5, 1.0)
        width, height = max(1, -(-slide.width_px // step)), max(1, -(-slide.height_px // step))
        x, y = (np.arange(int(width)) + 0.5) * step, (np.arange(int(height)) + 0.5) * step
        rows, columns = cells.shape
        if not rows or not columns:
            return cls(labelled, step, np.full((int(height), int(width)), OUTSIDE, dtype=np.int64))
        row = np.searchsorted(cells.y_edges, y, side="right") - 1
        column = np.searchsorted(cells.x_edges, x, side="right") - 1
        there = ((row >= 0) & (row < rows))[:, None] & ((column >= 0) & (column < columns))[None, :]
        row, column = np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)
        there &= cells.spread()[np.ix_(row, column)] > 0.5
        number = row[:, None] * columns + column[None, :]
        return cls(labelled, step, np.where(there, number, OUTSIDE))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.cell.shape[0], self.cell.shape[1]

    def labels(self, count: int) -> NDArray[np.int32]:
        """The label (h, w) at each pixel, −1 where no patch is; where patches overlap, that with most probability."""
        decision = self.labelled.decision
        votes = self.labelled.cells.votes(decision.label, decision.probability.astype(np.float64), count).ravel()
        return np.where(self.cell >= 0, np.append(votes, OUTSIDE)[self.cell], OUTSIDE).astype(np.int32)

    def values(self, values: NDArray[np.floating]) -> Float32s:
        """The mean (h, w) of the patches' ``values`` (n) at each pixel; NaN where no patch is."""
        cells = self.labelled.cells
        mean = (cells.spread(values) / np.maximum(cells.spread(), 1)).ravel()
        return np.where(self.cell >= 0, np.append(mean, np.nan)[self.cell], np.nan).astype(np.float32)


def _step(places: NDArray[np.integer]) -> float:
    """The usual step between positions along an axis; infinite where there is one only."""
    steps = np.diff(np.unique(places))
    return float(np.median(steps)) if len(steps) else float("inf")


def interpolated(values: Float32s, factor: int) -> Float32s:
    """A map drawn ``factor`` times finer, linear between the middles of its pixels; what is outside stays outside."""
    known = np.isfinite(values)
    filled = np.where(known, values, 0).astype(np.float64)
    height, width = values.shape
    y = np.clip((np.arange(height * factor) + 0.5) / factor - 0.5, 0, height - 1)
    x = np.clip((np.arange(width * factor) + 0.5) / factor - 0.5, 0, width - 1)

    def lifted(cells: NDArray[np.float64]) -> NDArray[np.float64]:
        top, left = y.astype(int), x.astype(int)
        low, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
        down, across = (y - top)[:, None], (x - left)[None, :]
        upper = cells[np.ix_(top, left)] * (1 - across) + cells[np.ix_(top, right)] * across
        lower = cells[np.ix_(low, left)] * (1 - across) + cells[np.ix_(low, right)] * across
        result: NDArray[np.float64] = upper * (1 - down) + lower * down
        return result

    weight = lifted(known.astype(np.float64))
    fine = lifted(filled) / np.maximum(weight, 1e-9)
    inside = np.repeat(np.repeat(known, factor, axis=0), factor, axis=1)
    return np.where(inside, fine, np.nan).astype(np.float32)


def colour_ramp(values: Float32s, low: float, high: float) -> Pixels:
    """Colours (…, 3) of values from ``low`` to ``high``; what is not a number is white."""
    anchors = np.array([rgb(colour) for colour in _ANCHORS], dtype=np.float64)
    share = np.clip((values - low) / max(high - low, 1e-12), 0, 1) * (len(anchors) - 1)
    share = np.where(np.isfinite(share), share, 0)
    below = np.minimum(share.astype(int), len(anchors) - 2)
    part = (share - below)[..., None]
    found = anchors[below] * (1 - part) + anchors[below + 1] * part
    return np.where(np.isfinite(values)[..., None], found, 255).round().astype(np.uint8)


def label_colours(labels: NDArray[np.integer], colours: Sequence[str]) -> Pixels:
    """Colours (h, w, 3) of labels; white outside."""
    table = np.array([*(rgb(colour) for colour in colours), (255, 255, 255)], dtype=np.uint8)
    return table[np.where(labels >= 0, labels, len(colours))]


def over_picture(
    picture: Pixels,
    colours: Pixels,
    shown: NDArray[np.bool_],
    *,
    slide_px: tuple[int, int],
    pixel0_px: float,
    opacity: float = 0.55,
) -> Pixels:
    """The slide's ``picture`` (h, w, 3), greyed, with map ``colours`` (r, c, 3) laid over where they are ``shown``.

    ``slide_px`` is the slide's width and height, ``pixel0_px`` the side of a map's pixel, both in level-0 pixels.
    """  # fmt: skip
    height, width = picture.shape[:2]
    rows, columns = shown.shape
    row = np.minimum(((np.arange(height) + 0.5) * slide_px[1] / height / pixel0_px).astype(int), rows - 1)
    column = np.minimum(((np.arange(width) + 0.5) * slide_px[0] / width / pixel0_px).astype(int), columns - 1)
    laid = colours[np.ix_(row, column)].astype(np.float64)
    grey = picture.mean(axis=2, keepdims=True).repeat(3, axis=2)
    mixed = np.where(shown[np.ix_(row, column)][..., None], grey * (1 - opacity) + laid * opacity, picture)
    return mixed.round().astype(np.uint8)
