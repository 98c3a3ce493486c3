"""Tissue in a low-power picture, whatever the stain.

How it works: the background is the brightest colour that even areas have (it may be tinted, grey or yellowish). A
pixel is tissue when its colour differs enough from it, where "enough" follows how strongly the slide is stained; being
merely darker counts only as far as there is colour or texture, so that shadows, grey glue and black borders do not;
or when it is textured as only a focused specimen is (fat, pale immunohistochemistry). Ink is taken out, small gaps are
filled, what is thinner than a few pixels (cover-slip edges, fibres) or very small (dust) is dropped.

The method is our own; its constants were chosen on the outlined fields in tests/golden/tissue, where the score barely
moves when any of them is changed by a quarter.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from plipdesk.slides.ink import find_ink
from plipdesk.slides.morphology import Bools, closed, dilated, eroded, opened, small_areas, small_holes

Floats = NDArray[np.float32]

# Bump when the masks change: a tiling names it, so that slides indexed before are not mixed up with later ones.
DETECTOR_VERSION = 1

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
# Grey levels by which even areas may deviate from their blurred surroundings.
EVEN_TEXTURE = 1.5
# Texture of focused tissue, and the difference of colour that it takes besides.
TISSUE_TEXTURE = 4.0
TEXTURED_DIFFERENCE = 8.0
# The threshold of difference: this share of what three quarters of the tissue stay below, within these bounds.
DIFFERENCE_SHARE = 0.25
MIN_DIFFERENCE, MAX_DIFFERENCE = 17.0, 60.0
# Holes smaller than this belong to the tissue; pieces smaller than that are dust.
FILLED_HOLE_MM2 = 0.04
MIN_PIECE_MM2 = 0.01
# What cannot hold a square of this side is an edge, a fibre or a scratch.
MIN_THICKNESS_PX = 7


def find_tissue(pixels: NDArray[np.uint8], um_per_px: float) -> Bools:
    """Mask (h, w) of tissue in a low-power picture (h, w, 3) uint8 whose own MPP is ``um_per_px`` (best near 8)."""
    from scipy import ndimage

    height, width = pixels.shape[:2]
    luma = pixels @ LUMA
    deviation = np.abs(luma - ndimage.uniform_filter(ndimage.uniform_filter(luma, 3), 5))
    texture = _blurred(deviation)
    smooth = np.asarray(Image.fromarray(pixels).filter(ImageFilter.BoxBlur(1)), dtype=np.float32)
    difference = difference_from(background_colour(smooth, texture), smooth, texture)
    ink = find_ink(smooth, deviation, difference > 25, um_per_px)

    stained = difference[(difference > MIN_DIFFERENCE) & (texture > 2) & ~ink]
    strength = float(np.percentile(stained, 75)) if stained.size > 50 else 0.0
    threshold = float(np.clip(DIFFERENCE_SHARE * strength, MIN_DIFFERENCE, MAX_DIFFERENCE))
    # The texture of an edge reaches over it by half its window.
    textured = eroded((texture > TISSUE_TEXTURE) & (_blurred(difference) > TEXTURED_DIFFERENCE), 7)
    mask = opened(((difference > threshold) | textured) & ~ink, 3)
    mask = closed(mask, 7) & ~ink
    mask |= small_holes(mask | ink, below_px=FILLED_HOLE_MM2 * 1e6 / um_per_px**2)
    mask &= dilated(opened(mask, min(MIN_THICKNESS_PX, height, width)), 7)
    min_px = min(MIN_PIECE_MM2 * 1e6 / um_per_px**2, 0.02 * height * width)
    return mask & ~small_areas(mask, below_px=min_px)


def _blurred(values: Floats) -> Floats:
    """Values (h, w) from 0 to 32, averaged over windows of about nine pixels; the rest is cut off."""
    eighths = Image.fromarray(np.minimum(values * 8, 255).astype(np.uint8))
    blurred = eighths.filter(ImageFilter.BoxBlur(2)).filter(ImageFilter.BoxBlur(2))
    return np.asarray(blurred, dtype=np.float32) / np.float32(8)


def background_colour(smooth: Floats, texture: Floats) -> Floats:
    """The colour (3,) of the empty glass: the brightest that even areas have; near white where there is no glass."""
    luma = smooth @ LUMA
    red, green, blue = smooth[..., 0], smooth[..., 1], smooth[..., 2]
    # Glass may be tinted by the lamp or by a stain's precipitate, but pink and green are tissue.
    glass = (texture < EVEN_TEXTURE) & (luma > 120)
    glass &= (np.minimum(red, blue) - green < 12) & (green - np.maximum(red, blue) < 12)
    # What a scanner left out is filled with pure white; it tells nothing of the glass beside it.
    scanned = glass & (luma < 254.5)
    if np.count_nonzero(scanned) >= 0.02 * glass.size:
        glass = scanned
    if np.count_nonzero(glass) < 0.002 * glass.size:
        return np.array([245, 245, 245], dtype=np.float32)
    levels = np.bincount(luma[glass].astype(np.int64), minlength=256).astype(np.float64)
    levels = np.convolve(levels, np.ones(5) / 5, mode="same")
    brightest = int(np.flatnonzero(levels >= 0.25 * levels.max())[-1])
    colours = smooth[glass & (luma >= brightest - 9) & (luma <= brightest + 1)]
    if colours.size == 0:
        colours = smooth[glass]
    return np.asarray(np.median(colours, axis=0), dtype=np.float32)


def difference_from(background: Floats, smooth: Floats, texture: Floats) -> Floats:
    """How far each pixel (h, w) is from the background, in grey levels.

    Difference of tint is measured from the nearest point between neutral grey and the background's own tint, so that
    unscanned white or a cover slip's clear outside is as much background as tinted glass is.
    """
    darker = np.maximum(float(background @ LUMA) - smooth @ LUMA, 0)
    red_green = smooth[..., 0] - smooth[..., 1]
    blue_green = smooth[..., 2] - smooth[..., 1]
    tint = np.array([background[0] - background[1], background[2] - background[1]], dtype=np.float32)
    along = np.clip((red_green * tint[0] + blue_green * tint[1]) / (float(tint @ tint) + 1e-6), 0, 1)
    tinted = np.hypot(red_green - along * tint[0], blue_green - along * tint[1])
    difference: Floats = tinted + np.minimum(darker, tinted + 3 * texture)
    return difference
