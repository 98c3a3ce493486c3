"""Transparent pixels are white."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def over_white(image: Image.Image) -> NDArray[np.uint8]:
    """Compose an RGBA picture (straight alpha, as Pillow and openslide-python have it) over white: (h, w, 3) uint8."""
    rgba = np.asarray(image)
    alpha, rgb = rgba[..., 3], rgba[..., :3]
    if alpha.min() == 255:
        return np.ascontiguousarray(rgb)
    share = alpha[..., None].astype(np.uint16)
    composed: NDArray[np.uint8] = ((rgb * share + 255 * (255 - share) + 127) // 255).astype(np.uint8)
    return composed
