"""Brush and eraser: areas checked by hand."""

from __future__ import annotations

import math

import pytest

from plipdesk.base.brush import brushed, combined, cut_to
from plipdesk.desktop.state.shapes import area_of, area_px2

SQUARE = (((0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (0.0, 100.0)),)


def area(parts: list[tuple[tuple[tuple[float, float], ...], ...]]) -> float:
    return area_px2(area_of(parts)) if parts else 0.0


def test_a_dab_is_a_disc_and_a_stroke_a_capsule() -> None:
    assert area(brushed([], [(50, 50)], 10)) == pytest.approx(math.pi * 100, rel=0.03)
    capsule = brushed([], [(0, 0), (100, 0)], 10)
    assert area(capsule) == pytest.approx(2000 + math.pi * 100, rel=0.03)


def test_a_stroke_across_an_area_can_cut_it_in_two() -> None:
    parts = brushed([SQUARE], [(50, -20), (50, 120)], 10, erase=True)
    assert len(parts) == 2
    assert area(parts) == pytest.approx(8000, rel=0.01)
    assert brushed([SQUARE], [(50, 50)], 500, erase=True) == []


def test_erasing_inside_leaves_a_hole_and_painting_fills_it() -> None:
    (holed,) = brushed([SQUARE], [(50, 50)], 20, erase=True)
    assert len(holed) == 2
    assert area([holed]) == pytest.approx(10_000 - math.pi * 400, rel=0.01)
    (filled,) = brushed([holed], [(50, 50)], 25)
    assert area([filled]) == pytest.approx(10_000, rel=0.01)


def test_areas_are_added_and_cut_to_the_slide() -> None:
    beside = (((80.0, 80.0), (180.0, 80.0), (180.0, 180.0), (80.0, 180.0)),)
    assert area(combined([SQUARE], [beside])) == pytest.approx(20_000 - 400)
    assert area(combined([SQUARE], [beside], erase=True)) == pytest.approx(10_000 - 400)
    assert area(cut_to([beside], 100, 100)) == pytest.approx(400)
