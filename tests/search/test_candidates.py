"""Merging and grouping, by hand."""

from __future__ import annotations

from plipdesk.search.candidates import Candidate, grouped, merge_neighbours


def _at(x0_px: int, y0_px: int, score: float, slide: str = "a", size0_px: float = 100.0) -> Candidate:
    return Candidate(1, 0, score, slide, x0_px, y0_px, size0_px)


def test_neighbours_that_overlap_merge_into_the_best() -> None:
    half = [_at(0, 0, 0.9), _at(50, 0, 0.8), _at(50, 50, 0.7), _at(100, 0, 0.6)]
    merged = merge_neighbours(half)
    assert [(one.x0_px, one.merged) for one in merged] == [(0, 3), (100, 1)]


def test_patches_that_touch_or_overlap_a_little_or_lie_on_other_slides_stay() -> None:
    apart = [_at(0, 0, 0.9), _at(100, 0, 0.8), _at(0, 90, 0.7), _at(10, 10, 0.6, slide="b")]
    assert merge_neighbours(apart) == apart


def test_a_small_patch_inside_a_large_one_is_the_same_spot() -> None:
    merged = merge_neighbours([_at(0, 0, 0.9, size0_px=400.0), _at(300, 300, 0.8, size0_px=100.0)])
    assert [(one.size0_px, one.merged) for one in merged] == [(400.0, 2)]


def test_groups_come_in_the_order_of_their_best_and_show_some_of_each() -> None:
    some = [
        _at(0, 0, 0.9, "a"),
        _at(1000, 0, 0.8, "b"),
        _at(200, 0, 0.7, "a"),
        _at(0, 0, 0.6, "c"),
        _at(0, 0, 0.5, "a"),
    ]
    chosen = grouped(some, lambda one: one.slide_id, 2, 2)
    assert [(one.slide_id, one.score) for one in chosen] == [("a", 0.9), ("a", 0.7), ("b", 0.8)]
    assert [one.slide_id for one in grouped(some, lambda one: one.slide_id, 5, 1)] == ["a", "b", "c"]
