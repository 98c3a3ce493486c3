"""Retrieval metrics on plain arrays, hand-checkable, and their uncertainty.

A ranking is by score, best first; equal scores keep the order in which they came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def _ranked(scores: NDArray[np.floating], relevant: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if scores.shape != relevant.shape or scores.ndim != 1:
        raise ValueError(f"scores {scores.shape} and relevance {relevant.shape} must be one vector each, of one length")
    return np.asarray(relevant, dtype=bool)[np.argsort(-np.asarray(scores), kind="stable")]


def average_precision(scores: NDArray[np.floating], relevant: NDArray[np.bool_]) -> float:
    """Mean of the precisions at each relevant item of the ranking; NaN without any relevant item."""
    return ranking_precision(_ranked(scores, relevant))


def ranking_precision(hits: NDArray[np.bool_]) -> float:
    """Average precision of a finished ranking: ``hits`` tells of each place, best first, whether it is relevant."""
    places = np.flatnonzero(hits)
    return float(np.mean(np.arange(1, len(places) + 1) / (places + 1))) if len(places) else float("nan")


def precision_at(scores: NDArray[np.floating], relevant: NDArray[np.bool_], k: int) -> float:
    """Share of relevant items among the best ``k`` (or among all, if there are fewer); NaN for an empty ranking."""
    best = _ranked(scores, relevant)[:k]
    return float(best.mean()) if len(best) else float("nan")


def recall_at(scores: NDArray[np.floating], relevant: NDArray[np.bool_], k: int) -> float:
    """Share of all relevant items that are among the best ``k``; NaN without any relevant item."""
    hits = _ranked(scores, relevant)
    return float(hits[:k].sum() / hits.sum()) if hits.any() else float("nan")


def macro_mean(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Mean over classes, those without a value (NaN) left out; NaN if none is left."""
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else float("nan")


def neighbour_precision(
    embeddings: NDArray[np.float32], labels: NDArray[np.bool_], groups: NDArray[np.generic], k: int, *, block: int = 512
) -> NDArray[np.float64]:
    """For each item (n, d) the share of its ``k`` nearest by inner product, of other groups, that share a label (n, t).

    NaN for items without a label, and where no other group exists. Nearest first; memory is ``block`` × n scores.
    """
    found = np.full(len(embeddings), np.nan)
    for start in range(0, len(embeddings), block):
        scores = embeddings[start : start + block] @ embeddings.T
        scores[groups[start : start + block, None] == groups[None, :]] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        for row, nearest in enumerate(order):
            other = nearest[np.isfinite(scores[row, nearest])]
            mine = labels[start + row]
            if len(other) and mine.any():
                found[start + row] = (labels[other] & mine).any(axis=1).mean()
    return found


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the limits between which ``level`` of the bootstrap's figures lie."""

    value: float
    low: float
    high: float
    level: float = 0.95


def bootstrap_by_group(
    figure: Callable[[NDArray[np.int64]], float],
    groups: NDArray[np.generic],
    *,
    rounds: int,
    seed: int,
    level: float = 0.95,
) -> Interval:
    """``figure`` of all items, with the percentile interval over resampled groups.

    Items of one group (one case) are not independent, so whole groups are drawn with replacement; ``figure`` gets the
    numbers of the items drawn, a group drawn twice twice. Rounds in which it is NaN are left out.
    """
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    rng = np.random.default_rng(seed)
    figures = []
    for _ in range(rounds):
        drawn = rng.integers(len(members), size=len(members))
        figures.append(figure(np.concatenate([members[place] for place in drawn])))
    kept = np.array([value for value in figures if not np.isnan(value)])
    whole = figure(np.arange(len(groups)))
    if not len(kept):
        return Interval(whole, float("nan"), float("nan"), level)
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    return Interval(whole, float(low), float(high), level)
