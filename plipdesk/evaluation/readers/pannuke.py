"""PanNuke (Gamper et al. 2020), benign or malignant as Huang et al. (2023) made it of the counts of nuclei.

Layout as its archives unpack: ``Fold 1/images/fold1/images.npy`` and ``types.npy``, ``Fold 1/masks/fold1/masks.npy``,
and so on to fold 3, each maybe inside ``fold_1`` as in the authors' code. Pictures without nuclei are dropped;
malignant: at least 10 neoplastic nuclei and over 30 % of all; benign: none; the rest is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plipdesk.evaluation.data import ArrayPictures, ClassData, EvaluationProblem
from plipdesk.evaluation.readers.layout import counted, missing
from plipdesk.evaluation.splits import by_picture_within, given

CLASSES = ("benign", "malignant")
TEST_COUNT = 1_888
_NEOPLASTIC = 0
_NUCLEI = 5
_LEAST_NEOPLASTIC = 10
_LEAST_SHARE = 0.3
_MOST_BYTES = 64 * 1024**3
_WHERE = "Unpack the three archives fold_1.zip, fold_2.zip and fold_3.zip of PanNuke (Warwick TIA centre) there."


def read_pannuke(data: Path) -> ClassData:
    """Read the folds that are there; arrays are mapped, never loaded whole.

    Raises:
        EvaluationProblem: no fold is there, or its arrays do not belong together.
    """
    rows: list[tuple[Path, NDArray[Any], int]] = []
    labels: list[int] = []
    organs: list[str] = []
    folds: list[int] = []
    for fold in (1, 2, 3):
        folder = _fold(data, fold)
        if folder is None:
            continue
        images = _mapped(folder / "images" / f"fold{fold}" / "images.npy", 4)
        masks = _mapped(folder / "masks" / f"fold{fold}" / "masks.npy", 4)
        types = _mapped(folder / "images" / f"fold{fold}" / "types.npy", 1)
        if not len(images) == len(masks) == len(types) or masks.shape[3] < _NUCLEI:
            raise EvaluationProblem(
                f"The arrays of fold {fold} do not belong together.", path=folder, remedy="Unpack the fold again."
            )
        for number in range(len(images)):
            label = label_of(masks[number])
            if label is not None:
                rows.append((folder / "images" / f"fold{fold}" / "images.npy", images, number))
                labels.append(label)
                organs.append(str(types[number]).lower().replace("_", " "))
                folds.append(fold)
    if not rows:
        raise missing(data, "PanNuke", _WHERE)
    classes, tissues = np.array(labels, dtype=np.int64), np.array(organs)
    strata = np.unique(tissues, return_inverse=True)[1] * len(CLASSES) + classes
    paper = by_picture_within(strata, "70 % of the pictures of each organ and class learn", leaks=True)
    third = np.array(folds) == 3
    source = given(~third, third, "folds 1 and 2 learn, fold 3 is tested; PanNuke tells no patients")
    tested = len(paper(1).test)
    return ClassData(
        name="PanNuke",
        pictures=ArrayPictures(data, rows),
        labels=classes,
        classes=CLASSES,
        splits={"source": source, "paper": paper},
        organs=tuple(organs),
        notes=tuple(counted("PanNuke's test part", tested, TEST_COUNT)),
    )


def label_of(mask: NDArray[np.generic]) -> int | None:
    """0 benign, 1 malignant, None neither, from numbers of nuclei (h, w, ≥ 5); the first channel is neoplastic."""
    counts = [len(np.unique(mask[..., channel])) - 1 for channel in range(_NUCLEI)]
    total = sum(counts)
    if not total:
        return None
    neoplastic = counts[_NEOPLASTIC]
    if neoplastic == 0:
        return 0
    return 1 if neoplastic >= _LEAST_NEOPLASTIC and neoplastic / total > _LEAST_SHARE else None


def _fold(data: Path, fold: int) -> Path | None:
    for folder in (data / f"fold_{fold}" / f"Fold {fold}", data / f"Fold {fold}"):
        if (folder / "images" / f"fold{fold}" / "images.npy").is_file():
            return folder
    return None


def _mapped(path: Path, axes: int) -> NDArray[Any]:
    try:
        # Mapped arrays are never unpickled, and cost no memory before they are read.
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise EvaluationProblem("This array cannot be read.", path=path, remedy="Unpack the fold again.") from error
    if array.ndim != axes or array.nbytes > _MOST_BYTES:
        raise EvaluationProblem(
            f"This array has the shape {array.shape}, which is none of PanNuke's.", path=path, remedy=_WHERE
        )
    return array
