"""hnswlib trusts its files; nothing gets to it that was not checked number by number."""

from __future__ import annotations

from pathlib import Path

import hnswlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plipdesk.index.errors import IndexProblem
from plipdesk.index.graph_file import open_graph_rows
from tests.vectors import unit_vectors

ROWS, LENGTH, LINKS = 400, 16, 6
ELEMENT = 4 * (2 * LINKS + 1) + 4 * LENGTH + 8


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    index = hnswlib.Index(space="l2", dim=LENGTH)
    index.init_index(max_elements=ROWS, M=LINKS, ef_construction=40, random_seed=1)
    order = np.random.default_rng(0).permutation(ROWS)
    index.add_items(unit_vectors(ROWS, LENGTH)[order], order, num_threads=1)
    path = tmp_path_factory.mktemp("graph") / "g"
    index.save_index(str(path))
    return path.read_bytes()


def _open(path: Path, content: bytes | bytearray) -> object:
    path.write_bytes(content)
    return open_graph_rows(path, rows=ROWS, length=LENGTH, links=LINKS)


def test_vectors_are_where_their_labels_say(tmp_path: Path, graph: bytes) -> None:
    (tmp_path / "g").write_bytes(graph)
    rows = open_graph_rows(tmp_path / "g", rows=ROWS, length=LENGTH, links=LINKS)
    np.testing.assert_array_equal(rows.vectors[rows.place_of_label], unit_vectors(ROWS, LENGTH))
    assert rows.count == ROWS


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (0, 8),  # where elements begin
        (8, 0),  # capacity
        (8, 2**40),
        (16, ROWS + 1),  # count
        (24, 8),  # size of an element
        (32, 8),  # place of the label
        (40, 8),  # place of the vector
        (48, 70),  # top level
        (48, 2**31 + 5),  # … below zero
        (52, ROWS),  # entry
        (56, 3),  # links
        (80, 0),  # spread of the levels
        (96, 2 * LINKS + 1),  # number of links of the first element
        (100, ROWS),  # its first link
        (96 + ELEMENT - 8, ROWS),  # its label
        (96 + ELEMENT - 4, 1),
        (96 + ROWS * ELEMENT, 4 * (LINKS + 1) * 70),  # its upper links
        (96 + ROWS * ELEMENT, 3),
    ],
)
def test_one_wrong_number_is_enough(tmp_path: Path, graph: bytes, offset: int, value: int) -> None:
    content = bytearray(graph)
    width = 4 if offset in (48, 52) or offset >= 96 else 8
    content[offset : offset + width] = value.to_bytes(width, "little")
    with pytest.raises(IndexProblem, match="damaged"):
        _open(tmp_path / "g", content)


def test_a_label_that_is_there_twice_is_refused(tmp_path: Path, graph: bytes) -> None:
    content = bytearray(graph)
    first, second = 96 + ELEMENT - 8, 96 + 2 * ELEMENT - 8
    content[first : first + 8] = content[second : second + 8]
    with pytest.raises(IndexProblem, match="labels are not whole"):
        _open(tmp_path / "g", content)


def test_upper_links_must_reach_elements_of_their_level(tmp_path: Path, graph: bytes) -> None:
    words = np.frombuffer(graph[96 + ROWS * ELEMENT :], dtype="<u4")
    heights: list[int] = []
    position, first_list = 0, -1
    while position < len(words):
        size = int(words[position]) // 4
        if size and first_list < 0:
            first_list = position + 1
        heights.append(size // (LINKS + 1))
        position += 1 + size
    content = bytearray(graph)
    low = heights.index(0)
    place = 96 + ROWS * ELEMENT + 4 * (first_list + 1)
    content[place : place + 4] = low.to_bytes(4, "little")
    with pytest.raises(IndexProblem, match="lower level"):
        _open(tmp_path / "g", content)
    content[place : place + 4] = ROWS.to_bytes(4, "little")
    with pytest.raises(IndexProblem, match="leads out"):
        _open(tmp_path / "g", content)


@given(cut=st.integers(0, ROWS * ELEMENT))
@settings(max_examples=40, deadline=None)
def test_any_cut_is_noticed(tmp_path_factory: pytest.TempPathFactory, graph: bytes, cut: int) -> None:
    with pytest.raises(IndexProblem):
        _open(tmp_path_factory.mktemp("cut") / "g", graph[:cut])


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_what_passes_can_be_opened_and_asked(
    tmp_path_factory: pytest.TempPathFactory, graph: bytes, data: st.DataObject
) -> None:
    """Flipped bits either are refused or do no harm: hnswlib opens the rest and answers."""
    content = bytearray(graph)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.mktemp("flip") / "g"
    try:
        _open(path, content)
    except IndexProblem:
        return
    index = hnswlib.Index(space="l2", dim=LENGTH)
    index.load_index(str(path), max_elements=ROWS)
    assert index.knn_query(unit_vectors(3, LENGTH, seed=5), k=5, num_threads=1)[0].max() < ROWS
