"""Pixels of patches and regions, read in larger blocks, decoded ahead in threads, within a bound of memory."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.errors import Bug
from plipdesk.slides.errors import SlideProblem
from plipdesk.slides.protocol import SlideInfo, SlideReader
from plipdesk.slides.resampling import Grid, Window, grid_for, read_squares, window
from plipdesk.slides.tiling import MAX_ENLARGEMENT, Tiling

Pixels = NDArray[np.uint8]

# Neighbouring patches are read together up to this many pixels …
BLOCK_PX = 2048 * 2048
# … and this many patches, as they may overlap …
MAX_RUN = 256
# … while at most this share of what is read is used by none of them; on the way there it may be more, as in Z-order the
# squares of a dense grid are filled to two thirds before they are full.
MAX_WASTE = 0.15
HOPELESS_WASTE = 0.5
# What all threads of one slide may hold: blocks being read and patches waiting to be taken.
AHEAD_BYTES = 256 * 1024 * 1024
# A finer level may stand in for a damaged one while it takes no more pixels than this: a second or two.
MAX_STAND_IN_PX = 64 * 1024 * 1024


@dataclass(frozen=True, eq=False)
class PatchBatch:
    """Patches ``start`` … of a tiling, in its order: ``pixels`` uint8 (b, p, p, 3)."""

    start: int
    pixels: Pixels


# Closing it stops the threads.
Batches = Generator[PatchBatch, None, None]


def iter_patches(reader: SlideReader, tiling: Tiling, *, batch: int, reader_threads: int, start: int = 0) -> Batches:
    """Read the patches of ``tiling`` in its order, from number ``start`` on, ``batch`` at a time (the last fewer).

    Up to ``reader_threads`` threads decode ahead, while all that they hold stays near 256 MB. Closing the iterator, or
    leaving a loop over it, stops them; a thread is never left behind. Where a level is damaged another is used.

    Raises:
        SlideProblem: a patch can be read from no level.
        Bug: a batch of none, or a start that is not in the tiling.
    """
    count = len(tiling.x0_px)
    if batch < 1 or not 0 <= start <= count:
        raise Bug(f"Patches in batches of {batch} from {start} of {count} were asked for.", path=reader.info.path)
    return _batches(reader, tiling, batch, max(1, reader_threads), start)


def read_patch(reader: SlideReader, x0_px: float, y0_px: float, size0_px: float, out_px: int) -> Pixels:
    """One square (out_px, out_px, 3); the same pixels that :func:`iter_patches` gives.

    Raises:
        SlideProblem: it can be read from no level.
    """
    return read_scaled(reader, x0_px, y0_px, size0_px, size0_px, out_px, out_px)


def read_scaled(
    reader: SlideReader,
    x0_px: float,
    y0_px: float,
    width0_px: float,
    height0_px: float,
    width_px: int,
    height_px: int,
) -> Pixels:
    """A box of the slide (level-0 pixels) as a picture (height_px, width_px, 3); beyond the slide it is white.

    Where the best level is damaged another one is used: a finer one, or a coarser one up to four times enlarged.

    Raises:
        SlideProblem: it can be read from no level.
        Bug: no pixels were asked for.
    """
    if min(width_px, height_px) < 1 or not (width0_px > 0 and height0_px > 0):
        raise Bug("A region without pixels was asked for.", path=reader.info.path)
    downsample = min(width0_px / width_px, height0_px / height_px)
    problem: SlideProblem | None = None
    for grid in _grids(reader.info, downsample, width0_px * height0_px):
        wanted = window(grid, x0_px, y0_px, width0_px, height0_px, (width_px, height_px))
        try:
            return read_squares(reader, grid, wanted.squares).cut(wanted, (width_px, height_px))
        except SlideProblem as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _grids(info: SlideInfo, downsample: float, area0_px2: float) -> Iterator[Grid]:
    """The best grid first, then those of finer levels, then of coarser ones that need not be enlarged too much."""
    best = grid_for(info, downsample)
    yield best
    for level in range(best.level - 1, -1, -1):
        if area0_px2 / info.levels[level].downsample ** 2 <= MAX_STAND_IN_PX:
            yield grid_for(info, downsample, level)
    for level in range(best.level + 1, len(info.levels)):
        if info.levels[level].downsample <= downsample * MAX_ENLARGEMENT:
            yield grid_for(info, downsample, level)


@dataclass(frozen=True)
class _Block:
    """Patches ``first`` to ``first + len(windows)`` and the squares that hold them all."""

    first: int
    windows: Sequence[Window]
    squares: tuple[int, int, int, int]


def _blocks(tiling: Tiling, grid: Grid) -> Iterator[_Block]:
    """Runs of neighbouring patches, the same wherever reading starts."""
    out, size0_px = tiling.settings.patch_px, tiling.size0_px
    first, count = 0, len(tiling.x0_px)
    while first < count:
        run = list[Window]()
        around, used = (0, 0, 0, 0), 0
        length, squares = 0, around
        for number in range(first, min(count, first + MAX_RUN)):
            one = window(grid, float(tiling.x0_px[number]), float(tiling.y0_px[number]), size0_px, size0_px, (out, out))
            around = _union(around, one.squares) if run else one.squares
            used += _area(one.squares)
            if run and (_area(around) > BLOCK_PX or used < (1 - HOPELESS_WASTE) * _area(around)):
                break
            run.append(one)
            if used >= (1 - MAX_WASTE) * _area(around):
                length, squares = len(run), around
        yield _Block(first, run[:length], squares)
        first += length


def _union(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def _area(squares: tuple[int, int, int, int]) -> int:
    return (squares[2] - squares[0]) * (squares[3] - squares[1])


def _read_block(
    reader: SlideReader, tiling: Tiling, grid: Grid, block: _Block, skip: int, stopped: threading.Event
) -> Pixels:
    """The patches of a block but its first ``skip``: (n, p, p, 3); anything once ``stopped``, when nobody will look."""
    out = tiling.settings.patch_px
    members = block.windows[skip:]
    patches = np.empty((len(members), out, out, 3), dtype=np.uint8)
    try:
        squares = read_squares(reader, grid, block.squares)
    except SlideProblem:
        # One by one: most patches of the block may be whole, and the others on another level.
        for place in range(len(members)):
            if stopped.is_set():
                break
            number = block.first + skip + place
            corner = float(tiling.x0_px[number]), float(tiling.y0_px[number])
            patches[place] = read_patch(reader, *corner, tiling.size0_px, out)
        return patches
    for place, member in enumerate(members):
        if stopped.is_set():
            break
        patches[place] = squares.cut(member, (out, out))
    return patches


def _batches(reader: SlideReader, tiling: Tiling, batch: int, threads: int, start: int) -> Batches:
    out = tiling.settings.patch_px
    count = len(tiling.x0_px)
    pending = np.empty((min(batch, count - start), out, out, 3), dtype=np.uint8)
    filled, next_start = 0, start
    with contextlib.closing(_in_order(reader, tiling, threads, start)) as blocks:
        for patches in blocks:
            taken = 0
            while taken < len(patches):
                some = min(len(patches) - taken, len(pending) - filled)
                pending[filled : filled + some] = patches[taken : taken + some]
                filled, taken = filled + some, taken + some
                if filled == len(pending):
                    yield PatchBatch(next_start, pending)
                    next_start += filled
                    pending = np.empty((min(batch, count - next_start), out, out, 3), dtype=np.uint8)
                    filled = 0


def _in_order(reader: SlideReader, tiling: Tiling, threads: int, start: int) -> Generator[Pixels, None, None]:
    """Patches block by block, in order, read ahead by ``threads`` threads within the bound of memory."""
    grid = grid_for(reader.info, tiling.size0_px / tiling.settings.patch_px)
    waiting: deque[tuple[Future[Pixels], int]] = deque()
    held_bytes = 0
    stopped = threading.Event()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="plipdesk-reader")
    try:
        for block in _blocks(tiling, grid):
            skip = max(0, start - block.first)
            if skip >= len(block.windows):
                continue
            cost_bytes = _bytes_of(block, tiling.settings.patch_px)
            while waiting and (held_bytes + cost_bytes > AHEAD_BYTES or len(waiting) >= 2 * threads):
                done, freed_bytes = waiting.popleft()
                yield done.result()
                held_bytes -= freed_bytes
            waiting.append((pool.submit(_read_block, reader, tiling, grid, block, skip, stopped), cost_bytes))
            held_bytes += cost_bytes
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        stopped.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _bytes_of(block: _Block, out_px: int) -> int:
    """What reading a block takes at most: its squares as RGB and RGBA while they are read, and its patches."""
    return 8 * max(_area(block.squares), 1) + 3 * out_px**2 * len(block.windows)
