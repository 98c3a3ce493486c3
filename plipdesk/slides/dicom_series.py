"""Which DICOM files belong together. Only the series' number is read, never a patient's field.

After DICOM PS3.10 (file meta information) and PS3.5 (data element encoding). Whole-slide pictures are stored with
little-endian elements; others are no slides for us.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from plipdesk.slides.errors import SlideProblem
from plipdesk.slides.files import opened, reading_problem

_TRANSFER_SYNTAX = (0x0002, 0x0010)
_SERIES = (0x0020, 0x000E)
_IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_LONG_FORMS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_ITEM_GROUP = 0xFFFE
_SEQUENCE_END = (0xFFFE, 0xE0DD)
_ITEM_END = (0xFFFE, 0xE00D)
_UNDEFINED = 0xFFFFFFFF
# The series' number stands near the beginning; a header that does not come to it within this is no slide's.
_MAX_ELEMENTS = 20_000
_MAX_DEPTH = 16
_MAX_UID_BYTES = 64


def series_of(path: Path) -> str | None:
    """The SeriesInstanceUID of a DICOM file; None where it is no DICOM file, or says nothing readable.

    Raises:
        SlideProblem: the file cannot be opened.
    """
    with opened(path) as stream:
        if stream.read(132)[128:] != b"DICM":
            return None
        try:
            return _find_series(stream)
        except (struct.error, ValueError):
            return None


def files_of_series(path: Path) -> list[Path]:
    """All files of ``path``'s folder that belong to its series, by name; just ``path`` where none can be told.

    Raises:
        SlideProblem: ``path`` cannot be read.
    """
    series = series_of(path)
    if series is None:
        return [path]
    try:
        folder = sorted(path.parent.iterdir())
    except OSError as error:
        raise reading_problem(path.parent, error) from error
    return [other for other in folder if other == path or _same_series(other, series)]


def _same_series(path: Path, series: str) -> bool:
    try:
        return path.is_file() and series_of(path) == series
    except SlideProblem:
        return False


def _find_series(stream: BinaryIO) -> str | None:
    """Walk the elements after the preamble until the series' number, or to where it would have stood."""
    meta = _Elements(stream, explicit=True)
    syntax = ""
    while True:
        place = stream.tell()
        tag, length = meta.next()
        if tag[0] != 0x0002:
            stream.seek(place)
            break
        if tag == _TRANSFER_SYNTAX:
            syntax = meta.uid(length)
        else:
            meta.skip(length)
    if syntax in (_BIG_ENDIAN, _DEFLATED):
        return None
    elements = _Elements(stream, explicit=syntax != _IMPLICIT_LITTLE_ENDIAN)
    while True:
        tag, length = elements.next()
        if tag == _SERIES:
            return elements.uid(length) or None
        if tag > _SERIES:
            return None
        elements.skip(length)


class _Elements:
    """Steps through little-endian data elements; every wrong turn is a ValueError or struct.error."""

    def __init__(self, stream: BinaryIO, *, explicit: bool) -> None:
        self._stream = stream
        self._explicit = explicit
        self._left = _MAX_ELEMENTS

    def next(self) -> tuple[tuple[int, int], int]:
        """Tag and length of the element that begins here; the stream then stands at its value."""
        self._left -= 1
        if self._left < 0:
            raise ValueError("too many elements")
        group, element = struct.unpack("<HH", self._stream.read(4))
        if not self._explicit or group == _ITEM_GROUP:
            return (group, element), int(struct.unpack("<I", self._stream.read(4))[0])
        form = self._stream.read(2)
        if form in _LONG_FORMS:
            return (group, element), int(struct.unpack("<xxI", self._stream.read(6))[0])
        return (group, element), int(struct.unpack("<H", self._stream.read(2))[0])

    def uid(self, length: int) -> str:
        """The value that begins here, as a UID."""
        if length > _MAX_UID_BYTES:
            raise ValueError("too long for a UID")
        return self._stream.read(length).rstrip(b"\0 ").decode("ascii")

    def skip(self, length: int, depth: int = 0) -> None:
        """Step over the value that begins here, a sequence of unknown length included."""
        if length != _UNDEFINED:
            self._stream.seek(length, 1)
            return
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deeply")
        while True:
            tag, inner = self.next()
            if tag in (_SEQUENCE_END, _ITEM_END):
                return
            # Items, and the elements within an item of unknown length, are stepped over alike.
            self.skip(inner, depth + 1)
