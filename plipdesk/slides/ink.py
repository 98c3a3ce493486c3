"""Pen on the cover slip, and black: what is dark or colourful on a slide but no tissue.

Ink lies above the tissue and out of focus. It is told from tissue by three things together: a colour that few stains
have, an even surface at low power, and (but for black) being the smaller part of what is coloured on the slide, so that
a Giemsa, a GMS or a congested spleen is not taken for one large pen mark.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plipdesk.slides.morphology import Bools, dilated, eroded, opened

Floats = NDArray[np.float32]

# Above this share of everything coloured, a colour is the stain itself …
STAIN_SHARE = 0.4
# … unless its surface is even: median deviation from the blurred picture, in grey levels.
EVEN = 2.2
# A stroke is at least this large; smaller spots are left to the tissue's own rules.
MIN_STROKE_MM2 = 0.02
# From nearer than this, a field of about a millimetre, an even red or blue is blood or muscle and no pen.
NEAREST_UM_PER_PX = 2.0
# Pixels that a mark's soft edge reaches beyond what its colour tells.
SOFT_EDGE_PX = 3


@dataclass(frozen=True)
class _Ink:
    """One colour of ink: sure pixels, pixels that are ink beside sure ones, and how uneven it may be over tissue."""

    name: str
    sure: Bools
    beside: Bools
    max_uneven: float


def find_ink(smooth: Floats, deviation: Floats, coloured: Bools, um_per_px: float) -> Bools:
    """Mask (h, w) of pen marks and black areas.

    Args:
        smooth: the picture (h, w, 3), lightly blurred, 0 to 255.
        deviation: distance of each pixel's grey value from its blurred surroundings (h, w).
        coloured: what differs from the background at all (h, w).
        um_per_px: the picture's own MPP.
    """
    from scipy import ndimage

    found = np.zeros(deviation.shape, dtype=bool)
    min_px = max(20, round(MIN_STROKE_MM2 * 1e6 / um_per_px**2))
    nearby = ndimage.uniform_filter(deviation, 3)
    coloured_px = int(np.count_nonzero(coloured)) + 1
    for ink in _inks(smooth):
        if np.count_nonzero(ink.sure) < min_px or (um_per_px < NEAREST_UM_PER_PX and ink.name != "black"):
            continue
        core = opened(ink.sure, 5)
        labels, count = ndimage.label(core)
        if count == 0:
            continue
        area_px = np.bincount(labels.ravel(), minlength=count + 1)
        unevenness = _median_inside(labels, count, deviation)
        large = area_px >= min_px
        large[0] = False
        if not large.any():
            continue
        if ink.name != "black":
            uneven_share = area_px[large & (unevenness > EVEN)].sum() / area_px[large].sum()
            of_the_stain = area_px[large].sum() > STAIN_SHARE * coloured_px
            # Blood is as red as ink but grained: one even lake of it among grained ones is blood as well.
            if uneven_share > 0.5 and (of_the_stain or ink.name == "red"):
                continue
        marks = (large & (unevenness < ink.max_uneven))[labels]
        if marks.any():
            found |= ndimage.binary_propagation(marks, mask=(ink.beside & (nearby < 8)) | marks)
    return dilated(found, 2 * SOFT_EDGE_PX + 1)


def _inks(smooth: Floats) -> tuple[_Ink, ...]:
    red, green, blue = (np.ascontiguousarray(smooth[..., channel], dtype=np.int16) for channel in range(3))
    high = np.maximum(np.maximum(red, green), blue)
    spread = high - np.minimum(np.minimum(red, green), blue)
    return (
        _Ink("black", (high < 95) & (spread < 32), (high < 150) & (spread < 35), 6.0),
        _Ink(
            "green",
            (green - red > 25) & (5 * (green - red) > high) & (green >= blue - 30),
            (green - red > 12) & (green >= blue - 20),
            8.0,
        ),
        _Ink(
            "blue",
            (blue - red > 50) & (blue - green > 30) & (red - green < 20) & (20 * spread > 9 * high),
            (blue - red > 30) & (blue - green > 15),
            6.0,
        ),
        _Ink(
            "red",
            (red - green > 60) & (red - blue > 50) & (np.abs(green - blue) < 30) & (20 * spread > 11 * high),
            (red - green > 18) & (red - blue > 12) & (np.abs(green - blue) < 20),
            EVEN,
        ),
    )


def _median_inside(labels: NDArray[np.int32], count: int, values: Floats) -> NDArray[np.float64]:
    """Median of ``values`` inside each label, two pixels away from its edge; index 0 is unused, empty ones are inf."""
    from scipy import ndimage

    inside = np.where(eroded(labels > 0, 5), labels, 0)
    medians = np.full(count + 1, np.inf)
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        chosen = values[place][inside[place] == number]
        if chosen.size >= 20:
            medians[number] = np.median(chosen)
    return medians
