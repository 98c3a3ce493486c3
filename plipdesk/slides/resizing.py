"""Pictures in memory at another size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def resized(pixels: NDArray[np.uint8], width_px: int, height_px: int) -> NDArray[np.uint8]:
    """``pixels`` (h, w, 3) as (height_px, width_px, 3), with Pillow's antialiased bicubic kernel."""
    if pixels.shape[:2] == (height_px, width_px):
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((width_px, height_px), Image.Resampling.BICUBIC))
