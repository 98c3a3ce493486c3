"""Classification metrics against scikit-learn, the paper's own confusion matrix, and values worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from plipdesk.base import classification

# PLIP's zero-shot answers on Kather's 7,180 test tiles (Huang et al. 2023), rows actual:
# ADI BACK STR TUM DEB LYM MUC NORM MUS.
KATHER = np.array(
    [
        [1027, 92, 169, 0, 47, 0, 3, 0, 0],
        [0, 847, 0, 0, 0, 0, 0, 0, 0],
        [0, 6, 276, 3, 0, 0, 0, 0, 136],
        [0, 62, 436, 702, 1, 0, 5, 22, 5],
        [0, 175, 141, 1, 3, 0, 0, 1, 18],
        [0, 64, 131, 1, 0, 437, 1, 0, 0],
        [1, 125, 867, 2, 0, 0, 6, 0, 34],
        [2, 110, 65, 226, 0, 0, 7, 331, 0],
        [0, 2, 168, 3, 0, 0, 1, 0, 418],
    ]
)


def test_the_papers_confusion_matrix_gives_the_papers_figures() -> None:
    assert classification.weighted_f1(KATHER) == pytest.approx(0.5647, abs=5e-5)
    assert classification.macro_f1(KATHER) == pytest.approx(0.510, abs=5e-4)
    assert classification.accuracy(KATHER) == pytest.approx(0.564, abs=5e-4)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_figures_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    actual, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    confusion = classification.confusion_matrix(actual, predicted, 5)
    assert (confusion == reference.confusion_matrix(actual, predicted, labels=range(5))).all()
    assert classification.accuracy(confusion) == pytest.approx(reference.accuracy_score(actual, predicted))
    for average, ours in (("weighted", classification.weighted_f1), ("macro", classification.macro_f1)):
        theirs = reference.f1_score(actual, predicted, average=average, zero_division=0)
        assert ours(confusion) == pytest.approx(theirs)
    recalls = reference.recall_score(actual, predicted, labels=np.unique(actual), average=None, zero_division=0)
    assert classification.balanced_accuracy(confusion) == pytest.approx(recalls.mean())


def test_calibration_by_hand() -> None:
    # Two bins of two: 0.9 said and 0.5 right, 0.4 said and 1.0 right.
    confidence = np.array([0.95, 0.85, 0.4, 0.4])
    right = np.array([True, False, True, True])
    assert classification.calibration_error(confidence, right, bins=2) == pytest.approx((0.8 + 1.2) / 4)
    assert classification.calibration_error(np.ones(3), np.ones(3, dtype=bool)) == 0.0


def test_nothing_has_no_figure() -> None:
    empty = np.zeros((3, 3), dtype=np.int64)
    for figure in (classification.accuracy, classification.weighted_f1, classification.macro_f1):
        assert np.isnan(figure(empty))
    assert np.isnan(classification.balanced_accuracy(empty))
    assert np.isnan(classification.calibration_error(np.zeros(0), np.zeros(0, dtype=bool)))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        classification.confusion_matrix(np.array([0, 1]), np.array([0]), 2)
    with pytest.raises(ValueError, match="between 0 and 1"):
        classification.confusion_matrix(np.array([0, 2]), np.array([0, 1]), 2)
    with pytest.raises(ValueError, match="one length"):
        classification.calibration_error(np.array([0.5]), np.array([True, False]))
