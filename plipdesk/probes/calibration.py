"""Calibration of class scores: a temperature and an offset per class, fitted to what people corrected.

Temperature scaling after Guo et al. (2017); offsets shift the odds between classes. With few examples both are held
near "no change" by a penalty, so that one correction cannot turn a map upside down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.classification import calibration_error
from plipdesk.probes.errors import ProbeProblem
from plipdesk.probes.folds import folds_of

LEAST_EXAMPLES = 20
PENALTIES = (1.0, 10.0, 100.0, 1000.0)
"""Of the offsets; which one serves unseen cases best is found by cross-validation. The heaviest leaves them near 0."""
_FOLDS = 5


@dataclass(frozen=True, eq=False)
class Calibration:
    """Calibrated logits are ``logits`` / ``temperature`` + ``offsets``."""

    temperature: float
    offsets: NDArray[np.float64]
    """(c,), mean 0."""

    def apply(self, logits: NDArray[np.floating]) -> NDArray[np.float32]:
        """Calibrated logits (n, c)."""
        return np.asarray(logits / self.temperature + self.offsets, dtype=np.float32)


@dataclass(frozen=True)
class Calibrated:
    """A calibration, and the expected calibration error before and after it.

    ``ece_after`` and ``accuracy_after`` are of examples that the calibration had not seen (cross-validation).
    """

    calibration: Calibration
    ece_before: float
    ece_after: float
    accuracy_before: float
    accuracy_after: float
    examples: int
    penalty: float
    """Of the offsets, in units of one example."""


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities (n, c) whose rows add up to 1."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = raised / raised.sum(axis=1, keepdims=True)
    return shares


def fit_calibration(
    logits: NDArray[np.floating],
    target: NDArray[np.integer],
    *,
    groups: Sequence[str] | None = None,
    penalties: Sequence[float] = PENALTIES,
    seed: int = 0,
) -> Calibrated:
    """Fit to examples: ``logits`` (n, c) and the number of the right class of each, ``target`` (n).

    Args:
        groups: the case of each example; examples of one case stay together in cross-validation. None: any may part.
        penalties: of the offsets, in units of one example; the one with the best likelihood on unseen groups is taken.
            How frequent classes are in some cases says little of others, so offsets must earn their place.

    Raises:
        ProbeProblem: fewer than 20 examples, or numbers that do not belong together.
    """
    scores = np.asarray(logits, dtype=np.float64)
    if scores.ndim != 2 or target.shape != (len(scores),) or not np.isfinite(scores).all():
        raise ProbeProblem("Scores and right classes do not belong together.", remedy="Label the patches again.")
    if len(target) < LEAST_EXAMPLES:
        raise ProbeProblem(
            f"Calibration needs at least {LEAST_EXAMPLES} corrected patches; there are {len(target)}.",
            remedy="Correct some more.",
        )
    if target.min() < 0 or target.max() >= scores.shape[1]:
        raise ProbeProblem("A corrected patch has a class that is not asked for.", remedy="Label the patches again.")
    folds = list(folds_of(target, groups, _FOLDS, seed))
    rows = np.arange(len(target))
    best, penalty, after = -np.inf, penalties[0], softmax(scores)
    for tried in penalties:
        unseen = np.full_like(scores, np.nan)
        for train, test in folds:
            unseen[test] = _fit(scores[train], target[train], tried).apply(scores[test])
        shares = softmax(unseen)
        likelihood = float(np.log(np.maximum(shares[rows, target], 1e-12)).mean())
        if likelihood > best:
            best, penalty, after = likelihood, tried, shares
    before = softmax(scores)
    return Calibrated(
        calibration=_fit(scores, target, penalty),
        ece_before=_error(before, target),
        ece_after=_error(after, target),
        accuracy_before=float((before.argmax(axis=1) == target).mean()),
        accuracy_after=float((after.argmax(axis=1) == target).mean()),
        examples=len(target),
        penalty=penalty,
    )


def _error(shares: NDArray[np.float64], target: NDArray[np.integer]) -> float:
    # Few examples leave most of fifteen bins empty: fewer bins then.
    bins = int(np.clip(len(target) // 10, 3, 15))
    return calibration_error(shares.max(axis=1), shares.argmax(axis=1) == target, bins)


def _fit(scores: NDArray[np.float64], target: NDArray[np.integer], penalty: float) -> Calibration:
    from scipy.optimize import minimize

    count, classes = scores.shape
    rows = np.arange(count)
    weights = np.concatenate([[1.0], np.full(classes, penalty)])

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        sharpness, offsets = np.exp(-parameters[0]), parameters[1:]
        logits = scores * sharpness + offsets
        top = logits.max(axis=1, keepdims=True)
        logarithm = top[:, 0] + np.log(np.exp(logits - top).sum(axis=1))
        wrong = np.exp(logits - logarithm[:, None])
        value = float((logarithm - logits[rows, target]).sum() + (weights * parameters**2).sum() / 2)
        wrong[rows, target] -= 1
        slope = np.concatenate([[-(wrong * scores).sum() * sharpness], wrong.sum(axis=0)]) + weights * parameters
        return value, slope

    bounds = [(-6.0, 6.0), *([(-20.0, 20.0)] * classes)]
    found = minimize(loss, np.zeros(1 + classes), jac=True, method="L-BFGS-B", bounds=bounds).x
    offsets = found[1:] - found[1:].mean()
    return Calibration(float(np.exp(found[0])), offsets)
