"""JPEG tiles without OpenSlide: the same pixels to the last bit, and OpenSlide wherever that cannot be."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plipdesk.slides.errors import DamagedSlide
from plipdesk.slides.level_pixels import read_level
from plipdesk.slides.opening import open_slide
from plipdesk.slides.openslide_reader import OpenSlideReader
from tests.drawing import halve, pyramidal_tiff, tissue_picture


def opened(path: Path) -> OpenSlideReader:
    reader = open_slide(path)
    assert isinstance(reader, OpenSlideReader)
    return reader


def jpeg_pyramid(path: Path, *, width_px: int = 700, height_px: int = 530, colorspace: str = "ycbcr") -> Path:
    """Three levels of odd sizes; the same colours may be stored as RGB too."""
    level = tissue_picture(width_px, height_px, seed=7)
    with tifffile.TiffWriter(path) as tiff:
        for number in range(3):
            tiff.write(
                level,
                photometric="rgb",
                tile=(128, 128),
                compression="jpeg",
                compressionargs={"level": 80, "outcolorspace": colorspace},
                subfiletype=1 if number else 0,
                metadata=None,
                resolution=(20_000, 20_000),
                resolutionunit="CENTIMETER",
            )
            level = halve(level)
    return path


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return jpeg_pyramid(tmp_path_factory.mktemp("quick") / "odd.tif")


@given(x_px=st.integers(-300, 800), y_px=st.integers(-300, 700), width=st.integers(1, 400), height=st.integers(1, 400))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_region_has_openslides_pixels(slide: Path, x_px: int, y_px: int, width: int, height: int) -> None:
    with opened(slide) as quick, OpenSlideReader(slide) as plain:
        assert quick.read_stored(0, x_px, y_px, width, height) is not None
        theirs = plain.read_region(x_px, y_px, 0, width, height)
        np.testing.assert_array_equal(quick.read_region(x_px, y_px, 0, width, height), theirs)


def test_stored_pixels_of_coarser_levels_are_those_that_were_written(slide: Path) -> None:
    with opened(slide) as reader, tifffile.TiffFile(slide) as tiff:
        for number, page in enumerate(tiff.pages):
            written = page.asarray()
            height_px, width_px = written.shape[:2]
            # 530 px halve to 265, and these to 132: OpenSlide's downsample is no whole number there.
            np.testing.assert_array_equal(read_level(reader, number, 0, 0, width_px, height_px), written)
            edge = read_level(reader, number, width_px - 20, height_px - 30, 50, 60)
            np.testing.assert_array_equal(edge[:30, :20], written[-30:, -20:])
            assert (edge[30:] == 255).all()
            assert (edge[:, 20:] == 255).all()


def test_jpegs_that_hold_rgb(tmp_path: Path) -> None:
    path = jpeg_pyramid(tmp_path / "rgb.tif", colorspace="rgb")
    with opened(path) as reader, OpenSlideReader(path) as plain:
        np.testing.assert_array_equal(reader.read_region(9, 5, 0, 600, 500), plain.read_region(9, 5, 0, 600, 500))


def test_other_compressions_are_left_to_openslide(tmp_path: Path) -> None:
    with opened(pyramidal_tiff(tmp_path / "deflate.tif")) as reader:
        assert reader.read_stored(0, 0, 0, 10, 10) is None
        assert reader.read_region(0, 0, 0, 10, 10).shape == (10, 10, 3)


def patched(path: Path, tag: int, value: int) -> None:
    """Overwrite the fourth number of an array tag of the first directory."""
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        found = tiff.pages[0].tags[tag]
        size = {3: 2, 4: 4, 16: 8}[int(found.dtype)]
        place = found.valueoffset + 3 * size
    content[place : place + size] = struct.pack({2: "<H", 4: "<I", 8: "<Q"}[size], value)
    path.write_bytes(content)


def test_a_tile_that_was_left_out_is_openslides_business(tmp_path: Path) -> None:
    path = jpeg_pyramid(tmp_path / "sparse.tif")
    patched(path, 325, 0)  # TileByteCounts
    with opened(path) as reader, OpenSlideReader(path) as plain:
        assert reader.read_stored(0, 384, 0, 10, 10) is None
        np.testing.assert_array_equal(reader.read_region(300, 0, 0, 200, 200), plain.read_region(300, 0, 0, 200, 200))


def test_a_broken_tile_is_told_as_ever_and_spares_the_others(tmp_path: Path) -> None:
    path = jpeg_pyramid(tmp_path / "broken.tif")
    with tifffile.TiffFile(path) as tiff:
        offset, count = tiff.pages[0].dataoffsets[3], tiff.pages[0].databytecounts[3]
    content = bytearray(path.read_bytes())
    content[offset : offset + count] = b"\0" * count
    path.write_bytes(content)
    with opened(path) as reader:
        with pytest.raises(DamagedSlide, match="damaged around x 384"):
            reader.read_region(384, 0, 0, 64, 64)
        assert reader.read_stored(0, 0, 0, 64, 64) is not None


def test_a_decoder_that_differs_is_not_used(tmp_path: Path) -> None:
    """A file whose first directory lies about its colours: libtiff and libjpeg-turbo would not agree."""
    path = jpeg_pyramid(tmp_path / "liar.tif", colorspace="rgb")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        place = tiff.pages[0].tags[262].valueoffset
    content[place : place + 2] = struct.pack("<H", 6)  # YCbCr, though the tiles hold RGB
    path.write_bytes(content)
    with opened(path) as reader, OpenSlideReader(path) as plain:
        np.testing.assert_array_equal(reader.read_region(0, 0, 0, 300, 300), plain.read_region(0, 0, 0, 300, 300))


@pytest.mark.realdata
def test_real_slides_are_read_so(realdata: Path) -> None:
    slides = sorted((realdata / "slides").glob("*.tif*"))
    assert slides
    for path in slides:
        with opened(path) as reader, OpenSlideReader(path) as plain:
            x_px, y_px = reader.info.width_px // 3, reader.info.height_px // 3
            assert reader.read_stored(0, x_px, y_px, 300, 300) is not None
            np.testing.assert_array_equal(
                reader.read_region(x_px, y_px, 0, 300, 300), plain.read_region(x_px, y_px, 0, 300, 300)
            )
