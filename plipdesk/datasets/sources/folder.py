"""A folder of pictures with a table (CSV, TSV), JSON lines, or a text beside each picture."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from plipdesk.datasets.cleaning import hashtags_of
from plipdesk.datasets.pair import Medium, Post, file_safe
from plipdesk.datasets.sources.container import Folder, Unsafe, inner_name
from plipdesk.datasets.sources.json_text import documents, moment, text
from plipdesk.datasets.sources.trouble import SourceProblem, Trouble

PLATFORM = "folder"
PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
_TEXTS = (".txt", ".caption", ".json")
_MOST_CAPTION_BYTES = 1 << 20
_FIELDS = {
    "file": ("file", "file_name", "filename", "image", "image_path", "path", "picture"),
    "caption": ("caption", "text", "caption_en", "description"),
    "title": ("title",),
    "group": ("group", "case", "case_id", "patient", "patient_id", "author", "source_id"),
    "id": ("id", "image_id"),
    "created": ("created", "date", "created_at"),
    "licence": ("licence", "license"),
    "consent": ("consent",),
    "link": ("link", "url", "weblink"),
    "language": ("language", "lang"),
    "split": ("split",),
    "tags": ("tags", "stain", "labels"),
}


def posts(path: Path, trouble: Trouble) -> Iterator[Post]:
    """One post for each picture that has words; tables come before texts beside the pictures.

    Raises:
        SourceProblem: no folder, or no picture in it.
    """
    if not path.is_dir():
        raise SourceProblem("There is no such folder.", path=path, remedy="Give the folder that holds the pictures.")
    names = Folder(path, trouble).names()
    pictures = {name for name in names if name.lower().endswith(PICTURES)}
    if not pictures:
        raise SourceProblem("There is no picture in this folder.", path=path, remedy="Give the folder that holds them.")
    told: set[str] = set()
    for table in (name for name in names if name.lower().endswith((".csv", ".tsv", ".jsonl", ".ndjson"))):
        for where, row in _rows(path / table, trouble):
            post = _of_row(row, table, pictures, where, trouble)
            if post is not None:
                told.update(medium.file for medium in post.media if medium.file)
                yield post
    beside = {name.lower(): name for name in names if name.lower().endswith(_TEXTS)}
    for name in sorted(pictures - told):
        post = _of_sidecar(path, name, beside, trouble)
        if post is None:
            trouble.add("picture without words", name)
        else:
            yield post


def _rows(file: Path, trouble: Trouble) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if file.suffix.lower() in (".jsonl", ".ndjson"):
        for where, document in documents(file, trouble):
            if isinstance(document, dict):
                yield where, document
            else:
                trouble.add("line that is no object", where)
        return
    csv.field_size_limit(_MOST_CAPTION_BYTES)
    try:
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            reader = csv.DictReader(stream, delimiter="\t" if file.suffix.lower() == ".tsv" else ",")
            for row in reader:
                yield f"{file.name}:{reader.line_num}", row
    except csv.Error as error:
        trouble.add("broken table", file.name, str(error)[:120])


def _of_row(row: Mapping[str, Any], table: str, pictures: set[str], where: str, trouble: Trouble) -> Post | None:
    lower = {str(name).lower().strip(): value for name, value in row.items() if name is not None}
    given = {name: value for name, value in lower.items() if value not in (None, "")}
    found = {ours: next((given[name] for name in theirs if name in given), "") for ours, theirs in _FIELDS.items()}
    named = text(found["file"])
    if not named:
        trouble.add("row without a picture", where)
        return None
    words = ". ".join(
        part.strip().rstrip(".") for part in (text(found["title"]), text(found["caption"])) if part.strip()
    )
    if not text(found["title"]):
        words = text(found["caption"])
    if not words.strip():
        trouble.add("row without words", where)
        return None
    place = str(PurePosixPath(table).parent)
    file, problem = named, None
    try:
        plain = inner_name(named)
        beside = plain if place == "." else f"{place}/{plain}"
        file = beside if beside in pictures else plain
    except Unsafe as why:
        problem = str(why)
    identity = text(found["id"]) or file_safe(file.replace("/", "__").replace(".", "-"))
    tags = found["tags"]
    return Post(
        platform=PLATFORM,
        id=identity,
        family="local",
        text=words,
        group=f"folder:{text(found['group']) or identity}",
        created=moment(text(found["created"])),
        language=text(found["language"]),
        hashtags=hashtags_of(words),
        link=text(found["link"]),
        licence=text(found["licence"]),
        consent=text(found["consent"]) or ("no" if found["consent"] is False else ""),
        split=text(found["split"]),
        tags=tuple(text(tag) for tag in tags if text(tag)) if isinstance(tags, list) else tuple(_split(text(tags))),
        media=[
            Medium(
                id=file_safe(file.replace("/", "__").replace(".", "-")), file=None if problem else file, problem=problem
            )
        ],
    )


def _split(tags: str) -> list[str]:
    return [tag.strip() for tag in tags.replace("|", ";").split(";") if tag.strip()]


def _of_sidecar(root: Path, name: str, beside: dict[str, str], trouble: Trouble) -> Post | None:
    stem = name.rpartition(".")[0].lower()
    for ending in _TEXTS:
        other = beside.get(stem + ending) or beside.get(name.lower() + ending)
        if other is None:
            continue
        file = root / other
        if file.stat().st_size > _MOST_CAPTION_BYTES:
            trouble.add("text too large", other)
            continue
        content = file.read_bytes().decode("utf-8-sig", "replace")
        if ending != ".json":
            return _of_row({"file": name, "caption": content}, "", {name}, other, trouble) if content.strip() else None
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            trouble.add("broken text beside a picture", other)
            continue
        if isinstance(document, dict):
            return _of_row({**document, "file": name}, "", {name}, other, trouble)
    return None
