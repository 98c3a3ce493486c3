"""Few patches for many."""

from __future__ import annotations

import numpy as np

from plipdesk.search.mosaic import mosaic_of, weighted_median
from tests.vectors import unit_vectors


def test_few_patches_are_their_own_mosaic() -> None:
    vectors = unit_vectors(5, 8)
    mosaic = mosaic_of(vectors, 5)
    np.testing.assert_array_equal(mosaic.vectors, vectors)
    np.testing.assert_allclose(mosaic.weights, 0.2)


def test_each_kind_of_patch_has_a_piece_that_counts_by_its_share() -> None:
    random = np.random.default_rng(0)
    kinds = np.eye(6, dtype=np.float32)[:3]
    numbers = np.repeat([0, 1, 2], [700, 200, 100])
    vectors = kinds[numbers] + random.normal(0, 0.02, (1000, 6)).astype(np.float32)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    mosaic = mosaic_of(vectors, 3)
    of_kind = mosaic.vectors.argmax(axis=1)
    assert sorted(of_kind) == [0, 1, 2]
    assert {int(kind): round(float(weight), 3) for kind, weight in zip(of_kind, mosaic.weights, strict=True)} == {
        0: 0.7,
        1: 0.2,
        2: 0.1,
    }
    assert all((vectors == piece).all(axis=1).any() for piece in mosaic.vectors)


def test_a_mosaic_is_the_same_each_time_also_of_very_many_or_equal_patches() -> None:
    many = unit_vectors(6000, 8)
    first, second = mosaic_of(many, 16), mosaic_of(many, 16)
    np.testing.assert_array_equal(first.vectors, second.vectors)
    assert first.weights.sum() == 1
    equal = mosaic_of(np.repeat(unit_vectors(1, 8), 50, axis=0), 4)
    assert len(equal.vectors) == len(equal.weights) == 1


def test_the_weighted_median_is_where_half_of_the_weight_is_reached() -> None:
    values = np.array([0.1, 0.9, 0.5], np.float32)
    assert weighted_median(values, np.array([1 / 3, 1 / 3, 1 / 3])) == np.float32(0.5)
    assert weighted_median(values, np.array([0.2, 0.6, 0.2])) == np.float32(0.9)
    assert weighted_median(values, np.array([0.5, 0.25, 0.25])) == np.float32(0.1)
