"""LAION-style tables: Parquet with ``url``, ``caption`` and ``similarity``; the pictures lie in the media folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plipdesk.datasets.pair import Medium, Post
from plipdesk.datasets.sources.json_text import text
from plipdesk.datasets.sources.trouble import SourceProblem, Trouble
from plipdesk.datasets.steps.text import host_of

PLATFORM = "laion"
_NAMES = {
    "url": ("url",),
    "caption": ("caption", "text", "alt", "top_caption"),
    "similarity": ("similarity", "clip_similarity", "clip_similarity_vitb32"),
    "file": ("file", "file_name", "filename", "image", "image_path", "path"),
    "key": ("key", "sample_id"),
    "licence": ("license", "licence"),
    "language": ("language", "lang"),
    "punsafe": ("punsafe",),
}
_ROWS_AT_ONCE = 8192
_UNSAFE_ABOVE = 0.5


def posts(path: Path, trouble: Trouble) -> Iterator[Post]:
    """One post for each row that has an address and a caption."""
    files = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
    if not files:
        raise SourceProblem(
            "There is no Parquet file here.", path=path, remedy="Give the table of addresses and captions."
        )
    for file in files:
        yield from _of_file(file, trouble)


def _of_file(file: Path, trouble: Trouble) -> Iterator[Post]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file) as opened:
            columns = _columns(opened.schema_arrow.names)
            if "url" not in columns or "caption" not in columns:
                raise SourceProblem(
                    "This table has no columns url and caption.", path=file, remedy="Give a LAION-style Parquet table."
                )
            place = 0
            for batch in opened.iter_batches(_ROWS_AT_ONCE, columns=list(columns.values())):
                values = {name: batch.column(column).to_pylist() for name, column in columns.items()}
                for row in range(batch.num_rows):
                    post = _post({name: column[row] for name, column in values.items()})
                    if post is None:
                        trouble.add("row without address or caption", f"{file.name}:{place + row}")
                    else:
                        yield post
                place += batch.num_rows
    except (OSError, pa.ArrowException) as error:
        trouble.add("damaged file", file.name, str(error)[:120])


def _columns(found: list[str]) -> dict[str, str]:
    """Ours → the table's own names, without regard to case."""
    lower = {name.lower(): name for name in reversed(found)}
    chosen = {}
    for ours, theirs in _NAMES.items():
        for name in theirs:
            if name in lower:
                chosen[ours] = lower[name]
                break
    return chosen


def _post(row: dict[str, Any]) -> Post | None:
    address, caption = text(row["url"]).strip(), text(row["caption"]).strip()
    if not address or not caption:
        return None
    identity = hashlib.sha256(f"{address}\n{caption}".encode()).hexdigest()[:24]
    file = text(row.get("file")) or None
    key = text(row.get("key"))
    similarity, unsafe = row.get("similarity"), row.get("punsafe")
    return Post(
        platform=PLATFORM,
        id=identity,
        family="web",
        text=caption,
        group=f"site:{host_of(address) or identity}",
        language=text(row.get("language")),
        sensitive=isinstance(unsafe, float) and unsafe > _UNSAFE_ABOVE,
        link=address,
        licence=text(row.get("licence")).replace("?", ""),
        similarity=float(similarity) if isinstance(similarity, int | float) else None,
        media=[Medium(id=key or identity, url=address, file=file)],
    )
