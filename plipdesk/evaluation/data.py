"""Data sets that are evaluated on: pictures with a class each, or with a caption each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.slides.thumbnails import decode_picture

Indices = NDArray[np.int64]


class EvaluationProblem(EnvironmentProblem):
    """A data set, or what was asked of it, is not as it must be."""

    kind = "evaluation"


class Pictures(Protocol):
    """Pictures by number, each decoded when it is asked for."""

    def __len__(self) -> int:
        """How many there are."""

    def read(self, number: int) -> NDArray[np.uint8]:
        """The pixels (h, w, 3) of one picture.

        Raises:
            EnvironmentProblem: it cannot be read.
        """

    def name(self, number: int) -> str:
        """What the picture is called inside its data set; the same on every machine."""

    def state(self) -> str:
        """Hex digits that change where any picture may have changed."""


class FilePictures:
    """Pictures that are files; names are relative to ``folder``."""

    def __init__(self, folder: Path, paths: Sequence[Path]) -> None:
        self._folder, self.paths = folder, tuple(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, number: int) -> NDArray[np.uint8]:
        """The pixels of one file."""
        return decode_picture(self.paths[number])

    def name(self, number: int) -> str:
        """The path relative to the folder, with forward slashes."""
        return self.paths[number].relative_to(self._folder).as_posix()

    def state(self) -> str:
        """Over names, sizes and times of change."""
        return state_of_files(self._folder, self.paths)


class ArrayPictures:
    """Pictures that are rows of arrays uint8 (n, h, w, 3), such as mapped ``.npy`` files."""

    def __init__(self, folder: Path, rows: Sequence[tuple[Path, NDArray[np.generic], int]]) -> None:
        self._folder, self._rows = folder, tuple(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, number: int) -> NDArray[np.uint8]:
        """The pixels of one row."""
        _, array, row = self._rows[number]
        return np.ascontiguousarray(array[row]).astype(np.uint8)

    def name(self, number: int) -> str:
        """File and row."""
        path, _, row = self._rows[number]
        return f"{path.relative_to(self._folder).as_posix()}#{row}"

    def state(self) -> str:
        """Over the files and which rows are used."""
        return state_of_parts(self, self._folder, {path for path, _, _ in self._rows})


def state_of_files(folder: Path, paths: Sequence[Path]) -> str:
    """64 hex digits over the files' names below ``folder``, their sizes and times of change."""
    digest = hashlib.sha256()
    for path in paths:
        found = path.stat()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def state_of_parts(pictures: Pictures, folder: Path, files: Set[Path]) -> str:
    """64 hex digits over the ``files`` that hold the pictures, and which parts of them are used."""
    names = "\n".join(pictures.name(number) for number in range(len(pictures)))
    return hashlib.sha256(f"{state_of_files(folder, sorted(files))}\n{names}".encode()).hexdigest()


@dataclass(frozen=True)
class Split:
    """Numbers of the pictures to learn from and to test on, and in words how they were parted."""

    train: Indices
    test: Indices
    words: str
    leaks: bool = False
    """Whether pictures of one source lie on both sides."""


@dataclass(frozen=True)
class ClassData:
    """Pictures (n) with one class each.

    ``labels`` int64 (n) are numbers into ``classes``. ``groups`` (n) names each picture's patient, slide or source,
    where the data set tells. ``splits`` makes a split by name from a seed: ``source`` keeps groups on one side wherever
    that can be known, ``paper`` is what Huang et al. did. The first one is the default.
    """

    name: str
    pictures: Pictures
    labels: Indices
    classes: tuple[str, ...]
    splits: dict[str, Callable[[int], Split]]
    groups: tuple[str, ...] | None = None
    organs: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    def split(self, name: str | None, seed: int) -> Split:
        """The split called ``name`` (None: the default).

        Raises:
            EvaluationProblem: the data set has no such split.
        """
        chosen = name or next(iter(self.splits))
        if chosen not in self.splits:
            raise EvaluationProblem(
                f"{self.name} has no split called {chosen!r}.", remedy=f"It has: {', '.join(self.splits)}."
            )
        return self.splits[chosen](seed)


@dataclass(frozen=True)
class PairData:
    """Pictures (n) with one caption each. ``posts`` (n): pictures of one post, figure or case share a name."""

    name: str
    pictures: Pictures
    captions: tuple[str, ...]
    posts: tuple[str, ...] | None = None
    hashtags: tuple[str, ...] | None = None
    notes: tuple[str, ...] = field(default=())
