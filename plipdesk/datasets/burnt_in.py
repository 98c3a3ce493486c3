"""Text in pictures, read by a library that is an extra (``pip install plipdesk[ocr]``) and brings its models along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plipdesk.slides.errors import SlideProblem
from plipdesk.slides.thumbnails import decode_picture

_CHANNELS_REVERSED = slice(None, None, -1)


class TextReader:
    """Reads the words burnt into pictures. Use :func:`text_reader`, since the library may not be there."""

    def __init__(self, engine: Any, least_confidence: float) -> None:
        self._engine = engine
        self._least = least_confidence

    def lines(self, path: Path) -> list[str]:
        """The lines of text in a picture, from top to bottom; none where it cannot be decoded."""
        try:
            pixels = decode_picture(path)
        except SlideProblem:
            return []
        # The library reads pixels as OpenCV has them, blue first.
        found, _ = self._engine(pixels[..., _CHANNELS_REVERSED])
        return [str(words) for _, words, confidence in found or () if float(confidence) >= self._least]


def text_reader(least_confidence: float) -> TextReader | None:
    """A reader, or None where the extra is not installed."""
    try:
        from rapidocr_onnxruntime import RapidOCR
    except ImportError:
        return None
    return TextReader(RapidOCR(), least_confidence)
