"""Files that are complete or not there at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.base.files import DiskFull, atomic_write, disk_problems_in_words, sha256_of


def test_a_file_appears_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "ergebnis.bin"
    with atomic_write(target) as stream:
        stream.write(b"part one, ")
        assert not target.exists()
        stream.write(b"part two")
    assert target.read_bytes() == b"part one, part two"
    assert list(target.parent.iterdir()) == [target]


def test_a_failed_write_leaves_the_old_file_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "kept"
    target.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), atomic_write(target) as stream:
        stream.write(b"new")
        raise ZeroDivisionError
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(DiskFull) as caught, atomic_write(tmp_path / "x"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.path == str(tmp_path / "x")
    assert "Free some space" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_place_that_cannot_be_written_is_told_in_words(tmp_path: Path, code: int) -> None:
    with pytest.raises(EnvironmentProblem, match="cannot be written"), disk_problems_in_words(tmp_path):
        raise OSError(code, "no")


def test_other_errors_of_the_system_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), disk_problems_in_words(tmp_path):
        raise IsADirectoryError(errno.EISDIR, "is a directory")


def test_sha256_is_that_of_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(path) == expected
    assert sha256_of(path, block_bytes=2) == expected
