"""Embeddings of a data set's pictures, made once per encoder and kept in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.base.files import atomic_write
from plipdesk.base.ids import settings_id
from plipdesk.base.paths import cache_folder
from plipdesk.base.progress import JobContext, QuietContext
from plipdesk.encoders.protocol import Encoder
from plipdesk.evaluation.data import EvaluationProblem, Pictures

_AT_ONCE = 64
_PART = 2048
"""Pictures after which what was made is kept, so that a killed run goes on from there."""


@dataclass(frozen=True)
class Embedded:
    """``rows`` float32 (n, dim), NaN where a picture could not be read; ``unreadable``: names of the first few."""

    rows: NDArray[np.float32]
    unreadable: tuple[str, ...]

    @property
    def readable(self) -> NDArray[np.bool_]:
        """(n) whether each picture has an embedding."""
        found: NDArray[np.bool_] = ~np.isnan(self.rows[:, 0])
        return found


def embed(
    encoder: Encoder,
    pictures: Pictures,
    numbers: Sequence[int] | NDArray[np.int64],
    *,
    context: JobContext | None = None,
) -> Embedded:
    """Embeddings of the pictures called by ``numbers``, in that order.

    Raises:
        EvaluationProblem: not one of them can be read.
        Cancelled: ``context`` was asked to stop; what was made is kept for the next time.
    """
    watcher = context or QuietContext()
    wanted = np.asarray(numbers, dtype=np.int64)
    key = settings_id(
        {"pictures": pictures.state(), "numbers": wanted.tolist(), "encoder": encoder.fingerprint}, digits=32
    )
    folder = cache_folder() / "evaluation" / key
    parts = []
    unreadable: list[str] = []
    for start in range(0, len(wanted), _PART):
        path = folder / f"{start}.npy"
        part = _kept(path, min(_PART, len(wanted) - start), encoder.card.dim)
        if part is None:
            part = _made(encoder, pictures, wanted, start, watcher)
            with atomic_write(path) as stream:
                np.save(stream, part, allow_pickle=False)
        parts.append(part)
        lost = wanted[start : start + len(part)][np.isnan(part[:, 0])]
        unreadable += [pictures.name(int(number)) for number in lost[: 20 - len(unreadable)]]
    rows = np.concatenate(parts) if parts else np.empty((0, encoder.card.dim), dtype=np.float32)
    if not len(rows) or np.isnan(rows[:, 0]).all():
        raise EvaluationProblem("Not one picture of this data set can be read.", remedy="Look at its files.")
    return Embedded(rows, tuple(unreadable))


def _kept(path: object, count: int, dim: int) -> NDArray[np.float32] | None:
    try:
        found = np.load(str(path), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == (count, dim) and found.dtype == np.float32 else None


def _made(
    encoder: Encoder, pictures: Pictures, wanted: NDArray[np.int64], start: int, watcher: JobContext
) -> NDArray[np.float32]:
    stop = min(start + _PART, len(wanted))
    rows = np.full((stop - start, encoder.card.dim), np.nan, dtype=np.float32)
    for first in range(start, stop, _AT_ONCE):
        watcher.check_cancel()
        watcher.report(first, len(wanted), unit="pictures", note="encoding")
        places, pixels = [], []
        for place in range(first, min(first + _AT_ONCE, stop)):
            try:
                pixels.append(pictures.read(int(wanted[place])))
            except EnvironmentProblem:
                continue  # counted by its NaN
            places.append(place - start)
        if pixels:
            rows[places] = encoder.encode_pictures(pixels)
    watcher.report(stop, len(wanted), unit="pictures", note="encoding")
    return rows
