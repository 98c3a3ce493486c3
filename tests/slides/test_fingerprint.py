from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plipdesk.slides.errors import DamagedSlide, SlideMissing, SlideProblem
from plipdesk.slides.fingerprint import BLOCK_BYTES, READ_BYTES, fingerprint
from tests.drawing import picture, pyramidal_tiff
from tests.slides.crafted import dicom_bytes

LARGE_BYTES = 3 * READ_BYTES


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file that is too large to be read in whole."""
    path = tmp_path / "large.svs"
    block = bytes(range(256)) * 256
    with path.open("wb") as stream:
        for number in range(LARGE_BYTES // len(block)):
            stream.write(number.to_bytes(4, "little") + block[4:])
    return path


def change_byte(path: Path, place: int) -> None:
    with path.open("r+b") as stream:
        stream.seek(place)
        old = stream.read(1)
        stream.seek(place)
        stream.write(bytes([old[0] ^ 1]))


def test_a_fingerprint_is_32_hex_digits_of_the_content(tmp_path: Path) -> None:
    path = pyramidal_tiff(tmp_path / "slide.tif", width_px=300, height_px=300)
    first = fingerprint(path)
    assert len(first) == 32
    assert set(first) <= set("0123456789abcdef")
    assert fingerprint(path) == first
    (tmp_path / "älter").mkdir()
    moved = shutil.move(path, tmp_path / "älter" / "renamed 切片.tiff")
    assert fingerprint(moved) == first
    assert fingerprint(picture(tmp_path / "one.png", seed=1)) != fingerprint(picture(tmp_path / "two.png", seed=2))


def test_the_fingerprint_of_some_bytes_stays_what_it_is(tmp_path: Path) -> None:
    """Catalogues hold fingerprints: a change of this value orphans every slide in them."""
    path = tmp_path / "fixed.png"
    path.write_bytes(b"plipdesk")
    assert fingerprint(path) == "b9a0bf79c33629826a60a1a19ff1f032"
    with path.open("wb") as stream:
        stream.truncate(50_000_000)
    assert fingerprint(path) == "25b21c6224ed8024b39c00e997d16598"


@settings(max_examples=50, deadline=None)
@given(one=st.binary(min_size=1, max_size=200), other=st.binary(min_size=1, max_size=200))
def test_small_files_differ_wherever_their_bytes_do(
    tmp_path_factory: pytest.TempPathFactory, one: bytes, other: bytes
) -> None:
    folder = tmp_path_factory.mktemp("small")
    (folder / "one.png").write_bytes(one)
    (folder / "other.jpg").write_bytes(other)
    assert (fingerprint(folder / "one.png") == fingerprint(folder / "other.jpg")) == (one == other)


@pytest.mark.parametrize(
    "place", [0, 1, 1000, READ_BYTES // 4 - 1, LARGE_BYTES - READ_BYTES // 4, LARGE_BYTES - 1000, LARGE_BYTES - 1]
)
def test_one_byte_of_a_large_files_head_or_tail_tells(large: Path, place: int) -> None:
    before = fingerprint(large)
    change_byte(large, place)
    assert fingerprint(large) != before


def test_the_size_of_a_large_file_tells(large: Path) -> None:
    before = fingerprint(large)
    with large.open("ab") as stream:
        stream.write(b"\0")
    assert fingerprint(large) != before


def test_a_longer_change_in_the_middle_of_a_large_file_tells(large: Path) -> None:
    """Of the middle one block in each stretch is read, so a change as long as two stretches cannot be missed."""
    before = fingerprint(large)
    blocks = (READ_BYTES - 2 * (READ_BYTES // 4)) // BLOCK_BYTES
    stretch = (LARGE_BYTES - 2 * (READ_BYTES // 4)) // blocks
    with large.open("r+b") as stream:
        stream.seek(LARGE_BYTES // 2)
        stream.write(b"\xff" * 2 * stretch)
    assert fingerprint(large) != before


def test_at_most_a_few_megabytes_of_a_huge_file_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "huge.svs"
    with path.open("wb") as stream:
        stream.truncate(5 * 1024**3)
    read_bytes = 0
    real_open = Path.open

    def counting_open(self: Path, *arguments: object, **options: object) -> object:
        stream = real_open(self, *arguments, **options)  # type: ignore[call-overload]
        real_read = stream.read

        def read(length: int = -1) -> bytes:
            nonlocal read_bytes
            data: bytes = real_read(length)
            read_bytes += len(data)
            return data

        stream.read = read
        return stream

    monkeypatch.setattr(Path, "open", counting_open)
    fingerprint(path)
    assert READ_BYTES * 0.9 < read_bytes < READ_BYTES * 1.1


def mrxs(folder: Path, name: str, *, data: bytes = b"tissue") -> Path:
    """The files of an MRXS slide, as far as names and places go."""
    (folder / name).mkdir(parents=True)
    (folder / f"{name}.mrxs").write_bytes(b"preview")
    (folder / name / "Slidedat.ini").write_text("[GENERAL]\nSLIDE_ID = 4711\n")
    (folder / name / "Index.dat").write_bytes(b"index")
    (folder / name / "Data0000.dat").write_bytes(data)
    (folder / name / "Data0001.dat").write_bytes(b"")
    return folder / f"{name}.mrxs"


def test_all_parts_of_an_mrxs_count_but_no_names(tmp_path: Path) -> None:
    first = fingerprint(mrxs(tmp_path, "case 1"))
    renamed = mrxs(tmp_path / "elsewhere", "Fall 2")
    assert fingerprint(renamed) == first
    (renamed.with_suffix("") / "Thumbs.db").write_bytes(b"of a file manager")
    assert fingerprint(renamed) == first
    change_byte(renamed.with_suffix("") / "Data0000.dat", 3)
    assert fingerprint(renamed) != first
    assert fingerprint(mrxs(tmp_path, "case 3", data=b"other")) != first


def test_any_file_of_a_dicom_series_names_the_series(tmp_path: Path) -> None:
    names = ["level-0.dcm", "level-1.dcm", "1.2.3.4"]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(dicom_bytes("1.2.3", body=bytes([number]) * 50))
    (tmp_path / "other.dcm").write_bytes(dicom_bytes("1.2.4"))
    prints = {fingerprint(tmp_path / name) for name in names}
    assert len(prints) == 1
    assert fingerprint(tmp_path / "other.dcm") not in prints
    (tmp_path / "level-0.dcm").rename(tmp_path / "zzz.dcm")
    assert {fingerprint(tmp_path / "zzz.dcm")} == prints
    (tmp_path / "1.2.3.4").unlink()
    assert fingerprint(tmp_path / "zzz.dcm") not in prints


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(SlideMissing):
        fingerprint(tmp_path / "nothing.svs")
    (tmp_path / "empty.svs").touch()
    with pytest.raises(DamagedSlide, match="empty"):
        fingerprint(tmp_path / "empty.svs")
    with pytest.raises(SlideProblem):
        fingerprint(tmp_path)


@pytest.mark.realdata
def test_real_slides_have_fingerprints_of_their_own(realdata: Path) -> None:
    paths = sorted((realdata / "slides").glob("*.tif")) + sorted((realdata / "formats").glob("*.dcm"))
    assert len({fingerprint(path) for path in paths}) == len(paths) > 8
