"""How much each patch looks like each class: one matrix product over stored vectors, and what is derived from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.errors import Bug
from plipdesk.index.vectors import widened

Float32s = NDArray[np.float32]

_AT_ONCE = 16_384
"""Rows widened together: 25 MB of 384 numbers, which the processor's cache half holds."""


def cosines(embeddings: NDArray[np.floating], classes: Float32s) -> Float32s:
    """Cosine (n, c) of every stored vector (n, d), float16 or float32, with every class's vector (c, d).

    Raises:
        Bug: vectors of different lengths.
    """
    if embeddings.ndim != 2 or embeddings.shape[1] != classes.shape[1]:
        raise Bug(f"Vectors of shape {embeddings.shape} cannot be compared with classes of shape {classes.shape}.")
    found = np.empty((len(embeddings), len(classes)), dtype=np.float32)
    across = np.ascontiguousarray(classes.T, dtype=np.float32)
    for start in range(0, len(embeddings), _AT_ONCE):
        rows = embeddings[start : start + _AT_ONCE]
        wide = widened(rows) if rows.dtype == np.float16 else np.ascontiguousarray(rows, dtype=np.float32)
        np.matmul(wide, across, out=found[start : start + _AT_ONCE])
    return found


def probabilities(logits: Float32s) -> Float32s:
    """Softmax (n, c) of logits; rows add up to 1."""
    shares: Float32s = logits - logits.max(axis=1, keepdims=True)
    np.exp(shares, out=shares)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def best_two(scores: Float32s) -> tuple[NDArray[np.int64], Float32s, NDArray[np.int64], Float32s]:
    """Number and score of the best class, then of the second, each (n); with a single class the second is the best."""
    rows = np.arange(len(scores))
    best = scores.argmax(axis=1)
    top = scores[rows, best]
    if scores.shape[1] < 2:
        return best, top, best, top
    # Masked for a moment instead of copied: these arrays are large.
    scores[rows, best] = -np.inf
    second = scores.argmax(axis=1)
    other = scores[rows, second]
    scores[rows, best] = top
    return best, top, second, other


def margins(scores: Float32s) -> Float32s:
    """How far the best class is before the second (n); infinite with a single class."""
    if scores.shape[1] < 2:
        return np.full(len(scores), np.inf, dtype=np.float32)
    _, top, _, other = best_two(scores)
    return top - other
