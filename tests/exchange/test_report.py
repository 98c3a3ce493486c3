"""Reports and tables: self-contained, escaped, with the notice."""

from __future__ import annotations

import csv
import re
from html.parser import HTMLParser
from pathlib import Path

from plipdesk.exchange.csv_tables import write_csv
from plipdesk.exchange.notice import NOTICE
from plipdesk.exchange.report import Picture, Row, Section, write_report


class Balanced(HTMLParser):
    """Notes tags that are never closed, and addresses that lead outside."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)
        self.outside += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_report_needs_nothing_else_and_escapes_what_it_is_given(tmp_path: Path) -> None:
    section = Section(
        "<script>alert(1)</script>", ("a & b",), (("fact", "<b>"),), ("class", "n"),
        (Row(("fat <&>", "3"), "#112233", 0.5), Row(("muscle", "4"))), (Picture(b"\x89PNG...", "map"),),
        (("surest", (Picture(b"\xff\xd8jpeg", "0.9"),)),),
    )  # fmt: skip
    path = tmp_path / "ü.html"
    write_report(path, "Labels <of> tissue", [section])
    text = path.read_text(encoding="utf-8")
    reader = Balanced()
    reader.feed(text)
    assert reader.open == []
    assert [address.partition(",")[0] for address in reader.outside] == [
        "data:image/png;base64", "data:image/jpeg;base64",
    ]  # fmt: skip
    assert "<script" not in text
    assert "http" not in text
    assert text.count(NOTICE) == 2
    assert re.search(r"width:80\.0px", text)
    first = path.read_bytes()
    write_report(path, "Labels <of> tissue", [section])
    assert path.read_bytes() == first


def test_tables_defuse_formulas_and_keep_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    assert (
        write_csv(path, ("name", "n", "x"), [{"name": "=1+1", "n": 3, "x": 0.1234567}, {"name": "µ", "x": None}]) == 2
    )
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows == [["name", "n", "x", "notice"], ["'=1+1", "3", "0.123457", NOTICE], ["µ", "", "", NOTICE]]
