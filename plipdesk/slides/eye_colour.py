"""Colours for the eye: a slide's ICC profile applied to pixels that are shown. Encoders never see them."""

from __future__ import annotations

import io
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from plipdesk.slides.protocol import SlideReader

MAX_PROFILE_BYTES = 16 * 1024 * 1024


class EyeColour:
    """The way from a slide's own colours to sRGB. Thread-safe."""

    def __init__(self, transform: ImageCms.ImageCmsTransform) -> None:
        self._transform = transform

    @classmethod
    def of(cls, reader: SlideReader) -> Self | None:
        """The transform of a slide; None where it has no profile, or none that can be used for RGB."""
        profile = reader.icc_profile() if reader.info.has_icc_profile else None
        if profile is None or len(profile) > MAX_PROFILE_BYTES:
            return None
        try:
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return cls(ImageCms.buildTransform(own, ImageCms.createProfile("sRGB"), "RGB", "RGB"))
        except (ImageCms.PyCMSError, OSError, ValueError):
            return None

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The pixels (h, w, 3) RGB as sRGB."""
        seen = ImageCms.applyTransform(Image.fromarray(pixels), self._transform)
        assert seen is not None
        return np.asarray(seen)
