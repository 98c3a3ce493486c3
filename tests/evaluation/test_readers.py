"""Readers on data sets drawn in the very layouts of the originals: what is found, parted and left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import openpyxl
import pytest
from PIL import Image

from plipdesk.evaluation.data import ClassData, EvaluationProblem
from plipdesk.evaluation.readers.captions import read_captions
from plipdesk.evaluation.readers.digestpath import read_digestpath
from plipdesk.evaluation.readers.folders import (
    read_class_folders,
    read_kimia,
    read_lc25000,
    read_mhist,
    read_pcam,
    read_sicapv2,
)
from plipdesk.evaluation.readers.kather import CLASSES, read_kather
from plipdesk.evaluation.readers.pannuke import label_of, read_pannuke
from plipdesk.evaluation.readers.wsss4luad import read_wsss4luad
from tests.evaluation.colours import COLOURS, paint, square


def assert_no_group_on_both_sides(data: ClassData, name: str) -> None:
    assert data.groups is not None
    split = data.split(name, 1)
    train, test = ({data.groups[number] for number in side} for side in (split.train, split.test))
    assert train
    assert test
    assert not train & test


def assert_covers_everything_once(data: ClassData, name: str) -> None:
    split = data.split(name, 1)
    assert sorted([*split.train.tolist(), *split.test.tolist()]) == list(range(len(data.labels)))


def test_kather(tmp_path: Path) -> None:
    for number, name in enumerate(CLASSES):
        for place in range(2):
            paint(tmp_path / "NCT-CRC-HE-100K" / name / f"{name}-A{place}.tif", "red", seed=place)
        paint(tmp_path / "CRC-VAL-HE-7K" / name / f"{name}-T.tif", list(COLOURS)[number])
    data = read_kather(tmp_path)
    split = data.split(None, 1)
    assert len(split.train) == 18
    assert [data.classes[data.labels[number]] for number in split.test] == list(CLASSES)
    assert not split.leaks
    assert "9 pictures are here, 7,180 were published" in data.notes[0]
    assert data.pictures.name(int(split.test[0])) == "CRC-VAL-HE-7K/ADI/ADI-T.tif"
    assert data.pictures.read(int(split.test[0])).shape == (12, 12, 3)
    # The test folder alone suffices for what learns nothing.
    assert len(read_kather(tmp_path / "CRC-VAL-HE-7K").labels) == 9


def test_a_picture_that_changes_changes_the_data_sets_state(tmp_path: Path) -> None:
    path = paint(tmp_path / "CRC-VAL-HE-7K" / "ADI" / "1.tif", "red")
    before = read_kather(tmp_path).pictures.state()
    assert read_kather(tmp_path).pictures.state() == before
    paint(path, "blue", side_px=14)
    assert read_kather(tmp_path).pictures.state() != before


def nuclei(*counts: int) -> Any:
    mask = np.zeros((16, 16, 6))
    number = 1
    for channel, count in enumerate(counts):
        for _ in range(count):
            mask[number // 16, number % 16, channel] = number
            number += 1
    return mask


def test_pannuke_by_the_papers_rule() -> None:
    assert label_of(nuclei(0, 0, 0, 0, 0)) is None
    assert label_of(nuclei(0, 3, 0, 0, 2)) == 0
    assert label_of(nuclei(10, 5, 0, 0, 0)) == 1
    assert label_of(nuclei(9, 0, 0, 0, 0)) is None
    # Ten of thirty-four are under 30 %.
    assert label_of(nuclei(10, 24, 0, 0, 0)) is None


def test_pannuke(tmp_path: Path) -> None:
    for fold in (1, 2, 3):
        base = tmp_path / f"fold_{fold}" / f"Fold {fold}"
        (base / "images" / f"fold{fold}").mkdir(parents=True)
        (base / "masks" / f"fold{fold}").mkdir(parents=True)
        masks = [nuclei(12), nuclei(0, 4), nuclei(), nuclei(12), nuclei(0, 2), nuclei(5)]
        np.save(base / "masks" / f"fold{fold}" / "masks.npy", np.stack(masks))
        np.save(base / "images" / f"fold{fold}" / "images.npy", np.full((6, 16, 16, 3), 10.0 * fold))
        organs = np.array(["Breast", "Breast", "Breast", "Bile-duct", "Bile-duct", "Breast"])
        np.save(base / "images" / f"fold{fold}" / "types.npy", organs)
    data = read_pannuke(tmp_path)
    assert data.labels.tolist() == [1, 0, 1, 0] * 3
    assert data.organs is not None
    assert data.organs[:4] == ("breast", "breast", "bile-duct", "bile-duct")
    assert data.pictures.read(5)[0, 0].tolist() == [20, 20, 20]
    assert_covers_everything_once(data, "paper")
    assert_covers_everything_once(data, "source")
    assert data.split("source", 1).test.tolist() == [8, 9, 10, 11]
    paper = data.split("paper", 1)
    assert paper.leaks
    # 70 % of each organ and class: of three pictures two learn.
    assert len(paper.train) == 8
    assert data.split("paper", 1).test.tolist() == paper.test.tolist()
    assert data.split("paper", 2).test.tolist() != paper.test.tolist()


def test_pannuke_never_unpickles(tmp_path: Path) -> None:
    folder = tmp_path / "Fold 1"
    (folder / "images" / "fold1").mkdir(parents=True)
    np.save(folder / "images" / "fold1" / "images.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(EvaluationProblem, match="cannot be read"):
        read_pannuke(tmp_path)


def test_wsss4luad(tmp_path: Path) -> None:
    folder = tmp_path / "1.training" / "1.training"
    for slide in range(10):
        for patch in range(4):
            tumour = int(slide % 2 == 0)
            paint(folder / f"10{slide:02}-{patch}-77-[{tumour}, 1, {1 - tumour}].png", "red")
    data = read_wsss4luad(tmp_path)
    assert data.classes[data.labels[0]] == "tumor"
    assert int(data.labels.sum()) == 20
    assert_no_group_on_both_sides(data, "source")
    assert_covers_everything_once(data, "source")
    paper = data.split("paper", 1)
    assert (len(paper.train), len(paper.test), paper.leaks) == (28, 12, True)


def test_digestpath(tmp_path: Path) -> None:
    tissue = np.full((1000, 1000, 3), 150, dtype=np.uint8)
    tissue[:, 500:] = 250
    mask = np.zeros((1000, 1000), dtype=np.uint8)
    mask[:, :500] = 255
    for name in ("tissue-train-neg", "tissue-train-pos-v1"):
        (tmp_path / name).mkdir()
    Image.fromarray(tissue).save(tmp_path / "tissue-train-neg" / "n1.jpg", quality=95)
    Image.fromarray(tissue).save(tmp_path / "tissue-train-pos-v1" / "p1.jpg", quality=95)
    Image.fromarray(mask).save(tmp_path / "tissue-train-pos-v1" / "p1_mask.jpg", quality=95)
    (tmp_path / "tissue-train-neg" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    data = read_digestpath(tmp_path)
    # At half size the picture is 500 px wide: crops start at 0 and 201 (403 ends beyond the edge), and only those at 0
    # are half tissue: two, one below the other. At a quarter it is 250 px: one crop, 125 of 224 px tissue and marked.
    assert data.groups is not None
    assert {(data.groups[number], int(label)) for number, label in enumerate(data.labels)} == {("n1", 0), ("p1", 1)}
    assert len(data.labels) == 2 * 3
    assert data.pictures.read(0).shape == (224, 224, 3)
    assert data.pictures.name(0).endswith("@2+0+0")
    assert any("broken.jpg was left out" in note for note in data.notes)


def test_kimia(tmp_path: Path) -> None:
    for label in ("s0", "s1"):
        for place in range(3):
            paint(tmp_path / "KIMIA_Path24C" / "Test-patches" / label / f"{place}.jpg", "red")
    data = read_kimia(tmp_path)
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert len(data.split(None, 1).test) == 6


def test_mhist(tmp_path: Path) -> None:
    lines = ["Image Name,Majority Vote Label,Number of Annotators who Selected SSA (Out of 7),Partition"]
    for place, (label, part) in enumerate([("HP", "train"), ("SSA", "train"), ("SSA", "test"), ("HP", "test")]):
        paint(tmp_path / "images" / f"MHIST_{place}.png", "red")
        lines.append(f"MHIST_{place}.png,{label},3,{part}")
    lines.append("MHIST_gone.png,HP,0,test")
    (tmp_path / "annotations.csv").write_text("\n".join(lines), encoding="utf-8")
    data = read_mhist(tmp_path)
    assert data.labels.tolist() == [0, 1, 1, 0]
    assert data.split(None, 1).test.tolist() == [2, 3]
    (tmp_path / "annotations.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(EvaluationProblem, match="has no column"):
        read_mhist(tmp_path)


def test_lc25000(tmp_path: Path) -> None:
    root = tmp_path / "lung_colon_image_set"
    paint(root / "colon_image_sets" / "colon_aca" / "c1.jpeg", "red")
    paint(root / "lung_image_sets" / "lung_scc" / "l1.jpeg", "blue")
    data = read_lc25000(tmp_path)
    assert [data.classes[label] for label in data.labels] == ["colon_aca", "lung_scc"]
    assert data.split(None, 1).leaks


def test_sicapv2(tmp_path: Path) -> None:
    tables = tmp_path / "partition" / "Test"
    tables.mkdir(parents=True)
    for part, name, grades in (("Train", "A1_x.jpg", (1, 0, 0, 0)), ("Test", "B2_x.jpg", (0, 0, 1, 1))):
        paint(tmp_path / "images" / name, "red")
        book = openpyxl.Workbook()
        book.active.append(["image_name", "NC", "G3", "G4", "G5", "G4C"])
        book.active.append([name, *grades, 0])
        book.save(tables / f"{part}.xlsx")
    data = read_sicapv2(tmp_path)
    assert [data.classes[label] for label in data.labels] == ["NC", "G5"]
    assert data.split(None, 1).test.tolist() == [1]
    assert data.groups == ("A1", "B2")


def test_pcam(tmp_path: Path) -> None:
    arrays = {"x": np.stack([square("red"), square("blue")]), "y": np.array([1, 0]).reshape(2, 1, 1, 1)}
    for part in ("train", "test"):
        for kind, values in arrays.items():
            with h5py.File(tmp_path / f"camelyonpatch_level_2_split_{part}_{kind}.h5", "w") as file:
                file[kind] = values
    data = read_pcam(tmp_path)
    assert data.labels.tolist() == [1, 0, 1, 0]
    assert data.split(None, 1).test.tolist() == [2, 3]
    assert data.pictures.read(1)[0, 0, 2] > 150


def test_any_folder_of_classes(tmp_path: Path) -> None:
    for name in ("fat", "muscle"):
        for case in range(5):
            for place in range(2):
                paint(tmp_path / name / f"{name}-case-{case}" / f"{place}.png", "red")
    data = read_class_folders(tmp_path)
    assert data.classes == ("fat", "muscle")
    assert_no_group_on_both_sides(data, "source")
    with pytest.raises(EvaluationProblem, match="has no split called 'paper'"):
        data.split("paper", 1)


def test_a_folder_that_is_something_else_is_told_so(tmp_path: Path) -> None:
    for read in (
        read_kather, read_pannuke, read_wsss4luad, read_digestpath, read_kimia, read_mhist, read_lc25000, read_sicapv2,
        read_pcam, read_class_folders, read_captions,
    ):  # fmt: skip
        with pytest.raises(EvaluationProblem) as told:
            read(tmp_path)
        assert told.value.remedy
        assert told.value.path == str(tmp_path)


def test_captions_as_arch_comes(tmp_path: Path) -> None:
    paint(tmp_path / "images" / "u-1.png", "red")
    paint(tmp_path / "images" / "u-2.jpg", "blue")
    entries = {
        "0": {"figure_id": "7", "letter": "A", "caption": "a red field", "uuid": "u-1"},
        "1": {"figure_id": "7", "letter": "B", "caption": "a blue field", "uuid": "u-2"},
        "2": {"figure_id": "8", "letter": "A", "caption": "gone", "uuid": "u-3"},
    }
    (tmp_path / "captions.json").write_text(json.dumps(entries), encoding="utf-8")
    data = read_captions(tmp_path, published=2)
    assert data.captions == ("a red field", "a blue field")
    assert data.posts == ("7", "7")
    assert data.notes == ("1 of 3 rows have no picture or no caption here.",)


def test_captions_of_a_table_stay_in_their_folder(tmp_path: Path) -> None:
    paint(tmp_path / "secret.png", "red")
    folder = tmp_path / "set"
    paint(folder / "a.png", "red")
    (folder / "posts.csv").write_text(
        "image,caption,post_id,hashtag\na.png,red,1,GIPath\n../secret.png,stolen,2,GIPath\n", encoding="utf-8"
    )
    data = read_captions(folder)
    assert data.captions == ("red",)
    assert data.hashtags == ("GIPath",)


def test_a_torn_table_is_told(tmp_path: Path) -> None:
    (tmp_path / "captions.jsonl").write_text('{"image": "a.png", "cap', encoding="utf-8")
    with pytest.raises(EvaluationProblem, match="cannot be read"):
        read_captions(tmp_path)
