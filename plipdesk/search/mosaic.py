"""Many patches told by a few: a mosaic.

After Yottixel (Kalra et al. 2020, doi:10.1016/j.media.2020.101757): patches are clustered, and each cluster gives
patches that stand for it. Here clusters are of embeddings (spherical k-means, seeded) and each gives the patch nearest
to its centre, with the cluster's size as weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32s = NDArray[np.float32]
_SEED = 5
_ROUNDS = 12
_MOST_CLUSTERED = 4096


@dataclass(frozen=True)
class Mosaic:
    """Patches that stand for others."""

    vectors: Float32s
    """(m, d) unit vectors, all of them patches that exist."""
    weights: NDArray[np.float64]
    """(m,) share of the patches that each stands for; sums to 1."""


def mosaic_of(vectors: Float32s, most: int) -> Mosaic:
    """The mosaic of patches (n, d), n ≥ 1, of at most ``most`` pieces; all of them where there are no more."""
    if len(vectors) <= most:
        return Mosaic(vectors, np.full(len(vectors), 1 / len(vectors)))
    random = np.random.default_rng(_SEED)
    sample = vectors
    if len(vectors) > _MOST_CLUSTERED:
        sample = vectors[np.sort(random.choice(len(vectors), _MOST_CLUSTERED, replace=False))]
    centres = _seeds(sample, most, random)
    for _ in range(_ROUNDS):
        nearest = (sample @ centres.T).argmax(axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, sample)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        moved = np.where(lengths > 0, sums / np.maximum(lengths, 1e-12), centres).astype(np.float32)
        if np.array_equal(moved, centres):
            break
        centres = moved
    cosines = sample @ centres.T
    sizes = np.bincount(cosines.argmax(axis=1), minlength=most)
    kept = np.flatnonzero(sizes)
    chosen = cosines[:, kept].argmax(axis=0)
    return Mosaic(sample[chosen], sizes[kept] / len(sample))


def _seeds(sample: Float32s, count: int, random: np.random.Generator) -> Float32s:
    """Seeds far from each other (k-means++, Arthur and Vassilvitskii 2007)."""
    chosen = [int(random.integers(len(sample)))]
    distance = np.maximum(1 - sample @ sample[chosen[0]], 0).astype(np.float64)
    while len(chosen) < count:
        total = distance.sum()
        if total <= 1e-9:
            break
        chosen.append(int(np.searchsorted(np.cumsum(distance), random.uniform(0, total))))
        chosen[-1] = min(chosen[-1], len(sample) - 1)
        distance = np.minimum(distance, np.maximum(1 - sample @ sample[chosen[-1]], 0))
    return sample[chosen]


def weighted_median(values: NDArray[np.float32], weights: NDArray[np.float64]) -> float:
    """The smallest value up to which at least half of the weight lies."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    position = int(np.searchsorted(reached, reached[-1] / 2 - 1e-9))
    return float(values[order[min(position, len(order) - 1)]])
