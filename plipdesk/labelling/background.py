"""None of these: what random words and random patches tell about how good a class's score must be.

A class is asked of a patch together with hundreds of words that have nothing to do with it. Scores are made comparable
by how each word scores on random patches (its mean and spread there). A patch is none of the classes where none of
them does better than the best of as many random words would, half of the time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from plipdesk.encoders.protocol import Encoder
from plipdesk.encoders.vocabulary import Vocabulary
from plipdesk.labelling.label_sets import LabelSet
from plipdesk.labelling.prompts import encode_texts
from plipdesk.labelling.scoring import cosines

Float32s = NDArray[np.float32]

WORDS = 200
RANDOM_PATCHES = 2000
LEVEL = 0.5
_LEAST_SPREAD = 1e-4
_AT_ONCE = 8192


@dataclass(frozen=True, eq=False)
class Background:
    """How classes and background words score on random patches, and the words' vectors."""

    words: tuple[str, ...]
    vectors: Float32s
    """(w, d)"""
    word_mean: Float32s
    word_spread: Float32s
    class_mean: Float32s
    """(c,)"""
    class_spread: Float32s
    level: float = LEVEL

    @property
    def rank(self) -> float:
        """Which quantile over words a class must exceed: the best of c random words lies above it in half of cases."""
        return float(self.level ** (1 / max(1, len(self.class_mean))))

    def limits(self, embeddings: NDArray[np.floating]) -> Float32s:
        """What random words reach on each patch (n), in units of spread."""
        found = np.empty(len(embeddings), dtype=np.float32)
        place = min(len(self.words) - 1, max(0, math.ceil(self.rank * len(self.words)) - 1))
        for start in range(0, len(embeddings), _AT_ONCE):
            scores = cosines(embeddings[start : start + _AT_ONCE], self.vectors)
            scores -= self.word_mean
            scores /= self.word_spread
            scores.partition(place, axis=1)
            found[start : start + _AT_ONCE] = scores[:, place]
        return found

    def class_limits(self, limits: Float32s) -> Float32s:
        """The cosine (n, c) that each class must exceed on each patch, from :meth:`limits`."""
        return limits[:, None] * self.class_spread + self.class_mean


def background_words(vocabulary: Vocabulary, labels: LabelSet, count: int = WORDS) -> tuple[str, ...]:
    """Words of the vocabulary, evenly spread, that share no word with any class."""
    asked = {
        word for one in labels.classes for said in (one.name, *one.synonyms, *one.prompts)
        for word in said.casefold().split()
    }  # fmt: skip
    free = [
        term.name for term in vocabulary.terms
        if not any(asked & set(word.casefold().split()) for word in term.english)
    ]  # fmt: skip
    step = max(1, math.ceil(len(free) / count))
    return tuple(free[::step])


def calibrate_background(
    encoder: Encoder,
    classes: Float32s,
    words: Sequence[str],
    random_patches: Float32s,
    *,
    templates: Sequence[str] = (),
    level: float = LEVEL,
) -> Background:
    """Learn what scores mean from ``random_patches`` (r, d); words go through the same templates as the classes.

    ``templates`` empty: those of the encoder's card.
    """
    chosen = tuple(templates) or encoder.card.prompt_templates
    rows = encode_texts(encoder, [template.replace("{}", word) for word in words for template in chosen])
    vectors = rows.reshape(len(words), len(chosen), -1).mean(axis=1)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    by_word, by_class = cosines(random_patches, vectors), cosines(random_patches, classes)
    return Background(
        tuple(words), vectors.astype(np.float32),
        by_word.mean(axis=0), np.maximum(by_word.std(axis=0), _LEAST_SPREAD),
        by_class.mean(axis=0), np.maximum(by_class.std(axis=0), _LEAST_SPREAD),
        level,
    )  # fmt: skip


def draw_patches(counts: Sequence[int], seed: int, most: int = RANDOM_PATCHES) -> list[NDArray[np.int64]]:
    """Row numbers to take of files with ``counts`` rows, together at most ``most``, each row as likely as any other."""
    total = sum(counts)
    rng = np.random.default_rng(seed)
    chosen = np.arange(total) if total <= most else np.sort(rng.choice(total, most, replace=False, shuffle=False))
    edges = np.concatenate([[0], np.cumsum(counts)])
    return [chosen[(chosen >= low) & (chosen < high)] - low for low, high in pairwise(edges)]
