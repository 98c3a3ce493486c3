"""Slides that OpenSlide reads."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from openslide import OpenSlide, OpenSlideCache, OpenSlideError, __library_version__
from PIL import ImageCms

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.slides.compositing import over_white
from plipdesk.slides.errors import ChannelsNeeded, DamagedSlide, SlideProblem, TooLarge, UnknownFormat
from plipdesk.slides.files import check_still_there
from plipdesk.slides.limits import TILE_CACHE_BYTES, check_region, check_slide_size, check_tile_size
from plipdesk.slides.mpp import settle_mpp
from plipdesk.slides.protocol import Level, SlideInfo
from plipdesk.slides.quick_tiles import QuickTiles
from plipdesk.slides.reader_base import CheckedReader
from plipdesk.slides.tiff_structure import TiffStructure

# Older ones write out of bounds on a crafted file.
OLDEST_OPENSLIDE = (4, 0, 1)
# More pyramid levels than any scanner writes (2 ** 24 pixels a side would need 24).
MAX_LEVELS = 64
# What OpenSlide's sentences speak of where a scanner's file holds other than 8-bit colour.
_NOT_COLOUR_WORDS = (
    "BitsAllocated", "BitsStored", "PixelRepresentation", "SamplesPerPixel", "photometric interpretation", "Pixel type",
)  # fmt: skip


def require_openslide(version: str = __library_version__) -> None:
    """Refuse an OpenSlide that is too old to be safe.

    Raises:
        EnvironmentProblem: the library is older than 4.0.1.
    """
    numbers = tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
    if numbers < OLDEST_OPENSLIDE:
        raise EnvironmentProblem(
            f"The OpenSlide library is version {version}; reading slides safely needs 4.0.1 or newer.",
            remedy="Install it again with: pip install --upgrade openslide-bin",
        )


@functools.cache
def shared_tile_cache() -> OpenSlideCache:
    """Decoded tiles that all slides of this process share, so that many open slides stay within one bound."""
    return OpenSlideCache(TILE_CACHE_BYTES)


class OpenSlideReader(CheckedReader):
    """A slide read by OpenSlide; see :class:`~plipdesk.slides.protocol.SlideReader`.

    OpenSlide latches: after one failed read a handle fails for ever. A failed read is therefore repeated once on a
    fresh handle, which then replaces the old one; threads that still read with the old handle finish and repeat
    likewise. A handle is closed when the last thread lets go of it.
    """

    def __init__(self, path: Path, *, mpp_um: float | None = None, structure: TiffStructure | None = None) -> None:
        """Open ``path``; with its ``structure``, if it is a TIFF, JPEG tiles are decoded without OpenSlide.

        Raises:
            SlideProblem: OpenSlide cannot open it, or it declares absurd sizes.
            EnvironmentProblem: the OpenSlide library is too old.
        """
        require_openslide()
        self._path = path
        self._lock = threading.Lock()
        handle = self._open()
        self._info = _info_of(path, handle, mpp_um)
        self._handle: OpenSlide | None = handle
        self._quick = None if structure is None else QuickTiles.of(path, structure, self._info.levels, self._finest)

    def icc_profile(self) -> bytes | None:
        """The ICC profile of the pixels, or None where there is none that is valid."""
        try:
            profile = self._current().color_profile
            return None if profile is None else bytes(profile.tobytes())
        except (ImageCms.PyCMSError, OSError):
            return None

    def close(self) -> None:
        """Give back the handle as soon as no thread reads with it any more."""
        with self._lock:
            self._closed = True
            self._handle = None
        if self._quick is not None:
            self._quick.close()

    def read_stored(self, level: int, x_px: int, y_px: int, width_px: int, height_px: int) -> NDArray[np.uint8] | None:
        """Pixels of ``level`` from its own pixel (x_px, y_px) on, just as they are stored; white outside of the slide.

        None where only OpenSlide can read them, which counts in level-0 pixels and may interpolate.

        Raises:
            TooLarge: more pixels than may be read at once.
            Bug: the reader is closed, or there is no such level.
        """
        check_region(self._info, level, width_px, height_px)
        self._check_open()
        return None if self._quick is None else self._quick.region(level, x_px, y_px, width_px, height_px)

    def _finest(self, x_px: int, y_px: int, width_px: int, height_px: int) -> NDArray[np.uint8]:
        return self._by_openslide(x_px, y_px, 0, width_px, height_px)

    def _read(self, x0_px: int, y0_px: int, level: int, width_px: int, height_px: int) -> NDArray[np.uint8]:
        downsample = self._info.levels[level].downsample
        if self._quick is not None and x0_px % downsample == 0 and y0_px % downsample == 0:
            place = round(x0_px / downsample), round(y0_px / downsample)
            stored = self._quick.region(level, *place, width_px, height_px)
            if stored is not None:
                return stored
        return self._by_openslide(x0_px, y0_px, level, width_px, height_px)

    def _by_openslide(self, x0_px: int, y0_px: int, level: int, width_px: int, height_px: int) -> NDArray[np.uint8]:
        place, size = (x0_px, y0_px), (width_px, height_px)
        handle = self._current()
        try:
            return over_white(handle.read_region(place, level, size))
        except OpenSlideError:
            return self._read_afresh(place, level, size)

    def _current(self) -> OpenSlide:
        with self._lock:
            self._check_open()
            assert self._handle is not None
            return self._handle

    def _open(self) -> OpenSlide:
        try:
            handle = OpenSlide(self._path)
        except OpenSlideError as error:
            check_still_there(self._path)
            raise _problem_on_opening(self._path, error) from error
        handle.set_cache(shared_tile_cache())
        return handle

    def _read_afresh(self, place: tuple[int, int], level: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Repeat a read on a handle of its own, so that it fails only if this very region is broken."""
        fresh = self._open()
        try:
            pixels = over_white(fresh.read_region(place, level, size))
        except OpenSlideError as error:
            check_still_there(self._path)
            fresh = self._open()
            raise DamagedSlide(
                f"The slide is damaged around x {place[0]:,}, y {place[1]:,} on level {level}.",
                path=self._path,
                remedy="Copy it again from the scanner or the archive; other regions can still be read.",
            ) from error
        finally:
            with self._lock:
                if not self._closed:
                    self._handle = fresh
        return pixels


def _number(properties: Mapping[str, str], name: str) -> float | None:
    with contextlib.suppress(KeyError, ValueError):
        return float(properties[name])
    return None


def _info_of(path: Path, handle: OpenSlide, mpp_um: float | None) -> SlideInfo:
    """Read sizes and MPP; comments, dates, names and barcodes among the properties are never looked at."""
    properties = handle.properties
    if not 1 <= handle.level_count <= MAX_LEVELS:
        raise TooLarge(
            f"The slide says that it has {handle.level_count} levels.",
            path=path,
            remedy="It is probably damaged: copy or export it again.",
        )
    levels = tuple(
        Level(width_px, height_px, downsample)
        for (width_px, height_px), downsample in zip(handle.level_dimensions, handle.level_downsamples, strict=True)
    )
    for number, level in enumerate(levels):
        check_slide_size(level.width_px, level.height_px, path)
        tile_width = _number(properties, f"openslide.level[{number}].tile-width")
        tile_height = _number(properties, f"openslide.level[{number}].tile-height")
        if tile_width is not None and tile_height is not None:
            check_tile_size(int(tile_width), int(tile_height), path)
    vendor = properties.get("openslide.vendor")
    axes_um = (_number(properties, "openslide.mpp-x"), _number(properties, "openslide.mpp-y"))
    power = _number(properties, "openslide.objective-power")
    # Of a generic TIFF, OpenSlide's MPP is nothing but the TIFF resolution.
    nothing = (None, None)
    mpp = settle_mpp(
        path,
        given_um=mpp_um,
        scanner_um=nothing if vendor == "generic-tiff" else axes_um,
        resolution_um=axes_um if vendor == "generic-tiff" else nothing,
        objective_power=power,
    )
    return SlideInfo(
        path=path,
        format=vendor or "unknown",
        vendor=vendor,
        width_px=levels[0].width_px,
        height_px=levels[0].height_px,
        levels=levels,
        mpp_um=mpp.mpp_um,
        mpp_source=mpp.source,
        objective_power=power,
        has_icc_profile="openslide.icc-size" in properties,
        notes=mpp.notes,
    )


def _problem_on_opening(path: Path, error: OpenSlideError) -> SlideProblem:
    text = str(error)
    if "transfer syntax" in text:
        syntax = text.rsplit(" ", 1)[-1]
        return UnknownFormat(
            f"This DICOM slide is compressed in a way that cannot be read (transfer syntax {syntax}).",
            path=path,
            remedy="Export it with JPEG or JPEG 2000 compression, or without any.",
        )
    if any(word in text for word in _NOT_COLOUR_WORDS):
        return ChannelsNeeded(
            "The slide is no 8-bit colour picture: fluorescence, single channels and deeper pixels are not read.",
            path=path,
            remedy="Export it as 8-bit RGB, or as an OME-TIFF and choose one or three of its channels.",
        )
    if "No pyramid levels found" in text:
        return UnknownFormat(
            "This DICOM file holds no whole-slide picture.",
            path=path,
            remedy="Keep all files of its series in one folder and open one that holds the slide itself.",
        )
    return DamagedSlide(
        "The slide is damaged or incomplete and cannot be opened.",
        path=path,
        remedy="Copy it again from the scanner or the archive, with all files that belong to it.",
    )
