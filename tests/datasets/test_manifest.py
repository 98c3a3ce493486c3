"""The manifest: what is written is read back; what is wrong is refused in words."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from plipdesk.datasets.manifest import COLUMNS, ManifestProblem, ManifestRow, read_manifest, write_manifest

DIGEST = hashlib.sha256(b"x").hexdigest()


def row(folder: Path, name: str, **changes: Any) -> ManifestRow:
    fields: dict[str, Any] = {
        "image": folder / name,
        "sha256": DIGEST,
        "caption": "ein Schnitt, µm",
        "tags": ("fat", "nerve"),
        "group": "case-1",
        "source": "drawn",
        "split": "train",
    }
    return ManifestRow(**{**fields, **changes})


def raw(path: Path, **changes: Any) -> None:
    """A manifest written without checks; a column given as None is left out."""
    columns: dict[str, Any] = {name: ["x.png"] for name in COLUMNS}
    columns.update({"sha256": [DIGEST], "tags": [["fat"]], **changes})
    parquet.write_table(pa.table({name: values for name, values in columns.items() if values is not None}), path)


def test_round_trip_keeps_rows_and_stores_paths_relative(tmp_path: Path) -> None:
    (tmp_path / "bilder").mkdir()
    rows = (
        row(tmp_path, "bilder/ä b.png"),
        row(tmp_path, "two.png", group="case-2", split="heldout", tags=(), caption=""),
    )
    for one in rows:
        one.image.write_bytes(b"x")
    path = tmp_path / "manifest.parquet"
    write_manifest(path, rows)
    assert parquet.read_table(path)["image"].to_pylist() == ["bilder/ä b.png", "two.png"]
    found = read_manifest(path)
    assert found.rows == rows
    assert found.of_split("heldout") == rows[1:]
    # Moved as a whole it says the same.
    moved = tmp_path.parent / f"{tmp_path.name}-moved"
    tmp_path.rename(moved)
    again = read_manifest(moved / "manifest.parquet")
    assert again.fingerprint() == found.fingerprint()
    moved.rename(tmp_path)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.text(max_size=20), st.lists(st.text(max_size=5), max_size=4)), max_size=8))
def test_any_words_survive(tmp_path_factory: pytest.TempPathFactory, words: list[tuple[str, list[str]]]) -> None:
    folder = tmp_path_factory.mktemp("words")
    rows = tuple(row(folder, f"{n}.png", caption=c, tags=tuple(t)) for n, (c, t) in enumerate(words))
    write_manifest(folder / "m.parquet", rows)
    assert read_manifest(folder / "m.parquet", check_files=False).rows == rows


@pytest.mark.parametrize("missing", COLUMNS)
def test_a_missing_column_is_named(tmp_path: Path, missing: str) -> None:
    raw(tmp_path / "m.parquet", **{missing: None})
    with pytest.raises(ManifestProblem, match=f"no column {missing}"):
        read_manifest(tmp_path / "m.parquet", check_files=False)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tags": ["fat"]}, "column tags holds string"),
        ({"caption": [3]}, "column caption holds int64"),
        ({"sha256": ["abc"]}, "no SHA-256"),
        ({"group": [""]}, "empty field"),
        ({"caption": pa.array([None], pa.string())}, "empty field"),
        ({"tags": pa.array([["fat", None]], pa.list_(pa.string()))}, "empty field"),
    ],
)
def test_wrong_values_are_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    raw(tmp_path / "m.parquet", **changes)
    with pytest.raises(ManifestProblem, match=words):
        read_manifest(tmp_path / "m.parquet", check_files=False)


def test_what_is_no_parquet_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(ManifestProblem, match="cannot be read"):
        read_manifest(tmp_path / "m.parquet")
    with pytest.raises(ManifestProblem, match="cannot be read"):
        read_manifest(tmp_path / "absent.parquet")


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.parquet", [row(tmp_path, "gone.png")])
    with pytest.raises(ManifestProblem, match="missing") as caught:
        read_manifest(tmp_path / "m.parquet")
    assert caught.value.path is not None
    assert caught.value.path.endswith("gone.png")


def test_a_group_lies_on_one_side_only(tmp_path: Path) -> None:
    rows = [row(tmp_path, "a.png"), row(tmp_path, "b.png", split="heldout")]
    with pytest.raises(ManifestProblem, match="case-1 lies in the splits"):
        write_manifest(tmp_path / "m.parquet", rows)
    with pytest.raises(ManifestProblem, match="named twice"):
        write_manifest(tmp_path / "m.parquet", [rows[0], rows[0]])
