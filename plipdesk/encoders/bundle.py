"""One file that carries an encoder to a machine without network: written whole, and every byte checked when read.

A bundle is an uncompressed ZIP file. Its first entry, ``plipdesk-model.json``, is the manifest: the format's version,
the encoder's id and card, and name, size and SHA-256 of every other entry. Entries lie side by side, without folders.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plipdesk.base.errors import UsageProblem
from plipdesk.base.files import DiskFull, atomic_write, disk_problems_in_words, sha256_of
from plipdesk.base.progress import JobContext, QuietContext
from plipdesk.encoders.card import CARD_NAME, EncoderCard, EncoderProblem, Sha256, load_card
from plipdesk.encoders.importing.staging import commit, staging
from plipdesk.encoders.loading import EMBEDDED_ID, InstalledEncoder
from plipdesk.encoders.null import NULL_ID

MANIFEST_NAME = "plipdesk-model.json"
BUNDLE_ENDING = ".plipdesk-model"
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
_MOST_FILES = 100
_MOST_DIRECTORY_BYTES = 1 << 20
_MOST_MANIFEST_BYTES = 4 << 20
_BLOCK_BYTES = 4 << 20
_SPARE_BYTES = 100_000_000
_MB = 1_000_000
_END_RECORD, _END_BYTES = b"PK\x05\x06", 22
_END64_LOCATOR, _LOCATOR_BYTES = b"PK\x06\x07", 20
_END64_BYTES = 56
_REMEDY = "Copy the file again from where it was exported, or export it again."


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Annotated[str, Field(pattern=_NAME, max_length=200)]
    size_bytes: Annotated[int, Field(alias="bytes", ge=0)]
    sha256: Sha256


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    format: Literal["plipdesk-model"]
    version: Literal[1]
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
    card: dict[str, Any]
    files: Annotated[tuple[_Entry, ...], Field(max_length=_MOST_FILES)]


def is_bundle(path: Path) -> bool:
    """Whether a file says of itself that it is a bundle."""
    try:
        with path.open("rb") as stream:
            head = stream.read(30 + len(MANIFEST_NAME))
    except OSError:
        return False
    return head.startswith(b"PK\x03\x04") and head[30:] == MANIFEST_NAME.encode()


# --- writing ----------------------------------------------------------------------------------------------------------


def write_bundle(installed: InstalledEncoder, out: Path, *, context: JobContext | None = None) -> int:
    """Write an imported encoder into the file ``out``, whole or not at all; returns its size in bytes.

    Raises:
        UsageProblem: the encoder is part of plipdesk, or ``out`` is there already.
        EncoderProblem: a file of the encoder is not the one its card describes.
        DiskFull: no room where ``out`` is to lie.
        Cancelled: ``context`` was asked to stop.
    """
    watcher = context or QuietContext()
    if installed.embedded or installed.folder is None:
        raise UsageProblem(f"{installed.card.id} is part of plipdesk: every machine that has plipdesk has it.")
    if out.exists():
        raise UsageProblem("This file is there already.", path=out, remedy="Choose another name, or delete it first.")
    names = sorted(
        path.name for path in installed.folder.iterdir() if path.is_file() and re.fullmatch(_NAME, path.name)
    )
    sizes = {name: (installed.folder / name).stat().st_size for name in names}
    total = sum(sizes.values())
    with disk_problems_in_words(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    _check_room(out.parent, total)
    expected = {file.name: file.sha256 for file in installed.card.files.values()}
    entries = []
    done = 0
    for name in names:
        watcher.check_cancel()
        watcher.report(done // _MB, 2 * total // _MB, unit="MB", note=f"Checking {name}")
        digest = sha256_of(installed.folder / name)
        if expected.pop(name, digest) != digest:
            raise EncoderProblem(
                "A file of the model is not the one its card describes.",
                path=installed.folder / name,
                remedy="Import the model again.",
            )
        entries.append(_Entry.model_validate({"name": name, "bytes": sizes[name], "sha256": digest}))
        done += sizes[name]
    if expected:
        missing = installed.folder / next(iter(expected))
        raise EncoderProblem("A file of the model is missing.", path=missing, remedy="Import the model again.")
    card = installed.card
    manifest = _Manifest(
        format="plipdesk-model", version=1, id=card.id, card=card.model_dump(mode="json"), files=tuple(entries)
    )
    with atomic_write(out) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry_of(MANIFEST_NAME), manifest.model_dump_json(by_alias=True, indent=1))
        for entry in entries:
            info = _entry_of(entry.name)
            info.file_size = entry.size_bytes
            with (installed.folder / entry.name).open("rb") as source, archive.open(info, "w") as target:
                while block := source.read(_BLOCK_BYTES):
                    watcher.check_cancel()
                    target.write(block)
                    done += len(block)
                    watcher.report(done // _MB, 2 * total // _MB, unit="MB", note=f"Writing {entry.name}")
    return out.stat().st_size


def _entry_of(name: str) -> zipfile.ZipInfo:
    """Always the same date, so that the same encoder makes the same bundle."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.external_attr = 0o644 << 16
    return info


# --- reading ----------------------------------------------------------------------------------------------------------


def read_bundle(
    path: Path, models_folder: Path, *, encoder_id: str | None = None, context: JobContext | None = None
) -> InstalledEncoder:
    """Install the encoder in the bundle at ``path`` into ``models_folder``: with every hash right, or not at all.

    Args:
        encoder_id: the id it is kept under; None: its own.

    Raises:
        EncoderProblem: no bundle, a damaged or a hostile one, or an encoder of that id is there already.
        DiskFull: no room.
        Cancelled: ``context`` was asked to stop; nothing is left behind.
    """
    watcher = context or QuietContext()
    try:
        with path.open("rb") as stream:
            _check_directory(stream, path)
            with zipfile.ZipFile(stream) as archive:
                manifest = _manifest(archive, path)
                return _installed(archive, manifest, path, models_folder, encoder_id or manifest.id, watcher)
    except (zipfile.BadZipFile, EOFError, struct.error, NotImplementedError, RuntimeError) as error:
        raise _damaged(path, "it cannot be read") from error


def _check_directory(stream: BinaryIO, path: Path) -> None:
    """Refuse a list of contents that is too long, before it is read into memory."""
    size = stream.seek(0, os.SEEK_END)
    tail_bytes = min(size, _END_BYTES + _LOCATOR_BYTES + (1 << 16))
    stream.seek(size - tail_bytes)
    tail = stream.read(tail_bytes)
    at = tail.rfind(_END_RECORD)
    if at < 0 or len(tail) - at < _END_BYTES:
        raise _damaged(path, "its end is missing")
    count, directory_bytes = struct.unpack("<HI", tail[at + 10 : at + 16])
    locator = at - _LOCATOR_BYTES
    if locator >= 0 and tail[locator : locator + 4] == _END64_LOCATOR:
        (place,) = struct.unpack("<Q", tail[locator + 8 : locator + 16])
        if place > size - _END64_BYTES:
            raise _damaged(path, "its end is missing")
        stream.seek(place)
        count, directory_bytes = struct.unpack("<QQ", stream.read(_END64_BYTES)[32:48])
    if directory_bytes > min(size, _MOST_DIRECTORY_BYTES) or count > _MOST_FILES + 1:
        raise _damaged(path, "it lists more files than a model has")
    stream.seek(0)


def _manifest(archive: zipfile.ZipFile, path: Path) -> _Manifest:
    """The manifest, once every entry of the archive is known to be one that it names, of the size that it names."""
    infos = archive.infolist()
    if not infos or infos[0].filename != MANIFEST_NAME:
        raise EncoderProblem(
            "This is no encoder that plipdesk has exported.",
            path=path,
            remedy="Choose a file made with 'plipdesk models export', or import the model's folder.",
        )
    if infos[0].file_size > _MOST_MANIFEST_BYTES or infos[0].compress_type != zipfile.ZIP_STORED:
        raise _damaged(path, "its manifest is too long")
    try:
        manifest = _Manifest.model_validate_json(archive.read(infos[0]))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["loc"][:1] == ("version",):
            raise EncoderProblem(
                "This file was exported by a newer plipdesk.", path=path, remedy="Update plipdesk on this machine."
            ) from error
        raise _damaged(path, f"its manifest is not right ({place}: {first['msg']})") from error
    named = {entry.name: entry for entry in manifest.files}
    found = infos[1:]
    if len({name.lower() for name in named}) != len(manifest.files) or CARD_NAME not in named:
        raise _damaged(path, "its manifest names a file twice, or no card")
    if len(found) != len(named) or {info.filename for info in found} != set(named):
        raise _damaged(path, "it does not hold what its manifest names")
    for info in found:
        whole = info.compress_type == zipfile.ZIP_STORED and info.file_size == info.compress_size
        if not whole or info.flag_bits & 1 or info.file_size != named[info.filename].size_bytes:
            raise _damaged(path, f"{info.filename} is not as its manifest says")
    if sum(info.file_size for info in found) > path.stat().st_size:
        raise _damaged(path, "it claims to hold more than it can")
    return manifest


def _installed(
    archive: zipfile.ZipFile,
    manifest: _Manifest,
    path: Path,
    models_folder: Path,
    encoder_id: str,
    context: JobContext,
) -> InstalledEncoder:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", encoder_id):
        raise UsageProblem(
            f"{encoder_id!r} cannot be an encoder's id.", remedy="Use small letters, digits and hyphens."
        )
    target = models_folder / encoder_id
    if encoder_id in (EMBEDDED_ID, NULL_ID) or target.exists():
        raise EncoderProblem(
            f"There is an encoder called {encoder_id} already.",
            path=target if target.exists() else None,
            remedy="Give another id with --id, or remove that encoder first.",
        )
    total = sum(entry.size_bytes for entry in manifest.files)
    with staging(models_folder) as folder:
        _check_room(models_folder, total)
        done = 0
        for entry in manifest.files:

            def wrote(count: int, name: str = entry.name) -> None:
                nonlocal done
                done += count
                context.check_cancel()
                context.report(done // _MB, max(1, total // _MB), unit="MB", note=f"Reading {name}")

            with archive.open(entry.name) as source, disk_problems_in_words(folder):
                if _copied(source, folder / entry.name, entry.size_bytes, wrote) != entry.sha256:
                    raise _damaged(path, f"the checksum of {entry.name} is not the one in its manifest")
        card = load_card(folder)
        _check_card(card, manifest, path)
        if encoder_id != card.id:
            card = card.model_copy(update={"id": encoder_id})
            with atomic_write(folder / CARD_NAME) as stream:
                stream.write(card.model_dump_json(indent=2).encode())
        context.check_cancel()
        commit(folder, target)
    return InstalledEncoder(card, target, embedded=False)


def _copied(source: Any, target: Path, size_bytes: int, wrote: Callable[[int], None]) -> str:
    """Copy at most ``size_bytes``; returns the SHA-256 of what came."""
    digest = hashlib.sha256()
    left = size_bytes
    with target.open("xb") as stream:
        while left and (block := source.read(min(_BLOCK_BYTES, left))):
            digest.update(block)
            stream.write(block)
            left -= len(block)
            wrote(len(block))
    return digest.hexdigest()


def _check_card(card: EncoderCard, manifest: _Manifest, path: Path) -> None:
    hashes = {entry.name: entry.sha256 for entry in manifest.files}
    if card.id != manifest.id or card.model_dump(mode="json") != manifest.card:
        raise _damaged(path, "its card is not the one in its manifest")
    for file in card.files.values():
        if hashes.get(file.name) != file.sha256:
            raise _damaged(path, f"{file.name} is not the file its card describes")


def _check_room(folder: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed_bytes + _SPARE_BYTES:
        raise DiskFull(
            f"{(needed_bytes + _SPARE_BYTES) / _MB:,.0f} MB are needed, and {free / _MB:,.0f} MB are free.",
            path=folder,
            remedy="Free some space, or choose another place.",
        )


def _damaged(path: Path, why: str) -> EncoderProblem:
    return EncoderProblem(f"This exported encoder is damaged: {why}.", path=path, remedy=_REMEDY)
