"""Learning from corrections and drawn areas, and which patches to ask about next."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from plipdesk.base.paths import Workspace
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.rows import AnnotationRow, CorrectionRow
from plipdesk.exchange.qupath import Feature, polygons, square
from plipdesk.labelling.annotations import covered_shares, feature_of, labels_by_overlap, rows_of
from plipdesk.labelling.label_sets import parse_label_set
from plipdesk.labelling.labeller import Labeller
from plipdesk.labelling.learning import Examples, ask_next, gather_examples, learn
from plipdesk.labelling.prompts import ClassPrompts
from plipdesk.labelling.settings import LabelSettings
from tests.catalogue.helpers import ENCODER, embedding, slide
from tests.vectors import unit_vectors, vectors_file

AB = parse_label_set("[a, b]", name="ab")
SLIDE = slide(1)
# A row of ten patches, 64 px each.
X = np.arange(10, dtype=np.int32) * 64
Y = np.zeros(10, dtype=np.int32)


def area(name: str, x0: float, x1: float, *, slide_id: str = SLIDE.slide_id, number: int = 1) -> AnnotationRow:
    ring = ((x0, 0.0), (x1, 0.0), (x1, 64.0), (x0, 64.0))
    return AnnotationRow(str(uuid.UUID(int=number)), slide_id, "polygon", dict(polygons([(ring, ())])), class_name=name)


def test_patches_get_the_class_of_the_area_that_covers_them() -> None:
    found = labels_by_overlap([area("A", 0, 150), area("b", 200, 330), area("other", 330, 640)], "ab", SLIDE, X, Y, 64)
    assert found.tolist() == [0, 0, -1, 1, 1, -1, -1, -1, -1, -1]
    np.testing.assert_allclose(covered_shares(area("a", 0, 150).geometry, SLIDE, X[:4], Y[:4], 64), [1, 1, 22 / 64, 0])
    assert labels_by_overlap([], "ab", SLIDE, X, Y, 64).tolist() == [-1] * 10
    assert labels_by_overlap([area("a", 0, 64)], "ab", SLIDE, X[:0], Y[:0], 64).shape == (0,)


def test_a_hole_and_a_point_cover_nothing() -> None:
    outer = ((0.0, 0.0), (640.0, 0.0), (640.0, 64.0), (0.0, 64.0))
    hole = ((64.0, 0.0), (128.0, 0.0), (128.0, 64.0), (64.0, 64.0))
    np.testing.assert_allclose(
        covered_shares(polygons([(outer, (hole,))]), SLIDE, X[:3], Y[:3], 64), [1, 0, 1], atol=1e-9
    )
    assert covered_shares({"type": "Point", "coordinates": [3, 3]}, SLIDE, X, Y, 64).sum() == 0


def test_features_become_annotations_and_come_back() -> None:
    feature = Feature(
        square(10, 20, 30), classes=("Tumor", "Necrosis"), class_colour=(200, 0, 0), name="spot", locked=True
    )
    (row,) = rows_of(feature, SLIDE)
    assert (row.class_name, row.colour, row.kind, row.locked) == ("Tumor: Necrosis", "#c80000", "polygon", True)
    assert list(rows_of(feature, SLIDE)) == [row]
    back = feature_of(row)
    assert (back.classes, back.class_colour, back.name, back.id) == (
        feature.classes, feature.class_colour, "spot", row.annotation_id,
    )  # fmt: skip
    assert list(rows_of(Feature(square(-500, 20, 30)), SLIDE)) == []
    points = Feature({"type": "MultiPoint", "coordinates": [[1.0, 2.0], [3.0, 4.0]]}, id=str(uuid.UUID(int=9)))
    kinds = [(one.kind, one.geometry["coordinates"]) for one in rows_of(points, SLIDE)]
    assert kinds == [("point", [1.0, 2.0]), ("point", [3.0, 4.0])]
    assert len({one.annotation_id for one in rows_of(points, SLIDE)}) == 2


def test_examples_come_from_corrections_first_then_from_areas(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    vectors = unit_vectors(10, 32)
    with Catalogue.open(workspace) as catalogue:
        row = embedding(1)
        held = vectors_file(tmp_path / row.file, vectors, x0_px=X, y0_px=Y)
        catalogue.embeddings.commit(slide(1, case="case 1"), [row])
        catalogue.annotations.edit(SLIDE.slide_id, [area("a", 0, 256)])
        catalogue.corrections.edit(
            [
                CorrectionRow(SLIDE.slide_id, "ab", 64, 0, 64.0, "b"),
                CorrectionRow(SLIDE.slide_id, "ab", 128, 0, 64.0, "none of these"),
                CorrectionRow(SLIDE.slide_id, "ab", 576, 0, 64.0, "a"),
                CorrectionRow(SLIDE.slide_id, "ab", 512, 0, 128.0, "a"),
                CorrectionRow(SLIDE.slide_id, "other", 320, 0, 64.0, "a"),
            ]
        )
        found = gather_examples(catalogue, workspace, AB, ENCODER)
        assert (found.target.tolist(), found.corrected, set(found.cases)) == ([0, 1, 0, 0], 2, {"case 1"})
        np.testing.assert_allclose(found.vectors, held[[0, 1, 3, 9]])
        assert len(gather_examples(catalogue, workspace, AB, "f" * 32)) == 0
        assert len(gather_examples(catalogue, workspace, parse_label_set("[x]", name="x"), ENCODER)) == 0


def two_kinds(count: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    target = random.integers(0, 2, count)
    vectors = random.normal(0, 0.5, (count, 16))
    vectors[:, 0] += np.where(target == 1, 1.0, -1.0)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), target


def prompts(quality: float) -> Labeller:
    """Prompts that look along the axis that tells the classes apart (1), or beside it (0)."""
    own = np.zeros((2, 16), dtype=np.float32)
    own[0, 0], own[1, 0] = -quality, quality
    own[:, 1] = np.sqrt(1 - quality**2)
    return Labeller(AB, LabelSettings(), ClassPrompts(("a", "b"), (("a",), ("b",)), own), 5.0)


def cases(count: int) -> tuple[str, ...]:
    return tuple(f"case {number % 6}" for number in range(count))


@pytest.mark.parametrize(("count", "words"), [(0, ""), (19, "From 20 patches on"), (20, "Calibrated on 20")])
def test_few_examples_change_nothing_and_twenty_calibrate(count: int, words: str) -> None:
    vectors, target = two_kinds(count) if count else (np.zeros((0, 0), np.float32), np.zeros(0, np.int64))
    labeller, told = learn(prompts(0.9), Examples(vectors, target, cases(count), count), "e")
    assert words in told["words"]
    assert (labeller.calibration is not None) == (count >= 20)
    assert labeller.probe is None


def test_a_probe_replaces_prompts_that_look_beside_the_point_and_says_so() -> None:
    vectors, target = two_kinds(200)
    labeller, told = learn(prompts(0.0), Examples(vectors, target, cases(200), 200), "e")
    assert labeller.probe is not None
    assert "replaces the prompts" in told["words"]
    assert told["probe"]["probe_f1"] > told["probe"]["before_f1"]
    unseen, right = two_kinds(300, seed=1)
    assert (labeller.decide(labeller.score(unseen)).best == right).mean() > 0.9


def test_good_prompts_stay_and_are_calibrated() -> None:
    vectors, target = two_kinds(200)
    labeller, told = learn(prompts(1.0), Examples(vectors, target, cases(200), 200), "e")
    assert labeller.probe is None
    assert "The prompts stay" in told["words"]
    assert told["calibration"]["ece_after"] < told["calibration"]["ece_before"]


def test_examples_of_one_class_only_teach_no_probe() -> None:
    vectors, _ = two_kinds(60)
    labeller, told = learn(prompts(0.9), Examples(vectors, np.zeros(60, np.int64), cases(60), 60), "e")
    assert labeller.probe is None
    assert "probe" not in told


def test_what_is_asked_next_is_unsure_and_diverse() -> None:
    vectors = np.repeat(np.eye(4, 8, dtype=np.float32), 5, axis=0)
    margins = np.linspace(0.0, 0.19, 20).astype(np.float32)
    found = ask_next(vectors, margins, 4)
    assert found[0] == 0
    assert sorted(number // 5 for number in found.tolist()) == [0, 1, 2, 3]
    # What is known already need not be asked again, nor what looks like it.
    assert {number // 5 for number in ask_next(vectors, margins, 3, known=[1]).tolist()[1:]} <= {1, 2, 3}
    assert 1 not in ask_next(vectors, margins, 20, known=[1]).tolist()
    assert ask_next(vectors[:0], margins[:0], 5).shape == (0,)
    assert len(ask_next(vectors, margins, 99)) == 20
