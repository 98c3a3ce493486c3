"""How much a slide may ask for. Every size that a file declares is held against these before memory is taken."""

from __future__ import annotations

from pathlib import Path

from plipdesk.base.errors import Bug
from plipdesk.slides.errors import TooLarge
from plipdesk.slides.protocol import SlideInfo

# Side of a level: the largest scanners stay below 400,000 px; coordinates must fit int32 in the stored vectors.
MAX_SIDE_PX = 2_000_000
# Pixels of level 0: 400,000 × 300,000 is a whole mega-block at 40×.
MAX_SLIDE_PX = 400_000 * 400_000
# One read: 8192 × 8192, 256 MiB as OpenSlide's RGBA.
MAX_REGION_PX = 8192 * 8192
# One tile or strip, decoded: NDPI files without restart markers hold whole levels in one.
MAX_TILE_PX = 8192 * 8192
# The same in bytes, for pieces of many channels or deep pixels.
MAX_PIECE_BYTES = 4 * MAX_TILE_PX
# A picture that must be decoded wholly: 0.8 GB inside Pillow, 0.6 GB as an array; cameras reach 200 megapixels.
MAX_PICTURE_PX = 200_000_000
# Decoded tiles that all open slides of a process share.
TILE_CACHE_BYTES = 128 * 1024 * 1024


def check_slide_size(width_px: int, height_px: int, path: Path | None) -> None:
    """Refuse level-0 sizes that no slide has.

    Raises:
        TooLarge: a side or the area is absurd.
    """
    if max(width_px, height_px) > MAX_SIDE_PX or width_px * height_px > MAX_SLIDE_PX:
        raise TooLarge(
            f"The file says that it holds {width_px:,} × {height_px:,} pixels, more than any slide has.",
            path=path,
            remedy="It is probably damaged: copy or export it again.",
        )


def check_picture_size(width_px: int, height_px: int, path: Path | None) -> None:
    """Refuse pictures that are too large to be decoded wholly.

    Raises:
        TooLarge: more than :data:`MAX_PICTURE_PX` pixels.
    """
    if width_px * height_px > MAX_PICTURE_PX:
        raise TooLarge(
            f"The picture says that it holds {width_px:,} × {height_px:,} pixels; "
            f"at most {MAX_PICTURE_PX // 1_000_000} million are read at once.",
            path=path,
            remedy="Convert it to a pyramidal, tiled TIFF, which is read piece by piece.",
        )


def check_tile_size(width_px: int, height_px: int, path: Path | None) -> None:
    """Refuse tiles or strips that would take absurd memory.

    Raises:
        TooLarge: more than :data:`MAX_TILE_PX` pixels in one tile.
    """
    if width_px * height_px > MAX_TILE_PX:
        raise TooLarge(
            f"The file stores its pixels in pieces of {width_px:,} × {height_px:,}, too large to be decoded safely.",
            path=path,
            remedy="Convert it to a pyramidal TIFF with tiles of 256 or 512 pixels.",
        )


def check_region(info: SlideInfo, level: int, width_px: int, height_px: int) -> None:
    """Check what a caller asks of ``read_region`` before memory is taken.

    Raises:
        TooLarge: more than :data:`MAX_REGION_PX` pixels.
        Bug: a level that is not there, or a size below one pixel.
    """
    if not 0 <= level < len(info.levels) or width_px < 1 or height_px < 1:
        raise Bug(f"Level {level} with {width_px} × {height_px} pixels was asked of a slide.", path=info.path)
    if width_px * height_px > MAX_REGION_PX:
        raise TooLarge(
            f"A region of {width_px:,} × {height_px:,} pixels is too large to be read at once.",
            path=info.path,
            remedy="Choose a smaller region or a coarser level.",
        )
