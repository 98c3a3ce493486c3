"""Fetching a model's files from the hub: the one module that opens a network connection, in a process of its own.

``python -m plipdesk.encoders.download`` is started by :mod:`plipdesk.encoders.fetching` when a person asked for a
download, reads what to fetch as one line of JSON and tells how far it is line by line. Every other process of plipdesk
stays offline. It ends when whoever started it ends, keeps what it has fetched, and goes on from there the next time.
"""

from __future__ import annotations

import fnmatch
import hashlib
import io
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plipdesk.base.errors import EnvironmentProblem, PlipdeskError
from plipdesk.base.files import DiskFull, atomic_write, disk_problems_in_words, fsync_folder, sha256_of

Say = Callable[[Mapping[str, Any]], None]
PART_SUFFIX = ".part"
_MANY_FILES = 10_000
_SPARE_BYTES = 200_000_000
_TELL_S = 0.2
_TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 17


class DownloadProblem(EnvironmentProblem):
    """A model could not be fetched."""

    kind = "download"


@dataclass(frozen=True)
class _Wanted:
    """A file at the hub. ``sha256`` of large ones, else ``blob_id``, git's SHA-1 of a blob, tell what it must be."""

    name: str
    size_bytes: int
    sha256: str | None
    blob_id: str | None


def main() -> int:
    """Entry of the process; returns its exit status."""
    try:
        request = json.loads(sys.stdin.readline())
        threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
        _tell({"finished": fetch(request, _tell)})
    except PlipdeskError as error:
        _tell({"failed": error.document() | {"exit_code": error.exit_code}})
        return error.exit_code
    except Exception as error:  # noqa: BLE001  the edge of the process
        problem = in_words(error)
        _tell({"failed": problem.document() | {"exit_code": problem.exit_code}})
        return problem.exit_code
    return 0


def fetch(request: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Fetch what ``request`` names into its folder; returns what came, with checksums.

    Args:
        request: ``repository``, ``revision`` (or None), ``files`` (``names``, ``optional``, ``size_bytes``, ``sha256``
            each), ``folder``, ``token`` (or None) and ``licence``, the name of the one that was accepted.
        say: told ``{"total": bytes, "done": bytes, "name": file}`` now and then.

    Raises:
        DownloadProblem: in words why it cannot be had.
        DiskFull: no room.
    """
    from huggingface_hub import HfApi, constants

    # What has come of a chunk is lost when the connection breaks.
    constants.DOWNLOAD_CHUNK_SIZE = _CHUNK_BYTES
    repository, token = request["repository"], request["token"] or False
    api = HfApi(token=token)
    info = api.model_info(repository, revision=request["revision"], files_metadata=True, timeout=_TIMEOUT_S)
    _check_licence(info, request["licence"])
    if info.sha is None:
        raise DownloadProblem("The hub does not say which revision it gives.", remedy="Try another mirror.")
    wanted = choose(request["files"], _at_the_hub(info), repository)
    folder = Path(request["folder"])
    with disk_problems_in_words(folder):
        folder.mkdir(parents=True, exist_ok=True)
        total = sum(file.size_bytes for file in wanted)
        have = sum(_have_bytes(folder, file) for file in wanted)
        # What was fetched is converted afterwards, so that room for a second copy is needed.
        check_room(folder, total - have + total)
        meter = _Meter(say, total)
        for file in wanted:
            _fetch_one(repository, info.sha, file, folder, token, meter)
    record = {
        "repository": repository,
        "revision": info.sha,
        "licence_accepted": request["licence"],
        "files": [
            {"name": file.name, "bytes": file.size_bytes, "sha256": sha256_of(folder / file.name)} for file in wanted
        ],
    }
    with atomic_write(folder / "download.json") as stream:
        stream.write(json.dumps(record, indent=2).encode())
    return record


def choose(files: list[Mapping[str, Any]], there: Mapping[str, _Wanted], repository: str) -> list[_Wanted]:
    """Which of the files that are there are wanted; each entry's first name that fits, checked against what is known.

    Raises:
        DownloadProblem: a file is not there, or not the one that is on record.
    """
    chosen = []
    for entry in files:
        found = None
        for name in entry["names"]:
            fitting = sorted(fnmatch.filter(there, name)) if "*" in name else [name] * (name in there)
            if len(fitting) > 1:
                raise DownloadProblem(f"{repository} holds several files like {name}.", remedy="Import one by hand.")
            if fitting:
                found = there[fitting[0]]
                break
        if found is None:
            if entry["optional"]:
                continue
            raise DownloadProblem(
                f"{repository} does not hold {' or '.join(entry['names'])}.",
                remedy="The model was changed at the hub; look for a newer plipdesk.",
            )
        if entry["sha256"] is not None and found.sha256 not in (None, entry["sha256"]):
            raise DownloadProblem(
                f"{found.name} of {repository} is not the file that plipdesk has on record.",
                remedy="Do not use it: the mirror, or the model, was changed.",
            )
        chosen.append(
            _Wanted(found.name, found.size_bytes, entry["sha256"] or found.sha256, found.blob_id)
        )  # fmt: skip
    return chosen


def check_room(folder: Path, needed_bytes: int) -> None:
    """Make sure that there is room.

    Raises:
        DiskFull: there is not, with how much is missing.
    """
    free = shutil.disk_usage(folder).free
    if free < needed_bytes + _SPARE_BYTES:
        raise DiskFull(
            f"The model needs {(needed_bytes + _SPARE_BYTES) / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free.",
            path=folder,
            remedy="Free some space, then try again; what was fetched is kept.",
        )


def _at_the_hub(info: Any) -> dict[str, _Wanted]:
    siblings = info.siblings or []
    if len(siblings) > _MANY_FILES:
        raise DownloadProblem("The hub lists more files than any model has.", remedy="Try another mirror.")
    found = {}
    for sibling in siblings:
        if isinstance(sibling.size, int) and sibling.size >= 0:
            sha256 = sibling.lfs.sha256 if sibling.lfs is not None else None
            found[sibling.rfilename] = _Wanted(sibling.rfilename, sibling.size, sha256, sibling.blob_id)
    return found


def _check_licence(info: Any, accepted: str) -> None:
    """A licence that the model's page names must be the one that was accepted; later versions count as the same."""
    said = info.card_data.get("license") if info.card_data is not None else None
    if not isinstance(said, str) or said in ("other", "unknown") or " " in accepted:
        return
    if not said.lower().startswith(accepted.lower()):
        raise DownloadProblem(
            f"The model's page names the licence {said}, and {accepted} was accepted.",
            remedy="Its authors have changed it: look for a newer plipdesk, or import the model by hand.",
        )


# --- one file ---------------------------------------------------------------------------------------------------------


class _Meter:
    """Tells how many bytes of all files are there, a few times a second."""

    def __init__(self, say: Say, total: int) -> None:
        self._say = say
        self._total = total
        self._done = 0
        self._told_s = 0.0

    def add(self, count: int, name: str) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._told_s >= _TELL_S or self._done >= self._total:
            self._told_s = now
            self._say({"done": self._done, "total": self._total, "name": name})


class _Counted(io.FileIO):
    """A file without a buffer of ours, so that a kill loses nothing, which counts what is written."""

    def __init__(self, path: Path, most_bytes: int, wrote: Callable[[int], None]) -> None:
        super().__init__(path, "a+b")
        self._left = most_bytes - path.stat().st_size
        self._wrote = wrote

    def write(self, content: Any) -> int:
        self._left -= len(content)
        if self._left < 0:
            raise DownloadProblem("The hub sent more than it had said.", remedy="Try again, or try another mirror.")
        view, written = memoryview(content), 0
        while written < len(view):
            written += super().write(view[written:]) or 0
        self._wrote(written)
        return written

    def truncate(self, size: int | None = None) -> int:
        """The server starts from the beginning again."""
        now = self.seek(0, os.SEEK_END)
        kept = super().truncate(size)
        self._left += now - kept
        self._wrote(kept - now)
        return kept


def _fetch_one(repository: str, revision: str, file: _Wanted, folder: Path, token: str | bool, meter: _Meter) -> None:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils._headers import build_hf_headers

    target = folder / file.name
    if target.exists() and target.stat().st_size == file.size_bytes and _is_right(target, file):
        meter.add(file.size_bytes, file.name)
        return
    url = hf_hub_url(repository, file.name, revision=revision)
    if get_hf_file_metadata(url, token=token, timeout=_TIMEOUT_S).size not in (None, file.size_bytes):
        raise DownloadProblem(f"The hub names two sizes for {file.name}.", remedy="Try again later.")
    part = _part(folder, file)
    if part.exists() and part.stat().st_size > file.size_bytes:
        part.unlink()
    have = part.stat().st_size if part.exists() else 0
    meter.add(have, file.name)
    with _Counted(part, file.size_bytes, lambda count: meter.add(count, file.name)) as stream:
        http_get(
            url,
            stream,
            resume_size=have,
            headers=build_hf_headers(token=token) | {"Accept-Encoding": "identity"},
            expected_size=file.size_bytes,
        )
        os.fsync(stream.fileno())
    if not _is_right(part, file):
        part.unlink()
        raise DownloadProblem(
            f"What came as {file.name} is not what the hub says it is: its checksum differs.",
            remedy="Try again; if it happens again, the mirror or something on the way changes files.",
        )
    part.replace(target)
    fsync_folder(folder)


def _part(folder: Path, file: _Wanted) -> Path:
    """Where a file grows; the name says which content it is to become, so that no two are mixed."""
    content = file.sha256 or file.blob_id or "unknown"
    return folder / f"{file.name}.{content[:16]}{PART_SUFFIX}"


def _have_bytes(folder: Path, file: _Wanted) -> int:
    for path in (folder / file.name, _part(folder, file)):
        if path.exists():
            return min(path.stat().st_size, file.size_bytes)
    return 0


def _is_right(path: Path, file: _Wanted) -> bool:
    if file.sha256 is not None:
        return sha256_of(path) == file.sha256
    if file.blob_id is not None:
        content = path.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == file.blob_id
    return True


# --- words ------------------------------------------------------------------------------------------------------------


def in_words(error: Exception) -> PlipdeskError:
    """What a failure of the network or the hub means to a person."""
    from huggingface_hub import errors

    room = type(error).__module__.partition(".")[0]
    if isinstance(error, errors.GatedRepoError):
        return DownloadProblem(
            "The authors of this model let people in one by one, and this account has not been let in.",
            remedy="Ask for access on the model's page at the hub, make a token of your account there, then keep it "
            "with 'plipdesk models token set'.",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return DownloadProblem(
            "The hub does not have the version of this model that plipdesk knows.", remedy="Look for a newer plipdesk."
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return DownloadProblem(
            "The hub has no such model, or does not show it to everybody.",
            remedy="If you have access, keep your token with 'plipdesk models token set'.",
        )
    if isinstance(error, errors.EntryNotFoundError):
        return DownloadProblem("A file of the model is not at the hub any more.", remedy="Look for a newer plipdesk.")
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code if error.response is not None else "no status"
        if status in (401, 403):
            return DownloadProblem(
                "The hub does not accept the token.", remedy="Keep a new one with 'plipdesk models token set'."
            )
        return DownloadProblem(f"The hub answered with an error ({status}).", remedy="Try again later.")
    if room in ("httpx", "httpx2", "httpcore", "requests", "urllib3") or isinstance(
        error, ConnectionError | TimeoutError
    ):
        return DownloadProblem(
            "The hub cannot be reached, or the connection broke; what was fetched is kept.",
            remedy="Check the network (HTTPS_PROXY for a proxy, HF_ENDPOINT for a mirror), then try again: it goes on.",
        )
    if isinstance(error, OSError):
        return DownloadProblem(f"The download stopped: {error}.", remedy="Try again: it goes on where it stopped.")
    return DownloadProblem(f"The download failed: {error!r}.", remedy="Please report it.")


# --- the process ------------------------------------------------------------------------------------------------------


def _tell(document: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    """The other end of the pipe closes when whoever started this process ends, however it ends."""
    while sys.stdin.readline():
        pass
    os._exit(1)


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold the download folder of a model.

    Raises:
        DownloadProblem: another process fetches into it.
    """
    import psutil

    lock = folder / "lock"
    folder.mkdir(parents=True, exist_ok=True)
    with disk_problems_in_words(folder):
        for _ in range(2):
            try:
                with lock.open("x", encoding="ascii") as stream:
                    stream.write(str(os.getpid()))
                break
            except FileExistsError:
                owner = lock.read_text(encoding="ascii")
                if owner.isdigit() and int(owner) != os.getpid() and psutil.pid_exists(int(owner)):
                    raise DownloadProblem(
                        "This model is being downloaded already.", remedy="Wait until that download has ended."
                    ) from None
                lock.unlink(missing_ok=True)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
