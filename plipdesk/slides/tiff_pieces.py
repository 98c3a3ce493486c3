"""Tiles and strips of a TIFF, decoded one by one by tifffile and imagecodecs, and kept for a while."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.errors import Bug
from plipdesk.slides.codestreams import DECODER_ERRORS, coded_size
from plipdesk.slides.errors import DamagedSlide, SlideUnreachable
from plipdesk.slides.tiff_plan import Plane
from plipdesk.slides.tiff_structure import TiffDirectory

# Decoded pieces kept per open file: a row of neighbouring patches meets each more than once.
PIECE_CACHE_BYTES = 64 * 1024 * 1024

# A decoded piece: (h, w, samples) in the file's own dtype.
Piece = NDArray[Any]


class TiffPieces:
    """Decodes pieces of one open file. Thread-safe: reading is serial, decoding is not."""

    def __init__(self, path: Path, planes: Iterable[Plane]) -> None:
        """Open the file for the directories of ``planes``.

        Raises:
            DamagedSlide: tifffile does not understand one of them.
        """
        self._path = path
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, int], Piece | None] = OrderedDict()
        self._kept_bytes = 0
        self._pages = _pages_of(path, planes)
        self._stream: BinaryIO = path.open("rb")

    def close(self) -> None:
        """Close the file; a read that is under way ends with an error."""
        with self._lock:
            self._stream.close()
            self._kept.clear()

    def dtype(self, directory: TiffDirectory) -> np.dtype[Any]:
        """The dtype of decoded pieces."""
        dtype: np.dtype[Any] = self._pages[directory.offset].dtype
        return dtype

    def piece(self, directory: TiffDirectory, number: int) -> Piece | None:
        """The piece with this number, (h, w, samples), from memory where it is there; None: the file left it out.

        Raises:
            DamagedSlide: it cannot be decoded.
            SlideUnreachable: the file cannot be read at the moment.
        """
        key = (directory.offset, number)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        piece = self._decoded(directory, number)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = piece
                self._kept_bytes += 0 if piece is None else piece.nbytes
            while self._kept_bytes > PIECE_CACHE_BYTES and len(self._kept) > 1:
                dropped = self._kept.popitem(last=False)[1]
                self._kept_bytes -= 0 if dropped is None else dropped.nbytes
        return piece

    def bytes_at(self, offset: int, length: int) -> bytes:
        """``length`` bytes of the file.

        Raises:
            DamagedSlide: the file ends before.
            SlideUnreachable: the file cannot be read at the moment.
            Bug: it is closed.
        """
        with self._lock:
            if self._stream.closed:
                raise Bug("A slide was read after it had been closed.", path=self._path)
            try:
                self._stream.seek(offset)
                data = self._stream.read(length)
            except OSError as error:
                raise SlideUnreachable(
                    "The slide cannot be read at the moment.",
                    path=self._path,
                    remedy="Check that its drive or share is connected.",
                ) from error
        if len(data) < length:
            raise self._damaged("it ends too early")
        return data

    def _decoded(self, directory: TiffDirectory, number: int) -> Piece | None:
        page = self._pages[directory.offset]
        if number >= min(len(page.dataoffsets), len(page.databytecounts)):
            raise self._damaged(_place(directory, number))
        offset, length = int(page.dataoffsets[number]), int(page.databytecounts[number])
        if length == 0:
            return None
        data = self.bytes_at(offset, length)
        # A compressed picture inside must not be larger than the piece that it is said to be.
        size = coded_size(data)
        if size is not None and (size[0] > directory.piece_px[0] or size[1] > directory.piece_px[1]):
            raise self._damaged(_place(directory, number))
        try:
            decoded = page.decode(data, number, jpegtables=page.jpegtables)[0]
        except DECODER_ERRORS as error:
            raise self._damaged(_place(directory, number)) from error
        samples = 1 if directory.separate_planes else directory.samples
        if decoded is None or decoded.ndim != 4 or decoded.shape[0] != 1 or decoded.shape[3] != samples:
            raise self._damaged(_place(directory, number))
        piece: Piece = decoded[0]
        return piece

    def _damaged(self, what: str) -> DamagedSlide:
        return DamagedSlide(
            f"The slide is damaged: {what}.",
            path=self._path,
            remedy="Copy it again from the scanner or the archive; other regions can still be read.",
        )


def paste(region: NDArray[Any], layer: NDArray[Any], x_px: int, y_px: int) -> None:
    """Put ``layer`` (h, w, …) into ``region`` (h, w, …) with its top left at (x_px, y_px), which may lie outside."""
    source = layer[max(0, -y_px) : region.shape[0] - y_px, max(0, -x_px) : region.shape[1] - x_px]
    y_px, x_px = max(0, y_px), max(0, x_px)
    region[y_px : y_px + source.shape[0], x_px : x_px + source.shape[1]] = source


def _place(directory: TiffDirectory, number: int) -> str:
    across, down = directory.grid
    row, column = divmod(number % (across * down), across)
    x_px, y_px = column * directory.piece_px[0], row * directory.piece_px[1]
    return f"its pixels around x {x_px:,}, y {y_px:,} of {directory.width_px:,} × {directory.height_px:,} are broken"


def _pages_of(path: Path, planes: Iterable[Plane]) -> dict[int, Any]:
    """tifffile's pages for all planes, by offset; they stay usable after tifffile closes the file."""
    import tifffile

    # tifffile logs what it finds odd; what matters of it is said in our own words.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    pages: dict[int, Any] = {}
    try:
        with tifffile.TiffFile(path) as tiff:
            for plane in planes:
                page: Any = tiff.pages[plane.main_index]
                if plane.sub_index is not None:
                    page = page.pages[plane.sub_index]
                if page.offset != plane.directory.offset or page.dtype is None:
                    raise ValueError("tifffile sees another structure")
                pages[page.offset] = page
                # Made now: to choose its decoder, tifffile looks at the first piece.
                _ = page.decode
    except DECODER_ERRORS as error:
        raise DamagedSlide(
            "The TIFF file is damaged, or of a kind that is not read.",
            path=path,
            remedy="Export it as an 8-bit RGB pyramidal TIFF.",
        ) from error
    return pages
