"""Cells of squares: areas counted once, votes, outlines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from plipdesk.base.cells import CellGrid
from plipdesk.base.errors import UsageProblem
from plipdesk.base.geometry import cells_as_polygons


def grid(points: list[tuple[int, int]], size: float, **slide: float) -> CellGrid:
    x, y = (np.array(axis, dtype=np.int32) for axis in zip(*points, strict=True)) if points else (np.zeros(0, int),) * 2
    return CellGrid.of(x, y, size, **slide)


def test_squares_side_by_side_keep_their_area() -> None:
    cells = grid([(0, 0), (10, 0), (0, 10)], 10)
    np.testing.assert_allclose(cells.own_areas_px2(), [100, 100, 100])
    assert cells.shape == (2, 2)


def test_what_two_squares_cover_is_divided_between_them() -> None:
    cells = grid([(0, 0), (5, 0)], 10)
    np.testing.assert_allclose(cells.own_areas_px2(), [75, 75])
    np.testing.assert_allclose(cells.spread(), [[1, 2, 1]])
    np.testing.assert_allclose(cells.spread(np.array([2.0, 3.0])), [[2, 5, 3]])


def test_what_lies_beyond_the_slide_does_not_count() -> None:
    cells = grid([(-5, -5)], 10, width0_px=100, height0_px=3)
    np.testing.assert_allclose(cells.own_areas_px2(), [15])


def test_rounded_positions_leave_no_slivers() -> None:
    # Patches of 273.4 px whose corners are rounded to whole pixels.
    starts = np.rint(np.arange(8) * 273.4).astype(np.int32)
    x, y = (axis.ravel() for axis in np.meshgrid(starts, starts))
    cells = CellGrid.of(x, y, 273.4)
    assert cells.shape == (8, 8)
    assert len(cells_as_polygons(np.ones((8, 8), bool), cells.x_edges, cells.y_edges)) == 1


def test_the_vote_is_by_weight_and_none_where_nothing_covers() -> None:
    cells = grid([(0, 0), (5, 0), (30, 0)], 10)
    found = cells.votes(np.array([0, 1, 1]), np.array([0.4, 0.9, 0.1]), 2)
    np.testing.assert_array_equal(found, [[0, 1, 1, -1, 1]])


def test_no_squares_and_too_many_cells() -> None:
    assert grid([], 10).shape == (0, 0)
    assert grid([], 10).own_areas_px2().shape == (0,)
    random = np.random.default_rng(0)
    with pytest.raises(UsageProblem):
        CellGrid.of(np.arange(12_000) * 7, random.permutation(12_000) * 7, 3.0)


_squares = st.lists(st.tuples(st.integers(-20, 60), st.integers(-20, 60)), min_size=1, max_size=25)


@given(_squares, st.floats(4, 40))
def test_areas_add_up_to_the_union(points: list[tuple[int, int]], size: float) -> None:
    import shapely

    cells = grid(points, size)
    union = shapely.union_all([shapely.box(x, y, x + size, y + size) for x, y in points]).area
    # Edges within 1.5 px of each other are one.
    assert cells.own_areas_px2().sum() == pytest.approx(union, rel=0.35, abs=2 * size)
    cover = cells.spread()
    assert cells.own_areas_px2().sum() == pytest.approx(float(cells.cell_areas_px2[cover > 0.5].sum()))


_masks = st.integers(1, 6).flatmap(
    lambda rows: st.integers(1, 6).flatmap(
        lambda columns: st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns).map(
            lambda flat: np.array(flat).reshape(rows, columns)
        )
    )
)


@given(_masks)
def test_outlines_are_valid_and_cover_the_cells_exactly(mask: NDArray[np.bool_]) -> None:
    from shapely.geometry import Polygon

    x_edges = np.cumsum(np.arange(mask.shape[1] + 1)).astype(float) * 3
    y_edges = np.arange(mask.shape[0] + 1) * 5.0
    found = cells_as_polygons(mask, x_edges, y_edges)
    shapes = [Polygon(outer, holes) for outer, holes in found]
    assert all(shape.is_valid for shape in shapes)
    areas = np.outer(np.diff(y_edges), np.diff(x_edges))
    assert sum(shape.area for shape in shapes) == pytest.approx(areas[mask].sum())
    assert found == cells_as_polygons(mask, x_edges, y_edges)


def test_a_ring_of_cells_has_a_hole_and_starts_at_the_top_left() -> None:
    mask = np.ones((3, 3), bool)
    mask[1, 1] = False
    edges = np.arange(4) * 10.0
    ((outer, holes),) = cells_as_polygons(mask, edges, edges)
    assert outer == ((0, 0), (30, 0), (30, 30), (0, 30))
    assert holes == (((10, 10), (20, 10), (20, 20), (10, 20)),)
    assert cells_as_polygons(np.zeros((2, 2), bool), edges[:3], edges[:3]) == []
