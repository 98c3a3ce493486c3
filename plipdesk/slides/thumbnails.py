"""Small pictures for the eye, and pictures that come in as a query."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plipdesk.slides.errors import UnknownFormat
from plipdesk.slides.files import opened
from plipdesk.slides.picture_reader import HEAD_BYTES, decode, picture_format
from plipdesk.slides.protocol import SlideReader

THUMBNAIL_QUALITY = 85


def thumbnail_jpeg(reader: SlideReader, max_px: int) -> bytes:
    """The whole slide as a JPEG, its longer side at most ``max_px``; no metadata, no ICC profile.

    Raises:
        SlideProblem: no level of the slide can be read.
    """
    return encode_jpeg(reader.thumbnail(max_px), quality=THUMBNAIL_QUALITY)


def encode_jpeg(pixels: NDArray[np.uint8], *, quality: int = 90) -> bytes:
    """A JPEG of ``pixels`` (h, w, 3) RGB."""
    return _encoded(pixels, "JPEG", quality=quality)


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG of ``pixels`` (h, w, 3) RGB, without loss."""
    return _encoded(pixels, "PNG")


def decode_picture(path_or_bytes: Path | bytes) -> NDArray[np.uint8]:
    """A picture that somebody searches with: (h, w, 3) uint8 RGB, upright, over white.

    PNG, JPEG, BMP, WebP and TIFF (its first picture). The size in the header is checked before pixels are decoded.

    Raises:
        SlideProblem: it is no such picture, is too large or broken, or is deeper than 8 bits.
    """
    path = None if isinstance(path_or_bytes, bytes) else path_or_bytes.absolute()
    source: contextlib.AbstractContextManager[BinaryIO]
    if isinstance(path_or_bytes, bytes):
        source = contextlib.nullcontext(io.BytesIO(path_or_bytes))
    else:
        source = opened(path_or_bytes.absolute())
    with source as stream:
        kind = picture_format(stream.read(HEAD_BYTES))
        if kind is None:
            raise UnknownFormat(
                "This is no picture that plipdesk reads.", path=path, remedy="Save it as PNG, JPEG, TIFF, BMP or WebP."
            )
        return decode(stream, kind, path)


def _encoded(pixels: NDArray[np.uint8], form: str, **options: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()
