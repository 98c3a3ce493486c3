"""Corrections of patches: the last word counts, and they go with their slide."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from plipdesk.base.errors import NotFound, UsageProblem
from plipdesk.base.paths import Workspace
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.rows import CorrectionRow, SlideFilter
from plipdesk.encoders.null import NullEncoder
from plipdesk.engine import messages as m
from plipdesk.engine.labelling_desk import LabellingDesk
from tests.catalogue.helpers import slide

ROW = CorrectionRow(slide(1).slide_id, "kather", 64, 128, 64.5, "mucus")


def plain(rows: list[CorrectionRow]) -> list[CorrectionRow]:
    return [replace(row, created_at="") for row in rows]


def test_the_last_word_on_a_patch_counts(tmp_path: Path) -> None:
    with Catalogue.open(Workspace(tmp_path)) as catalogue:
        for number in (1, 2):
            catalogue.slides.put(slide(number))
        other = replace(ROW, slide_id=slide(2).slide_id, label_set="tissues")
        catalogue.corrections.edit([ROW, other])
        catalogue.corrections.edit([replace(ROW, class_name="debris")])
        assert plain(catalogue.corrections.select("kather")) == [replace(ROW, class_name="debris")]
        assert plain(catalogue.corrections.select("tissues", SlideFilter(slide_ids=(slide(1).slide_id,)))) == []
        catalogue.corrections.edit(remove=[ROW])
        assert catalogue.corrections.select("kather") == []
        catalogue.slides.remove(slide(2).slide_id)
        assert catalogue.corrections.select("tissues") == []


@pytest.mark.parametrize(
    "changes", [{"class_name": " "}, {"label_set": ""}, {"size0_px": 0.0}, {"class_name": "x" * 300}]
)
def test_what_says_nothing_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with Catalogue.open(Workspace(tmp_path)) as catalogue:
        catalogue.slides.put(slide(1))
        with pytest.raises(UsageProblem):
            catalogue.corrections.edit([ROW, replace(ROW, x0_px=0, **changes)])  # type: ignore[arg-type]
        assert catalogue.corrections.select("kather") == []
        with pytest.raises(NotFound):
            catalogue.corrections.edit([replace(ROW, slide_id="0" * 32)])


def test_the_engine_keeps_and_lists_them(tmp_path: Path) -> None:
    with Catalogue.open(Workspace(tmp_path)) as catalogue:
        catalogue.slides.put(slide(1))
        answers = LabellingDesk(catalogue, Workspace(tmp_path), lambda _: NullEncoder()).quick_answers()
        assert answers[m.CorrectPatches](m.CorrectPatches(put=(ROW,))) == m.Done()
        found = answers[m.ListCorrections](m.ListCorrections("kather"))
        assert isinstance(found, m.CorrectionList)
        assert plain(list(found.corrections)) == [ROW]
        assert m.decode(m.encode(m.Envelope(1, found))).body == found
