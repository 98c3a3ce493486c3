"""Is a probe better than what it would replace? Asked of examples that it has not seen, whole cases at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.classification import confusion_matrix, macro_f1
from plipdesk.probes.errors import ProbeProblem
from plipdesk.probes.folds import folds_of
from plipdesk.probes.linear import LinearProbe, fit_probe

LEAST_EXAMPLES = 40
_FOLDS = 5
_ROUNDS = 500
_SURE = 0.9
"""Share of the bootstrap's rounds in which the probe must be better."""


@dataclass(frozen=True)
class Comparison:
    """Macro F1 of the probe (cross-validated) and of what it would replace, on the same examples."""

    probe_f1: float
    before_f1: float
    sure: float
    """Share of resamples (of cases, where there are several) in which the probe is better."""
    better: bool
    by_case: bool
    examples: int
    cases: int

    @property
    def words(self) -> str:
        """The outcome as a sentence."""
        by = f"over {self.cases} cases" if self.by_case else "within one case, which flatters a probe"
        figures = f"macro F1 {self.probe_f1:.2f} against {self.before_f1:.2f}, cross-validated {by}"
        if self.better:
            return f"A linear probe on {self.examples} labelled patches replaces the prompts: {figures}."
        return f"The prompts stay: a linear probe on {self.examples} labelled patches is not surely better ({figures})."


def compare_probe(
    vectors: NDArray[np.floating],
    target: NDArray[np.integer],
    before: NDArray[np.integer],
    classes: Sequence[str],
    cases: Sequence[str],
    *,
    encoder_fingerprint: str,
    strength: float = 1e-3,
    seed: int = 0,
) -> tuple[LinearProbe, Comparison]:
    """Learn a probe of all examples, and compare it by cross-validation with ``before``, the classes given until now.

    Args:
        vectors: (n, d) stored embeddings of the examples.
        target: (n) numbers of the right classes.
        before: (n) numbers of the classes that the prompts gave; one beyond the classes is wrong whatever is right.
        classes: names by number.
        cases: (n) the case of each example.

    Raises:
        ProbeProblem: fewer than 40 examples, or of fewer than two classes.
    """
    if len(target) < LEAST_EXAMPLES:
        raise ProbeProblem(
            f"A linear probe needs at least {LEAST_EXAMPLES} labelled patches; there are {len(target)}.",
            remedy="Correct some more.",
        )
    names = np.asarray(classes, dtype=np.str_)
    number = {name: place for place, name in enumerate(classes)}
    guessed = np.full(len(target), -1, dtype=np.int64)
    for train, test in folds_of(target, cases, _FOLDS, seed):
        if len(np.unique(target[train])) < 2:
            guessed[test] = target[train][0]
            continue
        fold = fit_probe(
            vectors[train], names[target[train]], encoder_fingerprint=encoder_fingerprint, classes=classes,
            strength=strength, seed=seed,
        )  # fmt: skip
        own = np.array([number[name] for name in fold.classes])
        guessed[test] = own[fold.logits(vectors[test]).argmax(axis=1)]
    # A class that was never right or guessed does not count; one that stands for "none of these" may be guessed.
    count = int(max(len(classes), before.max() + 1 if len(before) else 0))
    groups = np.asarray(cases, dtype=np.str_)
    distinct = np.unique(groups)
    members = (
        [np.flatnonzero(groups == case) for case in distinct]
        if len(distinct) > 1
        else [[i] for i in range(len(target))]
    )
    rng = np.random.default_rng(seed)
    wins = 0.0
    for _ in range(_ROUNDS):
        drawn = np.concatenate([members[place] for place in rng.integers(len(members), size=len(members))]).astype(int)
        gain = _f1(target[drawn], guessed[drawn], count) - _f1(target[drawn], before[drawn], count)
        wins += 1.0 if gain > 0 else 0.5 if gain == 0 else 0.0
    probe_f1, before_f1 = _f1(target, guessed, count), _f1(target, before, count)
    sure = wins / _ROUNDS
    comparison = Comparison(
        probe_f1, before_f1, sure, probe_f1 > before_f1 and sure >= _SURE, len(distinct) > 1, len(target), len(distinct)
    )
    whole = fit_probe(
        vectors, names[target], encoder_fingerprint=encoder_fingerprint, classes=classes, strength=strength, seed=seed
    )
    return whole, comparison


def _f1(target: NDArray[np.integer], guessed: NDArray[np.integer], count: int) -> float:
    return macro_f1(confusion_matrix(target, guessed, count))
