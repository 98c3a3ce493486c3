"""What an index holds at one moment. Readers work on a view; writers put a new one in its place.

Within a view the rows of all parts are numbered through, part by part in the order of their ids: the *number* of a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plipdesk.index.segment import Segment
from plipdesk.index.selection import RowSelection
from plipdesk.index.vectors import Float16s, Float32s, VectorFile, widened

Numbers = NDArray[np.int64]
BLOCK_ROWS = 2048


@dataclass(frozen=True)
class Piece:
    """A run of rows of one part that lies in a segment under consecutive labels."""

    part_id: int
    first_row: int
    rows: int


@dataclass(frozen=True)
class Placed:
    """A segment, and the pieces that its labels stand for, in order."""

    segment: Segment
    pieces: tuple[Piece, ...]

    @property
    def rows(self) -> int:
        """Labels given out; those not below ``segment.rows`` are still to be added to the graph."""
        return sum(piece.rows for piece in self.pieces)


@dataclass(frozen=True)
class SegmentView:
    """A segment as a view sees it."""

    segment: Segment
    number_of_label: Numbers
    """(labels,) number of the row behind each label; −1 where its part is gone."""
    dead: int
    """Labels whose part is gone."""


class View:
    """Parts and segments of one moment; never changes."""

    def __init__(self, parts: Mapping[int, VectorFile], placed: Sequence[Placed]) -> None:
        ordered = sorted(parts)
        self.placed = tuple(placed)
        self.files = tuple(parts[part_id] for part_id in ordered)
        self.part_ids = np.array(ordered, dtype=np.int64)
        self.starts = np.zeros(len(ordered) + 1, dtype=np.int64)
        np.cumsum([file.rows for file in self.files], out=self.starts[1:])
        self.rows = int(self.starts[-1])
        self._index_of = {part_id: index for index, part_id in enumerate(ordered)}
        start_of = dict(zip(ordered, self.starts[:-1].tolist(), strict=True))
        self.segment_of = np.full(self.rows, -1, dtype=np.int16)
        """(rows,) which segment has each row; −1: none."""
        self.label_of = np.full(self.rows, -1, dtype=np.int32)
        """(rows,) under which label."""
        segments = []
        for position, group in enumerate(self.placed):
            number_of_label = np.full(group.rows, -1, dtype=np.int64)
            label = 0
            for piece in group.pieces:
                start = start_of.get(piece.part_id)
                if start is not None:
                    first = start + piece.first_row
                    number_of_label[label : label + piece.rows] = np.arange(first, first + piece.rows)
                    self.segment_of[first : first + piece.rows] = position
                    self.label_of[first : first + piece.rows] = np.arange(label, label + piece.rows)
                label += piece.rows
            segments.append(SegmentView(group.segment, number_of_label, int((number_of_label < 0).sum())))
        self.segments = tuple(segments)
        self.loose: Numbers = np.flatnonzero(self.segment_of < 0)
        """Numbers of the rows that no segment has."""

    # --- rows by number -----------------------------------------------------------------------------------------------

    def part_index(self, numbers: Numbers) -> Numbers:
        """For each row the index of its part in ``part_ids``."""
        found: Numbers = np.searchsorted(self.starts, numbers, side="right") - 1
        return found

    def numbers(self, part_ids: NDArray[np.int64], rows: NDArray[np.int32]) -> Numbers:
        """Numbers (n,) of rows given by part and row; −1 where the view has no such row."""
        if not len(self.part_ids):
            return np.full(len(part_ids), -1, dtype=np.int64)
        index = np.minimum(np.searchsorted(self.part_ids, part_ids), len(self.part_ids) - 1)
        numbers = self.starts[index] + rows
        known = (self.part_ids[index] == part_ids) & (rows >= 0) & (numbers < self.starts[index + 1])
        return np.where(known, numbers, -1)

    def halves(self, numbers: Numbers) -> Float16s:
        """Stored vectors (n, d) of ascending ``numbers``."""
        out = np.empty((len(numbers), self.files[0].dim), dtype=np.float16)
        index = self.part_index(numbers)
        cuts = np.flatnonzero(np.diff(index, prepend=-1, append=-1))
        for begin, end in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
            part = int(index[begin])
            rows = numbers[begin:end] - self.starts[part]
            stored = self.files[part].embeddings
            if rows[-1] - rows[0] == end - begin - 1:
                out[begin:end] = stored[rows[0] : rows[-1] + 1]
            else:
                np.take(stored, rows, axis=0, out=out[begin:end], mode="clip")
        return out

    def vectors(self, numbers: Numbers) -> Float32s:
        """Stored vectors (n, d) of ascending ``numbers``, as float32."""
        return widened(self.halves(numbers)) if len(numbers) else np.empty((0, 0), dtype=np.float32)

    def blocks(self, numbers: Numbers) -> Iterator[tuple[Numbers, Float32s]]:
        """Ascending ``numbers`` in blocks with their vectors."""
        for start in range(0, len(numbers), BLOCK_ROWS):
            block = numbers[start : start + BLOCK_ROWS]
            yield block, self.vectors(block)

    # --- selections ---------------------------------------------------------------------------------------------------

    def mask(self, selection: RowSelection) -> NDArray[np.bool_]:
        """Whether each row may answer; one False more at the end, so that number −1 may not."""
        allowed = np.zeros(self.rows + 1, dtype=bool)
        index_of = self._index_of
        for part_id in selection.parts:
            index = index_of.get(part_id)
            if index is not None:
                allowed[self.starts[index] : self.starts[index + 1]] = True
        singles = [(index_of[part_id], rows) for part_id, rows in selection.rows.items() if part_id in index_of]
        if singles:
            which = np.array([index for index, _ in singles])
            counts = [len(rows) for _, rows in singles]
            inside = np.concatenate([rows for _, rows in singles]).astype(np.int32, copy=False)
            numbers = np.repeat(self.starts[which], counts) + inside
            # As unsigned numbers, rows below 0 are far beyond any part.
            known = inside.view(np.uint32) < np.repeat(np.diff(self.starts).astype(np.uint32)[which], counts)
            allowed[numbers if known.all() else numbers[known]] = True
        return allowed
