"""Scores, labels, smoothing and tables, against values worked by hand and against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from plipdesk.base.cells import CellGrid
from plipdesk.base.classification import accuracy, macro_f1, weighted_f1
from plipdesk.base.errors import Bug, UsageProblem
from plipdesk.encoders.null import NullEncoder
from plipdesk.encoders.vocabulary import load_vocabulary
from plipdesk.labelling.background import background_words, calibrate_background, draw_patches
from plipdesk.labelling.deciding import Decision, decide, groups_of
from plipdesk.labelling.label_sets import LabelProblem, LabelSet, parse_label_set
from plipdesk.labelling.labeller import Labeller
from plipdesk.labelling.prompts import encode_classes, ensemble
from plipdesk.labelling.scoring import best_two, cosines, margins, probabilities
from plipdesk.labelling.settings import LabelSettings
from plipdesk.labelling.smoothing import smoothed
from plipdesk.labelling.tables import tabulate
from plipdesk.probes.calibration import Calibration
from plipdesk.probes.linear import LinearProbe
from tests.vectors import unit_vectors

Float32s = NDArray[np.float32]
ABC = parse_label_set("[a, b, c]", name="abc")


def logits(*rows: list[float]) -> Float32s:
    return np.array(rows, dtype=np.float32)


def single(settings: LabelSettings, scores: Float32s, limits: Float32s | None = None) -> Decision:
    return decide(ABC, settings, scores, limits)


def test_the_product_is_that_of_a_plain_loop() -> None:
    patches, classes = unit_vectors(50, 24, seed=1), unit_vectors(7, 24, seed=2)
    wanted = np.array([[float(np.dot(patch, one)) for one in classes] for patch in patches])
    np.testing.assert_allclose(cosines(patches, classes), wanted, atol=1e-6)
    halves = patches.astype(np.float16)
    np.testing.assert_allclose(cosines(halves, classes), halves.astype(np.float32) @ classes.T, atol=1e-6)
    assert cosines(patches[:0], classes).shape == (0, 7)
    with pytest.raises(Bug):
        cosines(patches, classes[:, :5])


def test_softmax_best_two_and_margins() -> None:
    scores = logits([0, np.log(3), 0], [5, 5, 1])
    shares = probabilities(scores)
    np.testing.assert_allclose(shares[0], [0.2, 0.6, 0.2], atol=1e-6)
    best, top, second, other = best_two(shares)
    assert best.tolist() == [1, 0]
    assert second.tolist() == [0, 1]
    np.testing.assert_allclose(margins(shares), top - other)
    np.testing.assert_allclose(shares[0], [0.2, 0.6, 0.2], atol=1e-6)
    assert np.isinf(margins(scores[:, :1])).all()


def test_an_ensemble_is_the_normalised_mean_of_normalised_prompts() -> None:
    encoder = NullEncoder()
    labels = parse_label_set(
        "{templates: ['picture of {}', '{} here'],"
        " classes: [{name: fat, synonyms: [lipid]}, {name: x, prompts: [p q, r]}]}",
        name="n",
    )
    found = encode_classes(encoder, labels)
    assert found.document == {
        "fat": ["picture of fat", "fat here", "picture of lipid", "lipid here"], "x": ["p q", "r"],
    }  # fmt: skip
    rows = encoder.encode_texts(found.prompts[0])
    mean = rows.mean(axis=0)
    np.testing.assert_allclose(found.vectors[0], mean / np.linalg.norm(mean), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(ensemble(rows), found.vectors[0])
    assert encode_classes(encoder, parse_label_set("[fat]", name="n")).prompts == (("fat",),)


def test_single_labels_and_the_unsure() -> None:
    scores = logits([3, 0, 0], [0, 0.04, -9], [0, 0, 2])
    assert single(LabelSettings(unsure_ratio=1), scores).label.tolist() == [0, 1, 2]
    # e^0.04 = 1.041: not 1.05 times as likely.
    found = single(LabelSettings(), scores)
    assert found.label.tolist() == [0, 4, 2]
    assert found.best.tolist() == [0, 1, 2]
    np.testing.assert_allclose(found.shares.sum(axis=1), 1, atol=1e-6)


def test_none_of_these_wins_where_its_limit_is_higher() -> None:
    settings = LabelSettings(none_of_these=True, unsure_ratio=1)
    found = single(settings, logits([3, 0, 0], [3, 0, 0]), logits([1, 9, 9], [4, 9, 9]))
    assert found.label.tolist() == [0, 3]
    # No class exceeds its limit; the first comes nearest, by 1.
    assert found.probability[1] == pytest.approx(np.exp(4) / (np.exp(4) + np.exp(3) + 2), rel=1e-5)


def test_several_labels_each_by_its_own_threshold() -> None:
    labels = parse_label_set("[{name: a}, {name: b, threshold: 0.9}, {name: c}]", name="n")
    found = decide(labels, LabelSettings(choice="multi"), logits([1, 1, 1], [-1, 3, -1]), np.zeros((2, 3), np.float32))
    assert found.members is not None
    assert found.members.tolist() == [[True, False, True], [False, True, False]]
    assert found.label.tolist() == [0, 1]
    empty = decide(labels, LabelSettings(choice="multi"), logits([-1, -1, -1]), np.zeros((1, 3), np.float32))
    assert empty.label.tolist() == [3]


TREE = parse_label_set(
    "[{name: tumour}, {name: gland, parent: tumour}, {name: solid, parent: tumour}, {name: stroma}]", name="tree"
)


def test_a_hierarchy_is_walked_down_while_it_is_sure() -> None:
    scores = logits([2, 0, 3, 0], [2, 1, 1, 0], [0, 9, 0, 2], [1, 5, 0, 1])
    found = decide(TREE, LabelSettings(choice="hierarchical"), scores, None)
    # Sure down to solid; unsure among the subtypes; stroma, although gland scores highest; unsure at the top.
    assert found.label.tolist() == [2, 0, 3, 5]
    p_tumour = 1 / (1 + np.exp(-2))
    assert found.probability[0] == pytest.approx(p_tumour / (1 + np.exp(-3)), rel=1e-5)
    np.testing.assert_allclose(found.shares[0, 1] + found.shares[0, 2], found.shares[0, 0], rtol=1e-5)
    assert groups_of(TREE) == {"tumour": (0, 1, 2)}


def test_none_of_these_at_the_top_of_a_hierarchy() -> None:
    settings = LabelSettings(choice="hierarchical", none_of_these=True)
    found = decide(TREE, settings, logits([2, 9, 0, 0]), np.full((1, 4), 5, np.float32))
    assert found.label.tolist() == [4]
    assert decide(TREE, settings, logits([2, 9, 0, 0])[:0], np.zeros((0, 4), np.float32)).label.shape == (0,)


def test_smoothing_is_the_mean_over_neighbours() -> None:
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(6) * 100, np.arange(5) * 100))
    keep = np.random.default_rng(0).random(30) > 0.3
    x, y = x[keep].astype(np.int32), y[keep].astype(np.int32)
    scores = np.random.default_rng(1).random((len(x), 3)).astype(np.float32)
    for radius in (1, 2):
        wanted = [
            scores[(abs(x - a) <= radius * 100) & (abs(y - b) <= radius * 100)].mean(axis=0)
            for a, b in zip(x, y, strict=True)
        ]
        np.testing.assert_allclose(smoothed(scores, x, y, 100.0, radius), wanted, rtol=1e-5)
    assert smoothed(scores, x, y, 100.0, 0) is scores


def test_background_words_share_nothing_with_the_classes() -> None:
    labels = parse_label_set("[adipose tissue, smooth muscle]", name="n")
    words = background_words(load_vocabulary(), labels, 100)
    assert 60 <= len(words) <= 100
    assert not any({"adipose", "tissue", "smooth", "muscle"} & set(word.split()) for word in words)


def test_random_words_as_classes_are_none_of_these_about_half_of_the_time() -> None:
    encoder = NullEncoder()
    patches = unit_vectors(3000, 32, seed=5)
    shares = []
    for turn in range(6):
        words = [f"word{turn}x{number}" for number in range(240)]
        labels = parse_label_set("[" + ", ".join(words[:40]) + "]", name="n")
        prompts = encode_classes(encoder, labels)
        background = calibrate_background(encoder, prompts.vectors, words[40:], patches[:2000])
        labeller = Labeller(labels, LabelSettings(none_of_these=True, unsure_ratio=1), prompts, 10.0, background)
        shares.append((labeller.decide(labeller.score(patches[2000:])).label == 40).mean())
    assert np.mean(shares) == pytest.approx(0.5, abs=0.1)
    # A class that is what the patches show is not none of these.
    near = Labeller(labels, LabelSettings(none_of_these=True), prompts, 10.0, background).decide(
        labeller.score(prompts.vectors)
    )
    assert (near.label == np.arange(40)).mean() > 0.95
    with pytest.raises(LabelProblem):
        Labeller(labels, LabelSettings(none_of_these=True), prompts, 10.0)


def test_random_patches_are_drawn_from_all_files_alike() -> None:
    rows = draw_patches([10, 0, 3000], seed=1, most=500)
    assert sum(map(len, rows)) == 500
    assert (len(rows[0]), len(rows[1])) != (10, 1)
    assert all((row >= 0).all() and (row < size).all() for row, size in zip(rows, [10, 0, 3000], strict=True))
    assert [len(row) for row in draw_patches([3, 4], seed=1)] == [3, 4]


def labeller(labels: LabelSet = ABC, **settings: object) -> Labeller:
    return Labeller(labels, LabelSettings.of(settings), encode_classes(NullEncoder(), labels), 10.0)


def test_calibration_and_probe_change_labels() -> None:
    patches = unit_vectors(200, 32, seed=8)
    plain = labeller(unsure_ratio=1)
    scores = plain.score(patches)
    shifted = Labeller(ABC, plain.settings, plain.prompts, 10.0, calibration=Calibration(2.0, np.array([50.0, 0, 0])))
    assert set(shifted.decide(scores).label.tolist()) == {0}
    weights = np.zeros((2, 32), dtype=np.float32)
    probe = LinearProbe(("c", "a"), weights, np.array([1.0, 0.0], dtype=np.float32), "e")
    probed = Labeller(ABC, plain.settings, plain.prompts, 10.0, probe=probe)
    assert set(probed.decide(probed.score(patches)).label.tolist()) == {2}


@pytest.mark.parametrize("score", ["probability", "cosine", "margin"])
def test_the_shown_score_is_the_one_chosen(score: str) -> None:
    patches = unit_vectors(30, 32, seed=9)
    one = labeller(score=score, unsure_ratio=1)
    scores = one.score(patches)
    decision = one.decide(scores)
    shares = probabilities(scores.similarity * 10)
    wanted = {"probability": shares.max(axis=1), "cosine": scores.similarity.max(axis=1), "margin": margins(shares)}
    np.testing.assert_allclose(one.shown_score(scores, decision), wanted[score], rtol=1e-5)
    assert one.class_scores(scores, decision).shape == (30, 3)


def test_settings_that_make_no_sense_are_refused() -> None:
    for bad in ({"smooth": -1}, {"choice": "double"}, {"unsure_ratio": 0.5}, {"nonsense": 1}, {"threshold": 1.0}):
        with pytest.raises(UsageProblem):
            LabelSettings.of(bad)


def test_a_table_worked_by_hand() -> None:
    label = np.array([0, 0, 1, 3, 4])
    area = np.array([1.0, 1.0, 2.0, 4.0, 2.0])
    table = tabulate("abc", label, np.array([0.5, 0.7, 0.9, 0.1, 0.2]), area, none_of_these=True, groups={"ab": (0, 1)})
    assert [(row.name, row.patches, row.area_mm2, row.share) for row in table.rows] == [
        ("a", 2, 2.0, 0.2), ("b", 1, 2.0, 0.2), ("c", 0, 0.0, 0.0), ("none of these", 1, 4.0, 0.4),
        ("unsure", 1, 2.0, 0.2),
    ]  # fmt: skip
    assert table.rows[0].mean_score == pytest.approx(0.6)
    assert table.rows[2].mean_score is None
    assert (table.unsure, table.patches, table.area_mm2) == (1, 5, 10.0)
    assert [(row.name, row.share) for row in table.groups] == [("ab", 0.4)]
    assert all(row.share_low <= row.share <= row.share_high for row in table.rows)  # type: ignore[operator]


def test_an_empty_table_is_one_of_nothing() -> None:
    table = tabulate("ab", np.zeros(0, int), np.zeros(0), np.zeros(0), none_of_these=False)
    assert [(row.patches, row.area_mm2, row.share) for row in table.rows] == [(0, 0.0, None)] * 3


def test_intervals_are_those_of_a_plain_bootstrap() -> None:
    random = np.random.default_rng(3)
    label = random.choice(3, 400, p=[0.6, 0.3, 0.1])
    area = random.choice([1.0, 0.5, 0.75], 400)
    table = tabulate("abc", label, np.ones(400), area, none_of_these=False, rounds=4000)
    shares = []
    for _ in range(4000):
        drawn = random.integers(400, size=400)
        shares.append([area[drawn][label[drawn] == number].sum() / area[drawn].sum() for number in range(3)])
    low, high = np.quantile(shares, [0.025, 0.975], axis=0)
    for number in range(3):
        assert table.rows[number].share_low == pytest.approx(low[number], abs=0.005)
        assert table.rows[number].share_high == pytest.approx(high[number], abs=0.005)


@given(st.integers(0, 1_000_000), st.integers(1, 60), st.floats(0, 0.8))
def test_shares_always_add_up_to_one_and_areas_to_the_union(seed: int, count: int, overlap: float) -> None:
    random = np.random.default_rng(seed)
    step = round(100 * (1 - overlap))
    x, y = (
        (random.integers(0, 8, count) * step).astype(np.int32),
        (random.integers(0, 8, count) * step).astype(np.int32),
    )
    places = np.unique(np.stack([x, y]), axis=1)
    cells = CellGrid.of(places[0], places[1], 100.0)
    area = cells.own_areas_px2()
    table = tabulate("abc", random.integers(0, 5, len(area)), random.random(len(area)), area, none_of_these=True)
    assert sum(row.share for row in table.rows if row.share is not None) == pytest.approx(1)
    assert sum(row.area_mm2 for row in table.rows) == pytest.approx(
        float(cells.cell_areas_px2[cells.spread() > 0.5].sum())
    )
    assert sum(row.patches for row in table.rows) == len(area)


def test_the_metrics_give_what_the_paper_gives() -> None:
    """PLIP's confusion matrix on Kather's nine classes (Huang et al. 2023)."""
    confusion = np.array(
        [
            [1027, 92, 169, 0, 47, 0, 3, 0, 0], [0, 847, 0, 0, 0, 0, 0, 0, 0], [0, 6, 276, 3, 0, 0, 0, 0, 136],
            [0, 62, 436, 702, 1, 0, 5, 22, 5], [0, 175, 141, 1, 3, 0, 0, 1, 18], [0, 64, 131, 1, 0, 437, 1, 0, 0],
            [1, 125, 867, 2, 0, 0, 6, 0, 34], [2, 110, 65, 226, 0, 0, 7, 331, 0], [0, 2, 168, 3, 0, 0, 1, 0, 418],
        ]
    )  # fmt: skip
    assert confusion.sum() == 7180
    assert weighted_f1(confusion) == pytest.approx(0.5647, abs=5e-5)
    assert macro_f1(confusion) == pytest.approx(0.510, abs=5e-4)
    assert accuracy(confusion) == pytest.approx(0.564, abs=5e-4)
