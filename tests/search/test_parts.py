"""Scores of parts and mixes, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from plipdesk.search.parts import Part, Scoring, Spread
from tests.search.world import unit

STORED = np.stack([unit(1, 0), unit(0, 1), unit(3, 4)])


def test_one_vector_gives_the_cosine() -> None:
    np.testing.assert_allclose(Part(unit(1, 0)[None]).scores(STORED), [1, 0, 0.6], atol=1e-6)


def test_many_vectors_give_the_largest_or_the_mean_cosine() -> None:
    both = np.stack([unit(1, 0), unit(0, 1)])
    np.testing.assert_allclose(Part(both, combine="max").scores(STORED), [1, 1, 0.8], atol=1e-6)
    np.testing.assert_allclose(Part(both, combine="mean").scores(STORED), [0.5, 0.5, 0.7], atol=1e-6)


def test_spread_is_median_and_robust_deviation() -> None:
    spread = Spread.of(np.array([1, 2, 3, 4, 100], np.float32))
    assert (spread.median, spread.deviation) == (3, pytest.approx(1.4826))
    np.testing.assert_allclose(spread.z(np.array([3 + 1.4826], np.float32)), [1], atol=1e-6)
    assert Spread.of(np.empty(0, np.float32)) == Spread(0, 1)
    assert Spread.of(np.ones(9, np.float32)).deviation > 0


def test_one_positive_part_alone_keeps_its_cosine_whatever_its_weight() -> None:
    scoring = Scoring([Part(unit(1, 0)[None], weight=0.3)], STORED)
    np.testing.assert_allclose(scoring.scores(STORED), [1, 0, 0.6], atol=1e-6)
    assert scoring.is_plain


def test_a_mix_is_the_weighted_mean_of_robust_deviations() -> None:
    # Scores of the random patches: 0, 0.6, 0.8 for the first part and 1, 0.8, 0.6 for the second; the medians are 0.6
    # and 0.8, the deviations from them 0.6, 0, 0.2 and 0.2, 0, 0.2, and 0.2 is the median of both.
    random = np.stack([unit(0, 1), unit(3, 4), unit(4, 3)])
    deviation = 0.2 * 1.4826
    both = Scoring([Part(unit(1, 0)[None], 2), Part(unit(0, 1)[None], 1)], random)
    expected = (2 * (1 - 0.6) + (0 - 0.8)) / deviation / 3
    np.testing.assert_allclose(both.scores(unit(1, 0)[None]), [expected], atol=1e-5)
    assert not both.is_plain


def test_what_must_not_be_there_takes_away_and_its_absence_gives_nothing() -> None:
    random = np.stack([unit(0, 1), unit(3, 4), unit(4, 3)])
    deviation = 0.2 * 1.4826
    without = Scoring([Part(unit(1, 0)[None], 2), Part(unit(0, 1)[None], -1)], random)
    np.testing.assert_allclose(without.scores(unit(1, 0)[None]), [2 * 0.4 / deviation / 3], rtol=1e-5)
    np.testing.assert_allclose(without.scores(unit(0, 1)[None]), [(-2 * 0.6 - 0.2) / deviation / 3], rtol=1e-5)


def test_percentile_is_the_share_of_random_patches_that_score_at_most_as_much() -> None:
    random = np.stack([unit(1, 0), unit(0, 1), unit(3, 4), unit(4, 3)])
    scoring = Scoring([Part(unit(1, 0)[None])], random)
    assert [scoring.percentile(score) for score in (-0.1, 0.5, 0.7, 0.9, 1.0)] == [0, 25, 50, 75, 100]
    assert Scoring([Part(unit(1, 0)[None])], np.empty((0, 2), np.float32)).percentile(0.1) == 100


def test_probes_of_a_linear_mix_rank_as_the_mix_does() -> None:
    random = np.random.default_rng(0).normal(0, 1, (200, 6)).astype(np.float32)
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    parts = [Part(random[:1], 1.0), Part(random[1:2], 0.5)]
    probes = Scoring(parts, random).probes()
    np.testing.assert_allclose(np.linalg.norm(probes, axis=1), 1, atol=1e-5)
    assert len(probes) == 3  # both, and the sum
    by_sum = np.argsort(random @ probes[-1])
    np.testing.assert_array_equal(by_sum, np.argsort(Scoring(parts, random).scores(random)))
    with_negative = Scoring([*parts, Part(random[2:3], -0.7)], random).probes()
    assert len(with_negative) == 4  # the sum with what pushes away as well
    np.testing.assert_allclose(with_negative[-1], probes[-1], atol=1e-6)


def test_only_what_it_must_not_look_like_is_looked_for_on_the_other_side() -> None:
    scoring = Scoring([Part(unit(1, 0)[None], -1)], STORED)
    assert np.argmax(scoring.scores(STORED)) == 1
    assert not scoring.is_plain
    np.testing.assert_allclose(scoring.probes()[-1], [-1, 0], atol=1e-6)
