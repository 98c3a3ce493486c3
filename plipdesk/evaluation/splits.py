"""Who learns and who is tested: splits by source, and those of the paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from plipdesk.evaluation.data import Split

TRAIN_SHARE = 0.7
"""Huang et al. (2023) learn from 70 % wherever a data set has no split of its own."""


def given(train: NDArray[np.bool_], test: NDArray[np.bool_], words: str) -> Callable[[int], Split]:
    """A split that the data set itself names; the seed changes nothing."""
    chosen = Split(np.flatnonzero(train), np.flatnonzero(test), words)
    return lambda _seed: chosen


def by_group(groups: Sequence[str], labels: NDArray[np.int64]) -> Callable[[int], Split]:
    """About 70 % of the groups of each class learn; a group lies on one side, whatever classes it holds."""

    def make(seed: int) -> Split:
        rng = np.random.default_rng(seed)
        names, numbers = np.unique(np.array(groups), return_inverse=True)
        # Groups are parted class by class, by the class that most of their pictures have.
        classes = int(labels.max()) + 1 if len(labels) else 1
        counts = np.zeros((len(names), classes), dtype=np.int64)
        np.add.at(counts, (numbers, labels), 1)
        side = np.zeros(len(names), dtype=bool)
        for label in range(classes):
            members = np.flatnonzero(counts.argmax(axis=1) == label)
            order = rng.permutation(members)
            side[order[: _share_of(len(order))]] = True
        train = side[numbers]
        return Split(
            np.flatnonzero(train),
            np.flatnonzero(~train),
            f"70 % of {len(names)} sources learn, by class; no source lies on both sides (seed {seed})",
        )

    return make


def by_picture(count: int, words: str, *, leaks: bool) -> Callable[[int], Split]:
    """The paper's way: 70 % of the ``count`` pictures learn, shuffled by the seed, wherever they come from.

    The shuffle is that of numpy's legacy generator, which the authors' code used through pandas.
    """

    def make(seed: int) -> Split:
        order = np.random.RandomState(seed).permutation(count)
        cut = _share_of(count)
        return Split(order[:cut], order[cut:], f"{words} (seed {seed})", leaks)

    return make


def by_picture_within(strata: NDArray[np.int64], words: str, *, leaks: bool) -> Callable[[int], Split]:
    """As :func:`by_picture`, but 70 % of each stratum (n); the authors shuffle all, then each stratum again."""

    def make(seed: int) -> Split:
        order = np.random.RandomState(seed).permutation(len(strata))
        train, test = [], []
        for stratum in dict.fromkeys(strata[order].tolist()):
            own = order[strata[order] == stratum]
            own = own[np.random.RandomState(seed).permutation(len(own))]
            cut = _share_of(len(own))
            train.append(own[:cut])
            test.append(own[cut:])
        return Split(np.concatenate(train), np.concatenate(test), f"{words} (seed {seed})", leaks)

    return make


def _share_of(count: int) -> int:
    return int(count * TRAIN_SHARE)
