from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plipdesk.base.errors import NotFound
from plipdesk.slides.dicom_series import series_of
from plipdesk.slides.errors import SlideProblem
from plipdesk.slides.finding import files_of, find_slides, is_slide_name
from tests.slides.crafted import dicom_bytes, dicom_element


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names_of(found: list[Path], folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in found]


def test_a_folder_stands_for_its_slides_by_name(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "b.svs",
        "A.NDPI",
        "c 切片.tiff",
        "d.PNG",
        "notes.txt",
        "table.csv",
        ".hidden.svs",
        "._b.svs",
        "below/e.svs",
    )
    assert names_of(find_slides([tmp_path], recursive=False), tmp_path) == ["A.NDPI", "b.svs", "c 切片.tiff", "d.PNG"]
    assert names_of(find_slides([tmp_path], recursive=True), tmp_path) == [
        "A.NDPI",
        "b.svs",
        "c 切片.tiff",
        "d.PNG",
        "below/e.svs",
    ]


def test_hidden_folders_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, ".trash/a.svs", "b/c.svs")
    assert names_of(find_slides([tmp_path], recursive=True), tmp_path) == ["b/c.svs"]


def test_a_named_file_is_kept_whatever_its_ending_and_each_once(tmp_path: Path) -> None:
    touch(tmp_path, "slide.odd", "a.svs", ".hidden.svs")
    named = [tmp_path / "slide.odd", tmp_path / ".hidden.svs", tmp_path / "a.svs", tmp_path, tmp_path / "a.svs"]
    assert names_of(find_slides(named, recursive=False), tmp_path) == ["slide.odd", ".hidden.svs", "a.svs"]


def test_what_does_not_exist_is_not_found(tmp_path: Path) -> None:
    for wrong in (tmp_path / "nothing.svs", tmp_path / "no folder"):
        with pytest.raises(NotFound) as caught:
            find_slides([wrong], recursive=False)
        assert caught.value.path == str(wrong)
        assert isinstance(caught.value, SlideProblem)
    assert find_slides([tmp_path], recursive=True) == []
    assert find_slides([], recursive=True) == []


def test_an_mrxs_counts_once(tmp_path: Path) -> None:
    touch(tmp_path, "case.mrxs", "case/Slidedat.ini", "case/Index.dat", "case/Data0000.dat", "case/preview.jpg")
    touch(tmp_path, "pictures/a.jpg")
    assert names_of(find_slides([tmp_path], recursive=True), tmp_path) == ["case.mrxs", "pictures/a.jpg"]
    assert find_slides([tmp_path / "case"], recursive=False) == [tmp_path / "case.mrxs"]
    assert find_slides([tmp_path / "case", tmp_path / "case.mrxs"], recursive=False) == [tmp_path / "case.mrxs"]
    assert names_of(files_of(tmp_path / "case.mrxs"), tmp_path) == [
        "case.mrxs",
        "case/Data0000.dat",
        "case/Index.dat",
        "case/Slidedat.ini",
    ]


def test_the_pictures_of_a_vms_belong_to_it(tmp_path: Path) -> None:
    touch(tmp_path, "s.jpg", "s(1,0).jpg", "s_macro.jpg", "s.opt", "free.jpg")
    (tmp_path / "s.vms").write_text(
        "[Virtual Microscope Specimen]\nNoLayers=1\nImageFile=s.jpg\nImageFile(1,0)=s(1,0).jpg\n"
        "MacroImage=s_macro.jpg\nOptimisationFile=s.opt\nMapFile=../outside.jpg\n"
    )
    assert names_of(find_slides([tmp_path], recursive=False), tmp_path) == ["free.jpg", "s.vms"]
    parts = ["s.vms", "s(1,0).jpg", "s.jpg", "s.opt", "s_macro.jpg"]
    assert names_of(files_of(tmp_path / "s.vms"), tmp_path) == parts


def test_label_pictures_beside_a_slide_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "s1.svs", "s1_label.jpg", "s1-Macro.png", "s1.barcode.tif", "s2_label.jpg", "label.jpg", "s1.jpg")
    found = names_of(find_slides([tmp_path], recursive=False), tmp_path)
    assert found == ["label.jpg", "s1.jpg", "s1.svs", "s2_label.jpg"]
    assert find_slides([tmp_path / "s1_label.jpg"], recursive=False) == [tmp_path / "s1_label.jpg"]


def test_a_dicom_series_counts_once(tmp_path: Path) -> None:
    for name, series in [("b.dcm", "1.2.3"), ("a.dcm", "1.2.3"), ("c", "1.2.3"), ("d.7", "1.2.9"), ("e.dcm", "1.2.10")]:
        (tmp_path / name).write_bytes(dicom_bytes(series, body=name.encode()))
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + dicom_element(0x0004, 0x1130, b"CS", b"INDEX"))
    touch(tmp_path, "README", "more.dcm", "more/x.svs")
    found = names_of(find_slides([tmp_path], recursive=False), tmp_path)
    assert found == ["a.dcm", "d.7", "e.dcm", "more.dcm"]
    assert names_of(files_of(tmp_path / "b.dcm"), tmp_path) == ["b.dcm", "a.dcm", "c"]
    assert names_of(files_of(tmp_path / "e.dcm"), tmp_path) == ["e.dcm"]
    named = [tmp_path / "c", tmp_path / "a.dcm", tmp_path / "d.7"]
    assert names_of(find_slides(named, recursive=False), tmp_path) == ["c", "d.7"]


def test_the_same_series_in_two_folders_counts_twice(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.dcm").write_bytes(dicom_bytes("1.2.3"))
    assert names_of(find_slides([tmp_path], recursive=True), tmp_path) == ["one/a.dcm", "two/a.dcm"]


def test_a_ring_of_links_ends(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.svs", "real/deep/b.svs")
    try:
        (tmp_path / "real" / "deep" / "up").symlink_to(tmp_path / "real", target_is_directory=True)
        (tmp_path / "again").symlink_to(tmp_path / "real", target_is_directory=True)
        (tmp_path / "real" / "broken.svs").symlink_to(tmp_path / "gone.svs")
        (tmp_path / "real" / "self.svs").symlink_to(tmp_path / "real" / "self.svs")
        (tmp_path / "real" / "link.svs").symlink_to(tmp_path / "real" / "a.svs")
    except OSError:
        pytest.skip("this account may not make links")
    found = find_slides([tmp_path], recursive=True)
    assert sorted(path.name for path in found) == ["a.svs", "b.svs"]
    with pytest.raises(NotFound):
        find_slides([tmp_path / "real" / "broken.svs"], recursive=False)
    with pytest.raises(SlideProblem):
        find_slides([tmp_path / "real" / "self.svs"], recursive=False)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may read everything")
def test_folders_that_may_not_be_read(tmp_path: Path) -> None:
    touch(tmp_path, "a.svs", "secret/b.svs")
    (tmp_path / "secret").chmod(0)
    try:
        assert names_of(find_slides([tmp_path], recursive=True), tmp_path) == ["a.svs"]
        with pytest.raises(SlideProblem, match="not allowed"):
            find_slides([tmp_path / "secret"], recursive=True)
    finally:
        (tmp_path / "secret").chmod(0o700)


def test_hundreds_of_files_in_order(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number:04}.png" for number in range(600)), *(f"{number:04}.json" for number in range(600)))
    found = names_of(find_slides([tmp_path], recursive=False), tmp_path)
    assert found == [f"{number:04}.png" for number in range(600)]


@pytest.mark.parametrize(
    "name", ["a.svs", "a.SVS", "b.mrxs", "c.ome.tif", "d.JPEG", "e.dcm", "f.webp", "g.bif", "h.scn", "i.czi"]
)
def test_names_of_slides(name: str) -> None:
    assert is_slide_name(Path(name))


@pytest.mark.parametrize("name", ["a.txt", "b", "c.dat", "d.ini", "e.csv", "f.geojson", "svs", "g.svs.partial"])
def test_names_of_other_files(name: str) -> None:
    assert not is_slide_name(Path(name))


# The series' number


def undefined_sequence(*items: bytes) -> bytes:
    """A sequence and items of undefined length."""
    start, end = bytes.fromhex("feff00e0ffffffff"), bytes.fromhex("feff0de000000000")
    closed = b"".join(start + item + end for item in items)
    return bytes.fromhex("08001511") + b"SQ\0\0\xff\xff\xff\xff" + closed + bytes.fromhex("feffdde000000000")


def test_the_series_is_read_from_either_encoding(tmp_path: Path) -> None:
    path = tmp_path / "slide.dcm"
    for syntax in ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.50"):
        path.write_bytes(dicom_bytes("1.2.3.45", syntax=syntax))
        assert series_of(path) == "1.2.3.45"
    for syntax in ("1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"):
        path.write_bytes(dicom_bytes("1.2.3.45", syntax=syntax))
        assert series_of(path) is None


def test_a_series_mentioned_inside_a_sequence_is_not_the_files_own(tmp_path: Path) -> None:
    path = tmp_path / "slide.dcm"
    other = dicom_element(0x0020, 0x000E, b"UI", b"9.9.9")
    nested = undefined_sequence(undefined_sequence(other) + other, other)
    path.write_bytes(dicom_bytes("1.2.3", before=nested))
    assert series_of(path) == "1.2.3"


@given(place=st.integers(0, 400), value=st.integers(0, 255), length=st.integers(0, 500))
def test_a_broken_head_is_no_series(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int, length: int
) -> None:
    data = bytearray(dicom_bytes("1.2.3", before=undefined_sequence(dicom_element(8, 5, b"CS", b"ISO"))))
    data[place % len(data)] = value
    path = tmp_path_factory.getbasetemp() / "broken.dcm"
    path.write_bytes(data[:length])
    series = series_of(path)
    assert series is None or isinstance(series, str)


@pytest.mark.realdata
def test_the_real_data_is_found_whole(realdata: Path) -> None:
    formats = find_slides([realdata / "formats"], recursive=False)
    assert len(formats) == 10
    assert len({series_of(path) for path in formats if path.suffix == ".dcm"}) == 4
    assert len(find_slides([realdata / "slides"], recursive=False)) == 8
