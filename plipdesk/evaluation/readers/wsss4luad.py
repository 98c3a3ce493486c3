"""WSSS4LUAD (Han et al. 2022), tumour or normal: the folder ``1.training`` of its challenge.

A file's name ends in its labels, as in ``…-[1, 0, 0].png``: tumour, stroma, normal. Tumour is where the first is 1
(Huang et al. 2023). What stands before the first hyphen of a name tells the slide it was cut from.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from plipdesk.evaluation.data import ClassData, FilePictures
from plipdesk.evaluation.readers.layout import counted, folder_with, missing, pictures_in
from plipdesk.evaluation.splits import by_group, by_picture

CLASSES = ("normal", "tumor")
COUNT = 10_091
_LABELS = re.compile(r"\[(\d), ?(\d), ?(\d)\]")


def read_wsss4luad(data: Path) -> ClassData:
    """Read ``data/1.training`` (or ``1.training/1.training``, as its archive unpacks).

    Raises:
        EvaluationProblem: no labelled picture is there.
    """
    folder = folder_with(data, "1.training")
    if folder is not None and (folder / "1.training").is_dir():
        folder = folder / "1.training"
    found = [(path, match) for path in (pictures_in(folder) if folder else []) if (match := _LABELS.search(path.name))]
    if folder is None or not found:
        raise missing(data, "WSSS4LUAD's 1.training", "Unpack the training set of the WSSS4LUAD challenge there.")
    paths = [path for path, _ in found]
    labels = np.array([int(match.group(1)) for _, match in found], dtype=np.int64)
    groups = tuple(path.name.split("-", 1)[0] for path in paths)
    return ClassData(
        name="WSSS4LUAD",
        pictures=FilePictures(data if folder != data else data.parent, paths),
        labels=labels,
        classes=CLASSES,
        splits={
            "source": by_group(groups, labels),
            "paper": by_picture(
                len(paths), "70 % of the patches learn, and patches of one slide lie on both sides", leaks=True
            ),
        },
        groups=groups,
        notes=(
            *counted("WSSS4LUAD", len(paths), COUNT),
            "The authors' order of files was that of their disk, so their very split cannot be had again.",
        ),
    )
