"""A shorter view of vectors, in which Euclidean distance still ranks almost as the full vectors do.

Vectors are centred and laid on a few orthonormal axes: the mean direction first, then the principal components of a
sample. One more coordinate holds the length of what the axes miss. A query has 0 there, so the squared distance

    |P(q − m) − P(v − m)|² + |R(v − m)|²

differs from the full |q − v|² − |R(q − m)|² only by the product of the two remainders, 2·R(q − m)·R(v − m): without
that coordinate the remainder of every vector would be lost too, and vectors with a large one would rank too high.
(Principal components after Jégou et al. 2010, doi:10.1109/TPAMI.2010.57; the extra coordinate is the usual reduction of
inner products to distances.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Float32s = NDArray[np.float32]


@dataclass(frozen=True)
class Projection:
    """Centre and axes of the shorter view."""

    mean: Float32s
    """(d,)"""
    axes: Float32s
    """(d, length − 1), orthonormal columns."""

    @property
    def dim(self) -> int:
        """Length of the full vectors."""
        return len(self.mean)

    @property
    def length(self) -> int:
        """Length of the shorter vectors."""
        return int(self.axes.shape[1]) + 1

    @classmethod
    def fit(cls, sample: Float32s, length: int) -> Self:
        """Fit to a sample (n, d) of vectors; the result is ``length`` long, or d + 1 where that is shorter."""
        dim = sample.shape[1]
        mean = sample.mean(axis=0, dtype=np.float64)
        centred = sample - mean
        norm = float(np.linalg.norm(mean))
        lead = (mean / norm)[:, None] if norm > 1e-6 else np.zeros((dim, 0))
        centred -= (centred @ lead) @ lead.T
        _, directions = np.linalg.eigh(centred.T @ centred / max(1, len(sample)))
        count = min(dim, length - 1) - lead.shape[1]
        # Where the sample spans few dimensions, its empty directions may lean on the mean's: made orthogonal again.
        axes, _ = np.linalg.qr(np.concatenate([lead, directions[:, ::-1][:, :count]], axis=1))
        return cls(mean.astype(np.float32), np.ascontiguousarray(axes, dtype=np.float32))

    def rows(self, vectors: Float32s) -> Float32s:
        """Stored vectors (n, d) as (n, length)."""
        return self._laid(vectors)

    def queries(self, vectors: Float32s) -> tuple[Float32s, Float32s]:
        """Query vectors (q, d) as (q, length), and the squared length (q,) of what the axes miss of each."""
        laid = self._laid(vectors)
        missed = laid[:, -1] ** 2
        laid[:, -1] = 0
        return laid, missed

    def products(self, vectors: Float32s) -> tuple[Float32s, Float32s]:
        """For query vectors (q, d) weights (q, length) and offsets (q,).

        The inner product of the weights with a laid row, plus the offset, estimates the cosine: the same estimate as
        from the distance, since nothing of the mean is missed by the axes.
        """
        weights = np.zeros((len(vectors), self.length), dtype=np.float32)
        np.matmul(vectors, self.axes, out=weights[:, :-1])
        return weights, vectors @ self.mean

    def _laid(self, vectors: Float32s) -> Float32s:
        centred = vectors - self.mean
        laid = np.empty((len(vectors), self.length), dtype=np.float32)
        np.matmul(centred, self.axes, out=laid[:, :-1])
        missed = np.einsum("nd,nd->n", centred, centred) - np.einsum("nd,nd->n", laid[:, :-1], laid[:, :-1])
        np.sqrt(np.maximum(missed, 0), out=laid[:, -1])
        return laid
