"""Vectors files: what is written comes back, and nothing else is ever accepted."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from plipdesk.base.errors import Bug
from plipdesk.index.errors import IndexProblem
from plipdesk.index.vectors import VectorFile, widened, write_vectors
from tests.vectors import unit_vectors


def _write(path: Path, rows: int = 5, dim: int = 7, seed: int = 0) -> dict[str, Any]:
    content = {
        "embeddings": unit_vectors(rows, dim, seed=seed).astype(np.float16),
        "x0_px": np.arange(rows, dtype=np.int32) * 224,
        "y0_px": -np.arange(rows, dtype=np.int32),
    }
    write_vectors(path, **content, settings={"tiling": {"patch_px": 224}, "name": "Schnitt µ 切片"})
    return content


@pytest.mark.parametrize(("rows", "dim"), [(5, 7), (0, 4), (1, 1), (300, 64)])
def test_what_is_written_comes_back(tmp_path: Path, rows: int, dim: int) -> None:
    path = tmp_path / "sub" / "a.safetensors"
    content = _write(path, rows, dim)
    file = VectorFile.open(path, expect_rows=rows, expect_dim=dim)
    assert (file.rows, file.dim) == (rows, dim)
    for name, array in content.items():
        stored = getattr(file, name)
        assert stored.dtype == array.dtype
        assert not stored.flags.writeable
        np.testing.assert_array_equal(stored, array)
    assert file.settings == {"tiling": {"patch_px": 224}, "name": "Schnitt µ 切片"}


def test_the_safetensors_library_reads_it_and_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    content = _write(tmp_path / "a")
    _write(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    loaded = load_file(tmp_path / "a")
    assert set(loaded) == set(content)
    for name, array in content.items():
        np.testing.assert_array_equal(loaded[name], array)


def test_a_file_of_the_safetensors_library_is_read_if_it_holds_our_tensors(tmp_path: Path) -> None:
    content = _write(tmp_path / "ours")
    save_file(content, tmp_path / "theirs", metadata={"plipdesk.settings": "{}"})
    np.testing.assert_array_equal(VectorFile.open(tmp_path / "theirs").embeddings, content["embeddings"])


def test_float32_is_stored_as_float16(tmp_path: Path) -> None:
    vectors = unit_vectors(3, 8)
    zeros = np.zeros(3, np.int32)
    write_vectors(tmp_path / "a", embeddings=vectors, x0_px=zeros, y0_px=zeros, settings={})
    np.testing.assert_array_equal(VectorFile.open(tmp_path / "a").embeddings, vectors.astype(np.float16))


def test_arrays_that_do_not_belong_together_or_are_not_finite_are_refused(tmp_path: Path) -> None:
    zeros = np.zeros(3, np.int32)
    with pytest.raises(Bug, match="belong together"):
        write_vectors(tmp_path / "a", embeddings=unit_vectors(2, 8), x0_px=zeros, y0_px=zeros, settings={})
    bad = unit_vectors(3, 8)
    bad[1, 1] = np.nan
    with pytest.raises(Bug, match="finite"):
        write_vectors(tmp_path / "a", embeddings=bad, x0_px=zeros, y0_px=zeros, settings={})
    assert not list(tmp_path.iterdir())


def test_widening_is_exact_for_every_finite_half() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    expected = halves.astype(np.float32)
    np.testing.assert_array_equal(widened(halves).view(np.int32), expected.view(np.int32))
    strided = np.repeat(halves, 2)[::2]
    np.testing.assert_array_equal(widened(strided), expected)


def test_unexpected_sizes_and_missing_files_are_told(tmp_path: Path) -> None:
    _write(tmp_path / "a")
    with pytest.raises(IndexProblem, match="5 patches where 6"):
        VectorFile.open(tmp_path / "a", expect_rows=6)
    with pytest.raises(IndexProblem, match="7 numbers per patch where 8"):
        VectorFile.open(tmp_path / "a", expect_dim=8)
    with pytest.raises(IndexProblem, match="cannot be read") as caught:
        VectorFile.open(tmp_path / "none")
    assert caught.value.path == str(tmp_path / "none")
    assert caught.value.remedy


def _with_header(path: Path, change: Any) -> None:
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    header = change(header) or header
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 64)
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


def _set(*keys: str, value: Any) -> Any:
    def change(header: dict[str, Any]) -> None:
        place: Any = header
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("embeddings", "shape", value=[10**12, 7]),
        _set("embeddings", "shape", value=[-5, -7]),
        _set("embeddings", "shape", value=[35]),
        _set("embeddings", "shape", value=[5.0, 7]),
        _set("embeddings", "shape", value=[True, 35]),
        _set("embeddings", "shape", value=[7, 5]),
        _set("embeddings", "dtype", value="F32"),
        _set("embeddings", "data_offsets", value=[40, 10**15]),
        _set("embeddings", "data_offsets", value=[0, 70]),
        _set("x0_px", "data_offsets", value=[20, 40]),
        _set("x0_px", "shape", value=[4]),
        _set("x0_px", value=[1, 2]),
        _set("more", value={"dtype": "F16", "shape": [0], "data_offsets": [110, 110]}),
        _set("__metadata__", value={}),
        _set("__metadata__", value={"plipdesk.settings": "[1]"}),
        _set("__metadata__", value={"plipdesk.settings": "{"}),
        _set("__metadata__", value={"plipdesk.settings": 3}),
        _set("__metadata__", value=None),
        lambda header: {"embeddings": header["embeddings"]},
        lambda header: ["embeddings"],
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, change: Any) -> None:
    path = tmp_path / "a"
    _write(path)
    _with_header(path, change)
    with pytest.raises(IndexProblem, match="damaged"):
        VectorFile.open(path)


def test_a_deeply_nested_header_is_refused(tmp_path: Path) -> None:
    text = b"[" * 100_000
    (tmp_path / "a").write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(IndexProblem, match="not JSON"):
        VectorFile.open(tmp_path / "a")


@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_damaged_bytes_never_do_worse_than_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "a"
    _write(path)
    content = bytearray(path.read_bytes())
    header_end = 8 + struct.unpack("<Q", content[:8])[0]
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, header_end - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        file = VectorFile.open(path)
    except IndexProblem:
        return
    assert file.embeddings.astype(np.float32).shape == (5, 7)
    assert len(file.x0_px) == len(file.y0_px) == 5
