"""What scores mean on an index: random patches, and what the words of the vocabulary reach by chance."""

from __future__ import annotations

import hashlib
import math
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.files import atomic_write
from plipdesk.encoders.prompts import encode_prompt
from plipdesk.encoders.protocol import Encoder
from plipdesk.encoders.vocabulary import Vocabulary
from plipdesk.index.vector_index import VectorIndex
from plipdesk.search.parts import Spread

Float32s = NDArray[np.float32]

RANDOM_PATCHES = 2000
SAMPLE_SEED = 2000
STANDING_OUT = 0.95
"""Share of the vocabulary's terms that a query must exceed."""
REFERENCE_TERMS = 300
"""Terms asked of an index, evenly spread over the vocabulary; more would only make the first query wait."""
_STALE = 0.05
"""A large index is asked again once it has changed by this share."""
_ALWAYS_FRESH_ROWS = 50_000
_AT_ONCE = 16


class TermVectors:
    """The vocabulary's terms as vectors of an encoder, encoded once per machine and kept in its cache. Thread-safe."""

    def __init__(self, vocabulary: Vocabulary, cache: Path) -> None:
        names = vocabulary.names()
        step = max(1, math.ceil(len(names) / REFERENCE_TERMS))
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
    """What is known of one index at large, remembered until the index changes. Thread-safe."""

    def __init__(self, index: VectorIndex, terms: TermVectors) -> None:
        self._index = index
        self._terms = terms
        self._lock = threading.Lock()
        self._sampled: tuple[NDArray[np.int64], Float32s] | None = None
        self._reference: tuple[NDArray[np.int64], int, Float32s] | None = None

    def random_patches(self) -> Float32s:
        """Stored vectors (n, d) of 2,000 seeded random patches of the whole index, or of all if there are fewer."""
        part_ids = self._index.part_ids
        sampled = self._sampled
        if sampled is None or sampled[0] is not part_ids:
            sampled = (part_ids, self._index.vectors(*self._index.sample(RANDOM_PATCHES, SAMPLE_SEED)))
            self._sampled = sampled
        return sampled[1]

    def stands_out(self, best_z: float, encoder: Encoder) -> bool:
        """Whether a query whose best hit lies ``best_z`` robust deviations above random patches tells something.

        It does if 95 % of the vocabulary's terms reach less on this index. For an encoder without words: if it is more
        than the best of as many draws from a normal distribution would reach.
        """
        if not encoder.card.has_words:
            return best_z > math.sqrt(2 * math.log(max(self._index.rows, 2)))
        return best_z > float(np.quantile(self.reference(encoder), STANDING_OUT))

    def reference(self, encoder: Encoder) -> Float32s:
        """Robust z (t,) of the best hit of each reference term on the index."""
        with self._lock:
            part_ids, rows = self._index.part_ids, self._index.rows
            known = self._reference
            if known is not None and (
                known[0] is part_ids or (rows > _ALWAYS_FRESH_ROWS and abs(rows - known[1]) <= _STALE * known[1])
            ):
                return known[2]
            terms = self._terms.of(encoder)
            random_patches = self.random_patches()
            reached = np.empty(len(terms), dtype=np.float32)
            for start in range(0, len(terms), _AT_ONCE):
                some = terms[start : start + _AT_ONCE]
                best = self._index.search(some, 1).scores[:, 0]
                background = random_patches @ some.T
                reached[start : start + len(some)] = [
                    Spread.of(background[:, column]).z(best[column]) for column in range(len(some))
                ]
            self._reference = (part_ids, rows, reached)
            return reached
