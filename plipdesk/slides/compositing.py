"""Transparent pixels are white."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def over_white(image: Image.Image) -> NDArray[np.uint8]:
    """Compose an RGBA picture (straight alpha, as Pillow and openslide-python have it) over white: (h, w, 3) uint8."""
    rgba = np.asarray(image)
    alpha = rgba[..., 3]
    rgb = np.empty((*alpha.shape, 3), np.uint8)
    for channel in range(3):
        # Eight times quicker than copying all three at once, and this is done for every pixel that is ever read.
        rgb[..., channel] = rgba[..., channel]
    if alpha.min() < 255:
        share = alpha[..., None].astype(np.uint16)
        rgb[...] = (rgb * share + 255 * (255 - share) + 127) // 255
    return rgb
