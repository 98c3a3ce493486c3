"""Calibration: what was made wrong on purpose is found again, and errors are told of unseen examples."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from plipdesk.probes.calibration import Calibration, fit_calibration, softmax
from plipdesk.probes.errors import ProbeProblem


def drawn(count: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """True logits (n, 3), and classes drawn with their probabilities."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (count, 3))
    shares = softmax(logits).cumsum(axis=1)
    return logits, (random.random((count, 1)) > shares).sum(axis=1)


def test_temperature_and_offsets_are_found_again() -> None:
    logits, target = drawn(4000)
    offsets = np.array([1.0, -0.5, -0.5])
    found = fit_calibration((logits - offsets) * 4, target)
    assert found.calibration.temperature == pytest.approx(4, rel=0.1)
    np.testing.assert_allclose(found.calibration.offsets, offsets, atol=0.15)
    assert found.ece_before > 0.1
    assert found.ece_after < 0.03
    assert found.accuracy_after > found.accuracy_before


def test_what_is_calibrated_stays_as_it_is() -> None:
    logits, target = drawn(4000, seed=2)
    found = fit_calibration(logits, target)
    assert found.calibration.temperature == pytest.approx(1, abs=0.1)
    np.testing.assert_allclose(found.calibration.offsets, 0, atol=0.15)


def test_twenty_examples_suffice_and_move_little() -> None:
    logits, target = drawn(20, seed=4)
    found = fit_calibration(logits, target, groups=["a", "b"] * 10)
    assert found.examples == 20
    assert np.abs(found.calibration.offsets).max() < 2
    with pytest.raises(ProbeProblem, match="at least 20"):
        fit_calibration(logits[:19], target[:19])


def test_applying_is_dividing_and_adding() -> None:
    calibration = Calibration(2.0, np.array([0.5, -0.5]))
    np.testing.assert_allclose(calibration.apply(np.array([[2.0, 4.0]])), [[1.5, 1.5]])


def test_wrong_numbers_are_refused() -> None:
    logits, target = drawn(30)
    for bad in (np.full(30, 3), np.full(30, -1)):
        with pytest.raises(ProbeProblem, match="not asked for"):
            fit_calibration(logits, bad)
    with pytest.raises(ProbeProblem):
        fit_calibration(logits * np.nan, target)


def test_offsets_that_hold_in_some_cases_only_are_not_taken() -> None:
    # Each case is of one class: offsets follow the cases that are known, and mislead on all others.
    random = np.random.default_rng(5)
    case = np.repeat(np.arange(12), 30)
    target = case % 3
    logits = random.normal(0, 1, (360, 3))
    logits[np.arange(360), target] += 1.0
    groups = [str(number) for number in case]
    found = fit_calibration(logits, target, groups=groups)
    free = fit_calibration(logits, target, groups=groups, penalties=(1.0,))
    assert found.penalty > 1
    assert found.accuracy_after >= free.accuracy_after
    assert np.abs(found.calibration.offsets).max() < 0.5
