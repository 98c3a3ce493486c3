"""Metrics against hand-worked values and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from plipdesk.base.metrics import (
    average_precision,
    bootstrap_by_group,
    macro_mean,
    neighbour_precision,
    precision_at,
    recall_at,
)


def test_average_precision_by_hand() -> None:
    # Ranking: yes no yes no -> (1/1 + 2/3) / 2.
    scores = np.array([0.9, 0.8, 0.7, 0.1])
    relevant = np.array([True, False, True, False])
    assert average_precision(scores, relevant) == pytest.approx(5 / 6)
    assert math.isnan(average_precision(scores, np.zeros(4, dtype=bool)))


def test_precision_and_recall_by_hand() -> None:
    scores = np.array([0.1, 0.9, 0.5, 0.7])
    relevant = np.array([True, True, False, True])
    assert precision_at(scores, relevant, 2) == 1.0
    assert precision_at(scores, relevant, 3) == pytest.approx(2 / 3)
    assert recall_at(scores, relevant, 2) == pytest.approx(2 / 3)
    assert precision_at(scores, relevant, 99) == pytest.approx(3 / 4)


def test_vectors_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        average_precision(np.zeros(3), np.zeros(4, dtype=bool))


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60))
def test_average_precision_agrees_with_scikit_learn(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.permutation(count).astype(float)
    relevant = rng.random(count) < 0.4
    relevant[rng.integers(count)] = True
    assert average_precision(scores, relevant) == pytest.approx(average_precision_score(relevant, scores))


def test_macro_mean_leaves_out_classes_without_items() -> None:
    assert macro_mean([0.2, float("nan"), 0.4]) == pytest.approx(0.3)
    assert math.isnan(macro_mean([float("nan")]))


def test_neighbours_come_from_other_groups_only() -> None:
    embeddings = np.array([[1, 0], [0.99, 0.1], [0.9, 0.2], [0, 1]], dtype=np.float32)
    labels = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], dtype=bool)
    groups = np.array(["a", "a", "b", "b"])
    found = neighbour_precision(embeddings, labels, groups, 1)
    # The nearest of item 0 outside its case is 2 (shared); of 3 it is 1 (not shared).
    assert found.tolist() == [1.0, 1.0, 1.0, 0.0]
    assert np.array_equal(found, neighbour_precision(embeddings, labels, groups, 1, block=1))


def test_items_without_label_or_other_group_have_no_figure() -> None:
    embeddings = np.eye(2, dtype=np.float32)
    labels = np.array([[1], [0]], dtype=bool)
    assert np.isnan(neighbour_precision(embeddings, labels, np.array([1, 1]), 1)).all()
    assert np.isnan(neighbour_precision(embeddings, labels, np.array([1, 2]), 1)[1])


def test_bootstrap_draws_whole_groups() -> None:
    groups = np.repeat([0, 1, 2], [5, 1, 3])
    seen: set[tuple[int, ...]] = set()

    def figure(items: np.ndarray) -> float:
        counts = np.bincount(items, minlength=9)
        # Every member of a group is drawn equally often.
        assert len(set(counts[:5])) == 1
        assert len(set(counts[6:])) == 1
        seen.add(tuple(counts))
        return float(len(items))

    interval = bootstrap_by_group(figure, groups, rounds=200, seed=1, level=0.99)
    assert interval.value == 9.0
    assert interval.low == 3.0
    assert interval.high == 15.0
    assert len(seen) > 5
    assert interval == bootstrap_by_group(figure, groups, rounds=200, seed=1, level=0.99)


def test_bootstrap_without_any_figure_has_no_limits() -> None:
    interval = bootstrap_by_group(lambda items: float("nan"), np.array([1, 2]), rounds=5, seed=0)
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
