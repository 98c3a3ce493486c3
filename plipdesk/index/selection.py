"""Which rows may answer, and what an answer looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RowSelection:
    """The rows that may answer: whole parts, and single rows of others. Parts that the index lacks do not matter."""

    parts: frozenset[int] = frozenset()
    rows: Mapping[int, NDArray[np.int32]] = field(default_factory=dict)


class Found(NamedTuple):
    """The best rows for each of q queries, best first; where fewer than k were found the rest is −1, −1 and −2."""

    part_ids: NDArray[np.int64]
    """(q, k)"""
    rows: NDArray[np.int32]
    """(q, k) row within its part's file."""
    scores: NDArray[np.float32]
    """(q, k) cosine similarity, from the stored vectors."""


NO_SCORE = np.float32(-2)
