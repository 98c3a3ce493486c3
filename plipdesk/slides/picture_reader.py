"""Ordinary pictures: slides of one level, decoded wholly when their pixels are first asked for."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from plipdesk.base.errors import UsageProblem
from plipdesk.slides.codestreams import DECODER_ERRORS, coded_size
from plipdesk.slides.compositing import over_white
from plipdesk.slides.errors import ChannelsNeeded, DamagedSlide
from plipdesk.slides.files import opened
from plipdesk.slides.limits import check_picture_size
from plipdesk.slides.mpp import settle_mpp
from plipdesk.slides.protocol import Level, SlideInfo
from plipdesk.slides.reader_base import CheckedReader
from plipdesk.slides.tiff_plan import EXPORT_REMEDY, ome_of, refuse_unless_colour
from plipdesk.slides.tiff_structure import is_tiff, read_structure

# Opened through their own classes, since Image.open's bound on pixels is another one than ours and a process-wide
# setting; check_picture_size stands in its place.
_CLASSES: dict[str, type[ImageFile]] = {
    "png": PngImageFile,
    "jpeg": JpegImageFile,
    "bmp": BmpImageFile,
    "webp": WebPImageFile,
    "tiff": TiffImageFile,
}
_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Python's warning filters belong to the whole process: one thread at a time may change them.
_QUIET = threading.Lock()
_BMP_HEADER_BYTES = (12, 16, 40, 52, 56, 64, 108, 124)
# How much of a file's beginning tells its format and, for WebP, its size.
HEAD_BYTES = 64


def picture_format(head: bytes) -> str | None:
    """The format of a picture that begins with these (at least 64, where there are so many) bytes, or None."""
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if head[:3] == b"\xff\xd8\xff":
        return "jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_BYTES:
        return "bmp"
    return "tiff" if is_tiff(head) else None


@dataclass(frozen=True)
class PictureHeader:
    """What a picture says before its pixels are decoded; the size is that of the upright picture."""

    width_px: int
    height_px: int
    orientation: int
    resolution_um: tuple[float | None, float | None]
    icc_profile: bytes | None


def read_header(stream: BinaryIO, format_name: str, path: Path | None) -> PictureHeader:
    """Read and check the header of a picture.

    Raises:
        TooLarge: it declares more pixels than may be decoded at once.
        ChannelsNeeded: its pixels are deeper than 8 bits.
        DamagedSlide: the header is broken.
    """
    with _opened(stream, format_name, path) as (image, orientation):
        width_px, height_px = image.size
        if orientation >= 5:
            width_px, height_px = height_px, width_px
        profile = image.info.get("icc_profile")
        return PictureHeader(
            width_px,
            height_px,
            orientation,
            _resolution_um(image),
            profile if isinstance(profile, bytes) and profile else None,
        )


def decode(stream: BinaryIO, format_name: str, path: Path | None) -> NDArray[np.uint8]:
    """The upright picture (h, w, 3) RGB over white.

    Raises:
        SlideProblem: as :func:`read_header`, or the pixels are broken.
    """
    with _opened(stream, format_name, path) as (image, orientation):
        try:
            rgb = _to_rgb(image)
        except DECODER_ERRORS as error:
            raise _damaged(path) from error
    turn = _TURNS.get(orientation)
    return rgb if turn is None else np.array(Image.fromarray(rgb).transpose(turn))


class PictureReader(CheckedReader):
    """A picture as a slide of one level; see :class:`~plipdesk.slides.protocol.SlideReader`."""

    def __init__(
        self,
        path: Path,
        format_name: str,
        *,
        mpp_um: float | None = None,
        channels: Sequence[int] | None = None,
    ) -> None:
        """Read the header; the pixels follow when they are asked for.

        Raises:
            SlideProblem: as :func:`read_header`.
            UsageProblem: channels were chosen, which only TIFF files have.
        """
        if channels is not None:
            raise UsageProblem(
                "Channels cannot be chosen in an ordinary picture.",
                path=path,
                remedy="Save it as a TIFF, or leave the channels out.",
            )
        with opened(path) as stream:
            header = read_header(stream, format_name, path)
        mpp = settle_mpp(path, given_um=mpp_um, resolution_um=header.resolution_um)
        self._format = format_name
        self._profile = header.icc_profile
        self._lock = threading.Lock()
        self._pixels: NDArray[np.uint8] | None = None
        self._info = SlideInfo(
            path=path,
            format=format_name,
            vendor=None,
            width_px=header.width_px,
            height_px=header.height_px,
            levels=(Level(header.width_px, header.height_px, 1.0),),
            mpp_um=mpp.mpp_um,
            mpp_source=mpp.source,
            objective_power=None,
            has_icc_profile=header.icc_profile is not None,
            notes=mpp.notes,
        )

    def icc_profile(self) -> bytes | None:
        """The ICC profile of the pixels, or None."""
        self._check_open()
        return self._profile

    def close(self) -> None:
        """Let go of the pixels."""
        with self._lock:
            self._closed = True
            self._pixels = None

    def _read(self, x0_px: int, y0_px: int, _level: int, width_px: int, height_px: int) -> NDArray[np.uint8]:
        pixels = self._whole()
        region = np.full((height_px, width_px, 3), 255, np.uint8)
        source = pixels[max(0, y0_px) : max(0, y0_px + height_px), max(0, x0_px) : max(0, x0_px + width_px)]
        top_px, left_px = max(0, -y0_px), max(0, -x0_px)
        region[top_px : top_px + source.shape[0], left_px : left_px + source.shape[1]] = source
        return region

    def _whole(self) -> NDArray[np.uint8]:
        with self._lock:
            self._check_open()
            if self._pixels is None:
                with opened(self._info.path) as stream:
                    pixels = decode(stream, self._format, self._info.path)
                if pixels.shape != (self._info.height_px, self._info.width_px, 3):
                    raise DamagedSlide(
                        "The picture changed while it was open.", path=self._info.path, remedy="Open it again."
                    )
                self._pixels = pixels
            return self._pixels


@contextlib.contextmanager
def _opened(stream: BinaryIO, format_name: str, path: Path | None) -> Iterator[tuple[ImageFile, int]]:
    """Pillow's picture with its header read and its size checked, its pixels still coded; and its orientation."""
    stream.seek(0)
    head = stream.read(HEAD_BYTES)
    if format_name == "webp":
        # Pillow's WebP decoder takes memory for the whole picture when it is made.
        declared = coded_size(head)
        if declared is None:
            raise _damaged(path)
        check_picture_size(*declared, path)
    if format_name == "tiff":
        structure = read_structure(stream, path)
        refuse_unless_colour(structure, ome_of(structure, path), path, choosable=False)
    if format_name == "png" and head[24:25] == b"\x10":
        # Pillow would drop the lower half of each number without a word.
        raise _too_deep(path)
    stream.seek(0)
    try:
        with _QUIET, warnings.catch_warnings():
            # Pillow warns of odd metadata; the pixels are what counts here, and broken ones end in an error.
            warnings.simplefilter("ignore")
            image = _CLASSES[format_name](stream)
            orientation = _orientation(image)
    except DECODER_ERRORS as error:
        raise _damaged(path) from error
    with image:
        width_px, height_px = image.size
        if width_px < 1 or height_px < 1:
            raise _damaged(path)
        check_picture_size(width_px, height_px, path)
        if image.mode.startswith(("I", "F")):
            raise _too_deep(path)
        yield image, orientation


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return over_white(image.convert("RGBA"))
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _orientation(image: ImageFile) -> int:
    """1 to 8, as EXIF says how the picture has to be turned; 1 where nothing does, and for TIFF, which Pillow turns."""
    exif = image.info.get("exif")
    with contextlib.suppress(*DECODER_ERRORS):
        if isinstance(exif, bytes) and not isinstance(image, TiffImageFile):
            # Not image.getexif(), which decodes the whole of a PNG to look behind its pixels.
            tags = Image.Exif()
            tags.load(exif)
            return int(tags.get(_ORIENTATION_TAG, 1))
    return 1


def _resolution_um(image: ImageFile) -> tuple[float | None, float | None]:
    """µm per pixel that the stated dots per inch would mean."""
    with contextlib.suppress(*DECODER_ERRORS):
        x_dpi, y_dpi = (float(value) for value in image.info["dpi"])
        if x_dpi > 0 and y_dpi > 0:
            return 25_400 / x_dpi, 25_400 / y_dpi
    return None, None


def _too_deep(path: Path | None) -> ChannelsNeeded:
    return ChannelsNeeded(
        "The picture is deeper than 8 bits; only 8-bit RGB is read as it is.", path=path, remedy=EXPORT_REMEDY
    )


def _damaged(path: Path | None) -> DamagedSlide:
    return DamagedSlide("The picture is damaged or cut short.", path=path, remedy="Copy it again, or export it anew.")
