"""What scores mean on an index: what random patches get, and what random words and pictures reach."""

from __future__ import annotations

import hashlib
import math
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.files import atomic_write
from plipdesk.encoders.prompts import encode_prompt
from plipdesk.encoders.protocol import Encoder
from plipdesk.encoders.vocabulary import Vocabulary
from plipdesk.index.vector_index import VectorIndex
from plipdesk.search.parts import Kind

Float32s = NDArray[np.float32]

RANDOM_PATCHES = 2000
SAMPLE_SEED = 2000
BEST_PATCHES = 3
"""The answer's best patches, which must stand out."""
WORDS_EXCEEDED = 0.9
"""Share of random words that a query by words must exceed."""
PATCHES_EXCEEDED = 0.1
"""Share of the index's own patches that a query by pixels must exceed."""
RANDOM_QUERIES = 300
TERMS = 300
"""Terms encoded to know where words lie, evenly spread over the vocabulary; more would make the first query wait."""
_STALE = 0.05
"""A large index is asked again once it has changed by this share."""
_ALWAYS_FRESH_ROWS = 50_000
_AT_ONCE = 16
_RANDOM_SEED = 300


class TermVectors:
    """The vocabulary's terms as vectors of an encoder, encoded once per machine and kept in its cache. Thread-safe."""

    def __init__(self, vocabulary: Vocabulary, cache: Path) -> None:
        names = vocabulary.names()
        step = max(1, math.ceil(len(names) / TERMS))
        self.names = names[::step]
        self._cache = cache
        self._lock = threading.Lock()
        self._vectors: dict[str, Float32s] = {}

    def of(self, encoder: Encoder) -> Float32s:
        """Unit vectors (t, d) of the terms; the first time takes as long as encoding them."""
        with self._lock:
            vectors = self._vectors.get(encoder.fingerprint)
            if vectors is None:
                path = self._cache / f"{encoder.fingerprint}-{self._key(encoder)}.npy"
                vectors = self._kept(path, encoder.card.dim)
                if vectors is None:
                    vectors = np.stack([encode_prompt(encoder, name) for name in self.names])
                    with atomic_write(path) as stream:
                        np.save(stream, vectors, allow_pickle=False)
                self._vectors[encoder.fingerprint] = vectors
            return vectors

    def _key(self, encoder: Encoder) -> str:
        said = "\n".join([*encoder.card.prompt_templates, "", *self.names])
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    def _kept(self, path: Path, dim: int) -> Float32s | None:
        """The vectors in the cache, or None if there are none that can be used."""
        shape = (len(self.names), dim)
        try:
            if path.stat().st_size > 4 * shape[0] * shape[1] + 1024:
                return None
            vectors = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        if vectors.shape != shape or vectors.dtype != np.float32 or not np.isfinite(vectors).all():
            return None
        return np.asarray(vectors)


class Calibration:
    """What is known of one index at large, remembered until the index changes. Thread-safe.

    Whether an answer stands out is told by its three best patches: their mean cosine with the query must exceed what
    90 % of *random words* reach on the same index. Random words are vectors drawn from the normal distribution that
    the vocabulary's vectors have: they lie where words lie and mean nothing. (The vocabulary's own terms would raise
    the bar with every one of them that is there, until on a large index only one word in twenty could pass. A robust z
    in place of the cosine punishes what is common: the more of it there is, the wider its scores spread. Both were
    measured: benchmarks/stands_out.py.)

    A region or picture is asked otherwise: does it belong here at all? Its three best patches must be more like it than
    the three nearest of the index's own patches are for the loneliest tenth of these. That is the conformal test of an
    outlier (Vovk et al. 2005, with the distance to nearest neighbours), and needs no idea of what a random picture is:
    one drawn from the patches' own distribution lies closer to them than most real tissue does, and told nine of ten
    regions of a single slide that nothing looks like them.
    """

    def __init__(self, index: VectorIndex, terms: TermVectors) -> None:
        self._index = index
        self._terms = terms
        self._lock = threading.Lock()
        self._sampled: tuple[NDArray[np.int64], Float32s] | None = None
        self._limits: dict[Kind, _Limit] = {}

    def random_patches(self) -> Float32s:
        """Stored vectors (n, d) of 2,000 seeded random patches of the whole index, or of all if there are fewer."""
        part_ids = self._index.part_ids
        sampled = self._sampled
        if sampled is None or sampled[0] is not part_ids:
            sampled = (part_ids, self._index.vectors(*self._index.sample(RANDOM_PATCHES, SAMPLE_SEED)))
            self._sampled = sampled
        return sampled[1]

    def limit(self, kind: Kind, encoder: Encoder) -> float:
        """The mean cosine with its three best patches above which a query of words or of pixels stands out."""
        with self._lock:
            part_ids, rows = self._index.part_ids, self._index.rows
            known = self._limits.get(kind)
            if known is None or not known.holds(part_ids, rows):
                if kind == "words":
                    reached = self._reached(random_vectors(self._terms.of(encoder), RANDOM_QUERIES))
                    limit = float(np.quantile(reached, WORDS_EXCEEDED))
                else:
                    limit = float(np.quantile(self._own_reach(), PATCHES_EXCEEDED)) if rows > 1 else 0.0
                known = _Limit(part_ids, rows, limit)
                self._limits[kind] = known
            return known.value

    def tune(self, encoder: Encoder) -> None:
        """Find out on this index how broadly words must be looked for; see :meth:`VectorIndex.tune_scattered`."""
        self._index.tune_scattered(self._terms.of(encoder)[::2])

    def _reached(self, queries: Float32s) -> Float32s:
        """Mean cosine (q,) of the three best patches of each query."""
        best = min(BEST_PATCHES, self._index.rows)
        blocks = [
            self._index.search(queries[start : start + _AT_ONCE], best).scores.mean(axis=1)
            for start in range(0, len(queries), _AT_ONCE)
        ]
        reached: Float32s = np.concatenate(blocks)
        return reached

    def _own_reach(self) -> Float32s:
        """Mean cosine (n,) of up to 300 random patches of the index with their three nearest others."""
        part_ids, rows = self._index.sample(RANDOM_QUERIES, SAMPLE_SEED)
        best = min(BEST_PATCHES, self._index.rows - 1)
        reached = []
        for start in range(0, len(rows), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            found = self._index.search(self._index.vectors(part_ids[some], rows[some]), best + 1)
            itself = (found.part_ids == part_ids[some, None]) & (found.rows == rows[some, None])
            # Where a twin came before it the farthest goes in its place.
            itself[~itself.any(axis=1), -1] = True
            reached.append(found.scores[~itself].reshape(-1, best).mean(axis=1))
        return np.concatenate(reached)


@dataclass(frozen=True)
class _Limit:
    """A limit, and the state of the index for which it was found."""

    part_ids: NDArray[np.int64]
    rows: int
    value: float

    def holds(self, part_ids: NDArray[np.int64], rows: int) -> bool:
        """Whether the index is the same, or so large that the change does not matter yet."""
        if self.part_ids is part_ids:
            return True
        return rows > _ALWAYS_FRESH_ROWS and abs(rows - self.rows) <= _STALE * self.rows


def random_vectors(seen: Float32s, count: int) -> Float32s:
    """Unit vectors (count, d) drawn from the normal distribution with mean and covariance of ``seen`` (n, d)."""
    mean = seen.mean(axis=0)
    centred = (seen - mean) / np.sqrt(max(len(seen) - 1, 1))
    # Weights on the vectors that were seen have their covariance, without a d × d matrix to take a root of.
    weights = np.random.default_rng(_RANDOM_SEED).standard_normal((count, len(seen)), dtype=np.float32)
    drawn = mean + weights @ centred
    unit: Float32s = (drawn / np.maximum(np.linalg.norm(drawn, axis=1, keepdims=True), 1e-12)).astype(np.float32)
    return unit
