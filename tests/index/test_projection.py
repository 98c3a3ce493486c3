"""The shorter view keeps what ranks."""

from __future__ import annotations

import numpy as np
import pytest

from plipdesk.index.projection import Projection
from tests.vectors import unit_vectors


@pytest.mark.parametrize(("dim", "length", "rows"), [(24, 10, 500), (24, 128, 500), (6, 7, 50), (40, 16, 5), (3, 2, 1)])
def test_axes_are_orthonormal_whatever_the_sample(dim: int, length: int, rows: int) -> None:
    projection = Projection.fit(unit_vectors(rows, dim), length)
    assert projection.length == min(length, dim + 1)
    np.testing.assert_allclose(projection.axes.T @ projection.axes, np.eye(projection.length - 1), atol=1e-5)


def test_with_all_axes_distances_are_kept() -> None:
    vectors, queries = unit_vectors(50, 8), unit_vectors(5, 8, seed=3)
    projection = Projection.fit(vectors, 9)
    laid, (asked, missed) = projection.rows(vectors), projection.queries(queries)
    distances = ((asked[:, None] - laid[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(1 - (distances + missed[:, None]) / 2, queries @ vectors.T, atol=1e-5)


def test_what_is_lost_is_the_product_of_the_remainders() -> None:
    vectors, queries = unit_vectors(300, 32), unit_vectors(5, 32, seed=3)
    projection = Projection.fit(vectors, 12)
    laid, (asked, missed) = projection.rows(vectors), projection.queries(queries)
    estimates = 1 - (((asked[:, None] - laid[None]) ** 2).sum(axis=2) + missed[:, None]) / 2
    weights, offsets = projection.products(queries)
    np.testing.assert_allclose(weights @ laid.T + offsets[:, None], estimates, atol=1e-5)
    rest = np.eye(32) - projection.axes @ projection.axes.T
    lost = (queries - projection.mean) @ rest @ (vectors - projection.mean).T
    np.testing.assert_allclose(estimates + lost, queries @ vectors.T, atol=1e-5)


def test_a_sample_around_nothing_has_no_mean_direction() -> None:
    vectors = np.concatenate([np.eye(4), -np.eye(4)]).astype(np.float32)
    projection = Projection.fit(vectors, 5)
    np.testing.assert_allclose(projection.mean, 0, atol=1e-7)
    np.testing.assert_allclose(projection.axes.T @ projection.axes, np.eye(4), atol=1e-6)
