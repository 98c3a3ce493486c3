"""Boxes, and how much of a square patch lies in one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plipdesk.base.errors import UsageProblem
from plipdesk.base.geometry import Box, polygon_from_points, squares_overlap_box


def test_parsing() -> None:
    box = Box.parse("10, 20,30,40.5")
    assert (box.x0_px, box.y0_px, box.width_px, box.height_px) == (10, 20, 30, 40.5)
    assert (box.x1_px, box.y1_px, box.area_px2) == (40, 60.5, 1215)
    assert box.corners() == ((10, 20), (40, 20), (40, 60.5), (10, 60.5))


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1,2,0,4", "1,2,3,-4", "nan,1,2,3", "1,1,inf,3"])
def test_what_is_no_box(text: str) -> None:
    with pytest.raises(UsageProblem):
        Box.parse(text)


def test_overlap_by_hand() -> None:
    x0 = np.array([0, 5, 10, 20, -5], np.int32)
    y0 = np.array([0, 5, 0, 0, -5], np.int32)
    share = squares_overlap_box(x0, y0, 10.0, Box(0, 0, 10, 10))
    np.testing.assert_allclose(share, [1.0, 0.25, 0.0, 0.0, 0.25])


@given(
    x0=st.integers(-1000, 1000), y0=st.integers(-1000, 1000), size=st.integers(1, 500),
    box=st.tuples(st.integers(-500, 500), st.integers(-500, 500), st.integers(1, 800), st.integers(1, 800)),
)  # fmt: skip
def test_overlap_agrees_with_counting_pixels(x0: int, y0: int, size: int, box: tuple[int, int, int, int]) -> None:
    area = Box(*box)
    columns = [x for x in range(x0, x0 + size) if area.x0_px <= x < area.x1_px]
    rows = [y for y in range(y0, y0 + size) if area.y0_px <= y < area.y1_px]
    share = squares_overlap_box(np.array([x0], np.int32), np.array([y0], np.int32), float(size), area)
    assert share[0] == pytest.approx(len(columns) * len(rows) / size**2)


def test_a_bow_tie_is_repaired_and_a_line_is_refused() -> None:
    assert polygon_from_points([(0, 0), (10, 10), (10, 0), (0, 10)]).area == pytest.approx(25)
    assert polygon_from_points([(0, 0), (4, 0), (4, 4), (0, 4), (0, 0)]).area == pytest.approx(16)
    for points in ([(0, 0), (1, 1), (2, 2)], [(0, 0), (1, 1)], [(0, 0), (1, float("nan")), (2, 5)]):
        with pytest.raises(UsageProblem):
            polygon_from_points([(float(x), float(y)) for x, y in points])
