"""The vectors of one encoder, searched.

A part (one vectors file) is found from the moment it is added: rows that are in no graph yet are scanned exactly.
Graphs are a cache of the vectors. They are built in the background, kept in the index's folder, checked before use and
built again where anything about them is wrong.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.errors import Bug
from plipdesk.base.files import TEMPORARY_SUFFIX
from plipdesk.index.errors import IndexProblem
from plipdesk.index.manifest import MANIFEST_NAME, SegmentRecord, read_manifest
from plipdesk.index.ranking import best_rows
from plipdesk.index.segment import IndexSettings, Segment
from plipdesk.index.selection import Found, RowSelection
from plipdesk.index.upkeep import Upkeep
from plipdesk.index.vectors import Float32s, VectorFile, widened
from plipdesk.index.view import Placed, View

_BREADTHS = (320, 640, 1060)
_TUNED_FOR = 10
_TUNED_RECALL = 0.997
_GROWN = 1.25
"""An index that has grown by so much since it was tuned is looked through as broadly as ever."""
Phase = Literal["empty", "loading", "building", "ready"]
Report = Callable[[int, int], None]
"""Told the rows that are in graphs, and all rows."""


class VectorIndex:
    """All vectors of one encoder. Thread-safe: any number of searches beside one thread that loads or folds."""

    def __init__(
        self,
        folder: Path,
        *,
        dim: int,
        encoder_fingerprint: str,
        settings: IndexSettings | None = None,
        threads: int = 1,
        query_threads: int = 1,
    ) -> None:
        """Nothing is read yet.

        Args:
            folder: where the graphs are kept; made if need be, and deletable at any time while no index uses it.
            dim: length of the vectors.
            encoder_fingerprint: whose vectors these are; graphs of another encoder are not used.
            settings: how graphs are built.
            threads: threads that fold.
            query_threads: threads that a query may take.
        """
        self.folder = folder
        self.dim = dim
        self.encoder_fingerprint = encoder_fingerprint
        self.settings = settings or IndexSettings()
        self._threads = threads
        self._query_threads = query_threads
        self._lock = threading.RLock()
        self._background = threading.Lock()
        self._tuned = (self.settings.scattered_breadth, 0)
        self._parts: dict[int, VectorFile] = {}
        self._placed: list[Placed] = []
        self._view = View({}, ())
        self._loaded = False
        self._folding = False
        self.rebuilt: list[str] = []
        """Why kept graphs could not be used and are built again, in plain sentences."""

    # --- what is there ------------------------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """*loading* until :meth:`load_or_build` has read what is kept, *building* while rows go into graphs."""
        if not self._view.rows:
            return "empty"
        if not self._loaded:
            return "loading"
        return "building" if self._folding else "ready"

    @property
    def rows(self) -> int:
        """Rows that can be found."""
        return self._view.rows

    @property
    def rows_in_graphs(self) -> int:
        """Rows that can be found without scanning all of them."""
        return sum(
            int(np.count_nonzero(segment.number_of_label[: segment.segment.rows] >= 0))
            for segment in self._view.segments
        )

    @property
    def part_ids(self) -> NDArray[np.int64]:
        """(p,) ids of the parts, ascending."""
        return self._view.part_ids

    # --- parts --------------------------------------------------------------------------------------------------------

    def add(self, part_id: int, file: Path, rows: int) -> None:
        """Make a vectors file searchable.

        Raises:
            IndexProblem: the file is damaged, or has other rows or dimensions than expected.
            Bug: the id is in use.
        """
        self._put({part_id: VectorFile.open(file, expect_rows=rows, expect_dim=self.dim)})

    def add_all(self, parts: Iterable[tuple[int, Path, int]]) -> dict[int, IndexProblem]:
        """:meth:`add` for many (id, file, rows) at once; one bad file never keeps the others out.

        Returns the problem of each part that was left out.
        """
        opened: dict[int, VectorFile] = {}
        problems: dict[int, IndexProblem] = {}
        for part_id, path, rows in parts:
            try:
                opened[part_id] = VectorFile.open(path, expect_rows=rows, expect_dim=self.dim)
            except IndexProblem as problem:
                problems[part_id] = problem
        self._put(opened)
        return problems

    def _put(self, opened: dict[int, VectorFile]) -> None:
        with self._lock:
            if taken := self._parts.keys() & opened.keys():
                raise Bug(f"Part {min(taken)} is in the index already.")
            self._parts.update(opened)
            self._renew()

    def remove(self, part_id: int) -> None:
        """Let a part be found no more. Unknown ids do not matter."""
        with self._lock:
            if self._parts.pop(part_id, None) is not None:
                self._renew()

    def _renew(self) -> None:
        self._view = View(self._parts, self._placed)

    # --- searching ----------------------------------------------------------------------------------------------------

    def search(
        self, queries: Float32s, k: int, *, allowed: RowSelection | None = None, scattered: bool = False
    ) -> Found:
        """The ``k`` rows with the highest cosine for each of ``queries`` (q, d), L2-normalised.

        Scores are exact, from the stored vectors; which rows are scored is approximate where there are many.
        ``scattered``: the queries lie apart from the rows, as words do, and are looked for more broadly.
        """
        queries = self._checked(queries)
        view = self._view
        if k < 1 or not view.rows:
            shape = (len(queries), max(k, 0))
            return Found(np.full(shape, -1, np.int64), np.full(shape, -1, np.int32), np.full(shape, -2, np.float32))
        mask = None if allowed is None else view.mask(allowed)
        breadth = self.scattered_breadth if scattered else self.settings.breadth
        numbers, scores = self._best(view, queries, k, mask, breadth)
        part_ids, rows = _places(view, numbers)
        return Found(part_ids, rows, scores)

    @property
    def scattered_breadth(self) -> int:
        """Rows asked of each graph for queries that lie apart from the rows."""
        breadth, rows = self._tuned
        return breadth if self._view.rows <= _GROWN * rows else self.settings.scattered_breadth

    def tune_scattered(self, queries: Float32s) -> None:
        """Find out how many rows must be asked of each graph for queries like ``queries`` (q, d), such as words.

        Their best ten by a scan of all rows are held against what graphs find; from then on ``scattered`` searches ask
        for as many rows as found 99.7 % of them, which depends on how the rows lie. Takes seconds on a million rows.
        Give a hundred queries or more, since most of what is lost is lost by few of them.
        """
        queries, view = self._checked(queries), self._view
        steps = [step for step in _BREADTHS if step < self.settings.scattered_breadth]
        chosen = self.settings.scattered_breadth
        if view.segments and len(queries):
            truth = self._best(view, queries, _TUNED_FOR, None, None)[0]
            for breadth in sorted({self.settings.breadth, *(step for step in steps if step > self.settings.breadth)}):
                right = 0
                for number in range(len(queries)):
                    # One by one, as they will be asked: queries that are asked together find rows for each other.
                    found = self._best(view, queries[number : number + 1], _TUNED_FOR, None, breadth)[0]
                    right += len(np.intersect1d(found[0], truth[number]))
                if right >= _TUNED_RECALL * truth.size:
                    chosen = breadth
                    break
        self._tuned = (chosen, view.rows)

    def _best(
        self, view: View, queries: Float32s, k: int, mask: NDArray[np.bool_] | None, breadth: int | None
    ) -> tuple[NDArray[np.int64], Float32s]:
        return best_rows(view, queries, k, mask, self.settings, threads=self._query_threads, breadth=breadth)

    def scores(self, queries: Float32s, part_ids: NDArray[np.int64], rows: NDArray[np.int32]) -> Float32s:
        """Exact cosines (q, n) of ``queries`` (q, d) with single rows; −2 for rows that are not there."""
        queries = self._checked(queries)
        vectors, known = self._vectors(part_ids, rows)
        return np.where(known, queries @ vectors.T, np.float32(-2))

    def vectors(self, part_ids: NDArray[np.int64], rows: NDArray[np.int32]) -> Float32s:
        """Stored vectors (n, d) of single rows; zeros for rows that are not there."""
        return self._vectors(part_ids, rows)[0]

    def _vectors(self, part_ids: NDArray[np.int64], rows: NDArray[np.int32]) -> tuple[Float32s, NDArray[np.bool_]]:
        view = self._view
        numbers = view.numbers(part_ids, rows)
        known = numbers >= 0
        out = np.zeros((len(numbers), self.dim), dtype=np.float32)
        order = np.flatnonzero(known)[np.argsort(numbers[known], kind="stable")]
        if len(order):
            out[order] = view.vectors(numbers[order])
        return out, known

    def file(self, part_id: int) -> VectorFile | None:
        """The open file of a part, or None if there is no such part."""
        with self._lock:
            return self._parts.get(part_id)

    def sample(self, count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Part ids and rows (n,) of ``count`` rows, or of all if there are fewer; depends on parts and seed only."""
        view = self._view
        if view.rows <= count:
            numbers = np.arange(view.rows)
        else:
            numbers = np.sort(np.random.default_rng(seed).choice(view.rows, count, replace=False, shuffle=False))
        return _places(view, numbers)

    def _checked(self, queries: Float32s) -> Float32s:
        if queries.ndim != 2 or queries.shape[1] != self.dim or not np.isfinite(queries).all():
            raise Bug(f"Queries of shape {queries.shape} cannot be put to an index of {self.dim} dimensions.")
        return np.ascontiguousarray(queries, dtype=np.float32)

    # --- background work ----------------------------------------------------------------------------------------------

    def load_or_build(self, report: Report | None = None, stop: Callable[[], bool] | None = None) -> None:
        """Read the kept graphs, then fold what they lack. Call once, after the parts are added, off the main thread.

        Until then, and beside it, searches scan exactly. What is damaged or stale is left out and built again.
        """
        with self._background:
            for record in self._kept():
                if stop is not None and stop():
                    return
                placed = self._loaded_segment(record)
                if placed is not None:
                    with self._lock:
                        self._placed.append(placed)
                        self._renew()
            self._sweep()
            self._loaded = True
        self.fold(report, stop)

    def fold(self, report: Report | None = None, stop: Callable[[], bool] | None = None) -> None:
        """Bring loose rows into graphs where it pays, renew graphs that have aged, and keep them on disk.

        Cheap when there is nothing to do, so it may be called after each change. Waits while another thread does it.

        Raises:
            EnvironmentProblem: the graphs cannot be kept on disk; they serve from memory all the same.
        """
        with self._background:
            upkeep = Upkeep(self, report or (lambda _done, _all: None), stop or (lambda: False), self._threads)
            try:
                upkeep.fold(self._set_folding)
            finally:
                self._folding = False

    def save(self) -> None:
        """Keep every graph on disk that has grown since it was last kept.

        Raises:
            EnvironmentProblem: no room, or no permission.
        """
        with self._background:
            Upkeep(self, lambda _done, _all: None, lambda: False, self._threads).keep(all_of_it=True)

    def _set_folding(self) -> None:
        self._folding = True

    def current(self) -> View:
        """What the index holds now."""
        return self._view

    def place(self, placed: list[Placed]) -> View:
        """Put other segments in the place of those that are there; for the thread that folds."""
        with self._lock:
            self._placed = placed
            self._renew()
            return self._view

    def _kept(self) -> tuple[SegmentRecord, ...]:
        try:
            return read_manifest(
                self.folder, dim=self.dim, encoder_fingerprint=self.encoder_fingerprint, settings=self.settings
            )
        except IndexProblem as problem:
            self.rebuilt.append(str(problem))
            return ()

    def _loaded_segment(self, record: SegmentRecord) -> Placed | None:
        """The segment of a record, or None if its file or its content is not what this index holds."""
        try:
            segment = Segment.load(self.folder, record.graph, record.projection, self.settings)
        except IndexProblem as problem:
            self.rebuilt.append(str(problem))
            return None
        segment.fitted_rows = record.fitted_rows
        placed = Placed(segment, record.pieces)
        if not self._holds(record, segment):
            self.rebuilt.append(f"The search graph {record.graph.file} is not of the vectors that are there.")
            return None
        return placed

    def _holds(self, record: SegmentRecord, segment: Segment) -> bool:
        """Whether the pieces of a segment are of this index's parts.

        The ids may be those of another life of this workspace: one row of each piece is compared.
        """
        kept = segment.saved_rows
        label = 0
        for piece in record.pieces:
            file = self._parts.get(piece.part_id)
            if file is not None and kept is not None and piece.rows:
                if piece.first_row + piece.rows > file.rows:
                    return False
                row = widened(file.embeddings[piece.first_row : piece.first_row + 1])
                laid = kept.vectors[kept.place_of_label[label]]
                if not np.allclose(segment.projection.rows(row)[0], laid, atol=2e-2):
                    return False
            label += piece.rows
        together = View(self._parts, [*self._view.placed, Placed(segment, record.pieces)])
        numbers = np.concatenate([part.number_of_label for part in together.segments])
        return int(np.bincount(numbers[numbers >= 0], minlength=1).max()) <= 1

    def _sweep(self) -> None:
        """Delete what no manifest names: leftovers of a kill."""
        named = {MANIFEST_NAME} | {group.segment.saved.file for group in self._placed if group.segment.saved}
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                if path.is_file() and path.name not in named and path.suffix in (".hnsw", TEMPORARY_SUFFIX):
                    with contextlib.suppress(OSError):
                        path.unlink()


def _places(view: View, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Part ids and rows of ``numbers``; −1 stays −1."""
    if not len(view.part_ids):
        return np.full(numbers.shape, -1, np.int64), np.full(numbers.shape, -1, np.int32)
    index = np.maximum(view.part_index(numbers), 0)
    known = numbers >= 0
    part_ids = np.where(known, view.part_ids[index], -1)
    rows = np.where(known, numbers - view.starts[index], -1).astype(np.int32)
    return part_ids, rows
