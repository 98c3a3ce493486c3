"""What compressed pictures say about their own size, read before a decoder takes memory for it."""

from __future__ import annotations

import struct
import zlib

# What Pillow, tifffile and imagecodecs raise on broken bytes; their decoders promise nothing narrower.
DECODER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
_JPEG_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def coded_size(data: bytes) -> tuple[int, int] | None:
    """(width_px, height_px) that a JPEG, JPEG 2000 or WebP stream declares; None if it is none or says nothing."""
    if data[:2] == b"\xff\xd8":
        return _jpeg_size(data)
    if data[:4] == b"\xff\x4f\xff\x51":
        return _codestream_size(data, 0)
    if data[4:8] == b"jP  ":
        start = data.find(b"\xff\x4f\xff\x51")
        return None if start < 0 else _codestream_size(data, start)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp_size(data)
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """From the first frame header; the segments before it are stepped over."""
    place = 2
    while place + 9 <= len(data):
        if data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker in _JPEG_FRAME_MARKERS:
            height_px, width_px = struct.unpack_from(">HH", data, place + 5)
            return width_px, height_px
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            place += 2
            continue
        place += 2 + int(struct.unpack_from(">H", data, place + 2)[0])
    return None


def _codestream_size(data: bytes, start: int) -> tuple[int, int] | None:
    """From the SIZ marker segment of a JPEG 2000 codestream."""
    if len(data) < start + 24:
        return None
    right, bottom, left, top = struct.unpack_from(">IIII", data, start + 8)
    return max(0, right - left), max(0, bottom - top)


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """From the first chunk: extended, lossless or lossy."""
    kind = data[12:16]
    if len(data) < 30:
        return None
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width_px, height_px = struct.unpack_from("<HH", data, 26)
        return width_px & 0x3FFF, height_px & 0x3FFF
    return None
