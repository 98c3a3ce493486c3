from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from plipdesk.base.errors import Bug
from plipdesk.slides.errors import ChannelsNeeded, DamagedSlide, SlideMissing, TooLarge, UnknownFormat
from plipdesk.slides.limits import MAX_REGION_PX
from plipdesk.slides.opening import open_slide
from plipdesk.slides.protocol import Level, SlideInfo
from plipdesk.slides.reader_base import CheckedReader
from plipdesk.slides.reduction import BLOCK_PX, best_level, reduced_slide
from plipdesk.slides.thumbnails import decode_picture, encode_jpeg, encode_png, thumbnail_jpeg
from tests.drawing import pyramidal_tiff, tissue_picture
from tests.slides.crafted import png_bytes


class Ramp(CheckedReader):
    """A slide of any size that exists only as a formula; remembers what was read, and may be damaged in places."""

    def __init__(self, *levels: Level, damaged: frozenset[int] = frozenset()) -> None:
        first = levels[0]
        self._info = SlideInfo(
            Path("ramp"), "ramp", None, first.width_px, first.height_px, levels, None, "unknown", None, False
        )
        self.reads: list[tuple[int, int, int]] = []
        self._damaged = damaged

    def icc_profile(self) -> None:
        return None

    def close(self) -> None:
        self._closed = True

    def _read(self, x0_px: int, y0_px: int, level: int, width_px: int, height_px: int) -> NDArray[np.uint8]:
        self.reads.append((level, width_px, height_px))
        if level in self._damaged:
            raise DamagedSlide("The slide is damaged.", path=self._info.path, remedy="None.")
        x_px = x0_px / self._info.levels[level].downsample + np.arange(width_px)
        row = np.rint(x_px / self._info.levels[level].width_px * 255).astype(np.uint8)
        return np.broadcast_to(row[None, :, None], (height_px, width_px, 3)).copy()


def test_a_huge_slide_of_one_level_is_reduced_in_small_pieces() -> None:
    reader = Ramp(Level(9_000, 7_200, 1.0))
    small = reduced_slide(reader, 100)
    assert small.shape == (80, 100, 3)
    assert max(width_px * height_px for _, width_px, height_px in reader.reads) <= BLOCK_PX**2 < MAX_REGION_PX
    assert sum(width_px * height_px for _, width_px, height_px in reader.reads) == 9_000 * 7_200
    expected = (np.arange(100) + 0.5) / 100 * 255
    assert np.abs(small[40, :, 0] - expected).max() <= 1


def test_the_best_level_is_read() -> None:
    levels = (Level(8000, 4000, 1.0), Level(2000, 1000, 4.0), Level(500, 250, 16.0))
    reader = Ramp(*levels)
    assert reduced_slide(reader, 500).shape == (250, 500, 3)
    assert {level for level, _, _ in reader.reads} == {2}
    reader = Ramp(*levels)
    assert reduced_slide(reader, 600).shape == (300, 600, 3)
    assert {level for level, _, _ in reader.reads} == {1}
    assert [best_level(levels, downsample) for downsample in (0.5, 1, 3.9, 4, 15, 16, 99)] == [0, 0, 0, 1, 1, 2, 2]


def test_where_the_best_level_is_damaged_another_one_serves() -> None:
    levels = (Level(800, 400, 1.0), Level(200, 100, 4.0), Level(50, 25, 16.0))
    whole = reduced_slide(Ramp(*levels), 100)
    finer = reduced_slide(Ramp(*levels, damaged=frozenset({1})), 100)
    coarser = reduced_slide(Ramp(*levels, damaged=frozenset({0, 1})), 100)
    assert finer.shape == coarser.shape == whole.shape == (50, 100, 3)
    assert np.abs(finer.astype(int) - whole).max() <= 3
    assert np.abs(coarser.astype(int) - whole).max() <= 8
    with pytest.raises(DamagedSlide):
        reduced_slide(Ramp(*levels, damaged=frozenset({0, 1, 2})), 100)


@pytest.mark.parametrize("wrong", [0, -5, 100_000])
def test_a_thumbnail_is_small(wrong: int) -> None:
    with pytest.raises(Bug):
        reduced_slide(Ramp(Level(100, 100, 1.0)), wrong)


def test_reduction_averages_areas(tmp_path: Path) -> None:
    """A chessboard of single black and white pixels becomes an even grey, not a pattern."""
    board = np.indices((512, 768)).sum(axis=0) % 2 * 255
    path = tmp_path / "board.png"
    Image.fromarray(np.repeat(board[..., None], 3, axis=2).astype(np.uint8)).save(path)
    with open_slide(path) as reader:
        small = reader.thumbnail(96)
    assert small.shape == (64, 96, 3)
    assert small.min() >= 127
    assert small.max() <= 128


def test_a_small_slide_is_not_blown_up(tmp_path: Path) -> None:
    pixels = tissue_picture(60, 40)
    path = tmp_path / "small.png"
    Image.fromarray(pixels).save(path)
    with open_slide(path) as reader:
        np.testing.assert_array_equal(reader.thumbnail(512), pixels)


def test_a_thumbnail_is_a_jpeg_without_metadata(tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, tissue_picture(600, 400), tile=(256, 256), description="Patient: N. N.", metadata=None)
    with open_slide(path) as reader:
        data = thumbnail_jpeg(reader, 150)
        wanted = reader.thumbnail(150)
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "JPEG"
        assert image.size == (150, 100)
        assert not {"exif", "icc_profile", "comment"} & set(image.info)
        assert np.abs(np.asarray(image).astype(int) - wanted).mean() < 6
    assert b"Patient" not in data


def test_pictures_are_coded_and_decoded() -> None:
    pixels = tissue_picture(64, 48, seed=2)
    np.testing.assert_array_equal(decode_picture(encode_png(pixels)), pixels)
    assert np.abs(decode_picture(encode_jpeg(pixels, quality=98)).astype(int) - pixels).mean() < 5
    assert len(encode_jpeg(pixels, quality=30)) < len(encode_jpeg(pixels, quality=95))


def test_a_query_picture_may_be_any_picture(tmp_path: Path) -> None:
    pixels = tissue_picture(64, 48, seed=2)
    for ending in ("png", "bmp", "webp", "tif"):
        path = tmp_path / f"query.{ending}"
        Image.fromarray(pixels).save(path, **({"lossless": True} if ending == "webp" else {}))
        np.testing.assert_array_equal(decode_picture(path), pixels)
        np.testing.assert_array_equal(decode_picture(path.read_bytes()), pixels)
    pyramid = pyramidal_tiff(tmp_path / "pyramid.tif", pixels=tissue_picture(300, 260), levels=2)
    assert decode_picture(pyramid).shape == (260, 300, 3)


def test_a_query_picture_that_is_none_is_refused_in_words(tmp_path: Path) -> None:
    for data, kind in [
        (b"", UnknownFormat),
        (b"a text, no picture", UnknownFormat),
        (png_bytes(100_000, 100_000), TooLarge),
        (png_bytes(64, 64, depth=16), ChannelsNeeded),
        (png_bytes(64, 64), DamagedSlide),
        (encode_png(tissue_picture(64, 64))[:-500], DamagedSlide),
        (encode_jpeg(tissue_picture(64, 64))[:700], DamagedSlide),
    ]:
        with pytest.raises(kind) as caught:
            decode_picture(data)
        assert caught.value.remedy
    with pytest.raises(SlideMissing):
        decode_picture(tmp_path / "nothing.png")
