"""Folders and archives that come from elsewhere: no path leaves them, no size they declare is believed."""

from __future__ import annotations

import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from plipdesk.datasets.sources.trouble import SourceProblem, Trouble

MAX_MEMBERS = 500_000
MAX_MEMBER_BYTES = 512 << 20
MAX_TOTAL_BYTES = 64 << 30
# Text compresses to a twentieth, pictures hardly; what shrinks more than this was made to.
MAX_RATIO = 250
_RATIO_COUNTS_FROM_BYTES = 8 << 20
_BLOCK_BYTES = 1 << 20


class Unsafe(Exception):
    """A name or a size in a source that must not be followed; said in a few words that are counted."""


class Container(Protocol):
    """A folder or an archive, read by names with forward slashes."""

    path: Path

    def names(self) -> list[str]:
        """All files, sorted; names that would lead outside are left out and counted."""

    def read(self, name: str, limit_bytes: int = MAX_MEMBER_BYTES) -> bytes:
        """The content of a file.

        Raises:
            Unsafe: it is larger than ``limit_bytes``, or not what the archive says.
            KeyError: there is no such file.
        """

    def local(self, name: str) -> Path | None:
        """Where the file lies on the disk, or None if it is inside an archive."""

    def close(self) -> None:
        """Let go of the archive."""


def inner_name(name: str) -> str:
    """``name`` as a plain relative path with forward slashes.

    Raises:
        Unsafe: it is absolute, climbs out with ``..``, names a drive or a device, or is empty.
    """
    plain = name.replace("\\", "/")
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    if not parts or plain.startswith("/") or ".." in parts or "\0" in plain or len(plain) > 1000:
        raise Unsafe("path leaves its folder")
    if any(":" in part for part in parts):
        raise Unsafe("path leaves its folder")
    return "/".join(parts)


def inside(root: Path, name: str) -> Path:
    """The file ``name`` below ``root``, links followed.

    Raises:
        Unsafe: it would lie outside of ``root``.
    """
    place = (root / inner_name(name)).resolve()
    if not place.is_relative_to(root.resolve()):
        raise Unsafe("path leaves its folder")
    return place


def open_container(path: Path, trouble: Trouble) -> Container:
    """The folder, zip or tar at ``path``.

    Raises:
        SourceProblem: it is none of these, is damaged, or holds absurdly many files.
    """
    if path.is_dir():
        return Folder(path, trouble)
    try:
        if zipfile.is_zipfile(path):
            return Zip(path, trouble)
        if tarfile.is_tarfile(path):
            return Tar(path, trouble)
    except (OSError, zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, ValueError) as error:
        raise SourceProblem("This archive is damaged.", path=path, remedy="Download or export it again.") from error
    if not path.exists():
        raise SourceProblem("This source does not exist.", path=path, remedy="Check the path.")
    raise SourceProblem(
        "This is neither a folder nor a zip or tar archive.", path=path, remedy="Give the export itself."
    )


class Folder:
    """A folder on the disk; links that lead out of it are not followed."""

    def __init__(self, path: Path, trouble: Trouble) -> None:
        self.path = path
        self._trouble = trouble

    def names(self) -> list[str]:
        """Every regular file below the folder."""
        found = []
        for folder, folders, files in os.walk(self.path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            place = Path(folder).relative_to(self.path)
            found += [PurePosixPath(*place.parts, name).as_posix() for name in files if not name.startswith(".")]
        return sorted(found)

    def read(self, name: str, limit_bytes: int = MAX_MEMBER_BYTES) -> bytes:
        """See :class:`Container`."""
        place = inside(self.path, name)
        if not place.is_file():
            raise KeyError(name)
        with place.open("rb") as stream:
            return bounded(stream, limit_bytes)

    def local(self, name: str) -> Path | None:
        """The file itself."""
        place = inside(self.path, name)
        return place if place.is_file() else None

    def close(self) -> None:
        """Nothing is held."""


class Zip:
    """A zip archive, read member by member with bounds on what it may unpack to."""

    def __init__(self, path: Path, trouble: Trouble) -> None:
        self.path = path
        self._archive = zipfile.ZipFile(path)
        self._given_bytes = 0
        members = self._archive.infolist()
        if len(members) > MAX_MEMBERS:
            self._archive.close()
            raise SourceProblem(
                f"This archive declares {len(members):,} files.", path=path, remedy="Unpack what is needed."
            )
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in members:
            if member.is_dir():
                continue
            try:
                name = inner_name(member.filename)
                if stat.S_ISLNK(member.external_attr >> 16):
                    raise Unsafe("link inside an archive")
                self._members[name] = member
            except Unsafe as why:
                trouble.add(str(why), f"{path.name}!{member.filename[:100]}")

    def names(self) -> list[str]:
        """See :class:`Container`."""
        return sorted(self._members)

    def read(self, name: str, limit_bytes: int = MAX_MEMBER_BYTES) -> bytes:
        """See :class:`Container`."""
        member = self._members[name]
        if member.flag_bits & 0x1:
            raise Unsafe("encrypted file inside an archive")
        packed = max(1, member.compress_size)
        if member.file_size > _RATIO_COUNTS_FROM_BYTES and member.file_size / packed > MAX_RATIO:
            raise Unsafe("zip bomb")
        if member.file_size > limit_bytes or self._given_bytes + member.file_size > MAX_TOTAL_BYTES:
            raise Unsafe("too large")
        try:
            with self._archive.open(member) as stream:
                # zipfile stops at the declared size, which was just checked.
                content = bounded(stream, limit_bytes)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError) as error:
            raise Unsafe("damaged file inside an archive") from error
        self._given_bytes += len(content)
        return content

    def local(self, name: str) -> Path | None:  # noqa: ARG002 - the protocol's name
        """None: it is inside the archive."""
        return None

    def close(self) -> None:
        """Close the archive."""
        self._archive.close()


class Tar:
    """A tar archive, also compressed; its files are found in one pass."""

    def __init__(self, path: Path, trouble: Trouble) -> None:
        self.path = path
        self._archive = tarfile.open(path)  # noqa: SIM115 - closed with the container
        self._members: dict[str, tarfile.TarInfo] = {}
        self._given_bytes = 0
        try:
            self._list(trouble)
        except BaseException:
            self._archive.close()
            raise

    def _list(self, trouble: Trouble) -> None:
        unpacked_bytes, packed_bytes = 0, max(1, self.path.stat().st_size)
        for number, member in enumerate(self._archive):
            unpacked_bytes += member.size
            if number >= MAX_MEMBERS or unpacked_bytes > MAX_TOTAL_BYTES:
                raise SourceProblem("This archive declares absurdly much.", path=self.path)
            if unpacked_bytes > _RATIO_COUNTS_FROM_BYTES and unpacked_bytes / packed_bytes > MAX_RATIO:
                raise SourceProblem("This archive is made to fill the disk (a bomb).", path=self.path)
            if member.isdir():
                continue
            try:
                name = inner_name(member.name)
                if not member.isreg():
                    raise Unsafe("link inside an archive")
                self._members[name] = member
            except Unsafe as why:
                trouble.add(str(why), f"{self.path.name}!{member.name[:100]}")

    def names(self) -> list[str]:
        """See :class:`Container`."""
        return sorted(self._members)

    def read(self, name: str, limit_bytes: int = MAX_MEMBER_BYTES) -> bytes:
        """See :class:`Container`."""
        member = self._members[name]
        if member.size > limit_bytes:
            raise Unsafe("too large")
        try:
            stream = self._archive.extractfile(member)
            if stream is None:
                raise KeyError(name)
            return bounded(stream, limit_bytes)
        except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
            raise Unsafe("damaged file inside an archive") from error

    def local(self, name: str) -> Path | None:  # noqa: ARG002 - the protocol's name
        """None: it is inside the archive."""
        return None

    def close(self) -> None:
        """Close the archive."""
        self._archive.close()


def bounded(stream: IO[bytes], limit_bytes: int) -> bytes:
    """All of ``stream``, read in blocks.

    Raises:
        Unsafe: it holds more than ``limit_bytes``.
    """
    return b"".join(_blocks(stream, limit_bytes))


def _blocks(stream: IO[bytes], limit_bytes: int) -> Iterator[bytes]:
    read_bytes = 0
    while block := stream.read(_BLOCK_BYTES):
        read_bytes += len(block)
        if read_bytes > limit_bytes:
            raise Unsafe("too large")
        yield block
