"""Finding pictures that are the same although their files are not: by perceptual hash and by embedding."""

from __future__ import annotations

import itertools
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plipdesk.datasets.picture_facts import PictureTable
from plipdesk.index.vector_index import VectorIndex
from plipdesk.index.vectors import write_vectors

Sameness = Literal["file", "perceptual hash", "embedding"]
_HASH_BITS = 128
_NEIGHBOURS = 16
_QUERIES_AT_ONCE = 1024
# Below this many pictures all are compared with all; above, the graph is worth building.
_GRAPH_FROM = 20_000


def find_same(
    table: PictureTable,
    places: Sequence[int],
    *,
    hash_bits: int,
    cosine: float | None,
    contradicting_bits: int = _HASH_BITS,
) -> dict[int, tuple[Sameness, int]]:
    """For each picture of ``places`` that repeats one further ahead: how it is the same, and the place of that one."""
    same: dict[int, tuple[Sameness, int]] = {}
    by_digest: dict[str, int] = {}
    hashes = HashFinder(hash_bits)
    for place in places:
        facts = table.facts[place]
        first = by_digest.setdefault(facts.sha256, place)
        if first != place:
            same[place] = ("file", same.get(first, ("file", first))[1])
            continue
        near = hashes.find_or_add(int(facts.dhash, 16), place)
        if near is not None:
            same[place] = ("perceptual hash", near)
    if cosine is not None and table.embeddings is not None:
        _by_embedding(table, [place for place in places if place not in same], same, cosine, contradicting_bits)
    return same


class HashFinder:
    """Perceptual hashes of ``_HASH_BITS`` bits, found where they differ in at most ``most_bits``.

    Cut into one more piece than bits may differ, two such hashes have a piece in common: only those that share one are
    compared.
    """

    def __init__(self, most_bits: int) -> None:
        self._most_bits = most_bits
        pieces = most_bits + 1
        edges = [_HASH_BITS * number // pieces for number in range(pieces + 1)]
        self._cuts = [(low, (1 << (high - low)) - 1) for low, high in itertools.pairwise(edges)]
        self._known: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)

    def find_or_add(self, value: int, place: int) -> int | None:
        """The place of a hash that is near ``value``, or None once ``value`` itself was added under ``place``."""
        keys = [(number, value >> low & mask) for number, (low, mask) in enumerate(self._cuts)]
        for key in keys:
            for other, where in self._known.get(key, ()):
                if (other ^ value).bit_count() <= self._most_bits:
                    return where
        for key in keys:
            self._known[key].append((value, place))
        return None


def _by_embedding(
    table: PictureTable,
    places: list[int],
    same: dict[int, tuple[Sameness, int]],
    cosine: float,
    contradicting_bits: int,
) -> None:
    if len(places) < 2:
        return
    vectors = normalised(table.vectors(places))
    for number, near in enumerate(nearest(vectors, vectors, _NEIGHBOURS, table.encoder)):
        for other, score in near:
            if score < cosine:
                break
            if other >= number or places[other] in same:
                continue
            mine, its = (table.facts[places[which]].dhash for which in (number, other))
            if (int(mine, 16) ^ int(its, 16)).bit_count() <= contradicting_bits:
                same[places[number]] = ("embedding", places[other])
                break


def nearest(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], count: int, encoder: str
) -> list[list[tuple[int, float]]]:
    """For each query (q, d) the ``count`` nearest rows of ``vectors`` (n, d) with their cosines, best first.

    The vectors lie in an index of their own while this lasts: exact for few, through graphs for many.
    """
    found: list[list[tuple[int, float]]] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "all.safetensors")
        zeros = np.zeros(len(vectors), np.int32)
        write_vectors(file, embeddings=vectors, x0_px=zeros, y0_px=zeros, settings={})
        index = VectorIndex(Path(folder, "index"), dim=vectors.shape[1], encoder_fingerprint=encoder, threads=2)
        index.add(1, file, len(vectors))
        if len(vectors) >= _GRAPH_FROM:
            index.load_or_build()
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            hits = index.search(queries[start : start + _QUERIES_AT_ONCE], min(count, len(vectors)))
            for rows, scores in zip(hits.rows.tolist(), hits.scores.tolist(), strict=True):
                found.append([(row, score) for row, score in zip(rows, scores, strict=True) if row >= 0])
        index.remove(1)
    return found


def normalised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length one."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), dtype=np.float32)
