"""Data sets of folders or with a table: KIMIA Path24C, MHIST, LC25000, SICAPv2, PCam, and any folder of classes."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from plipdesk.evaluation.data import ArrayPictures, ClassData, EvaluationProblem, FilePictures
from plipdesk.evaluation.readers.layout import class_folders, counted, folder_with, missing, pictures_in
from plipdesk.evaluation.splits import by_group, by_picture, given

_MOST_CLASSES = 1000


def read_kimia(data: Path) -> ClassData:
    """KIMIA Path24C (Babaie et al. 2017): ``Test-patches/LABEL/*``, 24 slides, 1,325 patches; retrieval by slide.

    Raises:
        EvaluationProblem: the folder is missing or empty.
    """
    folder = folder_with(data, "Test-patches")
    if folder is None and (data / "KIMIA_Path24C" / "Test-patches").is_dir():
        folder = data / "KIMIA_Path24C" / "Test-patches"
    classes = _sub_folders(folder) if folder else ()
    paths, labels = class_folders(folder, classes) if folder else ([], [])
    if folder is None or not paths:
        raise missing(data, "Test-patches of KIMIA Path24C", "Ask the KIMIA Lab for it and unpack it there.")
    every = np.ones(len(paths), dtype=bool)
    whole = given(~every, every, "every test patch is both query and candidate")
    return ClassData(
        name="KIMIA Path24C",
        pictures=FilePictures(folder, paths),
        labels=np.array(labels, dtype=np.int64),
        classes=classes,
        splits={"source": whole, "paper": whole},
        notes=tuple(counted("KIMIA Path24C", len(paths), 1_325)),
    )


def read_mhist(data: Path) -> ClassData:
    """MHIST (Wei et al. 2021): ``annotations.csv`` beside ``images/``; 2,175 pictures learn and 977 are tested.

    Raises:
        EvaluationProblem: table or pictures are missing, or the table has other columns.
    """
    table, folder = data / "annotations.csv", data / "images"
    if not table.is_file() or not folder.is_dir():
        raise missing(data, "MHIST's annotations.csv beside images", "Ask its authors for MHIST and unpack it there.")
    rows = list(_rows(table, ("Image Name", "Majority Vote Label", "Partition")))
    classes = ("HP", "SSA")
    kept = [row for row in rows if row["Majority Vote Label"] in classes and (folder / row["Image Name"]).is_file()]
    if not kept:
        raise missing(data, "MHIST's pictures", "Unpack images.zip of MHIST there.")
    test = np.array([row["Partition"].strip().lower() == "test" for row in kept])
    split = given(~test, test, "the parts that MHIST itself names")
    return ClassData(
        name="MHIST",
        pictures=FilePictures(data, [folder / row["Image Name"] for row in kept]),
        labels=np.array([classes.index(row["Majority Vote Label"]) for row in kept], dtype=np.int64),
        classes=classes,
        splits={"source": split},
        notes=(*counted("MHIST", len(kept), 3_152), "MHIST tells no patients."),
    )


def read_lc25000(data: Path) -> ClassData:
    """LC25000 (Borkowski et al. 2019): five classes of 5,000 pictures in ``lung_colon_image_set``.

    Raises:
        EvaluationProblem: none of its folders is there.
    """
    root = folder_with(data, "lung_colon_image_set") or data
    classes = ("colon_aca", "colon_n", "lung_aca", "lung_n", "lung_scc")
    paths: list[Path] = []
    labels: list[int] = []
    for number, name in enumerate(classes):
        folder = root / f"{name.split('_')[0]}_image_sets" / name
        found = pictures_in(folder) if folder.is_dir() else []
        paths += found
        labels += [number] * len(found)
    if not paths:
        raise missing(data, "LC25000's lung_colon_image_set", "Unpack LC25000.zip there.")
    leaking = "70 % of the pictures learn; LC25000 holds turned and flipped copies of 750 pictures, so copies leak"
    return ClassData(
        name="LC25000",
        pictures=FilePictures(root, paths),
        labels=np.array(labels, dtype=np.int64),
        classes=classes,
        splits={"picture": by_picture(len(paths), leaking, leaks=True)},
        notes=(*counted("LC25000", len(paths), 25_000), "LC25000 tells no patients, and its copies cannot be told."),
    )


def read_sicapv2(data: Path) -> ClassData:
    """SICAPv2 (Silva-Rodríguez et al. 2020): ``images/`` and ``partition/Test/{Train,Test}.xlsx``; Gleason grades.

    Raises:
        EvaluationProblem: table or pictures are missing, or the table has other columns.
    """
    folder, tables = data / "images", data / "partition" / "Test"
    if not folder.is_dir() or not (tables / "Test.xlsx").is_file():
        raise missing(data, "SICAPv2's images beside partition/Test", "Unpack SICAPv2.zip (Mendeley Data) there.")
    classes = ("NC", "G3", "G4", "G5")
    paths: list[Path] = []
    labels: list[int] = []
    tested: list[bool] = []
    for part in ("Train", "Test"):
        for row in _sheet(tables / f"{part}.xlsx", ("image_name", *classes)):
            marked = [number for number, name in enumerate(classes) if str(row[name]).strip() in ("1", "1.0")]
            path = folder / str(row["image_name"])
            if marked and path.is_file():
                # A patch with two grades counts by the worse, as its authors do.
                paths.append(path)
                labels.append(marked[-1])
                tested.append(part == "Test")
    if not paths:
        raise missing(data, "SICAPv2's pictures", "Unpack SICAPv2.zip (Mendeley Data) there.")
    test = np.array(tested)
    return ClassData(
        name="SICAPv2",
        pictures=FilePictures(data, paths),
        labels=np.array(labels, dtype=np.int64),
        classes=classes,
        splits={"source": given(~test, test, "SICAPv2's own parts: other patients")},
        groups=tuple(path.name.split("_", 1)[0] for path in paths),
        notes=tuple(counted("SICAPv2's test part", int(test.sum()), 2_122)),
    )


def read_pcam(data: Path) -> ClassData:
    """PCam (Veeling et al. 2018): HDF5 files ``camelyonpatch_level_2_split_{train,valid,test}_{x,y}.h5``.

    Raises:
        EvaluationProblem: the test part is missing, or its arrays do not belong together.
    """
    import h5py

    rows: list[tuple[Path, Any, int]] = []
    labels: list[int] = []
    tested: list[bool] = []
    for part in ("train", "test"):
        stem = f"camelyonpatch_level_2_split_{part}"
        path, answers = data / f"{stem}_x.h5", data / f"{stem}_y.h5"
        if not path.is_file() or not answers.is_file():
            if part == "test":
                raise missing(
                    data, f"{stem}_x.h5 and _y.h5 of PCam", "Unpack PCam's test files (zenodo 2546921) there."
                )
            continue
        try:
            pixels, marks = h5py.File(path, "r")["x"], h5py.File(answers, "r")["y"][...].reshape(-1)
        except (OSError, KeyError) as error:
            raise EvaluationProblem(
                "This part of PCam cannot be read.", path=path, remedy="Unpack it again."
            ) from error
        if len(pixels) != len(marks):
            raise EvaluationProblem("Pictures and labels differ in number.", path=path, remedy="Unpack both again.")
        rows += [(path, pixels, number) for number in range(len(pixels))]
        labels += [int(mark) for mark in marks]
        tested += [part == "test"] * len(marks)
    test = np.array(tested)
    return ClassData(
        name="PCam",
        pictures=ArrayPictures(data, rows),
        labels=np.array(labels, dtype=np.int64),
        classes=("normal", "tumor"),
        splits={"source": given(~test, test, "PCam's own parts: other slides")},
        notes=tuple(counted("PCam's test part", int(test.sum()), 32_768)),
    )


def read_class_folders(data: Path) -> ClassData:
    """Any folder of classes: ``CLASS/*`` , or ``train/CLASS/*`` beside ``test/CLASS/*``.

    A class folder may hold a folder for each case; these are then kept on one side.

    Raises:
        EvaluationProblem: there are no pictures in sub-folders.
    """
    if (data / "train").is_dir() and (data / "test").is_dir():
        classes = tuple(dict.fromkeys((*_sub_folders(data / "train"), *_sub_folders(data / "test"))))
        train, train_labels = class_folders(data / "train", classes)
        tested, test_labels = class_folders(data / "test", classes)
        is_test = np.arange(len(train) + len(tested)) >= len(train)
        splits = {"source": given(~is_test, is_test, "the folders train and test")}
        paths, labels, groups = [*train, *tested], [*train_labels, *test_labels], None
    else:
        classes = _sub_folders(data)
        paths, labels, cases = [], [], []
        for number, name in enumerate(classes):
            for folder in (data / name, *((data / name / case) for case in _sub_folders(data / name))):
                found = pictures_in(folder)
                paths += found
                labels += [number] * len(found)
                cases += [folder.name if folder.parent != data else ""] * len(found)
        # Without cases each picture is a case of its own.
        groups = tuple(case or path.name for case, path in zip(cases, paths, strict=True)) if any(cases) else None
        numbers = np.array(labels, dtype=np.int64)
        leaking = "70 % of the pictures learn; no cases are told, so one case may lie on both sides"
        splits = (
            {"source": by_group(groups, numbers)}
            if groups is not None
            else {"picture": by_picture(len(paths), leaking, leaks=True)}
        )
    if not paths:
        raise missing(data, "A picture in a folder for each class", "Put the pictures of each class into a folder.")
    return ClassData(
        name=data.name,
        pictures=FilePictures(data, paths),
        labels=np.array(labels, dtype=np.int64),
        classes=classes,
        splits=splits,
        groups=groups,
    )


def _sub_folders(folder: Path) -> tuple[str, ...]:
    names = tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")))
    if len(names) > _MOST_CLASSES:
        raise EvaluationProblem(
            f"There are {len(names)} folders here, more than {_MOST_CLASSES}.", path=folder, remedy="Name the data set."
        )
    return names


def _rows(table: Path, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            absent = set(columns) - set(reader.fieldnames or ())
            if absent:
                raise EvaluationProblem(
                    f"The table has no column {sorted(absent)[0]!r}.", path=table, remedy="Use the table as published."
                )
            yield from reader
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvaluationProblem("The table cannot be read.", path=table, remedy="Unpack it again.") from error


def _sheet(table: Path, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    from zipfile import BadZipFile

    import openpyxl

    try:
        book = openpyxl.load_workbook(table, read_only=True, data_only=True)
    except (OSError, BadZipFile, KeyError, ValueError) as error:
        raise EvaluationProblem("The table cannot be read.", path=table, remedy="Unpack it again.") from error
    try:
        rows = book.worksheets[0].iter_rows(values_only=True)
        names = [str(name) for name in next(rows, ())]
        absent = set(columns) - set(names)
        if absent:
            raise EvaluationProblem(
                f"The table has no column {sorted(absent)[0]!r}.", path=table, remedy="Use the table as published."
            )
        for row in rows:
            yield dict(zip(names, row, strict=False))
    finally:
        book.close()
