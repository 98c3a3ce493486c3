"""Figures of a run with their intervals, by bootstrap and by the way whose width the paper's intervals have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plipdesk.base import classification
from plipdesk.base.metrics import Interval, bootstrap_by_group

Way = Literal["bootstrap", "subsample"]
ROUNDS = 1000
_SUBSAMPLE = 0.7

CLASS_METRICS: dict[str, Callable[[NDArray[np.int64]], float]] = {
    "weighted_f1": classification.weighted_f1,
    "macro_f1": classification.macro_f1,
    "accuracy": classification.accuracy,
    "balanced_accuracy": classification.balanced_accuracy,
}


@dataclass(frozen=True)
class ClassScores:
    """Metrics by name, their intervals, and the confusion matrix int64 (classes, classes), rows actual."""

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    confusion: NDArray[np.int64]


def score_classes(
    actual: NDArray[np.int64],
    predicted: NDArray[np.int64],
    classes: int,
    *,
    seed: int,
    groups: Sequence[str] | None = None,
    way: Way = "bootstrap",
    rounds: int = ROUNDS,
) -> ClassScores:
    """All metrics of a classification (n) with 95 % intervals.

    ``bootstrap`` draws pictures with replacement, or whole ``groups`` (n) where these are known. ``subsample`` draws
    70 % without replacement: the paper does not say how its intervals were made, and theirs are about 0.6 times as wide
    as a bootstrap's, which is what such draws give.
    """
    confusion = classification.confusion_matrix(actual, predicted, classes)
    cells = actual * classes + predicted
    drawn = list(_draws(cells, classes, groups, way, rounds, seed))
    metrics = {name: metric(confusion) for name, metric in CLASS_METRICS.items()}
    intervals = {name: _limits([metric(one) for one in drawn]) for name, metric in CLASS_METRICS.items()}
    return ClassScores(metrics, intervals, confusion)


def _draws(
    cells: NDArray[np.int64], classes: int, groups: Sequence[str] | None, way: Way, rounds: int, seed: int
) -> list[NDArray[np.int64]]:
    """Confusion matrices of resamples: drawing counts of cells is the same as drawing pictures, and far quicker."""
    rng = np.random.default_rng(seed)
    size = classes * classes
    counts = np.bincount(cells, minlength=size)
    if way == "subsample":
        kept = round(_SUBSAMPLE * len(cells))
        found = rng.multivariate_hypergeometric(counts, kept, size=rounds)
    elif groups is None:
        found = rng.multinomial(len(cells), counts / max(len(cells), 1), size=rounds)
    else:
        names, numbers = np.unique(np.array(groups), return_inverse=True)
        table = np.zeros((len(names), size), dtype=np.int64)
        np.add.at(table, (numbers, cells), 1)
        weights = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=rounds)
        found = weights @ table
    return [row.reshape(classes, classes) for row in found]


def _limits(values: Sequence[float]) -> tuple[float, float]:
    kept = [value for value in values if not np.isnan(value)]
    if not kept:
        return float("nan"), float("nan")
    low, high = np.quantile(kept, [0.025, 0.975])
    return float(low), float(high)


def mean_with_interval(values: NDArray[np.floating], *, seed: int, groups: Sequence[str] | None = None) -> Interval:
    """Mean of one figure per query (n) with a 95 % bootstrap interval over queries, or over ``groups`` of them."""
    names = np.array(groups) if groups is not None else np.arange(len(values))
    return bootstrap_by_group(lambda items: float(np.mean(values[items])), names, rounds=ROUNDS, seed=seed)
