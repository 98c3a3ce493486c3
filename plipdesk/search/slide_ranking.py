"""Slide to slide: how well a slide holds what another shows.

Yottixel's rule (Kalra et al. 2020): for each piece of the asked slide's mosaic the best match in the other slide, and
of these the median; here each piece counts by the share of the slide that it stands for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plipdesk.catalogue.rows import EmbeddingRow
from plipdesk.index.selection import RowSelection
from plipdesk.index.vector_index import VectorIndex
from plipdesk.search.candidates import Candidate
from plipdesk.search.mosaic import Mosaic, weighted_median

Float32s = NDArray[np.float32]
_ALL_COMPARED = 200
"""So many slides are all compared patch by patch; of more, those that hold the best matches of single pieces."""
_BLOCK_ROWS = 8192
_MATCHES = 200


@dataclass(frozen=True)
class RankedSlide:
    """A slide, its score, and its patches that match best, best first; these carry their own best cosine."""

    slide_id: str
    score: float
    patches: tuple[Candidate, ...]


def rank_slides(
    index: VectorIndex,
    mosaics: Sequence[tuple[float, Mosaic]],
    rows: Mapping[int, EmbeddingRow],
    wanted: int,
    per_slide: int,
) -> list[RankedSlide]:
    """The slides of the parts ``rows`` by the weighted mean, over ``mosaics``, of their medians of best matches."""
    parts_of: dict[str, list[EmbeddingRow]] = {}
    for row in rows.values():
        if index.file(row.embedding_id) is not None and row.patches:
            parts_of.setdefault(row.slide_id, []).append(row)
    compared = list(parts_of)
    if len(compared) > _ALL_COMPARED:
        compared = _likely(index, mosaics, rows, max(_ALL_COMPARED, 4 * wanted))
    ranked = [_compared(index, mosaics, slide_id, parts_of[slide_id], per_slide) for slide_id in compared]
    ranked.sort(key=lambda slide: (-slide.score, slide.slide_id))
    return ranked[:wanted]


def _likely(
    index: VectorIndex, mosaics: Sequence[tuple[float, Mosaic]], rows: Mapping[int, EmbeddingRow], most: int
) -> list[str]:
    """The slides that hold the most of the nearest patches of all pieces, each by its piece's weight and cosine."""
    votes: dict[str, float] = {}
    allowed = RowSelection(parts=frozenset(rows))
    for _, mosaic in mosaics:
        found = index.search(mosaic.vectors, _MATCHES, allowed=allowed)
        for piece, weight in enumerate(mosaic.weights.tolist()):
            best: dict[str, float] = {}
            for part_id, score in zip(found.part_ids[piece].tolist(), found.scores[piece].tolist(), strict=True):
                if part_id in rows:
                    best.setdefault(rows[part_id].slide_id, score)
            for slide_id, score in best.items():
                votes[slide_id] = votes.get(slide_id, 0.0) + weight * (1 + score)
    return sorted(votes, key=lambda slide_id: (-votes[slide_id], slide_id))[:most]


def _compared(
    index: VectorIndex,
    mosaics: Sequence[tuple[float, Mosaic]],
    slide_id: str,
    parts: Sequence[EmbeddingRow],
    per_slide: int,
) -> RankedSlide:
    pieces = np.concatenate([mosaic.vectors for _, mosaic in mosaics])
    best = np.full(len(pieces), -2, dtype=np.float32)
    patches: list[Candidate] = []
    for row in parts:
        file = index.file(row.embedding_id)
        for start in range(0, row.patches if file is not None else 0, _BLOCK_ROWS):
            assert file is not None
            numbers = np.arange(start, min(start + _BLOCK_ROWS, row.patches), dtype=np.int32)
            cosines = index.vectors(np.full(len(numbers), row.embedding_id), numbers) @ pieces.T
            best = np.maximum(best, cosines.max(axis=0))
            own = cosines.max(axis=1)
            for position in np.argsort(-own, kind="stable")[:per_slide].tolist():
                number = int(numbers[position])
                x0_px, y0_px = int(file.x0_px[number]), int(file.y0_px[number])
                score = float(own[position])
                patches.append(Candidate(row.embedding_id, number, score, slide_id, x0_px, y0_px, row.size0_px))
    patches.sort(key=lambda patch: -patch.score)
    score, start = 0.0, 0
    for weight, mosaic in mosaics:
        part = best[start : start + len(mosaic.vectors)]
        score += weight * weighted_median(part, mosaic.weights)
        start += len(mosaic.vectors)
    score /= sum(abs(weight) for weight, _ in mosaics)
    return RankedSlide(slide_id, score, tuple(patches[:per_slide]))
