"""Polygons on a slide: cut at its edge, repaired, with their holes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plipdesk.base.geometry import Ring, polygons_on_slide

Point = tuple[float, float]
SQUARE: Ring = ((10.0, 10.0), (60.0, 10.0), (60.0, 60.0), (10.0, 60.0))


def area(ring: Ring) -> float:
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1], strict=True))) / 2


def total(polygons: list[tuple[Ring, tuple[Ring, ...]]]) -> float:
    return sum(area(outer) - sum(area(hole) for hole in holes) for outer, holes in polygons)


def test_a_polygon_on_the_slide_stays_as_it_is() -> None:
    ((outer, holes),) = polygons_on_slide([(SQUARE, ())], 100, 100)
    assert set(outer) == set(SQUARE)
    assert len(outer) == 4
    assert holes == ()


def test_holes_stay_and_holes_over_the_rim_cut_it() -> None:
    hole: Ring = ((20.0, 20.0), (30.0, 20.0), (30.0, 30.0), (20.0, 30.0))
    ((_, holes),) = polygons_on_slide([(SQUARE, (hole,))], 100, 100)
    assert len(holes) == 1
    bite: Ring = ((50.0, 0.0), (90.0, 0.0), (90.0, 90.0), (50.0, 90.0))
    ((outer, holes),) = polygons_on_slide([(SQUARE, (bite,))], 100, 100)
    assert holes == ()
    assert area(outer) == pytest.approx(40 * 50)


def test_a_figure_of_eight_gives_two_polygons() -> None:
    eight: Ring = ((0.0, 0.0), (40.0, 40.0), (40.0, 0.0), (0.0, 40.0))
    found = polygons_on_slide([(eight, ())], 100, 100)
    assert len(found) == 2
    assert total(found) == pytest.approx(2 * 20 * 20)


def test_what_lies_outside_is_cut_off() -> None:
    assert total(polygons_on_slide([(SQUARE, ())], 30, 100)) == pytest.approx(20 * 50)
    far: Ring = tuple((x + 500, y) for x, y in SQUARE)
    assert polygons_on_slide([(far, ())], 100, 100) == []
    assert len(polygons_on_slide([(SQUARE, ()), (far, ())], 100, 100)) == 1


def test_a_ring_without_area_gives_nothing() -> None:
    line: Ring = ((0.0, 0.0), (50.0, 50.0), (100.0, 100.0))
    assert polygons_on_slide([(line, ())], 100, 100) == []


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-50, 150), st.floats(-50, 150)), min_size=3, max_size=9, unique=True),
    st.lists(st.tuples(st.floats(-50, 150), st.floats(-50, 150)), min_size=3, max_size=6, unique=True),
)
def test_any_ring_gives_polygons_on_the_slide(
    outer: list[tuple[float, float]], hole: list[tuple[float, float]]
) -> None:
    found = polygons_on_slide([(tuple(outer), (tuple(hole),))], 100, 80)
    for ring in (each for polygon in found for each in (polygon[0], *polygon[1])):
        assert len(ring) >= 3
        assert all(math.isfinite(x) and -1e-6 <= x <= 100 + 1e-6 and -1e-6 <= y <= 80 + 1e-6 for x, y in ring)
    assert 0 <= total(found) <= 8000 + 1e-6
