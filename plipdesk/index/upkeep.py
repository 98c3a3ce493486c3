"""Background work on an index: loose rows into graphs, aged graphs renewed, graphs kept on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from plipdesk.index.manifest import SegmentRecord, write_manifest
from plipdesk.index.projection import Projection
from plipdesk.index.segment import Segment
from plipdesk.index.vectors import widened
from plipdesk.index.view import BLOCK_ROWS, Piece, Placed, View

if TYPE_CHECKING:
    from plipdesk.index.vector_index import VectorIndex

_MOST_DEAD = 0.2
"""Share of a graph's rows whose parts are gone, above which it is built anew."""
_OUTGROWN = 4
"""A graph this many times larger than the index was when its projection was fitted is built anew."""
_UNSAVED = 0.5
"""A graph is written again once it has grown by this share, so that all writing stays a few times the final size."""
_SAMPLE_SEED = 7


class Upkeep:
    """One round of background work; made anew for each."""

    def __init__(
        self, index: VectorIndex, report: Callable[[int, int], None], stop: Callable[[], bool], threads: int
    ) -> None:
        self._index = index
        self._settings = index.settings
        self._report = report
        self._stop = stop
        self._threads = threads

    def fold(self, began: Callable[[], None]) -> None:
        """Do what is due; ``began`` is called if anything is."""
        if self._drop_empty():
            self.keep(all_of_it=False)
        for placed in list(self._index.current().placed):
            if self._aged(placed):
                began()
                self._renew(placed)
                self.keep(all_of_it=False)
        while not self._stop():
            view = self._index.current()
            unfinished = next((group for group in view.placed if group.rows > group.segment.rows), None)
            if unfinished is not None:
                began()
                self._finish(unfinished)
            elif self._is_due(view):
                began()
                self._begin_piece(view)
            else:
                break
            if not self._stop():
                self.keep(all_of_it=False)

    def _is_due(self, view: View) -> bool:
        loose = len(view.loose)
        if not view.segments:
            return loose >= self._settings.graph_from_rows
        return loose >= self._settings.fold_from_rows

    # --- growing ------------------------------------------------------------------------------------------------------

    def _begin_piece(self, view: View) -> None:
        """Give labels to the first run of loose rows, in a segment that has room."""
        placed = list(view.placed)
        position = next((number for number, group in enumerate(placed) if group.segment.room), None)
        if position is None:
            placed.append(Placed(self._new_segment(view), ()))
            position = len(placed) - 1
        group = placed[position]
        part = int(view.part_index(view.loose[:1])[0])
        first = int(view.loose[0] - view.starts[part])
        run = view.loose[: group.segment.room]
        run = run[: np.searchsorted(run, view.starts[part + 1])]
        consecutive = int(np.searchsorted(run - np.arange(len(run)), run[0], side="right"))
        piece = Piece(int(view.part_ids[part]), first, consecutive)
        placed[position] = Placed(group.segment, (*group.pieces, piece))
        self._index.place(placed)

    def _new_segment(self, view: View) -> Segment:
        """An empty segment whose projection is fitted to a sample of the whole index."""
        numbers = np.arange(view.rows)
        if view.rows > self._settings.sample_rows:
            random = np.random.default_rng(_SAMPLE_SEED)
            numbers = np.sort(random.choice(view.rows, self._settings.sample_rows, replace=False, shuffle=False))
        segment = Segment(Projection.fit(view.vectors(numbers), self._settings.length), self._settings)
        segment.fitted_rows = view.rows
        return segment

    def _finish(self, group: Placed) -> None:
        """Add the rows that have labels but are not in the graph yet: all of them lie in the last piece."""
        piece = group.pieces[-1]
        added = piece.rows - (group.rows - group.segment.rows)
        while added < piece.rows:
            file = self._index.file(piece.part_id)
            if file is None:
                kept = (Piece(piece.part_id, piece.first_row, added),) if added else ()
                self._replace(group, Placed(group.segment, (*group.pieces[:-1], *kept)))
                return
            first = piece.first_row + added
            block = file.embeddings[first : min(first + BLOCK_ROWS, piece.first_row + piece.rows)]
            added += group.segment.add(widened(block), threads=self._threads, stop=self._stop)
            self._report(self._index.rows_in_graphs, self._index.rows)
            if self._stop():
                return

    # --- renewing -----------------------------------------------------------------------------------------------------

    def _aged(self, group: Placed) -> bool:
        dead = sum(piece.rows for piece in group.pieces if self._index.file(piece.part_id) is None)
        rows = group.segment.rows
        return dead > _MOST_DEAD * rows or rows >= _OUTGROWN * group.segment.fitted_rows

    def _drop_empty(self) -> bool:
        """Forget segments none of whose parts is left; whether there were any."""
        left = [
            group
            for group in self._index.current().placed
            if any(self._index.file(piece.part_id) is not None for piece in group.pieces)
        ]
        if len(left) == len(self._index.current().placed):
            return False
        self._index.place(left)
        return True

    def _renew(self, group: Placed) -> None:
        """Build a segment over the rows of ``group`` that are left, while the old one goes on answering."""
        fresh = self._new_segment(self._index.current())
        pieces: list[Piece] = []
        left = group.segment.rows
        for piece in group.pieces:
            file = self._index.file(piece.part_id)
            rows = min(piece.rows, left)
            left -= rows
            if file is None or not rows:
                continue
            for first in range(piece.first_row, piece.first_row + rows, BLOCK_ROWS):
                block = file.embeddings[first : min(first + BLOCK_ROWS, piece.first_row + rows)]
                if fresh.add(widened(block), threads=self._threads, stop=self._stop) < len(block):
                    return
                self._report(fresh.rows, self._index.rows)
            pieces.append(Piece(piece.part_id, piece.first_row, rows))
        self._replace(group, Placed(fresh, tuple(pieces)))

    def _replace(self, old: Placed, new: Placed) -> None:
        self._index.place([new if group is old else group for group in self._index.current().placed])

    # --- keeping ------------------------------------------------------------------------------------------------------

    def keep(self, *, all_of_it: bool) -> None:
        """Write the graphs that have grown (by enough, or at all), then the manifest, then delete what it replaced.

        Raises:
            EnvironmentProblem: no room, or no permission.
        """
        folder = self._index.folder
        placed = [group for group in self._index.current().placed if group.segment.rows]
        due = []
        for group in placed:
            saved = 0 if group.segment.saved is None else group.segment.saved.rows
            grown = group.segment.rows - saved
            if grown and (all_of_it or not group.segment.room or grown >= _UNSAVED * saved):
                due.append(group.segment)
        named = {group.segment.saved.file for group in placed if group.segment.saved is not None}
        if not due and named == self._graph_files():
            return
        folder.mkdir(parents=True, exist_ok=True)
        for segment in due:
            segment.save(folder, self._next_name())
        records = [
            SegmentRecord(group.segment.saved, group.segment.fitted_rows, _first_rows(group), group.segment.projection)
            for group in placed
            if group.segment.saved is not None
        ]
        write_manifest(
            folder,
            records,
            dim=self._index.dim,
            encoder_fingerprint=self._index.encoder_fingerprint,
            settings=self._settings,
        )
        for file in self._graph_files() - {record.graph.file for record in records}:
            # A system that keeps mapped files from being deleted leaves it for the sweep at the next start.
            with contextlib.suppress(OSError):
                (folder / file).unlink()

    def _graph_files(self) -> set[str]:
        return {path.name for path in self._index.folder.glob("*.hnsw")}

    def _next_name(self) -> str:
        taken = [int(name.split(".")[0]) for name in self._graph_files() if name.split(".")[0].isdigit()]
        return f"{max(taken, default=0) + 1:08d}.hnsw"


def _first_rows(group: Placed) -> tuple[Piece, ...]:
    """The pieces of a group as far as its saved graph covers them."""
    left = 0 if group.segment.saved is None else group.segment.saved.rows
    pieces = []
    for piece in group.pieces:
        rows = min(piece.rows, left)
        left -= rows
        if rows:
            pieces.append(Piece(piece.part_id, piece.first_row, rows))
    return tuple(pieces)
