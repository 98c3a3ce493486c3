"""Retrieval: text to image by its own caption, image to image by post and by class (Huang et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1024
MOST_NEIGHBOURS = 20


def caption_ranks(images: NDArray[np.float32], texts: NDArray[np.float32]) -> NDArray[np.int64]:
    """For each caption (n) the place (from 1) of its own picture among all pictures; ties count against it."""
    ranks = np.empty(len(texts), dtype=np.int64)
    for start in range(0, len(texts), _BLOCK):
        scores = texts[start : start + _BLOCK] @ images.T
        own = scores[np.arange(len(scores)), np.arange(start, start + len(scores))]
        ranks[start : start + len(scores)] = (scores >= own[:, None]).sum(axis=1)
    return ranks


def recall_at(ranks: NDArray[np.int64], k: int) -> float:
    """Share of queries whose answer is among the best ``k``."""
    return float((ranks <= k).mean())


def random_recall(candidates: int, k: int) -> float:
    """What chance gives: K of n."""
    return min(1.0, k / candidates) if candidates else float("nan")


def post_ranks(images: NDArray[np.float32], posts: Sequence[str]) -> NDArray[np.int64]:
    """For each picture of a post with several, the place of the first other picture of its post; itself left out.

    Pictures that are alone in their post are no queries, but stay candidates.
    """
    names = np.unique(np.array(posts), return_inverse=True)[1]
    alone = np.bincount(names)[names] < 2
    ranks = []
    for query in np.flatnonzero(~alone):
        scores = images @ images[query]
        scores[query] = -np.inf
        mates = (names == names[query]) & (np.arange(len(names)) != query)
        ranks.append(int((scores > scores[mates].max()).sum()) + 1)
    return np.array(ranks, dtype=np.int64)


def class_neighbours(
    images: NDArray[np.float32], labels: NDArray[np.int64], *, most: int = MOST_NEIGHBOURS, with_query: bool = False
) -> NDArray[np.int64]:
    """The classes of the ``most`` nearest pictures of each, int64 (n, most), nearest first.

    ``with_query`` counts the query itself as its first neighbour.
    """
    count = min(most, len(images) - (0 if with_query else 1))
    found = np.empty((len(images), count), dtype=np.int64)
    for start in range(0, len(images), _BLOCK):
        scores = images[start : start + _BLOCK] @ images.T
        rows = np.arange(len(scores))
        scores[rows, start + rows] = np.inf if with_query else -np.inf
        nearest = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        found[start : start + len(scores)] = labels[nearest]
    return found


def class_accuracy(neighbours: NDArray[np.int64], labels: NDArray[np.int64], k: int) -> float:
    """Class retrieval accuracy at ``k``: share of queries whose class most of their ``k`` nearest have.

    Of classes equally frequent that of the nearest wins. This reading of the paper is derived: with the query counted
    it is exactly 1 at K = 1 and 2 and falls after that, as in its figure, which no mean and no "any of" does.
    """
    classes = int(max(neighbours.max(), labels.max())) + 1
    nearest = neighbours[:, :k]
    votes = np.zeros((len(labels), classes))
    for place in range(nearest.shape[1]):
        # A nearer vote weighs a hair more than a farther one, which decides ties alone.
        votes[np.arange(len(labels)), nearest[:, place]] += 1 + (k - place) / (4 * k * k)
    return float((votes.argmax(axis=1) == labels).mean())


def class_precision(neighbours: NDArray[np.int64], labels: NDArray[np.int64], k: int) -> float:
    """Mean share of the ``k`` nearest that have the query's class."""
    return float((neighbours[:, :k] == labels[:, None]).mean())
