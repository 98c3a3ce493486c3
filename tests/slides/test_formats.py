from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from plipdesk.base.errors import UsageProblem
from plipdesk.slides.errors import ChannelsNeeded, SlideProblem, UnknownFormat
from plipdesk.slides.finding import find_slides
from plipdesk.slides.opening import open_slide
from plipdesk.slides.openslide_reader import OpenSlideReader
from plipdesk.slides.tiff_reader import TiffReader
from tests.drawing import halve, tissue_picture

WIDTH_PX, HEIGHT_PX = 300, 260


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return tissue_picture(WIDTH_PX, HEIGHT_PX, seed=5)


def whole(path: Path, **options: object) -> NDArray[np.uint8]:
    """All of level 0."""
    with open_slide(path, **options) as reader:  # type: ignore[arg-type]
        return reader.read_region(0, 0, 0, reader.info.width_px, reader.info.height_px)


# Ordinary pictures


@pytest.mark.parametrize("ending", ["png", "bmp", "webp", "tif", "jpg"])
def test_an_ordinary_picture_is_a_slide_of_one_level(tmp_path: Path, pixels: NDArray[np.uint8], ending: str) -> None:
    path = tmp_path / f"Bild é.{ending}"
    options: dict[str, object] = {"webp": {"lossless": True}, "jpg": {"quality": 95, "subsampling": 0}}.get(ending, {})
    Image.fromarray(pixels).save(path, **options)
    with open_slide(path) as reader:
        assert len(reader.info.levels) == 1
        assert (reader.info.width_px, reader.info.height_px) == (WIDTH_PX, HEIGHT_PX)
        assert reader.info.mpp_um is None
        assert reader.info.mpp_source == "unknown"
        assert reader.info.vendor is None
    difference = np.abs(whole(path).astype(int) - pixels)
    assert difference.max() <= (0 if ending != "jpg" else 20)
    assert difference.mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
def test_a_turned_picture_is_read_upright(tmp_path: Path, orientation: int, ending: str) -> None:
    upright = np.full((40, 64, 3), 255, np.uint8)
    upright[:16, :32] = (250, 0, 0)
    upright[24:, 48:] = (0, 0, 250)
    # What each orientation stores, by its definition in EXIF: where the stored first row and column lie.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright[:, ::-1].transpose(1, 0, 2),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: upright[::-1].transpose(1, 0, 2),
    }[orientation]
    path = tmp_path / f"turned.{ending}"
    if ending == "tif":
        tifffile.imwrite(path, stored, photometric="rgb", metadata=None, extratags=[(274, "H", 1, orientation, True)])
    else:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options = {"jpg": {"quality": 95, "subsampling": 0}, "webp": {"lossless": True}}.get(ending, {})
        Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, **options)
    with open_slide(path) as reader:
        assert (reader.info.width_px, reader.info.height_px) == (64, 40)
    assert np.abs(whole(path).astype(int) - upright).max() < 40


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    colours = np.zeros((20, 30, 4), np.uint8)
    colours[..., :3] = (100, 50, 0)
    colours[:, :10, 3] = 0
    colours[:, 10:20, 3] = 128
    colours[:, 20:, 3] = 255
    # 100 × 128/255 + 255 × 127/255 = 177.2 and so on.
    wanted = [(255, 255, 255), (177, 152, 127), (100, 50, 0)]
    Image.fromarray(colours).save(tmp_path / "alpha.png")
    Image.fromarray(colours).save(tmp_path / "alpha.webp", lossless=True)
    tifffile.imwrite(tmp_path / "strips.tif", colours, photometric="rgb", extrasamples=["unassalpha"], metadata=None)
    tifffile.imwrite(
        tmp_path / "tiles.tif", colours, photometric="rgb", extrasamples=["unassalpha"], tile=(16, 16), metadata=None
    )
    for path in sorted(tmp_path.iterdir()):
        read = whole(path)
        assert [tuple(int(value) for value in read[5, column]) for column in (5, 15, 25)] == wanted, path.name


def test_premultiplied_alpha_is_not_applied_twice(tmp_path: Path) -> None:
    colours = np.zeros((20, 20, 4), np.uint8)
    colours[...] = (50, 25, 0, 128)
    for name, options in {"strips.tif": {}, "tiles.tif": {"tile": (16, 16)}}.items():
        tifffile.imwrite(
            tmp_path / name, colours, photometric="rgb", extrasamples=["assocalpha"], metadata=None, **options
        )
        np.testing.assert_allclose(whole(tmp_path / name)[5, 5].astype(int), (177, 152, 127), atol=1)


def test_pictures_of_other_colours_become_rgb(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    picture = Image.fromarray(pixels)
    for mode, ending, tolerance in [
        ("L", "png", 0),
        ("P", "png", 0),
        ("1", "png", 0),
        ("CMYK", "tif", 0),
        ("P", "tif", 0),
    ]:
        other = picture.convert(mode)
        path = tmp_path / f"{mode}.{ending}"
        other.save(path)
        read = whole(path)
        assert np.abs(read.astype(int) - np.asarray(other.convert("RGB"))).max() <= tolerance, mode


def test_a_grey_tiff_reads_as_grey(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    grey = pixels[..., 1]
    tifffile.imwrite(tmp_path / "black.tif", grey, metadata=None)
    tifffile.imwrite(tmp_path / "white.tif", 255 - grey, photometric="miniswhite", metadata=None)
    for name in ("black.tif", "white.tif"):
        np.testing.assert_array_equal(whole(tmp_path / name), np.repeat(grey[..., None], 3, axis=2))


# TIFF beyond OpenSlide


@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "packbits", "zstd", "jpeg2000"])
@pytest.mark.parametrize("layout", [{"tile": (64, 64)}, {"tile": (80, 48)}, {"rowsperstrip": 33}])
def test_lossless_tiffs_read_exactly(
    tmp_path: Path, pixels: NDArray[np.uint8], compression: str | None, layout: dict[str, object]
) -> None:
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", compression=compression, metadata=None, **layout)
    np.testing.assert_array_equal(whole(path), pixels)


def test_planes_stored_apart_and_big_endian_are_read(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    path = tmp_path / "planes.tif"
    tifffile.imwrite(
        path, np.moveaxis(pixels, -1, 0), photometric="rgb", planarconfig="separate", rowsperstrip=50, byteorder=">"
    )
    np.testing.assert_array_equal(whole(path), pixels)


def test_an_unknown_compression_is_named(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    path = tmp_path / "odd.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", compression="jpegxl", tile=(64, 64), metadata=None)
    with pytest.raises(UnknownFormat, match="number 50002"):
        open_slide(path)


def ome_pyramid(path: Path, pixels: NDArray[np.uint8], **metadata: object) -> Path:
    """An OME-TIFF with three levels in SubIFDs."""
    with tifffile.TiffWriter(path, ome=True) as tiff:
        options = {"photometric": "rgb", "tile": (64, 64), "compression": "deflate"}
        tiff.write(pixels, subifds=2, metadata={"axes": "YXS", **metadata}, **options)
        for _ in range(2):
            pixels = halve(pixels)
            tiff.write(pixels, subfiletype=1, **options)
    return path


def test_an_ome_pyramid_has_all_its_levels(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    path = ome_pyramid(
        tmp_path / "slide.ome.tif",
        pixels,
        PhysicalSizeX=250.0,
        PhysicalSizeXUnit="nm",
        PhysicalSizeY=0.25,
        PhysicalSizeYUnit="µm",
    )
    with open_slide(path) as reader:
        assert isinstance(reader, TiffReader)
        info = reader.info
        assert info.format == "ome-tiff"
        assert [(level.width_px, level.height_px) for level in info.levels] == [(300, 260), (150, 130), (75, 65)]
        assert [level.downsample for level in info.levels] == [1.0, 2.0, 4.0]
        assert info.mpp_um == pytest.approx(0.25)
        assert info.mpp_source == "measured"
        np.testing.assert_array_equal(reader.read_region(0, 0, 0, 300, 260), pixels)
        np.testing.assert_array_equal(reader.read_region(0, 0, 1, 150, 130), halve(pixels))
        np.testing.assert_array_equal(reader.read_region(40, 80, 2, 20, 30), halve(halve(pixels))[20:50, 10:30])
    with OpenSlideReader(path) as other:
        assert len(other.info.levels) == 1


def test_a_pyramid_in_subifds_without_ome_is_read(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(pixels, photometric="rgb", tile=(64, 64), subifds=1, metadata=None)
        tiff.write(halve(pixels), photometric="rgb", tile=(64, 64), subfiletype=1, metadata=None)
    with open_slide(path) as reader:
        assert len(reader.info.levels) == 2
        np.testing.assert_array_equal(reader.read_region(0, 0, 1, 150, 130), halve(pixels))


def test_a_label_among_the_levels_is_never_shown(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    """A reduced picture of another shape is no level: it may be the label or the macro."""
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(pixels, photometric="rgb", rowsperstrip=32, metadata=None)
        tiff.write(pixels[:40, :120], photometric="rgb", rowsperstrip=32, subfiletype=1, metadata=None)
        tiff.write(halve(pixels), photometric="rgb", rowsperstrip=32, subfiletype=1, metadata=None)
    with open_slide(path) as reader:
        assert [(level.width_px, level.height_px) for level in reader.info.levels] == [(300, 260), (150, 130)]


def test_the_middle_focus_plane_is_read(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    path = tmp_path / "stack.ome.tif"
    stack = np.stack([pixels // 2, pixels, pixels // 3])
    tifffile.imwrite(path, stack, photometric="rgb", tile=(64, 64), metadata={"axes": "ZYXS"})
    with open_slide(path) as reader:
        assert any("focus planes" in note for note in reader.info.notes)
    np.testing.assert_array_equal(whole(path), pixels)


# Fluorescence, many channels, deep pixels


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("16 bit rgb tiles", "16-bit"),
        ("16 bit grey", "16-bit"),
        ("float", "floating-point"),
        ("signed", "signed"),
        ("five channels", "5 channels"),
        ("ome channels", "3 separate channels"),
        ("imagej channels", "3 separate channels"),
        ("grey pages", "probably channels"),
        ("fluorescence", "fluorescence"),
    ],
)
def test_what_is_no_8_bit_colour_is_refused_in_words(
    tmp_path: Path, pixels: NDArray[np.uint8], name: str, what: str
) -> None:
    path = tmp_path / "slide.tif"
    apart = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    deep = pixels.astype(np.uint16) * 200
    match name:
        case "16 bit rgb tiles":
            tifffile.imwrite(path, deep, photometric="rgb", tile=(64, 64), metadata=None)
        case "16 bit grey":
            tifffile.imwrite(path, deep[..., 0], metadata=None)
        case "float":
            tifffile.imwrite(path, pixels.astype(np.float32), photometric="rgb", metadata=None)
        case "signed":
            tifffile.imwrite(path, (pixels // 2).astype(np.int8)[..., 0], metadata=None)
        case "five channels":
            five = np.concatenate([pixels, pixels[..., :2]], axis=2)
            tifffile.imwrite(path, five, photometric="minisblack", planarconfig="contig", tile=(64, 64), metadata=None)
        case "ome channels":
            path = tmp_path / "slide.ome.tif"
            tifffile.imwrite(path, apart, photometric="minisblack", metadata={"axes": "CYX"})
        case "imagej channels":
            tifffile.imwrite(path, apart, imagej=True, metadata={"axes": "CYX"})
        case "grey pages":
            with tifffile.TiffWriter(path) as tiff:
                for plane in apart:
                    tiff.write(plane, metadata=None, contiguous=False)
        case "fluorescence":
            path = tmp_path / "slide.ome.tif"
            channel = {"Name": "DAPI", "EmissionWavelength": 461, "EmissionWavelengthUnit": "nm"}
            tifffile.imwrite(path, pixels[..., 0], metadata={"axes": "YX", "Channel": channel})
    with pytest.raises(ChannelsNeeded, match=what) as caught:
        open_slide(path)
    assert caught.value.path == str(path)
    assert "channels" in (caught.value.remedy or "")


def test_a_deep_png_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20) * 100).save(path)
    with pytest.raises(ChannelsNeeded, match="8 bits"):
        open_slide(path)


def test_chosen_8_bit_channels_are_taken_as_they_are(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    path = tmp_path / "slide.ome.tif"
    tifffile.imwrite(
        path, np.moveaxis(pixels, -1, 0), photometric="minisblack", tile=(64, 64), metadata={"axes": "CYX"}
    )
    np.testing.assert_array_equal(whole(path, channels=[2, 1, 0]), pixels[..., ::-1])
    np.testing.assert_array_equal(whole(path, channels=[1]), np.repeat(pixels[..., 1:2], 3, axis=2))
    with open_slide(path, channels=[0]) as reader:
        outside = reader.read_region(-10, -10, 0, 20, 20)
        assert (outside[:10] == 255).all()
        np.testing.assert_array_equal(outside[10:, 10:, 0], pixels[:10, :10, 0])
    for wrong in ([], [0, 1], [3], [-1], [0, 1, 2, 0]):
        with pytest.raises(UsageProblem):
            open_slide(path, channels=wrong)


def test_chosen_deep_channels_are_stretched_between_their_percentiles(tmp_path: Path) -> None:
    """Of 100 × 100 values 0, 1, … 9,999 the 0.1 percentile is 9.999 and the 99.9 percentile 9,989.001."""
    values = np.arange(10_000, dtype=np.uint16).reshape(100, 100)
    path = tmp_path / "deep.tif"
    tifffile.imwrite(path, values, metadata=None, rowsperstrip=100)
    read = whole(path, channels=[0])
    expected = np.rint(np.clip((values - 9.999) / (9989.001 - 9.999), 0, 1) * 255).astype(np.uint8)
    np.testing.assert_array_equal(read, np.repeat(expected[..., None], 3, axis=2))
    with open_slide(path, channels=[0]) as reader:
        assert any("percentile" in note for note in reader.info.notes)


def test_deep_levels_share_the_window_of_the_coarsest(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    deep = pixels.astype(np.uint16) * 100
    path = tmp_path / "deep.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        options = {"photometric": "rgb", "tile": (64, 64)}
        tiff.write(deep, subifds=1, metadata={"axes": "YXS"}, **options)
        tiff.write(halve(pixels).astype(np.uint16) * 100, subfiletype=1, **options)
    coarse = halve(pixels).astype(np.float64)
    with open_slide(path, channels=[0, 1, 2]) as reader:
        fine = reader.read_region(0, 0, 0, 300, 260)
        assert len(reader.info.levels) == 2
    for channel in range(3):
        low, high = np.percentile(coarse[..., channel], (0.1, 99.9))
        wanted = np.rint(np.clip((pixels[..., channel] - low) / (high - low), 0, 1) * 255)
        assert np.abs(fine[..., channel] - wanted).max() <= 2


# Real files


EXPECTED = {
    "CMU-1-Small-Region.ome.tif": ("ome-tiff", 2220, 2967, 5, 0.499, "measured"),
    "TCGA-CR-7395-01A-01-TS1.svs": ("aperio", 4443, 3567, 2, None, "unknown"),
    "cmu_small_region.svs": ("aperio", 2220, 2967, 1, 0.499, "measured"),
    "ezwsi_multiframe_camelyon_challenge_image.dcm": ("dicom", 1152, 700, 1, 28.9685, "measured"),
    "highdicom_sm_image.dcm": ("dicom", 50, 50, 1, 0.499, "measured"),
    "ezwsi_test.dcm": "no whole-slide picture",
    "highdicom_sm_image_jpegls.dcm": "transfer syntax 1.2.840.10008.1.2.4.80",
    "histolab_broken.svs": "no slide and no picture",
    "ome_artificial_multi-channel.ome.tif": "signed numbers",
    "tiledb_rand_uint16.ome.tiff": "12-bit pixels",
}


@pytest.mark.realdata
def test_every_sample_file_opens_or_says_why_not(realdata: Path) -> None:
    with (realdata / "formats" / "formats.csv").open(newline="", encoding="utf-8") as stream:
        names = [row["file"] for row in csv.DictReader(stream)]
    assert sorted(names) == sorted(EXPECTED)
    for name, expected in EXPECTED.items():
        path = realdata / "formats" / name
        if isinstance(expected, str):
            with pytest.raises(SlideProblem, match=expected) as caught:
                open_slide(path)
            assert caught.value.path == str(path.absolute())
            assert caught.value.remedy
            continue
        with open_slide(path) as reader:
            info = reader.info
            seen = (info.format, info.width_px, info.height_px, len(info.levels), info.mpp_um, info.mpp_source)
            assert seen == (*expected[:4], pytest.approx(expected[4]) if expected[4] else None, expected[5]), name
            for level, size in enumerate(info.levels):
                region = reader.read_region(0, 0, level, min(256, size.width_px), min(256, size.height_px))
                assert 20 < region.mean() < 256
            assert (reader.icc_profile() is not None) == info.has_icc_profile


@pytest.mark.realdata
def test_a_deep_dicom_slide_is_refused_in_words(realdata: Path, tmp_path: Path) -> None:
    data = bytearray((realdata / "formats" / "highdicom_sm_image.dcm").read_bytes())
    bits_allocated = data.index(bytes.fromhex("28000001") + b"US")
    data[bits_allocated + 8] = 16
    (tmp_path / "deep.dcm").write_bytes(data)
    with pytest.raises(ChannelsNeeded, match="no 8-bit colour"):
        open_slide(tmp_path / "deep.dcm")


@pytest.mark.realdata
def test_openslide_and_tifffile_read_the_same_pixels(realdata: Path) -> None:
    path = realdata / "formats" / "CMU-1-Small-Region.ome.tif"
    with open_slide(path) as ours, OpenSlideReader(path) as theirs:
        assert isinstance(ours, TiffReader)
        for place in [(0, 0, 0, 400, 300), (-50, 2900, 0, 200, 200), (1000, 1001, 0, 333, 222)]:
            np.testing.assert_array_equal(ours.read_region(*place), theirs.read_region(*place))


@pytest.mark.realdata
def test_the_atlas_slides_have_the_size_and_mpp_of_their_list(realdata: Path) -> None:
    with (realdata / "slides" / "slides.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    for row in rows:
        with open_slide(realdata / "slides" / row["file"]) as reader:
            info = reader.info
            assert (info.width_px, info.height_px) == (int(row["width"]), int(row["height"]))
            assert info.mpp_um == pytest.approx(float(row["mpp"]), rel=1e-3)
            assert info.mpp_source == "measured"
            assert reader.thumbnail(128).shape == (
                round(info.height_px * 128 / max(info.width_px, info.height_px)),
                round(info.width_px * 128 / max(info.width_px, info.height_px)),
                3,
            )


@pytest.mark.realdata
def test_all_pictures_open(realdata: Path) -> None:
    pictures = find_slides([realdata / "overviews", realdata / "micrographs"], recursive=False)
    tiles = find_slides([realdata / "tiles"], recursive=True)
    assert len(pictures) > 100
    assert len(tiles) > 5000
    for path in [*pictures, *tiles[::150]]:
        with open_slide(path) as reader:
            info = reader.info
            assert info.format == "jpeg"
            assert reader.read_region(0, 0, 0, info.width_px, info.height_px).std() > 0
