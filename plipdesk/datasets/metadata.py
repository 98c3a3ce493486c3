"""Pictures without what was written into them besides pixels: EXIF, XMP, comments, thumbnails, places, serial numbers.

JPEG, PNG and WebP keep their coded pixels to the bit (and their colour profile, without which colours would change);
other forms, and pictures that EXIF says to turn, are written anew.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from plipdesk.slides.thumbnails import decode_picture, encode_jpeg, encode_png

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# What decodes and what gives colours; everything else says something about the picture.
_PNG_KEPT = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"sBIT"}
_WEBP_KEPT = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP"}
_WEBP_NO_EXIF_XMP = 0xFF ^ 0x0C
_ORIENTATION = 0x0112
_TURNED_QUALITY = 95


class NotStripped(Exception):
    """The file is not built as its format says; it has to be written anew from its pixels."""


def stripped(content: bytes) -> tuple[bytes, str]:
    """A picture without its metadata, and its ending (``jpg``, ``png`` or ``webp``).

    Raises:
        SlideProblem: it has to be decoded and cannot be.
    """
    try:
        if content[:3] == b"\xff\xd8\xff":
            pieces, orientation = _jpeg(content)
            if orientation == 1:
                return b"".join(pieces), "jpg"
            return encode_jpeg(decode_picture(content), quality=_TURNED_QUALITY), "jpg"
        if content[:8] == _PNG_SIGNATURE:
            pieces, orientation = _png(content)
            if orientation == 1:
                return b"".join(pieces), "png"
        elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            pieces, orientation = _webp(content)
            if orientation == 1:
                body = b"WEBP" + b"".join(pieces)
                return b"RIFF" + struct.pack("<I", len(body)) + body, "webp"
    except (NotStripped, struct.error, IndexError):
        pass
    return encode_png(decode_picture(content)), "png"


def _jpeg(content: bytes) -> tuple[list[bytes], int]:
    pieces, place, orientation = [content[:2]], 2, 1
    while True:
        if content[place] != 0xFF:
            raise NotStripped
        marker = content[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker == 0xD9:
            # What some cameras append behind the end is left out.
            return [*pieces, b"\xff\xd9"], orientation
        (length,) = struct.unpack(">H", content[place + 2 : place + 4])
        if length < 2 or place + 2 + length > len(content):
            raise NotStripped
        segment = content[place : place + 2 + length]
        if marker == 0xE1 and segment[4:10] == b"Exif\0\0":
            orientation = _orientation(segment[10:])
        pieces.append(_kept_segment(marker, segment))
        place += 2 + length
        if marker == 0xDA:
            end = _end_of_scan(content, place)
            pieces.append(content[place:end])
            place = end


def _kept_segment(marker: int, segment: bytes) -> bytes:
    body = segment[4:]
    if marker == 0xE0:
        # Its own small thumbnail goes with the rest.
        return b"\xff\xe0\x00\x10" + body[:12] + b"\0\0" if body[:5] == b"JFIF\0" and len(body) >= 14 else b""
    if not 0xE0 <= marker <= 0xEF and marker != 0xFE:
        return segment
    colours = (marker == 0xE2 and body[:12] == b"ICC_PROFILE\0") or (marker == 0xEE and body[:5] == b"Adobe")
    return segment if colours else b""


def _end_of_scan(content: bytes, place: int) -> int:
    """Where the next marker after coded data stands; in them FF is followed by 00 or by a restart mark."""
    while True:
        place = content.find(b"\xff", place)
        if place < 0 or place + 1 >= len(content):
            raise NotStripped
        if content[place + 1] != 0 and not 0xD0 <= content[place + 1] <= 0xD7:
            return place
        place += 2


def _png(content: bytes) -> tuple[list[bytes], int]:
    pieces, orientation = [_PNG_SIGNATURE], 1
    place = 8
    while place < len(content):
        length, name = struct.unpack(">I4s", content[place : place + 8])
        end = place + 12 + length
        if end > len(content):
            raise NotStripped
        if name in _PNG_KEPT:
            pieces.append(content[place:end])
        elif name == b"eXIf":
            orientation = _orientation(content[place + 8 : end - 4])
        if name == b"IEND":
            return pieces, orientation
        place = end
    raise NotStripped


def _webp(content: bytes) -> tuple[list[bytes], int]:
    pieces, orientation = [], 1
    for name, chunk in _riff(content):
        if name == b"EXIF":
            data = chunk[8:]
            orientation = _orientation(data[6:] if data[:6] == b"Exif\0\0" else data)
        if name == b"ANIM":
            raise NotStripped
        if name == b"VP8X":
            chunk = chunk[:8] + bytes([chunk[8] & _WEBP_NO_EXIF_XMP]) + chunk[9:]
        if name in _WEBP_KEPT:
            pieces.append(chunk)
    return pieces, orientation


def _riff(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place, end = 12, min(len(content), 8 + struct.unpack("<I", content[4:8])[0])
    while place + 8 <= end:
        name, length = struct.unpack("<4sI", content[place : place + 8])
        padded = length + length % 2
        if place + 8 + length > len(content):
            raise NotStripped
        chunk = content[place : place + 8 + padded]
        yield name, chunk + b"\0" * (8 + padded - len(chunk))
        place += 8 + padded


def _orientation(exif: bytes) -> int:
    """1 to 8, as the first directory of EXIF data says; 1 where it says nothing that can be read."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 8:
        return 1
    try:
        (place,) = struct.unpack(f"{order}I", exif[4:8])
        (count,) = struct.unpack(f"{order}H", exif[place : place + 2])
        for number in range(min(count, 512)):
            entry = exif[place + 2 + 12 * number : place + 14 + 12 * number]
            tag, _, _, value = struct.unpack(f"{order}HHIH", entry[:10])
            if tag == _ORIENTATION:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1
