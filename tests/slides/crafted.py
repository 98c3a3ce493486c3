"""Files put together byte by byte, to say what no writer would let them say."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence

SHORT, LONG, ASCII, LONG8 = 3, 4, 2, 16
_FORMS = {SHORT: "H", LONG: "I", ASCII: "s", LONG8: "Q"}

Tag = tuple[int, Sequence[int] | bytes]


def tiff_bytes(tags: Mapping[int, Tag], *, pixels: bytes = b"", big: bool = False, following: int = 0) -> bytes:
    """A little-endian TIFF of one directory: header, ``pixels`` (at offset 16), directory, longer values.

    ``following`` is what the directory gives as the offset of the next one.
    """
    place = 16 + len(pixels)
    header = struct.pack("<2sHHHQ", b"II", 43, 8, 0, place) if big else struct.pack("<2sHI8x", b"II", 42, place)
    entry_bytes, inline_bytes = (20, 8) if big else (12, 4)
    after = place + (8 if big else 2) + entry_bytes * len(tags) + inline_bytes
    table, longer = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        raw = values if isinstance(values, bytes) else struct.pack(f"<{len(values)}{_FORMS[kind]}", *values)
        table += struct.pack("<HHQ" if big else "<HHI", tag, kind, len(values))
        if len(raw) <= inline_bytes:
            table += raw.ljust(inline_bytes, b"\0")
        else:
            table += struct.pack("<Q" if big else "<I", after + len(longer))
            longer += raw
    count = struct.pack("<Q" if big else "<H", len(tags))
    return header + pixels + count + table + struct.pack("<Q" if big else "<I", following) + longer


def tiled_tags(width_px: int, height_px: int, *, tile_px: int = 16, tiles: int = 1) -> dict[int, Tag]:
    """The tags of an uncompressed 8-bit RGB picture whose every tile is the 768 bytes from offset 16 on."""
    return {
        256: (LONG, [width_px]),
        257: (LONG, [height_px]),
        258: (SHORT, [8, 8, 8]),
        259: (SHORT, [1]),
        262: (SHORT, [2]),
        277: (SHORT, [3]),
        322: (LONG, [tile_px]),
        323: (LONG, [tile_px]),
        324: (LONG, [16] * tiles),
        325: (LONG, [tile_px * tile_px * 3] * tiles),
    }


def dicom_bytes(series: str, *, syntax: str = "1.2.840.10008.1.2.1", before: bytes = b"", body: bytes = b"") -> bytes:
    """The head of a DICOM file of one series; ``before`` are elements that stand before the series' number."""
    explicit = syntax != "1.2.840.10008.1.2"
    return (
        bytes(128)
        + b"DICM"
        + dicom_element(0x0002, 0x0010, b"UI", syntax.encode())
        + dicom_element(0x0010, 0x0010, b"PN", b"Nobody^Special ", explicit=explicit)
        + before
        + dicom_element(0x0020, 0x000E, b"UI", series.encode(), explicit=explicit)
        + body
    )


def dicom_element(group: int, element: int, form: bytes, value: bytes, *, explicit: bool = True) -> bytes:
    """One data element with a value of even length."""
    value += b"\0" * (len(value) % 2)
    if not explicit:
        return struct.pack("<HHI", group, element, len(value)) + value
    return struct.pack("<HH2sH", group, element, form, len(value)) + value


def png_bytes(width_px: int, height_px: int, *, depth: int = 8) -> bytes:
    """A PNG that declares a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width_px, height_px, depth, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )
