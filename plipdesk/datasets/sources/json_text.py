"""JSON as exports have it: lines of which some are broken, arrays that were cut short, fields of any type."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from plipdesk.datasets.sources.trouble import SourceProblem, Trouble

MAX_LINE_BYTES = 64 << 20
MAX_DOCUMENT_BYTES = 1 << 30
_decode = msgspec.json.Decoder().decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


def json_files(path: Path, *endings: str) -> list[Path]:
    """``path`` itself, or the files with these endings (also gzipped) below it, sorted.

    Raises:
        SourceProblem: there is none.
    """
    if path.is_file():
        return [path]
    wanted = tuple(ending + packed for ending in endings for packed in ("", ".gz"))
    found = sorted(file for file in path.rglob("*") if file.name.lower().endswith(wanted) and file.is_file())
    if not found:
        raise SourceProblem(
            "No such export is here." if not path.exists() else f"No file ending in {' or '.join(endings)} is here.",
            path=path,
            remedy="Give the export's own file or folder.",
        )
    return found


def documents(file: Path, trouble: Trouble) -> Iterator[tuple[str, Any]]:
    """Each line of ``file`` as a JSON document with its place; a file that is one document gives that one."""
    whole = _whole_document(file)
    if whole is not None:
        yield file.name, whole
        return
    for number, line in _lines(file, trouble):
        where = f"{file.name}:{number}"
        try:
            document = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            try:
                # Half of an emoji, as old exports have it, is no Unicode; Python's own reader lets it pass.
                document = json.loads(line)
            except (ValueError, RecursionError) as error:
                trouble.add("broken line", where, str(error)[:120])
                continue
        yield where, document


def array_items(content: bytes, where: str, trouble: Trouble) -> Iterator[Any]:
    """The items of a JSON array, decoded one by one; what follows a break is lost and counted once."""
    try:
        for number, raw in enumerate(_decode_items(content)):
            try:
                yield _decode(raw)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                trouble.add("broken item", f"{where}[{number}]", str(error)[:120])
        return
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    yield from _salvaged(content.decode("utf-8", "replace"), where, trouble)


def text(value: Any) -> str:
    """``value`` as a string where it is a string or a number, else empty; lone surrogates are replaced."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def number(value: Any) -> int:
    """``value`` as a whole number of likes, 0 where it is none."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def mapping(value: Any) -> dict[str, Any]:
    """``value`` where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def mappings(value: Any) -> list[dict[str, Any]]:
    """The objects in ``value`` where that is a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def moment(value: str) -> str:
    """An ISO 8601 time in UTC without its zone and fractions; empty where ``value`` is no time."""
    if len(value) >= 19 and value[10] == "T" and value.endswith(("Z", "+00:00")) and value[:4].isdigit():
        return value[:19]
    from datetime import UTC, datetime

    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return ""
    return (found.astimezone(UTC) if found.tzinfo else found).strftime("%Y-%m-%dT%H:%M:%S")


def _whole_document(file: Path) -> Any | None:
    """The document in a ``.json`` file that is not made of lines, or None."""
    if not file.name.lower().endswith(".json") or file.stat().st_size > MAX_DOCUMENT_BYTES:
        return None
    with file.open("rb") as stream:
        first = stream.readline(MAX_LINE_BYTES)
        try:
            _decode(first)
            if not stream.read(4096).strip():
                return None
        except msgspec.DecodeError:
            pass
        else:
            return None
        stream.seek(0)
        try:
            return _decode(stream.read())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None


def _lines(file: Path, trouble: Trouble) -> Iterator[tuple[int, bytes]]:
    opened: IO[bytes] = gzip.open(file) if file.name.lower().endswith(".gz") else file.open("rb")  # type: ignore[assignment] # noqa: SIM115
    with opened as stream:
        place = 0
        while True:
            try:
                line = stream.readline(MAX_LINE_BYTES + 1)
                place += 1
                if len(line) > MAX_LINE_BYTES:
                    trouble.add("line too long", f"{file.name}:{place}")
                    while line and not line.endswith(b"\n"):
                        line = stream.readline(MAX_LINE_BYTES)
                    continue
            except (OSError, EOFError, zlib.error) as error:
                trouble.add("file cut short", f"{file.name}:{place}", str(error)[:120])
                return
            if not line:
                return
            if line := line.strip():
                yield place, line.removeprefix(b"\xef\xbb\xbf")


def _salvaged(content: str, where: str, trouble: Trouble) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    place, count = content.find("[") + 1, 0
    while place:
        while place < len(content) and content[place] in " \t\r\n,":
            place += 1
        if place >= len(content) or content[place] == "]":
            break
        try:
            item, place = decoder.raw_decode(content, place)
        except (ValueError, RecursionError):
            break
        count += 1
        yield item
    trouble.add("file cut short", where, f"{count} items before the break")
