"""The same question to two encoders: how far their best patches are the same places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plipdesk.search.query import Hit, SearchResult

SAME_PLACE = 0.5
"""Patches are of the same place where they share at least this much of the smaller one's area."""
_LEAST_RANKED = 3
"""Fewer places in common say nothing about the order."""


@dataclass(frozen=True)
class Overlap:
    """What two answers have in common.

    ``pairs`` are the ranks (from 1) that the same place has in the first and in the second answer. ``share`` is their
    number over that of the shorter answer, 0 to 1. ``rank_correlation`` is Spearman's, of the places in common alone:
    1 where both have them in the same order, -1 in the opposite one; None for fewer than three.
    """

    k: int
    pairs: tuple[tuple[int, int], ...]
    share: float
    rank_correlation: float | None


@dataclass(frozen=True)
class Comparison:
    """The answers of two encoders to one query. ``notes``: what keeps them from being compared fairly."""

    first: SearchResult
    second: SearchResult
    overlap: Overlap
    notes: tuple[str, ...] = ()


def compare_answers(first: SearchResult, second: SearchResult) -> Comparison:
    """Put two answers to the same query side by side."""
    notes = []
    if not first.searched.slides or not second.searched.slides:
        without = first.encoder if not first.searched.slides else second.encoder
        notes.append(f"{without} has encoded none of these slides: there is nothing to compare.")
    elif first.searched.slides != second.searched.slides:
        notes.append(
            f"{first.encoder} has encoded {first.searched.slides} of these slides and {second.encoder} "
            f"{second.searched.slides}: hits on slides that only one knows cannot be common."
        )
    return Comparison(first, second, overlap_of(first.hits, second.hits), tuple(notes))


def overlap_of(first: Sequence[Hit], second: Sequence[Hit]) -> Overlap:
    """The places that both have; each hit is one side of at most one pair.

    Pairs are made from the best rank of ``first`` downwards, each with the hit of ``second`` that covers most of it
    (the better rank among equals).
    """
    by_slide: dict[str, list[int]] = {}
    for place, hit in enumerate(second):
        by_slide.setdefault(hit.slide_id, []).append(place)
    pairs: list[tuple[int, int]] = []
    for rank, hit in enumerate(first, start=1):
        open_places = by_slide.get(hit.slide_id, [])
        best = max(open_places, key=lambda place: (_shared(hit, second[place]), -place), default=None)
        if best is not None and _shared(hit, second[best]) >= SAME_PLACE:
            open_places.remove(best)
            pairs.append((rank, best + 1))
    count = min(len(first), len(second))
    share = len(pairs) / count if count else 0.0
    return Overlap(max(len(first), len(second)), tuple(pairs), share, _correlation(pairs))


def _shared(one: Hit, other: Hit) -> float:
    """The area two patches share over that of the smaller one."""
    width = min(one.x0_px + one.size0_px, other.x0_px + other.size0_px) - max(one.x0_px, other.x0_px)
    height = min(one.y0_px + one.size0_px, other.y0_px + other.size0_px) - max(one.y0_px, other.y0_px)
    return max(0.0, width) * max(0.0, height) / min(one.size0_px, other.size0_px) ** 2


def _correlation(pairs: Sequence[tuple[int, int]]) -> float | None:
    if len(pairs) < _LEAST_RANKED:
        return None
    # Late: the window knows this module by the messages, and must open without numpy.
    import numpy as np

    ranks = np.array(pairs).argsort(axis=0).argsort(axis=0).astype(float)
    return float(np.corrcoef(ranks.T)[0, 1])
