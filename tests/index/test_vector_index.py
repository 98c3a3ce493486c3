"""The index against plain numpy: exact where it must be, close where it may be, whole after any change."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from plipdesk.base.errors import Bug
from plipdesk.index.errors import IndexProblem
from plipdesk.index.segment import IndexSettings
from plipdesk.index.selection import RowSelection
from plipdesk.index.vector_index import VectorIndex
from tests.vectors import Float32s, unit_vectors, vectors_file

DIM = 24
SMALL = IndexSettings(
    length=20,
    links=8,
    build_breadth=50,
    segment_rows=700,
    graph_from_rows=300,
    fold_from_rows=100,
    breadth=80,
    candidates=60,
    sample_rows=500,
    step_rows=16,
)


class Plain:
    """The same vectors in one array, searched by numpy."""

    def __init__(self) -> None:
        self.parts: dict[int, Float32s] = {}

    def places(self) -> list[tuple[int, int]]:
        return [(part_id, row) for part_id in sorted(self.parts) for row in range(len(self.parts[part_id]))]

    def best(self, query: Float32s, k: int, allowed: set[tuple[int, int]] | None = None) -> list[tuple[int, int]]:
        places = [place for place in self.places() if allowed is None or place in allowed]
        if not places:
            return []
        scores = np.array([self.parts[part_id][row] for part_id, row in places]) @ query
        return [places[number] for number in np.argsort(-scores, kind="stable")[:k]]


class World:
    """An index in a folder, and the truth beside it."""

    def __init__(self, folder: Path, settings: IndexSettings = SMALL) -> None:
        self.folder = folder
        self.settings = settings
        self.plain = Plain()
        self.index = self.opened()

    def opened(self, fingerprint: str = "encoder", *, query_threads: int = 2) -> VectorIndex:
        index = VectorIndex(
            self.folder / "index",
            dim=DIM,
            encoder_fingerprint=fingerprint,
            settings=self.settings,
            query_threads=query_threads,
        )
        index.add_all((part_id, self.file(part_id), len(rows)) for part_id, rows in self.plain.parts.items())
        return index

    def file(self, part_id: int) -> Path:
        return self.folder / f"{part_id}.safetensors"

    def add(self, part_id: int, rows: int, seed: int | None = None) -> None:
        vectors = unit_vectors(rows, DIM, seed=part_id if seed is None else seed)
        self.plain.parts[part_id] = vectors_file(self.file(part_id), vectors)
        self.index.add(part_id, self.file(part_id), rows)

    def remove(self, part_id: int) -> None:
        del self.plain.parts[part_id]
        self.index.remove(part_id)

    def recall(self, k: int = 10, queries: int = 40, chosen: set[tuple[int, int]] | None = None) -> float:
        """Share of the true best rows that are found; whatever is found is allowed, and as many as there are."""
        asked = unit_vectors(queries, DIM, seed=4321)
        found = self.index.search(asked, k, allowed=None if chosen is None else _selection(chosen))
        hits = total = 0
        for number, query in enumerate(asked):
            wanted = self.plain.best(query, k, chosen)
            got = _places(found.part_ids[number], found.rows[number])
            assert len(got) == len(wanted)
            assert chosen is None or set(got) <= chosen
            hits += len(set(wanted) & set(got))
            total += len(wanted)
        return hits / total if total else 1


def _selection(chosen: set[tuple[int, int]]) -> RowSelection:
    rows: dict[int, list[int]] = {}
    for part_id, row in chosen:
        rows.setdefault(part_id, []).append(row)
    return RowSelection(rows={part_id: np.array(some, np.int32) for part_id, some in rows.items()})


def _places(part_ids: NDArray[np.int64], rows: NDArray[np.int32]) -> list[tuple[int, int]]:
    return [(int(part), int(row)) for part, row in zip(part_ids, rows, strict=True) if part >= 0]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def large(world: World) -> World:
    """Three segments and a tail: 14 parts of 150 rows."""
    for part_id in range(1, 14):
        world.add(part_id, 150)
    world.index.load_or_build()
    world.add(14, 60)
    return world


def test_an_empty_index_finds_nothing(world: World) -> None:
    found = world.index.search(unit_vectors(2, DIM), 3)
    assert found.part_ids.tolist() == [[-1] * 3] * 2
    assert found.rows.tolist() == [[-1] * 3] * 2
    assert (found.scores == -2).all()
    assert world.index.phase == "empty"
    assert len(world.index.sample(10, 0)[0]) == 0
    world.index.load_or_build()
    assert world.index.phase == "empty"


def test_a_small_index_is_exact_and_padded(world: World) -> None:
    world.add(7, 30)
    world.add(3, 20)
    found = world.index.search(unit_vectors(5, DIM, seed=77), 60)
    for number, query in enumerate(unit_vectors(5, DIM, seed=77)):
        assert _places(found.part_ids[number], found.rows[number]) == world.plain.best(query, 60)
    assert (found.part_ids[:, 50:] == -1).all()
    assert (found.scores[:, 50:] == -2).all()


def test_scores_are_those_of_the_stored_vectors(large: World) -> None:
    queries = unit_vectors(6, DIM, seed=5)
    found = large.index.search(queries, 20)
    for number, query in enumerate(queries):
        places = _places(found.part_ids[number], found.rows[number])
        expected = np.array([large.plain.parts[part][row] for part, row in places]) @ query
        np.testing.assert_allclose(found.scores[number], expected, atol=1e-6)
        assert (np.diff(found.scores[number]) <= 0).all()
        assert len(set(places)) == 20


def test_graphs_find_what_an_exact_scan_finds(large: World) -> None:
    assert large.index.phase == "ready"
    assert len(large.index.current().segments) == 3
    assert large.index.rows == 13 * 150 + 60
    assert large.index.rows_in_graphs == 13 * 150
    assert large.recall() >= 0.99
    assert large.recall(k=50) >= 0.99


def test_a_part_is_found_from_the_moment_it_is_added_until_it_is_removed(large: World) -> None:
    query = large.plain.parts[14][10:11]
    assert large.index.search(query, 1).part_ids[0, 0] == 14
    large.remove(14)
    assert large.index.search(query, 1).part_ids[0, 0] != 14
    inside = large.plain.parts[5][3:4]
    assert large.index.search(inside, 1).part_ids[0, 0] == 5
    large.remove(5)
    assert 5 not in large.index.search(inside, 100).part_ids
    assert large.recall() >= 0.99


@pytest.mark.parametrize("share", [0.005, 0.02, 0.1, 0.5, 0.9])
def test_a_filter_of_single_rows(large: World, share: float) -> None:
    random = np.random.default_rng(8)
    chosen = {place for place in large.plain.places() if random.random() < share}
    assert large.recall(chosen=chosen) >= 0.99


@pytest.mark.parametrize("parts", [{3}, {1, 2, 14}, {1, 2, 3, 4, 5, 6, 7}, set(range(2, 15)), {99}])
def test_a_filter_of_whole_parts(large: World, parts: set[int]) -> None:
    chosen = {place for place in large.plain.places() if place[0] in parts}
    assert large.recall(chosen=chosen) >= 0.99
    asked = unit_vectors(8, DIM, seed=31)
    found = large.index.search(asked, 10, allowed=RowSelection(parts=frozenset(parts)))
    for number, query in enumerate(asked):
        got = _places(found.part_ids[number], found.rows[number])
        assert set(got) <= chosen
        assert len(set(got) & set(large.plain.best(query, 10, chosen))) >= min(9, len(chosen))


def test_a_filter_far_from_the_query_is_answered_from_a_scan(tmp_path: Path) -> None:
    """The slide that the query is like is excluded: the graph's nearest rows are all forbidden."""
    world = World(tmp_path)
    centre = unit_vectors(1, DIM, seed=1)[0]
    near = centre + np.random.default_rng(0).normal(0, 0.01, (400, DIM)).astype(np.float32)
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    world.plain.parts[1] = vectors_file(world.file(1), near.astype(np.float32))
    world.index.add(1, world.file(1), 400)
    world.add(2, 200)
    world.index.load_or_build()
    chosen = {place for place in world.plain.places() if place[0] == 2}
    found = world.index.search(centre[None], 10, allowed=RowSelection(parts=frozenset({2})))
    assert _places(found.part_ids[0], found.rows[0]) == world.plain.best(centre, 10, chosen)


@pytest.mark.parametrize("query_threads", [1, 3])
def test_an_answer_does_not_depend_on_how_many_threads_give_it(large: World, query_threads: int) -> None:
    assert len(large.index.current().segments) > 2
    other = large.opened(query_threads=query_threads)
    other.load_or_build()
    queries = unit_vectors(3, DIM, seed=99)
    some_rows = {part_id: np.arange(0, len(rows), 2, dtype=np.int32) for part_id, rows in large.plain.parts.items()}
    for allowed in (None, RowSelection(rows=some_rows), RowSelection(parts=frozenset([1, 2]))):
        for mine, others in zip(
            large.index.search(queries, 7, allowed=allowed), other.search(queries, 7, allowed=allowed), strict=True
        ):
            np.testing.assert_array_equal(mine, others)


def test_rows_outside_a_part_do_not_matter_in_a_filter(large: World) -> None:
    rows = {1: np.array([-1, 0, 149, 150, 10**6], np.int32), 77: np.array([0], np.int32)}
    found = large.index.search(unit_vectors(1, DIM), 5, allowed=RowSelection(rows=rows))
    assert set(_places(found.part_ids[0], found.rows[0])) == {(1, 0), (1, 149)}


# --- on disk ----------------------------------------------------------------------------------------------------------


def _graphs(world: World) -> list[Path]:
    return sorted((world.folder / "index").glob("*.hnsw"))


def test_kept_graphs_are_loaded_and_not_built_again(large: World) -> None:
    before = {path.name: path.read_bytes() for path in _graphs(large)}
    assert len(before) == 3
    large.index = large.opened()
    assert large.index.phase == "loading"
    assert large.recall() == 1
    large.index.load_or_build()
    assert large.index.phase == "ready"
    assert large.index.rebuilt == []
    assert large.index.rows_in_graphs == 13 * 150
    assert {path.name: path.read_bytes() for path in _graphs(large)} == before
    assert large.recall() >= 0.99


def _damage(kind: str, world: World) -> None:
    graph, manifest = _graphs(world)[0], world.folder / "index" / "manifest.bin"
    content = bytearray(graph.read_bytes())
    if kind == "flipped vector":
        content[5000] ^= 0x40
        graph.write_bytes(content)
    elif kind == "cut off":
        graph.write_bytes(content[:-40])
    elif kind == "longer":
        graph.write_bytes(content + b"0000")
    elif kind == "wrong count":
        content[16:24] = (10**9).to_bytes(8, "little")
        graph.write_bytes(content)
    elif kind == "gone":
        graph.unlink()
    elif kind == "swapped":
        other = _graphs(world)[1]
        content, second = graph.read_bytes(), other.read_bytes()
        graph.write_bytes(second)
        other.write_bytes(content)
    elif kind == "manifest flipped":
        lines = bytearray(manifest.read_bytes())
        lines[40] ^= 1
        manifest.write_bytes(lines)
    elif kind == "manifest cut off":
        manifest.write_bytes(manifest.read_bytes()[:30])
    elif kind == "manifest gone":
        manifest.unlink()


@pytest.mark.parametrize(
    "kind",
    [
        "flipped vector",
        "cut off",
        "longer",
        "wrong count",
        "gone",
        "swapped",
        "manifest flipped",
        "manifest cut off",
        "manifest gone",
    ],
)
def test_damaged_graphs_are_built_again(large: World, kind: str) -> None:
    _damage(kind, large)
    large.index = large.opened()
    large.index.load_or_build()
    assert large.index.phase == "ready"
    assert bool(large.index.rebuilt) == (kind != "manifest gone")
    assert large.index.rows_in_graphs >= 13 * 150
    assert large.recall() >= 0.99
    named = {group.segment.saved.file for group in large.index.current().placed if group.segment.saved}
    assert {path.name for path in _graphs(large)} == named
    large.index = large.opened()
    large.index.load_or_build()
    assert large.index.rebuilt == []


def test_graphs_of_another_encoder_are_not_used(large: World) -> None:
    foreign = large.opened(fingerprint="another encoder")
    foreign.load_or_build()
    assert "another" in foreign.rebuilt[0]
    assert len(foreign.current().segments) == 3


def test_graphs_of_other_vectors_under_the_same_ids_are_not_used(large: World) -> None:
    for part_id in large.plain.parts:
        vectors = unit_vectors(len(large.plain.parts[part_id]), DIM, seed=part_id + 500)
        large.plain.parts[part_id] = vectors_file(large.file(part_id), vectors)
    large.index = large.opened()
    large.index.load_or_build()
    assert len(large.index.rebuilt) == 3
    assert large.recall() >= 0.99


def test_leftovers_of_a_kill_are_swept(large: World) -> None:
    leftovers = [large.folder / "index" / name for name in ("00000099.hnsw", "00000100.hnsw.123.partial")]
    for path in leftovers:
        path.write_bytes(b"half a graph")
    large.index = large.opened()
    large.index.load_or_build()
    assert not any(path.exists() for path in leftovers)
    assert large.index.rebuilt == []


def test_the_folder_may_be_deleted(large: World) -> None:
    for path in (large.folder / "index").iterdir():
        path.unlink()
    large.index = large.opened()
    large.index.load_or_build()
    assert large.recall() >= 0.99


# --- growing, shrinking, stopping -------------------------------------------------------------------------------------


def test_folding_can_be_stopped_and_goes_on(world: World) -> None:
    for part_id in range(1, 5):
        world.add(part_id, 150)
    told: list[tuple[int, int]] = []
    calls = iter(range(1000))
    world.index.load_or_build(lambda done, rows: told.append((done, rows)), lambda: next(calls) > 20)
    assert 0 < world.index.rows_in_graphs < 600
    assert world.recall() >= 0.99
    world.index.fold(lambda done, rows: told.append((done, rows)))
    assert world.index.rows_in_graphs == 600
    assert told[-1] == (600, 600)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert world.recall() >= 0.99


def test_a_part_removed_while_it_is_folded_leaves_the_rest_whole(world: World) -> None:
    for part_id in range(1, 5):
        world.add(part_id, 150)
    calls = iter(range(1000))
    world.index.load_or_build(stop=lambda: next(calls) > 6)
    assert 0 < world.index.rows_in_graphs < 150
    world.remove(1)
    world.index.fold()
    assert world.index.rows_in_graphs == 450
    assert world.recall() >= 0.99


def test_a_graph_with_many_dead_rows_is_built_anew(large: World) -> None:
    assert large.index.current().segments[0].dead == 0
    large.remove(1)
    assert large.index.current().segments[0].dead == 150
    large.index.fold()
    assert all(segment.dead == 0 for segment in large.index.current().segments)
    assert large.recall() >= 0.99
    large.index = large.opened()
    large.index.load_or_build()
    assert large.index.rebuilt == []
    assert large.recall() >= 0.99


def test_all_parts_removed_leaves_no_file(large: World) -> None:
    for part_id in list(large.plain.parts):
        large.remove(part_id)
    large.index.fold()
    assert large.index.phase == "empty"
    assert _graphs(large) == []


def test_a_projection_fitted_to_little_is_renewed(tmp_path: Path) -> None:
    world = World(tmp_path, IndexSettings(**{**SMALL.__dict__, "segment_rows": 5000, "graph_from_rows": 100}))
    world.add(1, 120)
    world.index.load_or_build()
    first = world.index.current().placed[0].segment
    assert first.fitted_rows == 120
    for part_id in range(2, 6):
        world.add(part_id, 150)
        world.index.fold()
    second = world.index.current().placed[0].segment
    assert second is not first
    assert second.fitted_rows == 720
    assert world.recall() >= 0.99


def test_thousands_of_equal_vectors_do_not_hide_the_others(tmp_path: Path) -> None:
    world = World(tmp_path, IndexSettings(**{**SMALL.__dict__, "segment_rows": 5000}))
    for part_id, vectors in ((1, np.repeat(unit_vectors(1, DIM, seed=3), 1500, axis=0)), (2, unit_vectors(1500, DIM))):
        world.plain.parts[part_id] = vectors_file(world.file(part_id), vectors)
        world.index.add(part_id, world.file(part_id), 1500)
    world.index.load_or_build()
    asked = unit_vectors(100, DIM, seed=2)
    found = world.index.search(asked, 5)
    best = np.sort(asked @ np.concatenate(list(world.plain.parts.values())).T, axis=1)[:, :-6:-1]
    assert (np.abs(best - found.scores) < 1e-6).mean() >= 0.98


# --- single rows ------------------------------------------------------------------------------------------------------


def test_scores_and_vectors_of_single_rows(large: World) -> None:
    part_ids = np.array([14, 2, 2, 99, 3], np.int64)
    rows = np.array([5, 149, 0, 0, 150], np.int32)
    queries = unit_vectors(2, DIM, seed=9)
    vectors = large.index.vectors(part_ids, rows)
    expected = np.stack([large.plain.parts[14][5], large.plain.parts[2][149], large.plain.parts[2][0]])
    np.testing.assert_array_equal(vectors[:3], expected)
    assert not vectors[3:].any()
    scores = large.index.scores(queries, part_ids, rows)
    np.testing.assert_allclose(scores[:, :3], queries @ expected.T, atol=1e-6)
    assert (scores[:, 3:] == -2).all()


def test_a_sample_depends_on_parts_and_seed_only(large: World) -> None:
    part_ids, rows = large.index.sample(500, seed=11)
    places = _places(part_ids, rows)
    assert len(set(places)) == 500
    assert set(places) <= set(large.plain.places())
    again = VectorIndex(large.folder / "elsewhere", dim=DIM, encoder_fingerprint="encoder")
    for part_id in sorted(large.plain.parts, reverse=True):
        again.add(part_id, large.file(part_id), len(large.plain.parts[part_id]))
    assert _places(*again.sample(500, seed=11)) == places
    assert _places(*again.sample(500, seed=12)) != places
    assert _places(*again.sample(10**6, seed=11)) == large.plain.places()


def test_what_does_not_fit_is_refused(large: World) -> None:
    with pytest.raises(Bug, match="already"):
        large.index.add(3, large.file(3), 150)
    with pytest.raises(IndexProblem, match="150 patches where 151"):
        large.index.add(20, large.file(3), 151)
    vectors_file(large.folder / "wide", unit_vectors(4, DIM + 1))
    with pytest.raises(IndexProblem, match="numbers per patch"):
        large.index.add(20, large.folder / "wide", 4)
    with pytest.raises(Bug, match="dimensions"):
        large.index.search(unit_vectors(1, DIM + 1), 3)
    problems = large.index.add_all([(21, large.folder / "none", 3), (22, large.file(3), 150)])
    assert list(problems) == [21]
    assert large.index.rows == 14 * 150 + 60


def test_searches_beside_folding_adding_and_removing_are_right_at_every_moment(world: World) -> None:
    for part_id in range(1, 9):
        world.add(part_id, 150)
    world.index.load_or_build()
    asked = unit_vectors(3, DIM, seed=77)
    problems: list[str] = []
    done = threading.Event()

    def search() -> None:
        while not done.is_set():
            found = world.index.search(asked, 20)
            for number, query in enumerate(asked):
                places = _places(found.part_ids[number], found.rows[number])
                scores = [world.plain.parts[part][row] @ query for part, row in places]
                if len(set(places)) != 20 or not np.allclose(scores, found.scores[number], atol=1e-5):
                    problems.append(f"{places} {scores}")

    searchers = [threading.Thread(target=search) for _ in range(2)]
    for searcher in searchers:
        searcher.start()
    removed = []
    for part_id in range(9, 17):
        world.add(part_id, 150)
        # The truth keeps what the index forgets: a search that began before may still find it.
        world.index.remove(part_id - 8)
        removed.append(part_id - 8)
        world.index.fold()
    done.set()
    for searcher in searchers:
        searcher.join()
    assert problems == []
    for part_id in removed:
        del world.plain.parts[part_id]
    assert world.recall() >= 0.99


def test_how_broadly_to_look_for_scattered_queries_is_found_out_on_the_rows_themselves(tmp_path: Path) -> None:
    rows = unit_vectors(3000, DIM, seed=3)
    # Queries on the other side of the sphere: all rows are about as far, and the nearest lie anywhere.
    apart = -rows.mean(axis=0, keepdims=True) + 0.6 * unit_vectors(60, DIM, seed=4)
    apart = (apart / np.linalg.norm(apart, axis=1, keepdims=True)).astype(np.float32)
    settings = dataclasses.replace(SMALL, breadth=60, candidates=60, scattered_breadth=700)
    index = VectorIndex(tmp_path / "index", dim=DIM, encoder_fingerprint="f" * 32, settings=settings)
    rows = vectors_file(tmp_path / "one", rows)
    index.add(1, tmp_path / "one", len(rows))
    index.load_or_build()

    def recall(scattered: bool) -> float:
        found = index.search(apart, 5, scattered=scattered)
        best = np.argsort(-(apart @ rows.T), axis=1)[:, :5]
        pairs = zip(found.rows, best, strict=True)
        return float(np.mean([len(np.intersect1d(one, other)) / 5 for one, other in pairs]))

    broad = recall(scattered=True)
    index.tune_scattered(apart[:20])
    assert recall(scattered=True) >= min(0.97, broad)
    assert recall(scattered=True) >= recall(scattered=False)
    # Rows themselves are found at once: for queries like them nothing broader is chosen.
    index.tune_scattered(rows[:20])
    assert recall(scattered=True) == recall(scattered=False)
