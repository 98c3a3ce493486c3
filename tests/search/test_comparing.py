"""Two answers to one question: which places both have, and in which order."""

from __future__ import annotations

import pytest

from plipdesk.search.comparing import compare_answers, overlap_of
from plipdesk.search.query import Hit, Query, Searched, SearchResult, Timing


def hit(rank: int, x0_px: int, y0_px: int = 0, size0_px: float = 100.0, slide: str = "a") -> Hit:
    return Hit(rank, 1.0, 99.0, slide, "/a", "a", None, x0_px, y0_px, size0_px, 0.5)


def row(*places: int, size0_px: float = 100.0, slide: str = "a") -> list[Hit]:
    """Hits side by side, best first, at these multiples of 100 pixels."""
    return [hit(rank, place * 100, size0_px=size0_px, slide=slide) for rank, place in enumerate(places, start=1)]


def answer(encoder: str, hits: list[Hit], slides: int = 1) -> SearchResult:
    return SearchResult(Query(), encoder, tuple(hits), True, Searched(10, slides), Timing(0, 0, 0))


def test_equal_answers_share_everything() -> None:
    overlap = overlap_of(row(5, 3, 9), row(5, 3, 9))
    assert overlap.pairs == ((1, 1), (2, 2), (3, 3))
    assert (overlap.k, overlap.share, overlap.rank_correlation) == (3, 1.0, pytest.approx(1.0))


def test_order_is_judged_on_common_places_alone() -> None:
    # 1, 2, 3 are common; the second answer has them as 3, 2, 1, with strangers between.
    overlap = overlap_of(row(1, 2, 3, 20), row(3, 30, 2, 1))
    assert overlap.pairs == ((1, 4), (2, 3), (3, 1))
    assert overlap.share == 0.75
    assert overlap.rank_correlation == pytest.approx(-1.0)


def test_half_of_the_smaller_patch_makes_the_same_place() -> None:
    # A patch of 50 lies wholly in one of 100; one of 100 moved by 49 and by 51 shares 51 % and 49 %.
    assert overlap_of([hit(1, 0)], [hit(1, 25, 25, 50)]).pairs == ((1, 1),)
    assert overlap_of([hit(1, 0)], [hit(1, 49)]).pairs == ((1, 1),)
    assert overlap_of([hit(1, 0)], [hit(1, 51)]).pairs == ()


def test_each_hit_is_in_one_pair_and_slides_are_apart() -> None:
    # Two small patches lie in one large one: only one of them is its partner, the better ranked.
    overlap = overlap_of([hit(1, 0)], [hit(1, 50, 0, 50), hit(2, 0, 0, 50)])
    assert overlap.pairs == ((1, 1),)
    assert overlap_of(row(1), row(1, slide="b")).pairs == ()


def test_few_in_common_say_nothing_about_the_order() -> None:
    assert overlap_of(row(1, 2, 7), row(2, 1, 8)).rank_correlation is None
    assert overlap_of([], row(1)).share == 0.0


def test_unequal_coverage_is_said() -> None:
    assert compare_answers(answer("a", row(1), 4), answer("b", row(1), 4)).notes == ()
    assert "4 of these slides and b 2" in compare_answers(answer("a", row(1), 4), answer("b", row(1), 2)).notes[0]
    assert "b has encoded none" in compare_answers(answer("a", row(1), 4), answer("b", [], 0)).notes[0]
