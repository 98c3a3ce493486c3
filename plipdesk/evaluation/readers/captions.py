"""Pictures with captions: ARCH-style sets (PubMed, Books), PathPedia-style and other tables, lists of posts, manifests.

- ``captions.json`` beside ``images/``: as ARCH (Gamper and Rajpoot 2021) comes, each entry with ``caption`` and
  ``uuid`` (and ``figure_id``: panels of one figure share it).
- a CSV or JSON-lines table with a picture and a caption in each row, and maybe a post and a hashtag.
- a manifest (Parquet), as plipdesk's own data sets are.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from plipdesk.evaluation.data import EvaluationProblem, FilePictures, PairData
from plipdesk.evaluation.readers.layout import PICTURE_ENDINGS, counted, missing

_IMAGE = ("image", "image_path", "filename", "file", "path", "img", "picture")
_CAPTION = ("caption", "text", "title", "description")
_POST = ("post", "post_id", "tweet_id", "id", "figure_id", "case", "weblink", "group")
_HASHTAG = ("hashtag", "tag", "subspecialty")
_MOST_BYTES = 1 << 30
_WHERE = "Give a folder with captions.csv (columns image and caption), captions.json or manifest.parquet."


def read_captions(data: Path, *, name: str | None = None, published: int | None = None) -> PairData:
    """Read the table in ``data`` (a folder, or the table itself); rows without picture or caption are left out.

    Raises:
        EvaluationProblem: no table, no usable row, or columns that say nothing.
    """
    table = _table(data)
    # A manifest is plipdesk's own and may name pictures anywhere.
    folder = Path("/").absolute() if table.suffix.lower() == ".parquet" else table.parent
    rows = list(_entries(table))
    paths: list[Path] = []
    captions: list[str] = []
    posts: list[str] = []
    hashtags: list[str] = []
    absent = 0
    for number, row in enumerate(rows):
        path, caption = _picture(folder, row), (_first(row, _CAPTION) or "").strip()
        if path is None or not caption:
            absent += 1
            continue
        paths.append(path)
        captions.append(caption)
        posts.append(_first(row, _POST) or f"row {number}")
        hashtags.append(_first(row, _HASHTAG) or "")
    if not paths:
        raise missing(data, "A picture with a caption", _WHERE)
    notes = [f"{absent:,} of {len(rows):,} rows have no picture or no caption here."] if absent else []
    if published is not None:
        notes += counted(name or data.name, len(paths), published)
    return PairData(
        name=name or table.parent.name,
        pictures=FilePictures(folder, paths),
        captions=tuple(captions),
        posts=tuple(posts),
        hashtags=tuple(hashtags) if any(hashtags) else None,
        notes=tuple(notes),
    )


def _table(data: Path) -> Path:
    if data.is_file():
        return data
    if data.is_dir():
        for name in ("manifest.parquet", "captions.json", "captions.csv", "captions.jsonl", "posts.csv", "posts.jsonl"):
            if (data / name).is_file():
                return data / name
        tables = sorted(path for path in data.iterdir() if path.suffix.lower() in (".csv", ".jsonl", ".parquet"))
        if len(tables) == 1:
            return tables[0]
    raise missing(data, "A table of captions", _WHERE)


def _entries(table: Path) -> Iterator[Mapping[str, Any]]:
    if table.suffix.lower() == ".parquet":
        from plipdesk.datasets.manifest import read_manifest

        for row in read_manifest(table, check_files=False).rows:
            yield {"image": str(row.image.resolve()), "caption": row.caption, "post": row.group}
        return
    try:
        if table.stat().st_size > _MOST_BYTES:
            raise EvaluationProblem("The table is larger than 1 GB.", path=table, remedy="Divide it.")
        with table.open(encoding="utf-8-sig", newline="") as stream:
            if table.suffix.lower() == ".csv":
                yield from csv.DictReader(stream)
            elif table.suffix.lower() == ".jsonl":
                yield from (json.loads(line) for line in stream if line.strip())
            else:
                document = json.load(stream)
                yield from document.values() if isinstance(document, dict) else document
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise EvaluationProblem(f"The table cannot be read: {error}.", path=table, remedy=_WHERE) from error


def _first(row: Mapping[str, Any], names: Sequence[str]) -> str | None:
    lower = {str(key).lower(): value for key, value in row.items() if key is not None}
    for name in names:
        if lower.get(name) not in (None, ""):
            return str(lower[name])
    return None


def _picture(folder: Path, row: Mapping[str, Any]) -> Path | None:
    """The row's picture, inside the table's folder; None where there is none."""
    named = _first(row, _IMAGE)
    places: list[Path] = []
    if named is not None:
        places = [folder / named, folder / "images" / named]
    elif (uuid := _first(row, ("uuid",))) is not None:
        places = [folder / "images" / f"{uuid}{ending}" for ending in sorted(PICTURE_ENDINGS)]
    for place in places:
        # A table must not reach for files outside its own folder.
        if place.is_file() and place.resolve().is_relative_to(folder.resolve()):
            return folder / place.resolve().relative_to(folder.resolve())
    return None
