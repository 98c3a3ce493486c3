"""The parts of a query as vectors, and how a patch is scored by them.

A part is words, a region, a picture or a slide; it has one vector or many. A patch's score for it is the cosine with
its vector, or the largest (or mean) of the cosines with its vectors.

One part alone: its score is the patch's score. A mix: cosines of words and of pictures live on different scales
(words 0.1 to 0.4, pictures 0.5 to 1), so each part's score is first expressed in robust deviations from what random
patches of this index get,

    z = (score − median) / (1.4826 · MAD),

and the patch's score is the sum of weight · z over the parts, divided by the sum of the weights' sizes. Of a part with
negative weight only z above zero counts: what looks like it is pushed away, and what looks even less like it than
random patches do is no better for that. (On tiles of held-out cases, "A, not B" ranked by z(A) − z(B) is worse than by
z(A) alone; mean average precision 0.26 against 0.33, and 0.31 when cut at zero; with half the weight 0.32 and 0.33.
"A and B": 0.13, against 0.06 by either alone.) Where nothing attracts, a negative weight turns the ranking round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plipdesk.search.query import Combine

Float32s = NDArray[np.float32]
Kind = Literal["words", "pixels"]
_LEAST_SPREAD = 1e-4
"""Of a cosine: an index of equal patches must not blow a difference of nothing up."""
_TO_DEVIATION = 1.4826
"""Median absolute deviations in a standard deviation of a normal distribution."""


@dataclass(frozen=True)
class Part:
    """A part of a query: ``vectors`` (m, d) of unit length, how they are combined, and the part's weight."""

    vectors: Float32s
    weight: float = 1.0
    combine: Combine = "max"
    kind: Kind = "pixels"

    @property
    def is_linear(self) -> bool:
        """Whether the score is an inner product with one vector."""
        return len(self.vectors) == 1 or self.combine == "mean"

    @property
    def direction(self) -> Float32s:
        """The vector (d,) of a linear part's inner product."""
        mean: Float32s = self.vectors.mean(axis=0)
        return mean

    def scores(self, stored: Float32s) -> Float32s:
        """Scores (n,) of stored vectors (n, d)."""
        if self.is_linear:
            return stored @ self.direction
        best: Float32s = (stored @ self.vectors.T).max(axis=1)
        return best


@dataclass(frozen=True)
class Spread:
    """Median and robust deviation of some scores."""

    median: float
    deviation: float

    @classmethod
    def of(cls, scores: Float32s) -> Spread:
        """Of scores (n,); nothing at all has median 0 and deviation 1.

        Where more than half of the scores are equal their standard deviation stands in.
        """
        if not len(scores):
            return cls(0.0, 1.0)
        median = float(np.median(scores))
        deviation = _TO_DEVIATION * float(np.median(np.abs(scores - median)))
        if deviation < _LEAST_SPREAD:
            deviation = float(scores.std())
        return cls(median, max(deviation, _LEAST_SPREAD))

    def z(self, scores: Float32s) -> Float32s:
        """Deviations from the median."""
        return (scores - np.float32(self.median)) / np.float32(self.deviation)


class Scoring:
    """How patches are scored by all parts of a query together, on one index."""

    def __init__(self, parts: Sequence[Part], random_patches: Float32s) -> None:
        """``random_patches`` (n, d): stored vectors of random patches of the index."""
        self.parts = tuple(parts)
        own = [part.scores(random_patches) for part in self.parts]
        self._alone = len(self.parts) == 1 and self.parts[0].weight > 0
        self._attracts = any(part.weight > 0 for part in self.parts)
        self._spreads = () if self._alone else tuple(Spread.of(scores) for scores in own)
        self._weights = sum(abs(part.weight) for part in self.parts)
        self.background = np.sort(self._together(own))
        """(n,) scores of the random patches, ascending."""

    @property
    def is_plain(self) -> bool:
        """Whether the score is the cosine with one vector of unit length."""
        return self._alone and len(self.parts[0].vectors) == 1

    @property
    def asks_in_words(self) -> bool:
        """Whether words attract: they lie apart from all patches."""
        return any(part.kind == "words" and part.weight > 0 for part in self.parts)

    def scores(self, stored: Float32s) -> Float32s:
        """Scores (n,) of stored vectors (n, d)."""
        return self._together([part.scores(stored) for part in self.parts])

    def probes(self) -> Float32s:
        """Unit vectors (m, d) whose nearest rows are the candidates.

        Those of every part that attracts; in a mix also the sum of these as they are weighed, which ranks as the query
        does where all are linear, and the sum of all parts, which finds what is like some and unlike others.
        """
        probes = [part.vectors for part in self.parts if part.weight > 0]
        if self._alone:
            return probes[0]
        directions = np.stack(
            [
                part.direction * np.float32(part.weight / spread.deviation)
                for part, spread in zip(self.parts, self._spreads, strict=True)
            ]
        )
        attracting = np.array([part.weight > 0 for part in self.parts])
        probes.append(directions.sum(axis=0)[None])
        if self._attracts and not attracting.all():
            probes.append(directions[attracting].sum(axis=0)[None])
        stacked = np.concatenate(probes)
        lengths = np.linalg.norm(stacked, axis=1, keepdims=True)
        unit: Float32s = (stacked / np.maximum(lengths, 1e-12)).astype(np.float32)
        return unit

    def likeness(self, stored: Float32s) -> float:
        """Mean over stored vectors (n, d), n ≥ 1, and over the parts that attract by weight, of their scores.

        In cosines, also for a mix; 0 where nothing attracts.
        """
        attracting = [part for part in self.parts if part.weight > 0]
        total = sum(part.weight for part in attracting)
        return sum(part.weight / total * float(part.scores(stored).mean()) for part in attracting)

    def percentile(self, score: float) -> float:
        """Per cent of the random patches that score at most ``score``; 100 where there are none."""
        if not len(self.background):
            return 100.0
        return 100.0 * float(np.searchsorted(self.background, score, side="right")) / len(self.background)

    def _together(self, own: Sequence[Float32s]) -> Float32s:
        if self._alone:
            return own[0]
        total = np.zeros_like(own[0])
        for part, spread, scores in zip(self.parts, self._spreads, own, strict=True):
            z = spread.z(scores)
            if part.weight < 0 and self._attracts:
                z = np.maximum(z, 0)
            total += np.float32(part.weight / self._weights) * z
        return total
