"""What all readers share: finding the folder that was meant, listing pictures, comparing counts with published ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from plipdesk.evaluation.data import EvaluationProblem

PICTURE_ENDINGS = frozenset({".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".webp"})


def folder_with(data: Path, *names: str) -> Path | None:
    """The first of ``data/name``, or ``data`` itself where it bears one of the names; None where there is none."""
    for name in names:
        if (data / name).is_dir():
            return data / name
    return data if data.is_dir() and data.name in names else None


def missing(data: Path, what: str, where: str) -> EvaluationProblem:
    """The error for a folder that is not the data set: what is missing, and where it can be had."""
    return EvaluationProblem(f"{what} is not in this folder.", path=data, remedy=where)


def pictures_in(folder: Path) -> list[Path]:
    """The pictures directly in ``folder``, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_ENDINGS and path.is_file())


def class_folders(folder: Path, names: Sequence[str]) -> tuple[list[Path], list[int]]:
    """Pictures in the sub-folders ``names`` that exist, with the number of their class; absent ones give none."""
    paths: list[Path] = []
    labels: list[int] = []
    for number, name in enumerate(names):
        found = pictures_in(folder / name) if (folder / name).is_dir() else []
        paths += found
        labels += [number] * len(found)
    return paths, labels


def counted(what: str, found: int, published: int) -> Iterable[str]:
    """A note where there are not as many pictures as were published."""
    if found != published:
        yield f"{what}: {found:,} pictures are here, {published:,} were published; figures are not comparable."
