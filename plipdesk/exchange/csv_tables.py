"""Tables as CSV: UTF-8 with a byte-order mark, so that spreadsheets read µ and ü; the notice stands in a column."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from plipdesk.base.files import atomic_write
from plipdesk.exchange.notice import NOTICE

Cell = str | int | float | None


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Cell]]) -> int:
    """Write rows in the order of ``columns`` and "notice", whole or not at all; returns how many.

    Text that a spreadsheet would take for a formula is put behind an apostrophe.

    Raises:
        EnvironmentProblem: the place cannot be written to.
    """
    count = 0
    with atomic_write(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow([*columns, "notice"])
        for row in rows:
            writer.writerow([*(_cell(row.get(column)) for column in columns), NOTICE])
            count += 1
        text.flush()
        text.detach()
    return count


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return str(value)
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
