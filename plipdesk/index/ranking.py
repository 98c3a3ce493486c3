"""Finding the best rows of a view for some queries: candidates, then exact scores.

Where candidates come from is planned by cost, never by a filter callback inside hnswlib (a hundred times slower):

- few rows may answer: all of them are scored exactly;
- a narrow filter: the projected vectors of all rows that may answer are scored, read from the mapped graph files;
- otherwise each graph is asked for so many candidates that enough of them may answer; where they do not (whole slides
  far from the query), its projected vectors are scanned.

Rows in no graph yet are always scored exactly. Whatever its source, a candidate's final score comes from the stored
vector. Segments are asked side by side where there are cores for it: hnswlib and numpy let other threads run meanwhile.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plipdesk.index.segment import IndexSettings
from plipdesk.index.selection import NO_SCORE
from plipdesk.index.vectors import Float32s
from plipdesk.index.view import Numbers, SegmentView, View

Mask = NDArray[np.bool_]
_SCAN_US = 0.1
"""Microseconds to score one projected vector somewhere in a mapped file, as measured."""
_GRAPH_US = 1.5
"""Microseconds of graph search for each row asked for."""
_MOST_ASKED = 4096
"""Beyond so many candidates a scan of the segment is as quick."""
_BROADER = 6
"""How much more is asked of a graph whose nearest rows may not answer, before its rows are scanned."""
_DENSE = 3
"""A stretch of the file is read whole if a third of it is wanted: that is quicker than picking rows."""
_NEAR = 64
_LONG_RUN = 128
_EVEN_BLOCK = 1024
_NONE: Numbers = np.empty(0, dtype=np.int64)


class Best:
    """The best rows of each query so far, of those offered."""

    def __init__(self, queries: int, keep: int) -> None:
        self.keep = keep
        self.numbers = np.full((queries, 0), -1, dtype=np.int64)
        self.scores = np.full((queries, 0), NO_SCORE, dtype=np.float32)

    def offer(self, numbers: Numbers, scores: Float32s) -> None:
        """Take in rows with ``scores`` (q, n); ``numbers`` (n,) the same for every query, or (q, n)."""
        if scores.shape[1] > 2 * self.keep:
            top = np.argpartition(scores, -self.keep, axis=1)[:, -self.keep :]
            scores = np.take_along_axis(scores, top, axis=1)
            numbers = numbers[top] if numbers.ndim == 1 else np.take_along_axis(numbers, top, axis=1)
        elif numbers.ndim == 1:
            numbers = np.broadcast_to(numbers, scores.shape)
        self.numbers = np.concatenate([self.numbers, numbers], axis=1)
        self.scores = np.concatenate([self.scores, scores], axis=1)
        if self.scores.shape[1] > 4 * self.keep:
            self.shrink()

    def shrink(self) -> None:
        """Forget all but the best ``keep`` of each query."""
        if self.scores.shape[1] > self.keep:
            top = np.argpartition(self.scores, -self.keep, axis=1)[:, -self.keep :]
            self.scores = np.take_along_axis(self.scores, top, axis=1)
            self.numbers = np.take_along_axis(self.numbers, top, axis=1)

    def ordered(self) -> tuple[Numbers, Float32s]:
        """Numbers and scores (q, keep), best first, of equal scores the smaller number first; padded with −1."""
        order = np.lexsort((self.numbers, -self.scores), axis=1)[:, : self.keep]
        numbers = np.take_along_axis(self.numbers, order, axis=1)
        scores = np.take_along_axis(self.scores, order, axis=1)
        missing = self.keep - numbers.shape[1]
        if missing > 0:
            numbers = np.pad(numbers, ((0, 0), (0, missing)), constant_values=-1)
            scores = np.pad(scores, ((0, 0), (0, missing)), constant_values=NO_SCORE)
        return np.where(scores > NO_SCORE, numbers, -1), scores


def best_rows(
    view: View,
    queries: Float32s,
    k: int,
    mask: Mask | None,
    settings: IndexSettings,
    *,
    threads: int = 1,
    breadth: int | None,
) -> tuple[Numbers, Float32s]:
    """Numbers and cosines (q, k) of the best rows for ``queries`` (q, d), best first, padded with −1.

    ``breadth`` rows are asked of each graph; None: no graph is asked, all its projected vectors are scanned.
    Up to ``threads`` segments are asked at a time; the answer is the same for any number.
    """
    best = Best(len(queries), k)
    count = view.rows if mask is None else int(np.count_nonzero(mask))
    wanted = max(settings.candidates, 2 * k)
    if not view.segments or count <= 2 * wanted:
        exactly = np.arange(view.rows) if mask is None else np.flatnonzero(mask)
    else:
        candidates = _Candidates(len(queries), wanted, threads)
        asked = None if breadth is None else max(breadth, 2 * k, wanted // len(view.segments))
        exactly = candidates.gather(view, queries, mask, count, asked)
        exactly = ascending(np.concatenate([exactly, candidates.numbers()]))
    for numbers, vectors in view.blocks(exactly):
        best.offer(numbers, queries @ vectors.T)
    return best.ordered()


class _Offer(NamedTuple):
    """What a segment gives for q queries: estimates for some rows, and rows that only an exact scan can judge."""

    numbers: Numbers
    """(n,) the same for every query, or (q, n); where the estimate is −2 it means nothing."""
    estimates: Float32s
    """(q, n) estimated cosines."""
    exactly: Numbers


class _Candidates:
    """The best estimates over all segments."""

    def __init__(self, queries: int, wanted: int, threads: int) -> None:
        self._threads = threads
        self._best = Best(queries, wanted)

    def numbers(self) -> Numbers:
        """The candidates of all queries together, ascending."""
        self._best.shrink()
        return ascending(self._best.numbers.ravel())

    def gather(self, view: View, queries: Float32s, mask: Mask | None, count: int, asked: int | None) -> Numbers:
        """Collect candidates, ``asked`` of each graph; returns the numbers of rows that only an exact scan can judge.

        ``count`` rows may answer.
        """
        tasks: list[Callable[[], _Offer]]
        if asked is None or (
            mask is not None and count * _SCAN_US <= len(view.segments) * asked / (count / view.rows) * _GRAPH_US
        ):
            allowed = np.arange(view.rows) if mask is None else np.flatnonzero(mask)
            of_segment = view.segment_of[allowed]
            exactly = [allowed[of_segment < 0]]
            tasks = [
                partial(_scanned, segment, queries, view.label_of, allowed[of_segment == position])
                for position, segment in enumerate(view.segments)
            ]
        else:
            exactly = [view.loose if mask is None else view.loose[mask[view.loose]]]
            tasks = [partial(_asked, segment, queries, view.label_of, mask, asked) for segment in view.segments]
        for offer in _side_by_side(tasks, self._threads):
            self._best.offer(offer.numbers, offer.estimates)
            exactly.append(offer.exactly)
        return np.concatenate(exactly)


def _side_by_side(tasks: Sequence[Callable[[], _Offer]], threads: int) -> list[_Offer]:
    """What the tasks give, in their order."""
    threads = min(threads, len(tasks))
    if threads < 2:
        return [task() for task in tasks]
    # Starting threads takes a tenth of a millisecond; none is left when the answer is there.
    with ThreadPoolExecutor(threads, thread_name_prefix="segment") as pool:
        return list(pool.map(lambda task: task(), tasks))


def _asked(view: SegmentView, queries: Float32s, label_of: NDArray[np.int32], mask: Mask | None, asked: int) -> _Offer:
    """Candidates of one segment from its graph, or from a scan where the graph gives too few that may answer."""
    covered = min(view.segment.rows, len(view.number_of_label))
    exactly = _allowed(view.number_of_label[covered:], mask)
    found = _from_graph(view, covered, queries, mask, asked) if covered else None
    if found is None:
        found = _scanned(view, queries, label_of, _allowed(view.number_of_label[:covered], mask))
    return found._replace(exactly=np.concatenate([exactly, found.exactly]))


def _from_graph(view: SegmentView, covered: int, queries: Float32s, mask: Mask | None, asked: int) -> _Offer | None:
    """Candidates from the graph; None where a scan is due because too few of them may answer."""
    share = 1 - view.dead / len(view.number_of_label)
    if mask is not None:
        share = float(mask[view.number_of_label[:covered:16]].mean())
    for breadth in (1, _BROADER):
        if breadth * asked > _MOST_ASKED * share:
            return None
        labels, estimates = view.segment.nearest(queries, int(breadth * asked / share))
        # A row added since the view was taken has no number yet.
        known = np.minimum(labels, len(view.number_of_label) - 1)
        numbers = np.where(labels < covered, view.number_of_label[known], -1)
        valid = _allows(numbers, mask)
        # Without a filter only a graph that hangs together badly gives too few.
        if int(valid.sum(axis=1).min()) >= min(asked // 2, share * covered / 2):
            return _Offer(np.where(valid, numbers, -1), np.where(valid, estimates, NO_SCORE), _NONE)
    return None


def _scanned(view: SegmentView, queries: Float32s, label_of: NDArray[np.int32], numbers: Numbers) -> _Offer:
    """All rows ``numbers`` of a segment with estimates from its projected vectors, as far as these are on disk."""
    kept = view.segment.saved_rows
    labels = label_of[numbers]
    saved = labels < (0 if kept is None else kept.count)
    if kept is None or not saved.any():
        return _Offer(_NONE, np.empty((len(queries), 0), dtype=np.float32), numbers)
    weights, offsets = view.segment.projection.products(queries)
    places = kept.place_of_label[labels[saved]]
    products = np.empty((len(queries), len(places)), dtype=np.float32)
    for block in _runs(places):
        some = places[block]
        low, high = int(some.min()), int(some.max()) + 1
        if high - low <= _DENSE * len(some):
            products[:, block] = (weights @ kept.vectors[low:high].T)[:, some - low]
        else:
            products[:, block] = weights @ kept.vectors[some].T
    return _Offer(numbers[saved], products + offsets[:, None], numbers[~saved])


def _runs(places: NDArray[np.int32]) -> list[slice]:
    """``places`` in blocks: runs that lie close together in the file where there are long ones, else even blocks."""
    cuts = np.flatnonzero(np.abs(np.diff(places)) > _NEAR)
    if len(cuts) * _LONG_RUN > len(places):
        cuts = np.arange(_EVEN_BLOCK - 1, len(places) - 1, _EVEN_BLOCK)
    edges = [0, *(cuts + 1).tolist(), len(places)]
    return [
        slice(start, min(start + _EVEN_BLOCK, end))
        for low, end in itertools.pairwise(edges)
        for start in range(low, end, _EVEN_BLOCK)
    ]


def ascending(numbers: Numbers) -> Numbers:
    """The different numbers from 0 on, ascending (numpy's ``unique`` takes several times as long)."""
    found = np.sort(numbers)
    different: Numbers = found[(found >= 0) & np.diff(found, prepend=-1).astype(bool)]
    return different


def _allows(numbers: Numbers, mask: Mask | None) -> Mask:
    allowed: Mask = numbers >= 0 if mask is None else mask[numbers]
    return allowed


def _allowed(numbers: Numbers, mask: Mask | None) -> Numbers:
    return numbers[_allows(numbers, mask)]
