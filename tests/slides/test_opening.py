from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from plipdesk.base.errors import Bug, EnvironmentProblem, UsageProblem
from plipdesk.slides.errors import DamagedSlide, SlideMissing, TooLarge, UnknownFormat
from plipdesk.slides.opening import open_slide
from plipdesk.slides.openslide_reader import OpenSlideReader, require_openslide
from plipdesk.slides.picture_reader import PictureReader
from plipdesk.slides.protocol import SlideReader
from plipdesk.slides.tiff_reader import TiffReader
from tests.drawing import halve, pyramidal_tiff, tissue_picture

WIDTH_PX, HEIGHT_PX = 700, 530


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return tissue_picture(WIDTH_PX, HEIGHT_PX, seed=3)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, pixels: NDArray[np.uint8]) -> dict[str, Path]:
    """The same pixels in a file for each of the three readers."""
    folder = tmp_path_factory.mktemp("Schnitte µ 切片")
    tiled = pyramidal_tiff(folder / "gekachelt.tif", pixels=pixels)
    tifffile.imwrite(folder / "strips.tif", pixels, rowsperstrip=50, compression="lzw", metadata=None)
    Image.fromarray(pixels).save(folder / "picture.png")
    return {"openslide": tiled, "tifffile": folder / "strips.tif", "picture": folder / "picture.png"}


def expected_region(
    pixels: NDArray[np.uint8], x_px: int, y_px: int, width_px: int, height_px: int
) -> NDArray[np.uint8]:
    """The region by its definition: white, with the slide's pixels where the slide is."""
    region = np.full((height_px, width_px, 3), 255, np.uint8)
    for row in range(max(0, -y_px), min(height_px, pixels.shape[0] - y_px)):
        line = pixels[y_px + row, max(0, x_px) : max(0, x_px + width_px)]
        region[row, max(0, -x_px) : max(0, -x_px) + len(line)] = line
    return region


def test_each_kind_of_file_gets_its_reader(files: dict[str, Path]) -> None:
    kinds = {"openslide": OpenSlideReader, "tifffile": TiffReader, "picture": PictureReader}
    for name, kind in kinds.items():
        with open_slide(files[name]) as reader:
            assert type(reader) is kind


@pytest.mark.parametrize("name", ["openslide", "tifffile", "picture"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    x_px=st.integers(-300, WIDTH_PX + 100),
    y_px=st.integers(-300, HEIGHT_PX + 100),
    width_px=st.integers(1, 400),
    height_px=st.integers(1, 400),
)
def test_a_region_has_the_files_pixels_and_white_around(
    files: dict[str, Path],
    pixels: NDArray[np.uint8],
    name: str,
    x_px: int,
    y_px: int,
    width_px: int,
    height_px: int,
) -> None:
    with open_slide(files[name]) as reader:
        region = reader.read_region(x_px, y_px, 0, width_px, height_px)
    assert region.dtype == np.uint8
    np.testing.assert_array_equal(region, expected_region(pixels, x_px, y_px, width_px, height_px))


def test_levels_are_told_and_read(files: dict[str, Path], pixels: NDArray[np.uint8]) -> None:
    with open_slide(files["openslide"]) as reader:
        info = reader.info
        sizes = [(level.width_px, level.height_px) for level in info.levels]
        assert sizes == [(700, 530), (350, 265), (175, 132)]
        assert [level.downsample for level in info.levels[:2]] == [1.0, 2.0]
        assert info.levels[2].downsample == pytest.approx((700 / 175 + 530 / 132) / 2)
        np.testing.assert_array_equal(reader.read_region(0, 0, 1, 350, 265), halve(pixels))
        np.testing.assert_array_equal(reader.read_region(200, 100, 1, 60, 50), halve(pixels)[50:100, 100:160])


def test_what_is_known_of_a_slide_names_no_patient(tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    tifffile.imwrite(
        path,
        tissue_picture(300, 300),
        tile=(256, 256),
        compression="deflate",
        description="Patient: Erika Mustermann, born 1.4.1950",
        metadata=None,
        extratags=[(315, "s", 0, "Dr. Mabuse", True), (65000, "s", 0, "BARCODE-4711", True)],
    )
    with open_slide(path) as reader:
        told = repr(reader.info)
    assert "Mustermann" not in told
    assert "Mabuse" not in told
    assert "4711" not in told


@pytest.mark.parametrize("name", ["openslide", "tifffile", "picture"])
def test_reads_are_bounded(files: dict[str, Path], name: str) -> None:
    with open_slide(files[name]) as reader:
        with pytest.raises(TooLarge, match="too large to be read at once"):
            reader.read_region(0, 0, 0, 100_000, 100_000)
        for level, width_px, height_px in [(0, 0, 5), (0, 5, -1), (9, 5, 5), (-1, 5, 5)]:
            with pytest.raises(Bug):
                reader.read_region(0, 0, level, width_px, height_px)


@pytest.mark.parametrize("name", ["openslide", "tifffile", "picture"])
def test_a_closed_reader_stays_closed(files: dict[str, Path], name: str) -> None:
    reader = open_slide(files[name])
    reader.read_region(0, 0, 0, 5, 5)
    reader.close()
    reader.close()
    for use in (lambda: reader.read_region(0, 0, 0, 5, 5), lambda: reader.thumbnail(16), reader.icc_profile):
        with pytest.raises(Bug, match="after it had been closed"):
            use()
    assert reader.info.width_px == WIDTH_PX


@pytest.mark.parametrize("name", ["openslide", "tifffile", "picture"])
def test_threads_share_a_reader(files: dict[str, Path], pixels: NDArray[np.uint8], name: str) -> None:
    places = [(x_px, y_px) for y_px in range(-50, HEIGHT_PX, 90) for x_px in range(-50, WIDTH_PX, 90)]
    with open_slide(files[name]) as reader, ThreadPoolExecutor(4) as pool:
        regions = list(pool.map(lambda place: reader.read_region(*place, 0, 100, 100), places))
    for (x_px, y_px), region in zip(places, regions, strict=True):
        np.testing.assert_array_equal(region, expected_region(pixels, x_px, y_px, 100, 100))


def damage_tile(path: Path, *, level: int, tile: int) -> None:
    """Overwrite the coded bytes of one tile."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[level]
        offset, length = page.dataoffsets[tile], page.databytecounts[tile]
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(b"\x55" * length)


@pytest.mark.parametrize("tiled", [True, False], ids=["openslide", "tifffile"])
def test_a_damaged_region_leaves_the_others_readable(tmp_path: Path, pixels: NDArray[np.uint8], tiled: bool) -> None:
    path = tmp_path / "slide.tif"
    if tiled:
        pyramidal_tiff(path, pixels=pixels)
    else:
        tifffile.imwrite(path, pixels, rowsperstrip=256, compression="deflate", metadata=None)
    damage_tile(path, level=0, tile=0)
    with open_slide(path) as reader:
        for _ in range(3):
            with pytest.raises(DamagedSlide) as caught:
                reader.read_region(0, 0, 0, 100, 100)
            assert caught.value.path == str(path)
            assert caught.value.remedy
            good = reader.read_region(300, 300, 0, 100, 100)
            np.testing.assert_array_equal(good, pixels[300:400, 300:400])
        if tiled:
            np.testing.assert_array_equal(reader.read_region(0, 0, 1, 50, 50), halve(pixels)[:50, :50])


def test_a_damaged_region_disturbs_no_other_thread(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    path = pyramidal_tiff(tmp_path / "slide.tif", pixels=pixels)
    damage_tile(path, level=0, tile=0)
    places = [(0, 0) if number % 3 == 0 else (260 + number, 260 + number) for number in range(60)]

    def read(reader: SlideReader, place: tuple[int, int]) -> NDArray[np.uint8] | None:
        try:
            return reader.read_region(*place, 0, 64, 64)
        except DamagedSlide:
            return None

    with open_slide(path) as reader, ThreadPoolExecutor(4) as pool:
        regions = list(pool.map(lambda place: read(reader, place), places))
    for (x_px, y_px), region in zip(places, regions, strict=True):
        if x_px == 0:
            assert region is None
        else:
            np.testing.assert_array_equal(region, pixels[y_px : y_px + 64, x_px : x_px + 64])


def test_a_slide_that_vanishes_is_missing_not_damaged(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    path = pyramidal_tiff(tmp_path / "slide.tif", pixels=pixels)
    damage_tile(path, level=0, tile=0)
    with open_slide(path) as reader:
        path.unlink()
        with pytest.raises(SlideMissing):
            reader.read_region(0, 0, 0, 100, 100)


@pytest.mark.parametrize("version", ["3.4.1", "4.0.0", "4.0"])
def test_an_old_openslide_is_refused(version: str) -> None:
    with pytest.raises(EnvironmentProblem, match=r"4\.0\.1 or newer") as caught:
        require_openslide(version)
    assert "openslide-bin" in (caught.value.remedy or "")


@pytest.mark.parametrize("version", ["4.0.1", "4.0.10", "4.1.0", "5.0.0-dev"])
def test_a_newer_openslide_is_accepted(version: str) -> None:
    require_openslide(version)
    require_openslide()


def test_a_given_mpp_overrides_the_files_own(files: dict[str, Path]) -> None:
    with open_slide(files["openslide"]) as reader:
        assert (reader.info.mpp_um, reader.info.mpp_source) == (0.5, "measured")
    for path in files.values():
        with open_slide(path, mpp_um=0.25) as reader:
            assert (reader.info.mpp_um, reader.info.mpp_source) == (0.25, "given")
        for wrong in (0.0, -1.0, math.nan, math.inf, 1e9):
            with pytest.raises(UsageProblem):
                open_slide(path, mpp_um=wrong)


def test_channels_of_an_ordinary_picture_cannot_be_chosen(files: dict[str, Path]) -> None:
    with pytest.raises(UsageProblem):
        open_slide(files["picture"], channels=[0])


def test_an_mrxs_without_its_folder_says_so(tmp_path: Path) -> None:
    path = tmp_path / "case 7.mrxs"
    Image.new("RGB", (20, 20)).save(path, "JPEG")
    with pytest.raises(UnknownFormat, match=r"folder case 7 .* is missing") as caught:
        open_slide(path)
    assert "side by side" in (caught.value.remedy or "")


def test_a_relative_path_is_told_as_an_absolute_one(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files["picture"].parent)
    with open_slide(Path("picture.png")) as reader:
        assert reader.info.path == files["picture"]
