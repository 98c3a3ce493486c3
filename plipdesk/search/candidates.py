"""Hits before they are drawn: grouping by slide or case, and merging neighbours of one spot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

_SAME_SPOT = 0.2
"""Patches of one slide are neighbours of one spot if they share at least this much of the smaller one: in a tiling that
overlaps by half that takes in the diagonal neighbours (a quarter), while grids that merely touch stay apart."""


@dataclass(frozen=True)
class Candidate:
    """A patch that may become a hit."""

    part_id: int
    row: int
    score: float
    slide_id: str
    x0_px: int
    y0_px: int
    size0_px: float
    merged: int = 1

    def is_beside(self, other: Candidate) -> bool:
        """Whether both lie on one spot of one slide."""
        if self.slide_id != other.slide_id:
            return False
        width = min(self.x0_px + self.size0_px, other.x0_px + other.size0_px) - max(self.x0_px, other.x0_px)
        height = min(self.y0_px + self.size0_px, other.y0_px + other.size0_px) - max(self.y0_px, other.y0_px)
        smaller = min(self.size0_px, other.size0_px)
        return width > 0 and height > 0 and width * height >= _SAME_SPOT * smaller * smaller

    def beside(self, x0_px: NDArray[np.int32], y0_px: NDArray[np.int32], size0_px: float) -> NDArray[np.bool_]:
        """Which of many patches (n) of the same slide lie on its spot; it lies on its own."""
        sides = []
        for own, others in ((self.x0_px, x0_px), (self.y0_px, y0_px)):
            end = np.minimum(own + self.size0_px, others + size0_px)
            sides.append(np.maximum(end - np.maximum(own, others), 0))
        shared: NDArray[np.bool_] = sides[0] * sides[1] >= _SAME_SPOT * min(self.size0_px, size0_px) ** 2
        return shared


def merge_neighbours(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Best first in, best first out: of each spot the best candidate stays and counts those it stands for."""
    kept: list[Candidate] = []
    cells: dict[tuple[str, float, int, int], list[int]] = {}
    sizes: dict[str, set[float]] = {}
    for candidate in candidates:
        beside = min(
            (
                number
                for size in sizes.get(candidate.slide_id, ())
                for cell in _cells(candidate, size)
                for number in cells.get(cell, ())
                if kept[number].is_beside(candidate)
            ),
            default=None,
        )
        if beside is None:
            size = candidate.size0_px
            sizes.setdefault(candidate.slide_id, set()).add(size)
            home = (candidate.slide_id, size, int(candidate.x0_px // size), int(candidate.y0_px // size))
            cells.setdefault(home, []).append(len(kept))
            kept.append(candidate)
        else:
            kept[beside] = replace(kept[beside], merged=kept[beside].merged + candidate.merged)
    return kept


def _cells(candidate: Candidate, size0_px: float) -> Iterator[tuple[str, float, int, int]]:
    """The cells of a grid of ``size0_px`` whose patches of that size can overlap a candidate."""
    columns, rows = (
        range(int((start - size0_px) // size0_px), int((start + candidate.size0_px) // size0_px) + 1)
        for start in (candidate.x0_px, candidate.y0_px)
    )
    return ((candidate.slide_id, size0_px, column, row) for column in columns for row in rows)


def grouped(
    candidates: Sequence[Candidate], group_of: Callable[[Candidate], str], groups: int, per_group: int
) -> list[Candidate]:
    """The best ``groups`` groups in the order of their best candidate, each with its best ``per_group`` candidates."""
    members: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        members.setdefault(group_of(candidate), []).append(candidate)
    chosen = list(members.values())[:groups]
    return [candidate for group in chosen for candidate in group[:per_group]]
