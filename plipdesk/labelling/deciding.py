"""From scores to labels: one class, several, or down a hierarchy; "none of these" and "unsure" beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plipdesk.labelling.label_sets import LabelSet
from plipdesk.labelling.scoring import best_two, probabilities
from plipdesk.labelling.settings import LabelSettings

Float32s = NDArray[np.float32]
Labels = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Decision:
    """What each of n patches is, by number of the class; c stands for "none of these", c + 1 for "unsure".

    ``best`` is the class (or c) that is likeliest however unsure; ``probability`` (n) that of ``best``; ``margin`` (n)
    by how much it is likelier than the second. ``shares`` (n, c): the probability of each class. ``members`` (n, c):
    the classes given to each patch where it may have several, else None.
    """

    label: Labels
    best: Labels
    probability: Float32s
    margin: Float32s
    shares: Float32s
    members: NDArray[np.bool_] | None = None


def decide(labels: LabelSet, settings: LabelSettings, logits: Float32s, limits: Float32s | None) -> Decision:
    """Label patches.

    Args:
        logits: (n, c) scores of the classes times the logit scale, calibrated where that was done.
        limits: (n, c) what each class's logit must exceed on each patch to be more than a random word; None: there is
            no such limit. With ``none_of_these`` or ``multi`` they are needed.
    """
    if settings.choice == "multi":
        return _several(labels, settings, logits, limits)
    none = None
    if settings.none_of_these and limits is not None:
        asked = slice(None) if settings.choice == "single" else np.array(labels.children()[None])
        # The best class wins over "none of these" if, and only if, some class is more than a random word would be.
        none = logits[:, asked].max(axis=1) - (logits[:, asked] - limits[:, asked]).max(axis=1)
    if settings.choice == "hierarchical":
        return _down_the_tree(labels, settings, logits, none)
    return _one(len(labels.names), settings, logits, none)


def _one(count: int, settings: LabelSettings, logits: Float32s, none: Float32s | None) -> Decision:
    if none is not None:
        logits = np.concatenate([logits, none[:, None]], axis=1)
    shares = probabilities(logits)
    best, top, _, other = best_two(shares)
    label = best.astype(np.int32)
    if shares.shape[1] > 1:
        label[top < settings.unsure_ratio * other] = count + 1
        margin = top - other
    else:
        margin = top
    return Decision(label, best.astype(np.int32), top, margin, shares[:, :count])


def _down_the_tree(labels: LabelSet, settings: LabelSettings, logits: Float32s, none: Float32s | None) -> Decision:
    """The best class of the top, then the best of those below it, and so on; it stops where it is no longer sure."""
    count, below = len(labels.names), labels.children()
    n = len(logits)
    shares = np.zeros((n, count), dtype=np.float32)
    label = np.full(n, count + 1, dtype=np.int32)
    best = np.zeros(n, dtype=np.int32)
    sure = np.zeros(n, dtype=np.float32)
    margin = np.zeros(n, dtype=np.float32)

    def step(parent: str | None, patches: NDArray[np.int64], own: NDArray[np.bool_], before: Float32s) -> None:
        """Part ``patches`` among the classes below ``parent``; ``own``: those that are still sure of their way."""
        siblings = np.array(below[parent])
        scores = logits[np.ix_(patches, siblings)]
        if parent is None and none is not None:
            scores = np.concatenate([scores, none[patches, None]], axis=1)
        likely = probabilities(scores)
        first, top, _, other = best_two(likely)
        here = likely * before[:, None]
        shares[np.ix_(patches, siblings)] = here[:, : len(siblings)]
        number = np.append(siblings, count)[first].astype(np.int32)
        clear = top >= settings.unsure_ratio * other if likely.shape[1] > 1 else np.ones(len(patches), bool)
        best[patches] = number
        sure[patches] = before * top
        margin[patches] = before * (top - other if likely.shape[1] > 1 else top)
        label[patches[own & clear]] = number[own & clear]
        for child in siblings:
            name = labels.names[child]
            if name in below:
                inside = number == child
                if inside.any():
                    step(name, patches[inside], (own & clear)[inside], (before * top)[inside])

    if n:
        step(None, np.arange(n), np.ones(n, bool), np.ones(n, dtype=np.float32))
    return Decision(label, best, sure, margin, shares)


def _several(labels: LabelSet, settings: LabelSettings, logits: Float32s, limits: Float32s | None) -> Decision:
    """Each class by itself: likelier than not that it is more than a random word would be."""
    count = len(labels.names)
    shift = logits if limits is None else logits - limits
    shares = (1 / (1 + np.exp(-np.clip(shift, -60, 60)))).astype(np.float32)
    own = [settings.threshold if one.threshold is None else one.threshold for one in labels.classes]
    members = shares >= np.array(own, dtype=np.float32)
    best, top, _, other = best_two(shares.copy())
    given = np.where(members, shares, -1)
    label = np.where(members.any(axis=1), given.argmax(axis=1), count).astype(np.int32)
    return Decision(label, best.astype(np.int32), top, top - other, shares, members)


def groups_of(labels: LabelSet) -> Mapping[str, tuple[int, ...]]:
    """For each class that has others below it, the numbers of all that belong to it, itself among them."""
    below = labels.children()

    def gathered(number: int) -> list[int]:
        own = [number]
        for child in below.get(labels.names[number], ()):
            own += gathered(child)
        return own

    return {name: tuple(sorted(gathered(number))) for number, name in enumerate(labels.names) if below.get(name)}
