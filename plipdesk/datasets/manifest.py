"""The manifest of an image–text data set: one Parquet file, one row per picture.

Columns (fixed): ``image`` (path, relative to the manifest's folder or absolute), ``sha256`` (of the file),
``caption``, ``tags`` (list of strings, most prominent first), ``group`` (case or author: rows of one group never lie on
two sides of a split), ``source``, ``split``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.base.files import atomic_write
from plipdesk.base.ids import settings_id

COLUMNS = ("image", "sha256", "caption", "tags", "group", "source", "split")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_ROWS = 50_000_000
_REMEDY = "Build the manifest again, or give one with the columns " + ", ".join(COLUMNS) + "."


class ManifestProblem(EnvironmentProblem):
    """A manifest, or a picture that it names, is not as it must be."""

    kind = "manifest"


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One picture with its words. ``image`` is absolute once read; ``tags`` come most prominent first."""

    image: Path
    sha256: str
    caption: str
    tags: tuple[str, ...]
    group: str
    source: str
    split: str


@dataclass(frozen=True)
class Manifest:
    """The rows of a manifest in file order."""

    path: Path
    rows: tuple[ManifestRow, ...]

    def of_split(self, *splits: str) -> tuple[ManifestRow, ...]:
        """Rows whose split is one of ``splits``, in file order."""
        return tuple(row for row in self.rows if row.split in splits)

    def fingerprint(self) -> str:
        """32 hex digits over all that the rows say except where the files lie."""
        return settings_id(
            {"rows": [[row.sha256, row.caption, list(row.tags), row.group, row.source, row.split] for row in self.rows]}
        )


def _schema() -> Any:
    import pyarrow as pa

    text = [(name, pa.string()) for name in ("image", "sha256", "caption")]
    return pa.schema(
        [*text, ("tags", pa.list_(pa.string())), *((name, pa.string()) for name in ("group", "source", "split"))]
    )


def write_manifest(path: Path, rows: Sequence[ManifestRow]) -> None:
    """Write ``rows`` to ``path``; images inside the manifest's folder are stored relative to it.

    Raises:
        ManifestProblem: a group lies in two splits, or an image is named twice.
    """
    import pyarrow as pa
    from pyarrow import parquet

    _check_rows(path, rows)
    folder = path.resolve().parent
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in COLUMNS}
    columns["image"] = [
        row.image.relative_to(folder).as_posix() if row.image.is_relative_to(folder) else str(row.image) for row in rows
    ]
    columns["tags"] = [list(row.tags) for row in rows]
    with atomic_write(path) as stream:
        parquet.write_table(pa.table(columns, schema=_schema()), stream, compression="zstd")


def read_manifest(path: Path, *, check_files: bool = True) -> Manifest:
    """Read a manifest and check columns, types, values and (``check_files``) that each picture's file exists.

    Raises:
        ManifestProblem: unreadable, a column missing or of another type, an empty or malformed value, a group in two
            splits, an image twice, or a file that is not there.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as opened:
            if opened.metadata.num_rows > _MOST_ROWS:
                raise ManifestProblem(
                    f"The manifest declares {opened.metadata.num_rows} rows, more than {_MOST_ROWS}.",
                    path=path,
                    remedy=_REMEDY,
                )
            found = opened.schema_arrow
            for field in _schema():
                place = found.get_field_index(field.name)
                if place < 0:
                    raise ManifestProblem(f"The manifest has no column {field.name}.", path=path, remedy=_REMEDY)
                if not _same_type(found.field(place).type, field.type):
                    raise ManifestProblem(
                        f"The manifest's column {field.name} holds {found.field(place).type}, not {field.type}.",
                        path=path,
                        remedy=_REMEDY,
                    )
            table = opened.read(columns=list(COLUMNS)).to_pydict()
    except (OSError, pa.ArrowException) as error:
        raise ManifestProblem("The manifest cannot be read.", path=path, remedy=_REMEDY) from error
    folder = path.resolve().parent
    rows = []
    for number, values in enumerate(zip(*(table[name] for name in COLUMNS), strict=True)):
        image, sha256, caption, tags, group, source, split = values
        if None in values or None in tags or not image or not group or not split:
            raise ManifestProblem(f"Row {number} of the manifest has an empty field.", path=path, remedy=_REMEDY)
        if not _SHA256.fullmatch(sha256):
            raise ManifestProblem(f"Row {number} of the manifest has no SHA-256.", path=path, remedy=_REMEDY)
        rows.append(ManifestRow(folder / image, sha256, caption, tuple(tags), group, source, split))
    _check_rows(path, rows)
    if check_files:
        for row in rows:
            if not row.image.is_file():
                raise ManifestProblem(
                    "A picture of the manifest is missing.",
                    path=row.image,
                    remedy="Put the file back, or build the manifest again.",
                )
    return Manifest(path, tuple(rows))


def _same_type(found: Any, wanted: Any) -> bool:
    import pyarrow as pa

    def is_text(kind: Any) -> bool:
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))

    if pa.types.is_list(wanted):
        return bool(pa.types.is_list(found) or pa.types.is_large_list(found)) and is_text(found.value_type)
    return is_text(found)


def _check_rows(path: Path, rows: Sequence[ManifestRow]) -> None:
    side: dict[str, str] = {}
    images: set[Path] = set()
    for row in rows:
        if side.setdefault(row.group, row.split) != row.split:
            raise ManifestProblem(
                f"The group {row.group} lies in the splits {side[row.group]} and {row.split}.",
                path=path,
                remedy="Keep all pictures of a group in one split.",
            )
        if row.image in images:
            raise ManifestProblem(f"The picture {row.image} is named twice.", path=path, remedy=_REMEDY)
        images.add(row.image)
