"""A report as one HTML file that needs nothing else: no script, no network, pictures inside."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plipdesk.base.files import atomic_write
from plipdesk.exchange.notice import NOTICE

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1b1b1b;background:#fff;max-width:1100px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.25rem;margin-top:2.2rem;border-bottom:1px solid #d5d5d5}h3{font-size:1.05rem}
.notice{background:#fff4d6;border:1px solid #d9a400;padding:.5rem .8rem;font-weight:600}
table{border-collapse:collapse;margin:.8rem 0}
td,th{padding:.25rem .7rem;border-bottom:1px solid #e2e2e2;text-align:left}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
.swatch{display:inline-block;width:.9em;height:.9em;border:1px solid #777;vertical-align:-.1em;margin-right:.5em}
.bar{display:inline-block;height:.7em;background:#4a7ebb}figure{margin:1rem 0}figure img{max-width:100%}
figcaption{color:#555;font-size:.9rem}.row{display:flex;flex-wrap:wrap;gap:.6rem}.row figure{margin:0;width:130px}
.row img{width:130px;height:130px}dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem}
dt{color:#555}dd{margin:0;overflow-wrap:anywhere}
@media print{body{margin:0;max-width:none}h2{break-before:auto}figure,table{break-inside:avoid}}
"""


@dataclass(frozen=True)
class Picture:
    """A picture in the report: JPEG or PNG, and the words below it."""

    content: bytes
    words: str

    @property
    def address(self) -> str:
        """The picture as a data URL."""
        kind = "png" if self.content.startswith(b"\x89PNG") else "jpeg"
        return f"data:image/{kind};base64,{base64.b64encode(self.content).decode()}"


@dataclass(frozen=True)
class Row:
    """A row of a table; ``colour`` (``#rrggbb``) stands before its first cell, ``share`` (0 to 1) is drawn as a bar."""

    cells: tuple[str, ...]
    colour: str | None = None
    share: float | None = None


@dataclass(frozen=True)
class Section:
    """A part of the report; every field may be empty."""

    title: str
    words: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    columns: tuple[str, ...] = ()
    """Of the table; the first is text, the others are numbers."""
    rows: tuple[Row, ...] = ()
    pictures: tuple[Picture, ...] = ()
    rows_of_pictures: tuple[tuple[str, tuple[Picture, ...]], ...] = ()


def write_report(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Write the report, whole or not at all. All words are escaped.

    Raises:
        EnvironmentProblem: the place cannot be written to.
    """
    body = "\n".join(_section(section) for section in sections)
    said = html.escape(title)
    document = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{said}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head><body>'
        f'<h1>{said}</h1><p class="notice">{NOTICE}</p>\n{body}\n<p class="notice">{NOTICE}</p></body></html>\n'
    )
    with atomic_write(path) as stream:
        stream.write(document.encode())


def _section(section: Section) -> str:
    parts = [f"<h2>{html.escape(section.title)}</h2>"]
    parts += [f"<p>{html.escape(words)}</p>" for words in section.words]
    if section.facts:
        facts = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in section.facts)
        parts.append(f"<dl>{facts}</dl>")
    parts += [_figure(picture) for picture in section.pictures]
    if section.rows:
        parts.append(_table(section))
    for words, pictures in section.rows_of_pictures:
        parts.append(f"<h3>{html.escape(words)}</h3>")
        parts.append('<div class="row">' + "".join(_figure(picture) for picture in pictures) + "</div>")
    return "\n".join(parts)


def _figure(picture: Picture) -> str:
    words = html.escape(picture.words)
    return f'<figure><img src="{picture.address}" alt="{words}"><figcaption>{words}</figcaption></figure>'


def _table(section: Section) -> str:
    def cell(tag: str, place: int, words: str) -> str:
        return f"<{tag}{' class=number' if place else ''}>{words}</{tag}>"

    bars = any(row.share is not None for row in section.rows)
    head = "".join(cell("th", place, html.escape(name)) for place, name in enumerate(section.columns))
    lines = [f"<table><thead><tr>{head}{'<th></th>' if bars else ''}</tr></thead><tbody>"]
    for row in section.rows:
        swatch = f'<span class="swatch" style="background:{html.escape(row.colour)}"></span>' if row.colour else ""
        cells = "".join(
            cell("td", place, (swatch if place == 0 else "") + html.escape(words))
            for place, words in enumerate(row.cells)
        )
        if bars:
            width = 0.0 if row.share is None else 160 * min(max(row.share, 0.0), 1.0)
            cells += f'<td><span class="bar" style="width:{width:.1f}px"></span></td>'
        lines.append(f"<tr>{cells}</tr>")
    return "\n".join(lines) + "</tbody></table>"
