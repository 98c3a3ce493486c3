"""Parting examples for cross-validation, whole cases at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]


def folds_of(
    target: NDArray[np.integer], groups: Sequence[str] | None, count: int, seed: int
) -> Iterator[tuple[Places, Places]]:
    """Numbers of the examples to learn from and to test on, at most ``count`` times; each example is tested once.

    Examples of one group lie on one side. With a single group (or None) the examples are parted one by one, each class
    evenly.
    """
    members: list[Places]
    rng = np.random.default_rng(seed)
    names = None if groups is None else np.asarray(groups, dtype=np.str_)
    if names is not None and len(np.unique(names)) > 1:
        # The largest groups first, each into the fold that is smallest so far.
        found, sizes = np.unique(names, return_counts=True)
        parts: list[list[Places]] = [[] for _ in range(min(count, len(found)))]
        filled = np.zeros(len(parts), dtype=np.int64)
        for place in np.lexsort((rng.random(len(found)), -sizes)):
            fold = int(filled.argmin())
            parts[fold].append(np.flatnonzero(names == found[place]))
            filled[fold] += sizes[place]
        members = [np.sort(np.concatenate(part)) for part in parts]
    else:
        order = np.lexsort((rng.random(len(target)), target))
        members = [np.sort(order[first::count]) for first in range(min(count, len(target)))]
    everything = np.arange(len(target))
    for test in members:
        yield np.setdiff1d(everything, test), test
