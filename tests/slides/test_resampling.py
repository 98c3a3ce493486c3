"""Boxes of a slide: exact pixels of a level, the same patch from every level, edges, hand-checked averages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from plipdesk.slides.level_pixels import level_scale, read_level
from plipdesk.slides.openslide_reader import OpenSlideReader
from plipdesk.slides.protocol import SlideReader
from plipdesk.slides.resampling import grid_for, read_squares, window
from tests.drawing import pyramidal_tiff, tissue_picture
from tests.slides.array_reader import ArrayReader

Pixels = NDArray[np.uint8]
PICTURE = tissue_picture(1024, 768, seed=5)


def at_level(
    reader: SlideReader, box0: tuple[float, float, float, float], out_px: tuple[int, int], level: int
) -> Pixels:
    grid = grid_for(reader.info, box0[2] / out_px[0], level)
    wanted = window(grid, *box0, out_px)
    return read_squares(reader, grid, wanted.squares).cut(wanted, out_px)


@pytest.mark.parametrize("size0_px", [224.0, 448.0, 300.7, 500.0, 448.1, 672.0])
@pytest.mark.parametrize("corner", [(0, 0), (13, 7), (96, 64), (101.5, 33.25)])
def test_every_level_that_is_fine_enough_gives_the_same_patch(corner: tuple[float, float], size0_px: float) -> None:
    reader = ArrayReader(PICTURE, levels=3)
    box0 = (*corner, size0_px, size0_px)
    finest = at_level(reader, box0, (112, 112), 0)
    for level in range(1, grid_for(reader.info, size0_px / 112).level + 1):
        difference = np.abs(at_level(reader, box0, (112, 112), level).astype(int) - finest)
        assert difference.max() <= 2, f"level {level}"


def test_a_patch_on_the_grid_is_the_plain_average() -> None:
    reader = ArrayReader(PICTURE)
    patch = at_level(reader, (64, 128, 256, 256), (64, 64), 0)
    blocks = PICTURE[128:384, 64:320].reshape(64, 4, 64, 4, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(patch - blocks).max() <= 0.5
    assert np.array_equal(at_level(reader, (5, 9, 64, 64), (64, 64), 0), PICTURE[9:73, 5:69])


@pytest.mark.parametrize("scale", [1.0, 1.3, 2.0, 2.7])
def test_places_are_right_to_a_fraction_of_a_pixel(scale: float) -> None:
    # A slope: the value of a pixel is its place, so any shift or error of scale shows as a difference.
    ramp = np.broadcast_to((np.arange(1024) / 4).astype(np.uint8)[None, :, None], (512, 1024, 3))
    smooth = np.ascontiguousarray(ramp)
    reader = ArrayReader(smooth, levels=2)
    patch = at_level(reader, (100.5, 40, 100 * scale, 100 * scale), (100, 100), grid_for(reader.info, scale).level)
    expected = (100.5 + (np.arange(100) + 0.5) * scale) / 4 - 0.5
    assert np.abs(patch[50, :, 0] - expected).max() < 1


def test_beyond_the_slide_is_white_and_its_edge_stays_sharp() -> None:
    dark = np.full((100, 80, 3), 40, dtype=np.uint8)
    reader = ArrayReader(dark)
    inside = at_level(reader, (0, 0, 78, 78), (60, 60), 0)
    assert set(np.unique(inside)) == {40}, "no white leaks into a patch on the slide"
    around = at_level(reader, (-60, -50, 200, 200), (100, 100), 0)
    assert set(np.unique(around[:20])) == {255}
    assert set(np.unique(around[30:70, 35:65])) == {40}


@pytest.mark.parametrize("size", [(1027, 771), (1030, 769), (2047, 1021)])
def test_levels_of_odd_size_are_read_pixel_by_pixel(tmp_path: Path, size: tuple[int, int]) -> None:
    path = pyramidal_tiff(tmp_path / "odd.tif", width_px=size[0], height_px=size[1], levels=3)
    with tifffile.TiffFile(path) as tiff:
        stored = [page.asarray() for page in tiff.pages]
    with OpenSlideReader(path) as reader:
        for level in (1, 2):
            assert not float(reader.info.levels[level].downsample).is_integer()
            assert level_scale(reader.info, level) == 2**level
            height, width = stored[level].shape[:2]
            places = [(0, 0), (3, 5), (width // 2 + 1, height // 3), (-20, -9), (width - 50, height - 40), (-200, 3)]
            for x, y in places:
                found = read_level(reader, level, x, y, 90, 70)
                expected = np.full((height + 400, width + 400, 3), 255, dtype=np.uint8)
                expected[200 : 200 + height, 200 : 200 + width] = stored[level]
                difference = np.abs(found.astype(int) - expected[200 + y : 270 + y, 200 + x : 290 + x])
                assert difference.mean() < 0.6
                assert difference.max() <= 4


def test_a_level_that_no_whole_factor_explains_keeps_its_own_scale() -> None:
    info = ArrayReader(PICTURE, levels=2).info
    assert level_scale(info, 0) == 1
    assert level_scale(info, 1) == 2
    odd = ArrayReader(PICTURE[:700, :1000]).info
    stretched = odd.levels[0].__class__(400, 300, 2.417)
    strange = odd.__class__(**{**odd.__dict__, "levels": (odd.levels[0], stretched)})
    assert level_scale(strange, 1) == 2.417


def test_a_wide_reduction_is_read_in_pieces() -> None:
    wide = np.tile(PICTURE[:64], (1, 5, 1))
    reader = ArrayReader(wide)
    whole = at_level(reader, (0, 0, 5120, 64), (320, 4), 0)
    assert len(reader.reads) == 3
    blocks = wide.reshape(4, 16, 320, 16, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(whole - blocks).max() <= 1


@settings(max_examples=25, deadline=None)
@given(
    st.floats(-200, 1100),
    st.floats(-200, 800),
    st.floats(1, 900),
    st.floats(1, 900),
    st.integers(1, 150),
    st.integers(1, 150),
)
def test_any_box_gives_a_picture_of_the_size_asked_for(
    x0: float, y0: float, width0: float, height0: float, width: int, height: int
) -> None:
    reader = ArrayReader(PICTURE, levels=3)
    grid = grid_for(reader.info, min(width0 / width, height0 / height))
    wanted = window(grid, x0, y0, width0, height0, (width, height))
    picture = read_squares(reader, grid, wanted.squares).cut(wanted, (width, height))
    assert picture.shape == (height, width, 3)
    if x0 + width0 < 0 or y0 > 768:
        assert picture.min() >= 250, "white, but for the kernel's reach over the edge"
