"""Kather colon: NCT-CRC-HE-100K to learn from, CRC-VAL-HE-7K to test on (Kather 2018, doi:10.5281/zenodo.1214456).

Layout as its archives unpack: one folder a class (ADI, BACK, DEB, LYM, MUC, MUS, NORM, STR, TUM) of 224-pixel TIFFs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from plipdesk.evaluation.data import ClassData, FilePictures
from plipdesk.evaluation.readers.layout import class_folders, counted, folder_with, missing
from plipdesk.evaluation.splits import given

CLASSES = ("ADI", "BACK", "DEB", "LYM", "MUC", "MUS", "NORM", "STR", "TUM")
TRAIN, TRAIN_COUNT = "NCT-CRC-HE-100K", 100_000
TEST, TEST_COUNT = "CRC-VAL-HE-7K", 7_180


def read_kather(data: Path) -> ClassData:
    """Read ``data``, which holds both folders; without the one to learn from only zero-shot protocols can run.

    Raises:
        EvaluationProblem: the folder to test on is missing or empty.
    """
    test_folder = folder_with(data, TEST)
    paths, labels = class_folders(test_folder, CLASSES) if test_folder else ([], [])
    if not paths:
        raise missing(
            data, f"{TEST} with its nine class folders", "Unpack CRC-VAL-HE-7K.zip (zenodo record 1214456) there."
        )
    train_folder = folder_with(data, TRAIN)
    train_paths, train_labels = class_folders(train_folder, CLASSES) if train_folder else ([], [])
    is_test = np.arange(len(paths) + len(train_paths)) < len(paths)
    notes = [*counted(TEST, len(paths), TEST_COUNT)]
    if train_paths:
        notes += counted(TRAIN, len(train_paths), TRAIN_COUNT)
    split = given(~is_test, is_test, f"{TRAIN} to learn from, {TEST} to test on: other patients")
    root = data if test_folder != data else data.parent
    return ClassData(
        name="Kather colon",
        pictures=FilePictures(root, [*paths, *train_paths]),
        labels=np.array([*labels, *train_labels], dtype=np.int64),
        classes=CLASSES,
        splits={"source": split, "paper": split},
        notes=tuple(notes),
    )
