"""The directories of a TIFF file, read with every count and offset held against the file's true size.

OpenSlide, libtiff and tifffile take memory for what a directory declares; a file passes through here first. After the
TIFF 6.0 specification, the BigTIFF extension and Hamamatsu's variant as OpenSlide documents it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from plipdesk.slides.errors import DamagedSlide, TooLarge
from plipdesk.slides.limits import check_slide_size

MAX_DIRECTORIES = 10_000
MAX_TAGS = 4096
MAX_SUB_DIRECTORIES = 64
MAX_DESCRIPTION_BYTES = 16 * 1024 * 1024
MAX_ICC_BYTES = 64 * 1024 * 1024
NDPI_TAG = 65420
_TYPES = {
    1: "u1", 2: "S1", 3: "u2", 4: "u4", 5: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 10: "i4", 11: "f4", 12: "f8",
    13: "u4", 16: "u8", 17: "i8", 18: "u8",
}  # fmt: skip
_RATIONALS = (5, 10)


@dataclass(frozen=True)
class TiffDirectory:
    """One picture in a TIFF file, as declared; sizes are checked against the file and the house's limits."""

    offset: int
    width_px: int
    height_px: int
    bits: int
    samples: int
    sample_format: int
    photometric: int
    compression: int
    separate_planes: bool
    tile_width_px: int | None
    tile_height_px: int
    reduced: bool
    orientation: int
    extra_samples: tuple[int, ...]
    resolution: tuple[float, float] | None
    resolution_unit: int
    sub_offsets: tuple[int, ...]
    description: str
    icc_place: tuple[int, int] | None

    @property
    def piece_px(self) -> tuple[int, int]:
        """(width_px, height_px) of a tile or strip."""
        return self.tile_width_px or self.width_px, self.tile_height_px

    @property
    def grid(self) -> tuple[int, int]:
        """(across, down): how many tiles or strips cover the picture."""
        return -(-self.width_px // self.piece_px[0]), -(-self.height_px // self.piece_px[1])

    @property
    def piece_bytes(self) -> int:
        """Memory that one decoded tile or strip takes."""
        return self.piece_px[0] * self.piece_px[1] * (1 if self.separate_planes else self.samples) * -(-self.bits // 8)

    @property
    def imagej_channels(self) -> int:
        """How many channels ImageJ says that the file holds, one after the other; 1 where it says nothing."""
        found = re.search(r"^channels=(\d{1,6})$", self.description, re.MULTILINE)
        return int(found[1]) if found and self.description.startswith("ImageJ=") else 1

    def resolution_um(self) -> tuple[float | None, float | None]:
        """µm per pixel along x and y as the resolution tags say, plausible or not."""
        unit_um = {2: 25_400.0, 3: 10_000.0}.get(self.resolution_unit)
        if unit_um is None and self.description.startswith("ImageJ=") and "\nunit=micron" in self.description:
            unit_um = 1.0
        if unit_um is None or self.resolution is None or min(self.resolution) <= 0:
            return None, None
        return unit_um / self.resolution[0], unit_um / self.resolution[1]


@dataclass(frozen=True)
class TiffStructure:
    """The chain of directories of a TIFF file, in file order; of an NDPI file only the first."""

    directories: tuple[TiffDirectory, ...]
    is_ndpi: bool


def is_tiff(head: bytes) -> bool:
    """Whether a file that begins so is a TIFF or BigTIFF."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_structure(stream: BinaryIO, path: Path | None) -> TiffStructure:
    """Walk the chain of directories.

    Raises:
        DamagedSlide: a count or offset points outside the file, or the chain bites its tail.
        TooLarge: more directories or pixels than any slide has.
    """
    walker = _Walker(stream, path)
    first = walker.first_offset()
    if walker.ndpi_offset is not None:
        return TiffStructure((walker.directory(walker.ndpi_offset)[0],), is_ndpi=True)
    directories = []
    seen: set[int] = set()
    offset = first
    while offset:
        if offset in seen:
            raise walker.damaged("its list of pictures bites its own tail")
        if len(seen) >= MAX_DIRECTORIES:
            raise TooLarge(
                f"The TIFF file holds more than {MAX_DIRECTORIES:,} pictures.",
                path=path,
                remedy="Save the picture that you need as a file of its own.",
            )
        seen.add(offset)
        directory, offset = walker.directory(offset)
        directories.append(directory)
    if not directories:
        raise walker.damaged("it holds no picture")
    return TiffStructure(tuple(directories), is_ndpi=False)


def read_sub_directories(stream: BinaryIO, path: Path | None, parent: TiffDirectory) -> tuple[TiffDirectory, ...]:
    """The directories that ``parent`` names as its SubIFDs (the levels of an OME-TIFF pyramid).

    Raises:
        DamagedSlide: a count or offset points outside the file.
        TooLarge: one declares more pixels than any slide has.
    """
    walker = _Walker(stream, path)
    return tuple(walker.directory(offset)[0] for offset in parent.sub_offsets)


class _Walker:
    """Reads directories at offsets."""

    def __init__(self, stream: BinaryIO, path: Path | None) -> None:
        self._stream = stream
        self._path = path
        self._size = stream.seek(0, 2)
        head = self._read(0, 16, short=True)
        if not is_tiff(head) or len(head) < 8:
            raise self.damaged("it is no TIFF file")
        self._order = "<" if head[:1] == b"I" else ">"
        self._big = head[2:4] in (b"+\0", b"\0+")
        if self._big and len(head) < 16:
            raise self.damaged("it ends within its header")
        self._head = head
        self.ndpi_offset = self._find_ndpi()

    def damaged(self, what: str) -> DamagedSlide:
        """The error for a file about which ``what`` was found."""
        return DamagedSlide(
            f"The TIFF file is damaged: {what}.", path=self._path, remedy="Copy it again, or export it anew."
        )

    def first_offset(self) -> int:
        """Offset of the first directory."""
        return int(
            struct.unpack_from(f"{self._order}{'Q' if self._big else 'I'}", self._head, 8 if self._big else 4)[0]
        )

    def directory(self, offset: int) -> tuple[TiffDirectory, int]:
        """The directory at ``offset`` and the offset of the next one (0: none)."""
        entries, next_offset = self._entries(offset)
        tags = {tag: self._values(tag, *entry) for tag, entry in entries.items() if tag in _READERS}
        width_px, height_px = self._one(tags, 256, 0), self._one(tags, 257, 0)
        if width_px < 1 or height_px < 1:
            raise self.damaged("a picture in it has no size")
        check_slide_size(width_px, height_px, self._path)
        tiled = 322 in tags or 323 in tags
        tile_width_px, tile_height_px = self._one(tags, 322, 0), self._one(tags, 323, 0)
        rows = min(self._one(tags, 278, height_px), height_px)
        if (tiled and min(tile_width_px, tile_height_px) < 1) or rows < 1:
            raise self.damaged("its tiles or strips have no size")
        samples = self._one(tags, 277, 1)
        separate = self._one(tags, 284, 1) == 2
        piece_px = (tile_width_px, tile_height_px) if tiled else (width_px, rows)
        pieces = -(-width_px // piece_px[0]) * -(-height_px // piece_px[1]) * (samples if separate else 1)
        self._check_pieces(entries, tiled, pieces)
        icc = entries.get(34675)
        return TiffDirectory(
            offset=offset,
            width_px=width_px,
            height_px=height_px,
            bits=max((int(value) for value in tags.get(258, (1,))), default=1),
            samples=samples,
            sample_format=max((int(value) for value in tags.get(339, (1,))), default=1),
            photometric=self._one(tags, 262, 1),
            compression=self._one(tags, 259, 1),
            separate_planes=separate,
            tile_width_px=tile_width_px if tiled else None,
            tile_height_px=piece_px[1],
            reduced=bool(self._one(tags, 254, 0) & 1),
            orientation=self._one(tags, 274, 1),
            extra_samples=tuple(int(value) for value in tags.get(338, ())),
            resolution=self._resolution(tags),
            resolution_unit=self._one(tags, 296, 2),
            sub_offsets=tuple(int(value) for value in tags.get(330, ())),
            description=bytes(tags[270]).split(b"\0")[0].decode("utf-8", "replace") if 270 in tags else "",
            icc_place=(icc[2], icc[1]) if icc is not None and 128 <= icc[1] <= MAX_ICC_BYTES else None,
        ), next_offset

    def _find_ndpi(self) -> int | None:
        """Hamamatsu stores 64-bit offsets in a classic TIFF: the first directory's offset fills eight bytes."""
        if self._big or len(self._head) < 12:
            return None
        offset = int(struct.unpack_from(f"{self._order}Q", self._head, 4)[0])
        if not 8 <= offset <= self._size - 6:
            return None
        count = int(struct.unpack(f"{self._order}H", self._read(offset, 2))[0])
        table = self._read(offset + 2, min(count, MAX_TAGS) * 12, short=True)
        tags = {struct.unpack_from(f"{self._order}H", table, place)[0] for place in range(0, len(table) - 11, 12)}
        return offset if NDPI_TAG in tags else None

    def _read(self, offset: int, length: int, *, short: bool = False) -> bytes:
        if offset > self._size:
            raise self.damaged("it points beyond its own end")
        self._stream.seek(offset)
        data = self._stream.read(min(length, self._size - offset))
        if len(data) < length and not short:
            raise self.damaged("it ends too early")
        return data

    def _entries(self, offset: int) -> tuple[dict[int, tuple[int, int, int]], int]:
        """tag -> (type, count, offset of the values), and the next directory's offset."""
        count_form, entry_form, next_form = ("Q", "HHQ", "Q") if self._big else ("H", "HHI", "I")
        count_bytes = struct.calcsize(self._order + count_form)
        inline_bytes = 8 if self._big else 4
        entry_bytes = struct.calcsize(self._order + entry_form) + inline_bytes
        count = int(struct.unpack(self._order + count_form, self._read(offset, count_bytes))[0])
        if not 0 < count <= MAX_TAGS:
            raise self.damaged(f"a picture in it has {count:,} tags")
        place = offset + count_bytes
        table = self._read(place, count * entry_bytes)
        entries: dict[int, tuple[int, int, int]] = {}
        for number in range(count):
            tag, kind, values = struct.unpack_from(self._order + entry_form, table, number * entry_bytes)
            if kind not in _TYPES:
                continue
            value_place = number * entry_bytes + entry_bytes - inline_bytes
            length = values * np.dtype(_TYPES[kind]).itemsize * (2 if kind in _RATIONALS else 1)
            if length > self._size:
                raise self.damaged(f"its tag {tag} claims {length:,} bytes")
            if length <= inline_bytes:
                values_offset = place + value_place
            else:
                values_offset = int(struct.unpack_from(self._order + next_form, table, value_place)[0])
            entries.setdefault(tag, (kind, values, values_offset))
        following = self._read(place + count * entry_bytes, struct.calcsize(next_form), short=True)
        if len(following) < struct.calcsize(next_form):
            return entries, 0
        return entries, int(struct.unpack(self._order + next_form, following)[0])

    def _values(self, tag: int, kind: int, count: int, offset: int) -> NDArray[np.generic]:
        if count > _READERS[tag]:
            raise self.damaged(f"its tag {tag} has {count:,} values")
        form = np.dtype(self._order + _TYPES[kind])
        numbers = count * (2 if kind in _RATIONALS else 1)
        values = np.frombuffer(self._read(offset, numbers * form.itemsize), form)
        if kind not in _RATIONALS:
            return values
        pairs = values.reshape(-1, 2).astype(np.float64)
        return np.divide(pairs[:, 0], pairs[:, 1], out=np.zeros(count), where=pairs[:, 1] != 0)

    def _one(self, tags: Mapping[int, NDArray[np.generic]], tag: int, default: int) -> int:
        values = tags.get(tag)
        if values is None or not values.size:
            return default
        if values.dtype.kind not in "ui":
            raise self.damaged(f"its tag {tag} is no whole number")
        return int(values[0])

    def _resolution(self, tags: Mapping[int, NDArray[np.generic]]) -> tuple[float, float] | None:
        x, y = tags.get(282), tags.get(283)
        if x is None or y is None or x.dtype.kind != "f" or y.dtype.kind != "f" or not x.size or not y.size:
            return None
        return float(x[0]), float(y[0])

    def _check_pieces(self, entries: Mapping[int, tuple[int, int, int]], tiled: bool, pieces: int) -> None:
        """Tiles and strips must be as many as the size demands, and none longer than the file."""
        counts = entries.get(325 if tiled else 279) or entries.get(279 if tiled else 325)
        offsets = entries.get(324 if tiled else 273) or entries.get(273 if tiled else 324)
        if counts is None or offsets is None or min(counts[1], offsets[1]) < (pieces if tiled else 1):
            raise self.damaged("some of its tiles or strips are missing")
        kind, number, place = counts
        form = np.dtype(self._order + _TYPES[kind])
        if form.kind not in "ui":
            raise self.damaged("the lengths of its tiles are no whole numbers")
        lengths = np.frombuffer(self._read(place, number * form.itemsize), form)
        if int(lengths.max()) > self._size:
            raise self.damaged("a tile or strip in it claims to be longer than the whole file")


# The tags that are read, each with the most values it may have.
_READERS = {
    254: 1, 256: 1, 257: 1, 258: 65_536, 259: 1, 262: 1, 270: MAX_DESCRIPTION_BYTES, 274: 1, 277: 1, 278: 1, 282: 1,
    283: 1, 284: 1, 296: 1, 322: 1, 323: 1, 330: MAX_SUB_DIRECTORIES, 338: 65_536, 339: 65_536,
}  # fmt: skip
