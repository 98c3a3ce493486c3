"""Label sets and labels as the engine answers for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plipdesk.base.errors import NotFound, UsageProblem
from plipdesk.base.paths import Workspace
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.rows import CorrectionRow
from plipdesk.encoders.null import NullEncoder
from plipdesk.engine import messages as m
from plipdesk.engine.labelling_desk import Answers, LabellingDesk
from plipdesk.labelling.label_sets import LabelProblem
from tests.catalogue.helpers import embedding, slide
from tests.vectors import unit_vectors, vectors_file

LABELS = {"name": "two", "classes": [{"name": "fat"}, {"name": "muscle"}]}


def desk(catalogue: Catalogue, folder: Path, patches: int = 30) -> Answers:
    encoder = NullEncoder()
    row = embedding(1, encoder=encoder.fingerprint, patches=patches)
    vectors_file(folder / row.file, unit_vectors(patches, 32))
    catalogue.embeddings.commit(slide(1, width_px=20_000), [row])
    found = LabellingDesk(catalogue, Workspace(folder), lambda _: encoder)
    return found.quick_answers() | found.slow_answers()


def test_a_slide_is_labelled_at_once(tmp_path: Path) -> None:
    with Catalogue.open(Workspace(tmp_path)) as catalogue:
        answers = desk(catalogue, tmp_path)
        found = answers[m.LabelSlide](m.LabelSlide(slide(1).slide_id, LABELS, {"none_of_these": True}))
        assert isinstance(found, m.SlideLabelled)
        assert m.decode(m.encode(m.Envelope(1, found))).body == found
        assert found.names == ("fat", "muscle", "none of these", "unsure")
        label = np.frombuffer(found.label, "<i4")
        counts = {row["name"]: row["patches"] for row in found.table["classes"]}
        assert [int((label == number).sum()) for number in range(4)] == [counts[name] for name in found.names]
        assert np.frombuffer(found.shares, "<f2").shape == (60,)
        assert len(found.ask_next) == 30
        with pytest.raises(NotFound):
            answers[m.LabelSlide](m.LabelSlide("0" * 32, LABELS))
        with pytest.raises(LabelProblem):
            answers[m.LabelSlide](m.LabelSlide(slide(1).slide_id, {"name": "x", "classes": []}))
        with pytest.raises(UsageProblem):
            answers[m.LabelSlide](m.LabelSlide(slide(1).slide_id, LABELS, {"choice": "some"}))


def test_corrections_come_back_and_calibrate(tmp_path: Path) -> None:
    with Catalogue.open(Workspace(tmp_path)) as catalogue:
        answers = desk(catalogue, tmp_path)
        said = tuple(
            CorrectionRow(slide(1).slide_id, "two", 224 * number, 0, 64.0, ("fat", "muscle")[number % 2])
            for number in range(24)
        )
        answers[m.CorrectPatches](m.CorrectPatches(put=said))
        found = answers[m.LabelSlide](m.LabelSlide(slide(1).slide_id, LABELS))
        assert isinstance(found, m.SlideLabelled)
        assert np.frombuffer(found.corrected, "<i4").tolist() == [*([0, 1] * 12), *([-1] * 6)]
        assert "Calibrated on 24" in found.notes[0]
        assert set(found.ask_next) <= set(range(24, 30))


def test_label_sets_are_listed_with_colours_and_kept(tmp_path: Path) -> None:
    with Catalogue.open(Workspace(tmp_path)) as catalogue:
        answers = desk(catalogue, tmp_path)
        before = answers[m.ListLabelSets](m.ListLabelSets())
        after = answers[m.KeepLabelSet](m.KeepLabelSet(LABELS))
        assert isinstance(before, m.LabelSetList)
        assert isinstance(after, m.LabelSetList)
        assert all(one["colour"] for one in before.label_sets[0].document["classes"])
        assert [one.name for one in after.label_sets[len(before.label_sets) :]] == ["two"]
