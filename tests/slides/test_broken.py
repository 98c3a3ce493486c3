"""Files that lie, are cut short, or are no slides at all: one plain sentence each, and never much memory."""

from __future__ import annotations

import errno
import os
import random
import struct
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.slides.codestreams import coded_size
from plipdesk.slides.errors import DamagedSlide, SlideMissing, SlideProblem, SlideUnreachable, TooLarge, UnknownFormat
from plipdesk.slides.files import reading_problem
from plipdesk.slides.opening import open_slide
from plipdesk.slides.tiff_structure import read_structure
from tests.drawing import halve, picture, pyramidal_tiff, tissue_picture
from tests.slides.crafted import ASCII, LONG, LONG8, SHORT, dicom_bytes, png_bytes, tiff_bytes, tiled_tags

TILE = bytes(16 * 16 * 3)


def refusal(path: Path) -> SlideProblem:
    """The problem that opening ``path``, or reading its first pixels, ends in; complete, and at little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(SlideProblem) as caught, open_slide(path) as reader:
            reader.read_region(0, 0, 0, min(64, reader.info.width_px), min(64, reader.info.height_px))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    problem = caught.value
    assert problem.path == str(path)
    assert problem.message.endswith(".")
    assert "\n" not in problem.message
    assert problem.remedy
    assert problem.remedy.endswith(".")
    assert peak_bytes < 50_000_000
    return problem


# No slides


@pytest.mark.parametrize("name", ["a.svs", "a.ndpi", "a.tif", "a.png", "a.jpg", "a.dcm", "a.mrxs", "a.vms", "a.odd"])
def test_a_text_file_under_a_slides_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("Dear colleague, this is no slide.\n" * 50)
    assert isinstance(refusal(path), UnknownFormat)


@pytest.mark.parametrize("name", ["a.svs", "a.tif", "a.png"])
def test_an_empty_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.touch()
    assert "empty" in refusal(path).message


def test_a_folder(tmp_path: Path) -> None:
    assert "folder" in refusal(tmp_path).message


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.svs")
    assert "no ordinary file" in refusal(tmp_path / "pipe.svs").message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert isinstance(refusal(tmp_path / "gone.svs"), SlideMissing)
    assert isinstance(refusal(tmp_path / "no folder" / "gone.svs"), SlideMissing)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = picture(tmp_path / "secret.png")
    path.chmod(0)
    assert isinstance(refusal(path), SlideUnreachable)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), SlideUnreachable),
        (OSError(errno.ESTALE, "Stale file handle"), SlideUnreachable),
        (OSError(errno.EIO, "Input/output error"), SlideUnreachable),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory"), SlideMissing),
        (ValueError("embedded null byte"), SlideMissing),
    ],
)
def test_what_the_system_refuses(tmp_path: Path, error: OSError | ValueError, kind: type[SlideProblem]) -> None:
    problem = reading_problem(tmp_path / "a.svs", error)
    assert type(problem) is kind
    assert problem.remedy


def test_dicom_that_is_no_slide(tmp_path: Path) -> None:
    path = tmp_path / "report.dcm"
    path.write_bytes(dicom_bytes("1.2.3"))
    refusal(path)


# Declared sizes


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_that_promises_a_million_by_a_million_pixels(tmp_path: Path, big: bool) -> None:
    path = write(tmp_path / "huge.tif", tiff_bytes(tiled_tags(10**6, 10**6), pixels=TILE, big=big))
    problem = refusal(path)
    assert isinstance(problem, TooLarge)
    assert "1,000,000 × 1,000,000" in problem.message


def test_a_tiff_with_too_few_tiles_for_its_size(tmp_path: Path) -> None:
    path = write(tmp_path / "lies.tif", tiff_bytes(tiled_tags(300_000, 300_000), pixels=TILE))
    assert "tiles or strips are missing" in refusal(path).message


def test_a_tiff_with_absurd_tiles(tmp_path: Path) -> None:
    for tile_px, compression in [(65_536, 1), (65_536, 8), (1 << 20, 7), (1 << 31, 1)]:
        tags = tiled_tags(1000, 1000) | {259: (SHORT, [compression]), 322: (LONG, [tile_px]), 323: (LONG, [tile_px])}
        path = write(tmp_path / "bomb.tif", tiff_bytes(tags, pixels=TILE))
        assert isinstance(refusal(path), TooLarge | DamagedSlide)


def test_a_tiff_whose_tile_claims_to_be_longer_than_the_file(tmp_path: Path) -> None:
    for big, length in [(False, 0xFFFFFFF0), (True, 1 << 50)]:
        tags = tiled_tags(16, 16)
        tags[325] = (LONG8 if big else LONG, [length])
        path = write(tmp_path / "long.tif", tiff_bytes(tags, pixels=TILE, big=big))
        assert "longer than the whole file" in refusal(path).message


def test_a_tiff_with_one_absurd_strip(tmp_path: Path) -> None:
    tags = tiled_tags(100_000, 100_000)
    for tag in (322, 323, 324, 325):
        del tags[tag]
    tags |= {273: (LONG, [16]), 278: (LONG, [100_000]), 279: (LONG, [len(TILE)])}
    path = write(tmp_path / "strip.tif", tiff_bytes(tags, pixels=TILE))
    problem = refusal(path)
    assert isinstance(problem, TooLarge)
    assert "pyramidal" in (problem.remedy or "")


@pytest.mark.parametrize("tag", [256, 270, 324, 330, 34675, 700])
def test_a_tag_that_claims_more_values_than_the_file_has_bytes(tmp_path: Path, tag: int) -> None:
    tags = tiled_tags(16, 16)
    tags[tag] = (ASCII if tag == 270 else LONG, b"\0\0\0\0" * 4)
    data = bytearray(tiff_bytes(tags, pixels=TILE))
    entry = data.index(struct.pack("<HH", tag, tags[tag][0]), 16 + len(TILE))
    data[entry + 4 : entry + 8] = b"\xf0\xff\xff\x7f"
    assert isinstance(refusal(write(tmp_path / "tag.tif", bytes(data))), DamagedSlide)


def test_a_ring_of_directories_ends(tmp_path: Path) -> None:
    place = 16 + len(TILE)
    path = write(tmp_path / "ring.tif", tiff_bytes(tiled_tags(16, 16), pixels=TILE, following=place))
    assert "bites its own tail" in refusal(path).message


def test_a_directory_that_is_its_own_level(tmp_path: Path) -> None:
    tags = tiled_tags(16, 16)
    tags[330] = (LONG, [16 + len(TILE)] * 3)
    with open_slide(write(tmp_path / "self.tif", tiff_bytes(tags, pixels=TILE))) as reader:
        assert len(reader.info.levels) == 1
        assert (reader.read_region(0, 0, 0, 16, 16) == 0).all()


def test_a_next_directory_outside_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "out.tif", tiff_bytes(tiled_tags(16, 16), pixels=TILE, following=1 << 30))
    assert isinstance(refusal(path), DamagedSlide)


def test_no_size_at_all(tmp_path: Path) -> None:
    for size in [(0, 16), (16, 0)]:
        path = write(tmp_path / "none.tif", tiff_bytes(tiled_tags(*size), pixels=TILE))
        assert isinstance(refusal(path), DamagedSlide)


def test_a_hamamatsu_file_is_known_by_its_tag(tmp_path: Path) -> None:
    """Its offsets have 64 bits, so that only its first directory is looked at here."""
    data = bytearray(tiff_bytes(tiled_tags(16, 16) | {65420: (LONG, [1])}, pixels=TILE, following=12345))
    path = write(tmp_path / "a.ndpi", bytes(data))
    with path.open("rb") as stream:
        structure = read_structure(stream, path)
    assert structure.is_ndpi
    assert len(structure.directories) == 1


@pytest.mark.parametrize(("width_px", "height_px"), [(100_000, 100_000), (2_000_000_000, 1), (20_000, 20_000)])
def test_a_png_bomb(tmp_path: Path, width_px: int, height_px: int) -> None:
    problem = refusal(write(tmp_path / "bomb.png", png_bytes(width_px, height_px)))
    assert isinstance(problem, TooLarge)
    assert f"{width_px:,} × {height_px:,}" in problem.message
    assert "pyramidal" in (problem.remedy or "")


def patched(path: Path, find: bytes, replace: bytes, at: int = 0) -> Path:
    """Put ``replace`` at ``at`` bytes after the first ``find``."""
    data = bytearray(path.read_bytes())
    place = data.index(find) + at
    data[place : place + len(replace)] = replace
    path.write_bytes(data)
    return path


def test_a_jpeg_bmp_and_webp_bomb(tmp_path: Path) -> None:
    jpeg = patched(picture(tmp_path / "a.jpg"), b"\xff\xc0", b"\xff\xdc\xff\xdc", 5)
    bmp = patched(picture(tmp_path / "a.bmp"), b"BM", struct.pack("<ii", 60_000, 60_000), 18)
    webp = tmp_path / "a.webp"
    Image.fromarray(tissue_picture(60, 50)).save(webp, lossless=True)
    patched(webp, b"VP8L", b"\xff\xff\xff\xff", 9)
    alpha = tmp_path / "b.webp"
    Image.fromarray(tissue_picture(60, 50)).convert("RGBA").save(alpha, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0")
    patched(alpha, b"VP8X", b"\xff\xff\xff\xff\xff\xff", 12)
    for path in (jpeg, bmp, webp, alpha):
        assert isinstance(refusal(path), TooLarge), path.name


def test_a_tile_that_unpacks_to_more_than_it_should(tmp_path: Path) -> None:
    """A JPEG of 8000 × 8000 in the place of a tile of 64 × 64 is not decoded; the other tiles are."""
    path = tmp_path / "slide.ome.tif"
    pixels = tissue_picture(128, 64)
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(64, 64), compression="jpeg", metadata={"axes": "YXS"})
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[0]
    data = bytearray(path.read_bytes())
    frame = data.index(b"\xff\xc0", offset)
    data[frame + 5 : frame + 9] = struct.pack(">HH", 8000, 8000)
    path.write_bytes(data)
    with open_slide(path) as reader:
        with pytest.raises(DamagedSlide):
            reader.read_region(0, 0, 0, 32, 32)
        assert np.abs(reader.read_region(64, 0, 0, 64, 64).astype(int) - pixels[:, 64:]).mean() < 10


@pytest.mark.parametrize("size", [(1, 1), (17, 300), (600, 5)])
def test_coded_pictures_tell_their_size(tmp_path: Path, size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, "pink")
    image.save(tmp_path / "a.jpg")
    image.save(tmp_path / "a.webp")
    image.save(tmp_path / "b.webp", lossless=True)
    image.convert("RGBA").save(tmp_path / "c.webp", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0")
    image.save(tmp_path / "a.jp2")
    image.save(tmp_path / "a.j2k")
    for path in tmp_path.iterdir():
        assert coded_size(path.read_bytes()) == size, path.name
        assert coded_size(path.read_bytes()[:10]) is None, path.name
    assert coded_size(b"") is None


# OME-XML


def ome_file(path: Path, **changes: str) -> Path:
    attributes = {
        "DimensionOrder": "XYCZT", "SizeX": "64", "SizeY": "48", "SizeC": "3", "SizeZ": "1", "SizeT": "1",
    } | changes  # fmt: skip
    listed = " ".join(f'{name}="{value}"' for name, value in attributes.items() if name not in ("head", "data"))
    xml = (
        f'<?xml version="1.0"?>{changes.get("head", "")}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image ID="I"><Pixels ID="P" Type="uint8" {listed}><Channel ID="C" SamplesPerPixel="3"/>'
        f"{changes.get('data', '<TiffData/>')}</Pixels></Image></OME>"
    )
    tifffile.imwrite(path, tissue_picture(64, 48), photometric="rgb", description=xml, metadata=None)
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"SizeZ": "1000000000000"},
        {"SizeC": "900000"},
        {"SizeX": "many"},
        {"SizeT": "-1"},
        {"DimensionOrder": "XYZZZ"},
        {"head": '<!DOCTYPE lolz [<!ENTITY lol "lol">]>'},
        {"data": '<TiffData IFD="7"/>'},
        {"data": '<TiffData FirstC="5" PlaneCount="1"/>'},
        {"data": "<TiffData>"},
    ],
)
def test_ome_xml_that_lies(tmp_path: Path, changes: dict[str, str]) -> None:
    assert isinstance(refusal(ome_file(tmp_path / "a.ome.tif", **changes)), DamagedSlide)


def test_ome_xml_over_several_files(tmp_path: Path) -> None:
    data = "".join(f'<TiffData IFD="0"><UUID FileName="{name}.tif">urn:uuid:{name}</UUID></TiffData>' for name in "ab")
    assert isinstance(refusal(ome_file(tmp_path / "a.ome.tif", data=data)), UnknownFormat)


def test_good_ome_xml_of_the_same_making(tmp_path: Path) -> None:
    data = '<TiffData IFD="0"><UUID FileName="another name.tif">urn:uuid:1</UUID></TiffData>'
    with open_slide(ome_file(tmp_path / "a.ome.tif", data=data)) as reader:
        np.testing.assert_array_equal(reader.read_region(0, 0, 0, 64, 48), tissue_picture(64, 48))


# Cut short, bytes flipped


@pytest.fixture(scope="module")
def victims(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Small good files, by ending."""
    folder = tmp_path_factory.mktemp("victims")
    pixels = tissue_picture(96, 80, seed=1)
    pyramidal_tiff(folder / "openslide.tif", pixels=tissue_picture(300, 260), levels=2)
    pyramidal_tiff(folder / "openslide-jpeg.tif", pixels=tissue_picture(300, 260), levels=2, lossless=False)
    for name, options in {
        "raw": {},
        "lzw": {"compression": "lzw", "predictor": True},
        "jpeg2000": {"compression": "jpeg2000", "tile": (32, 32)},
        "webp": {"compression": "webp", "tile": (32, 32)},
        "zstd": {"compression": "zstd", "rowsperstrip": 16},
        "jpeg": {"compression": "jpeg", "rowsperstrip": 16},
    }.items():
        tifffile.imwrite(folder / f"{name}.tif", pixels, photometric="rgb", metadata=None, **options)
    with tifffile.TiffWriter(folder / "ome.ome.tif", ome=True) as tiff:
        tiff.write(pixels, subifds=1, tile=(32, 32), photometric="rgb", metadata={"axes": "YXS", "PhysicalSizeX": 0.5})
        tiff.write(halve(pixels), subfiletype=1, tile=(32, 32), photometric="rgb")
    Image.fromarray(pixels).convert("P").save(folder / "palette.tif")
    for ending in ("png", "jpg", "bmp", "webp"):
        Image.fromarray(pixels).save(folder / f"picture.{ending}")
    (folder / "series.dcm").write_bytes(dicom_bytes("1.2.3"))
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def read_all(path: Path) -> None:
    """Read something of every level, the thumbnail and the profile."""
    with open_slide(path) as reader:
        for number, level in enumerate(reader.info.levels):
            width_px, height_px = min(200, level.width_px + 4), min(200, level.height_px + 4)
            region = reader.read_region(-2, -2, number, width_px, height_px)
            assert region.shape == (height_px, width_px, 3)
            assert region.dtype == np.uint8
        reader.icc_profile()
        reader.thumbnail(32)


def survives(path: Path) -> None:
    """A good read, or one plain sentence."""
    problem = None
    try:
        read_all(path)
    except EnvironmentProblem as error:
        problem = error
    assert problem is None or (problem.path == str(path) and problem.remedy)


def test_the_victims_are_whole(victims: dict[str, bytes], tmp_path: Path) -> None:
    for name, data in victims.items():
        if name != "series.dcm":
            read_all(write(tmp_path / name, data))


def test_files_cut_short(victims: dict[str, bytes], tmp_path: Path) -> None:
    for name, data in victims.items():
        for share in (0.02, 0.3, 0.6, 0.9):
            survives(write(tmp_path / name, data[: max(1, int(len(data) * share))]))
        problem = refusal(write(tmp_path / name, data[: max(1, len(data) // 50)]))
        assert isinstance(problem, SlideProblem)


def flipped(data: bytes, seed: int) -> bytes:
    """Some bytes changed, mostly where headers and directories are."""
    random_bytes = random.Random(seed)
    broken = bytearray(data)
    start, end = random_bytes.choice([(0, len(data)), (0, min(400, len(data))), (max(0, len(data) - 800), len(data))])
    for _ in range(random_bytes.choice([1, 1, 2, 4, 16])):
        broken[random_bytes.randrange(start, end)] = random_bytes.choice(
            [0, 1, 127, 128, 255, random_bytes.randrange(256)]
        )
    return bytes(broken)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32), choice=st.integers(0, 1000))
def test_flipped_bytes_end_in_a_good_read_or_in_words(
    victims: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, seed: int, choice: int
) -> None:
    name = sorted(victims)[choice % len(victims)]
    survives(write(tmp_path_factory.getbasetemp() / name, flipped(victims[name], seed)))


@pytest.mark.soak
def test_thousands_of_flipped_files(victims: dict[str, bytes], tmp_path: Path) -> None:
    for seed in range(20_000):
        name = sorted(victims)[seed % len(victims)]
        survives(write(tmp_path / name, flipped(victims[name], seed)))
