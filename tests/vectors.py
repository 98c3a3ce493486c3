"""Vectors for the tests: like those of an encoder, unit length and clustered, from a seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plipdesk.index.vectors import write_vectors

Float32s = NDArray[np.float32]


def unit_vectors(rows: int, dim: int, *, seed: int = 0, clusters: int = 12, spread: float = 0.6) -> Float32s:
    """Unit vectors (rows, dim) around a common direction, in clusters."""
    fixed = np.random.default_rng(99)
    centres = fixed.normal(0, 1, (clusters, dim)) / np.sqrt(dim)
    mean = fixed.normal(0, 1, dim) / np.sqrt(dim)
    random = np.random.default_rng(seed)
    own = centres[random.integers(0, clusters, rows)] + random.normal(0, spread, (rows, dim)) / np.sqrt(dim)
    vectors = mean + own
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def vectors_file(
    path: Path, vectors: Float32s, *, x0_px: NDArray[np.int32] | None = None, y0_px: NDArray[np.int32] | None = None
) -> Float32s:
    """Write a vectors file, by default with patches in one row 224 level-0 pixels apart; returns what it holds."""
    rows = len(vectors)
    write_vectors(
        path,
        embeddings=vectors,
        x0_px=np.arange(rows, dtype=np.int32) * 224 if x0_px is None else x0_px,
        y0_px=np.zeros(rows, dtype=np.int32) if y0_px is None else y0_px,
        settings={},
    )
    return vectors.astype(np.float16).astype(np.float32)
