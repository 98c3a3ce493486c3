"""One HNSW graph over the projected vectors of some rows: where candidates come from.

Graphs are kept to a quarter of a million rows. hnswlib loads, saves and frees a graph without letting other Python
threads run, so small graphs keep a window answered; a save rewrites only the graph that grew; and a graph whose rows
have gone is replaced without a second copy of everything.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import hnswlib
import numpy as np
from numpy.typing import NDArray

from plipdesk.base.files import TEMPORARY_SUFFIX, disk_problems_in_words, fsync_folder, sha256_of
from plipdesk.index.errors import IndexProblem
from plipdesk.index.graph_file import GraphRows, open_graph_rows
from plipdesk.index.locks import ReadersFirst
from plipdesk.index.projection import Projection

Float32s = NDArray[np.float32]
_SEED = 20_230_817
_JITTER = np.float32(1e-3)
"""Spread of what is added to each projected number. Thousands of equal vectors (white patches of one scanner) would
otherwise link only to each other and cut the graph apart: with half of 40,000 rows equal, recall fell to 0.76, and is
0.996 with this. It is a tenth of what the projection itself loses, and final scores come from the stored vectors."""


@dataclass(frozen=True)
class IndexSettings:
    """How graphs are built and asked; the defaults are those of docs/performance.md."""

    length: int = 128
    """Numbers in a projected vector."""
    links: int = 16
    """hnswlib's M: links of an element on the upper levels, half of those on the ground level."""
    build_breadth: int = 500
    """hnswlib's ef_construction. Words lie apart from pictures, and their nearest patches are scattered: on real
    vectors with many near-duplicates recall of text queries was 0.980 with 200 and 0.997 with 600 (of pictures 1.0)."""
    segment_rows: int = 1 << 18
    graph_from_rows: int = 20_000
    """Below this many rows an exact scan is quicker than it takes to notice."""
    fold_from_rows: int = 512
    """The tail is folded into a graph once it is this long."""
    breadth: int = 320
    """Rows asked of each graph (hnswlib's ef) where there are several; more hardly finds more."""
    scattered_breadth: int = 1400
    """The most that is asked for queries that lie apart from the rows, as words do: their nearest rows are scattered
    over the graph. How much is needed depends on the rows (:meth:`VectorIndex.tune_scattered`): on a million made
    vectors recall by words was 0.995 with 320, on as many real ones 0.957 with 320 and 0.996 with 1,600."""
    candidates: int = 400
    """The best of them all, by projected vectors, that are re-ranked exactly. Of a million rows the true best ten by
    words are among the first 200 in 98.0 % of cases, among the first 400 in 99.5 (by a picture in 99.95 of either)."""
    sample_rows: int = 20_000
    """Vectors that a projection is fitted to."""
    step_rows: int = 32
    """Rows added to a graph while queries wait."""


@dataclass(frozen=True)
class SavedGraph:
    """A graph file as the manifest names it."""

    file: str
    rows: int
    sha256: str


class Segment:
    """A graph of at most ``segment_rows`` rows labelled 0, 1, 2, …; one writer, several readers."""

    def __init__(
        self, projection: Projection, settings: IndexSettings, graph: Any | None = None, rows: int = 0
    ) -> None:
        self.projection = projection
        self.fitted_rows = rows
        self.saved: SavedGraph | None = None
        self.saved_rows: GraphRows | None = None
        self._settings = settings
        self._lock = ReadersFirst()
        self._rows = rows
        if graph is None:
            graph = hnswlib.Index(space="l2", dim=projection.length)
            graph.init_index(
                max_elements=settings.segment_rows,
                M=settings.links,
                ef_construction=settings.build_breadth,
                random_seed=_SEED,
            )
        self._graph = graph

    @property
    def rows(self) -> int:
        """Rows in the graph: labels below this number can be found."""
        return self._rows

    @property
    def room(self) -> int:
        """Rows that still fit."""
        return self._settings.segment_rows - self._rows

    def add(self, vectors: Float32s, *, threads: int, stop: Callable[[], bool]) -> int:
        """Add vectors (n, d) under the next labels, a few at a time so that queries pass between.

        Returns how many were added before ``stop`` said so.
        """
        laid = self.projection.rows(vectors)
        laid += _JITTER * np.random.default_rng((_SEED, self._rows)).standard_normal(laid.shape, dtype=np.float32)
        step = self._settings.step_rows
        for start in range(0, len(laid), step):
            if stop():
                return start
            block = laid[start : start + step]
            with self._lock.writing():
                labels = np.arange(self._rows, self._rows + len(block))
                self._graph.add_items(block, labels, num_threads=threads)
                self._rows += len(block)
        return len(laid)

    def nearest(self, queries: Float32s, count: int) -> tuple[NDArray[np.int64], Float32s]:
        """Labels (q, n) and estimated cosines (q, n) of the ``count`` nearest rows, n ≤ count; queries (q, d)."""
        laid, missed = self.projection.queries(queries)
        with self._lock.reading():
            wanted = min(count, self._rows)
            try:
                labels, distances = self._graph.knn_query(laid, k=wanted, num_threads=1)
            except RuntimeError:
                # Rows that hang together too loosely (thousands of equal vectors) can be fewer than asked for.
                return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
        return labels.astype(np.int64), 1 - (distances + missed[:, None]) / 2

    # --- on disk ------------------------------------------------------------------------------------------------------

    def save(self, folder: Path, name: str) -> SavedGraph:
        """Write the graph to ``folder / name``, whole or not at all, and map its vectors from there.

        Raises:
            IndexProblem: hnswlib could not write all of it (it does not say why).
            EnvironmentProblem: no room left, or no permission.
        """
        path = folder / name
        partial = path.with_name(f"{name}.{os.getpid()}{TEMPORARY_SUFFIX}")
        with disk_problems_in_words(path):
            try:
                with self._lock.reading():
                    rows = self._rows
                    self._graph.save_index(str(partial))
                open_graph_rows(partial, rows=rows, length=self.projection.length, links=self._settings.links)
                with partial.open("rb+") as stream:
                    os.fsync(stream.fileno())
                digest = sha256_of(partial)
                partial.replace(path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
            fsync_folder(folder)
        self.saved = SavedGraph(name, rows, digest)
        self.saved_rows = open_graph_rows(path, rows=rows, length=self.projection.length, links=self._settings.links)
        return self.saved

    @classmethod
    def load(cls, folder: Path, saved: SavedGraph, projection: Projection, settings: IndexSettings) -> Self:
        """Open a saved graph after checking its SHA-256 and everything in it.

        Raises:
            IndexProblem: it is missing, damaged, or not the one that was saved.
        """
        path = folder / saved.file
        kept = open_graph_rows(path, rows=saved.rows, length=projection.length, links=settings.links)
        if saved.rows > settings.segment_rows or sha256_of(path) != saved.sha256:
            raise IndexProblem("A search graph is not the one that was saved.", path=path)
        graph = hnswlib.Index(space="l2", dim=projection.length)
        try:
            graph.load_index(str(path), max_elements=settings.segment_rows)
        except RuntimeError as error:
            raise IndexProblem(f"A search graph cannot be opened: {error}.", path=path) from error
        segment = cls(projection, settings, graph, saved.rows)
        segment.saved, segment.saved_rows = saved, kept
        return segment
