"""What hnswlib writes to disk, read with suspicion.

hnswlib trusts its files: a wrong count or link makes it read and write where it should not. So a graph is opened only
after its SHA-256 is the recorded one *and* every number in it has been checked here. The layout is that of hnswlib 0.8
(``HierarchicalNSW::saveIndex``): 13 numbers; per element its links on the ground level, its vector and its label; then
per element the byte count of its upper links, and these.

The vectors in the file serve a second purpose: mapped, they are a copy of the projected vectors that takes no memory of
the process, for exact scans where a filter leaves few rows.
"""

from __future__ import annotations

import math
import mmap
import struct
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plipdesk.index.errors import IndexProblem

_NUMBERS = struct.Struct("<QQQQQQiIQQQdQ")
_MAX_LEVELS = 64


@dataclass(frozen=True)
class GraphRows:
    """The projected vectors of a saved graph, mapped, and where each one lies."""

    vectors: NDArray[np.float32]
    """(n, length), strided, in the order in which the graph holds them."""
    place_of_label: NDArray[np.int32]
    """(n,) row of ``vectors`` that belongs to each label."""

    @property
    def count(self) -> int:
        """Number of vectors."""
        return len(self.place_of_label)


def open_graph_rows(path: Path, *, rows: int, length: int, links: int) -> GraphRows:
    """Map a graph of ``rows`` vectors of ``length`` numbers with ``links`` links, after checking all of it.

    Raises:
        IndexProblem: anything in the file is not as hnswlib would have written it for such a graph, with labels
            0 to rows − 1.
    """
    element = np.dtype(
        {
            "names": ["links", "vector", "label"],
            "formats": [("<u4", 2 * links + 1), ("<f4", length), "<u8"],
            "offsets": [0, 4 * (2 * links + 1), 4 * (2 * links + 1) + 4 * length],
            "itemsize": 4 * (2 * links + 1) + 4 * length + 8,
        }
    )
    ground_end = _NUMBERS.size + rows * element.itemsize
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            _require(rows > 0 and size >= ground_end + 4 * rows, path, "it is too short")
            mapped = mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ)
    except OSError as error:
        raise IndexProblem(f"A search graph cannot be read: {error.strerror}.", path=path) from error
    numbers = _NUMBERS.unpack_from(mapped)
    entry, top_level = numbers[7], numbers[6]
    offsets = (element.itemsize, element.itemsize - 8, 4 * (2 * links + 1))
    _require(
        (numbers[0], numbers[2], *numbers[3:6]) == (0, rows, *offsets)
        and rows <= numbers[1] < 2**31
        and numbers[8:11] == (links, 2 * links, links)
        and math.isclose(numbers[11], 1 / math.log(links), rel_tol=1e-9)
        and 0 <= top_level < _MAX_LEVELS
        and entry < rows,
        path,
        "its header is not that of this index",
    )
    elements: NDArray[Any] = np.frombuffer(mapped, dtype=element, count=rows, offset=_NUMBERS.size)
    labels = elements["label"].astype(np.int64)
    _require(bool(((labels >= 0) & (labels < rows)).all()), path, "its labels are out of range")
    place_of_label = np.full(rows, -1, dtype=np.int32)
    place_of_label[labels] = np.arange(rows, dtype=np.int32)
    _require(bool((place_of_label >= 0).all()), path, "its labels are not whole")
    ground = elements["links"]
    _require(bool((ground[:, 0] <= 2 * links).all()) and bool((ground[:, 1:] < rows).all()), path, "a link leads out")
    tail = np.frombuffer(mapped, dtype=np.uint8, offset=ground_end)
    levels = _check_upper_links(path, tail, rows=rows, links=links)
    _require(int(levels[entry]) == top_level == int(levels.max()), path, "its entry is not at the top")
    return GraphRows(elements["vector"], place_of_label)


def _check_upper_links(path: Path, tail: NDArray[np.uint8], *, rows: int, links: int) -> NDArray[np.int32]:
    """The level (n,) of each element; every upper link leads to an element that reaches that level."""
    _require(len(tail) % 4 == 0, path, "its upper links are cut off")
    words = tail.view("<u4")
    filled = np.flatnonzero(words).tolist()
    levels = np.zeros(rows, dtype=np.int32)
    per_level = links + 1
    lists: list[tuple[int, int]] = []  # (word where a level's list begins, its level)
    position = row = next_filled = 0
    while True:
        next_filled = bisect_left(filled, position, next_filled)
        if next_filled == len(filled):
            break
        start = filled[next_filled]
        row += start - position
        count_bytes = int(words[start])
        height, rest = divmod(count_bytes, 4 * per_level)
        _require(
            row < rows and rest == 0 and 0 < height < _MAX_LEVELS and start + 1 + height * per_level <= len(words),
            path,
            "its upper links are not whole",
        )
        levels[row] = height
        lists.extend((start + 1 + level * per_level, level + 1) for level in range(height))
        position = start + 1 + height * per_level
        row += 1
    _require(row + len(words) - position == rows, path, "its upper links are not whole")
    if lists:
        begin, level = np.array(lists).T
        block = words[begin[:, None] + np.arange(per_level)]
        used = np.arange(1, per_level) <= block[:, :1]
        targets = block[:, 1:]
        _require(bool((block[:, 0] <= links).all()) and bool((targets[used] < rows).all()), path, "a link leads out")
        reached = levels[np.where(used, targets, 0)] >= level[:, None]
        _require(bool(reached[used].all()), path, "a link leads to a lower level")
    return levels


def _require(holds: bool, path: Path, why: str) -> None:
    if not holds:
        raise IndexProblem(f"A search graph is damaged: {why}.", path=path, remedy="It is rebuilt from the vectors.")
