"""Classification metrics on plain arrays, hand-checkable: confusion matrix, F1, accuracy, calibration.

Definitions are those of scikit-learn, to which the tests hold them; a class that never occurs and is never predicted
has an F1 of 0 and counts in macro means only where it was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def confusion_matrix(actual: NDArray[np.integer], predicted: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """How often each actual class (rows) was given each predicted class (columns), int64 (classes, classes).

    Raises:
        ValueError: not one vector each of one length, or a class that is not among ``classes``.
    """
    if actual.shape != predicted.shape or actual.ndim != 1:
        raise ValueError(f"actual {actual.shape} and predicted {predicted.shape} must be vectors of one length")
    for values in (actual, predicted):
        if len(values) and (values.min() < 0 or values.max() >= classes):
            raise ValueError(f"classes lie between 0 and {classes - 1}")
    cells = np.bincount(actual.astype(np.int64) * classes + predicted, minlength=classes * classes)
    return cells.reshape(classes, classes).astype(np.int64)


@dataclass(frozen=True)
class ClassFigures:
    """Precision, recall and F1 of each class, float64 (classes); ``support``: how often it occurs, int64 (classes)."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]


def class_figures(confusion: NDArray[np.integer]) -> ClassFigures:
    """Figures of each class from a confusion matrix (rows actual); what would divide by zero is 0."""
    right = np.diag(confusion).astype(np.float64)
    support = confusion.sum(axis=1)
    named = confusion.sum(axis=0)
    return ClassFigures(
        precision=_share(right, named),
        recall=_share(right, support),
        f1=_share(2 * right, support + named),
        support=support.astype(np.int64),
    )


def accuracy(confusion: NDArray[np.integer]) -> float:
    """Share of right answers; NaN for an empty matrix."""
    total = int(confusion.sum())
    return float(np.trace(confusion) / total) if total else float("nan")


def balanced_accuracy(confusion: NDArray[np.integer]) -> float:
    """Mean recall over the classes that occur; NaN for an empty matrix."""
    figures = class_figures(confusion)
    present = figures.support > 0
    return float(figures.recall[present].mean()) if present.any() else float("nan")


def weighted_f1(confusion: NDArray[np.integer]) -> float:
    """Mean F1 weighted by how often each class occurs; NaN for an empty matrix."""
    figures = class_figures(confusion)
    total = int(figures.support.sum())
    return float((figures.f1 * figures.support).sum() / total) if total else float("nan")


def macro_f1(confusion: NDArray[np.integer]) -> float:
    """Mean F1 over the classes that occur or were predicted; NaN for an empty matrix."""
    seen = (confusion.sum(axis=0) + confusion.sum(axis=1)) > 0
    return float(class_figures(confusion).f1[seen].mean()) if seen.any() else float("nan")


def calibration_error(confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int = 15) -> float:
    """Expected calibration error: mean gap between confidence and accuracy over equal bins of confidence (0, 1].

    Source: Guo et al. (2017), section 2. NaN without any answer.
    """
    if confidence.shape != right.shape or confidence.ndim != 1:
        raise ValueError(f"confidence {confidence.shape} and right {right.shape} must be vectors of one length")
    if not len(confidence):
        return float("nan")
    place = np.clip(np.ceil(np.asarray(confidence, dtype=np.float64) * bins).astype(np.int64) - 1, 0, bins - 1)
    gap = np.bincount(place, weights=confidence, minlength=bins) - np.bincount(place, weights=right, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))


def _share(part: NDArray[np.float64], whole: NDArray[np.integer]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = np.divide(part, whole, out=np.zeros(len(part), dtype=np.float64), where=whole > 0)
    return shares
