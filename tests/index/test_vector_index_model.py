"""Any order of adding, removing, folding, stopping, saving and restarting, against a plain array."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from plipdesk.index.segment import IndexSettings
from plipdesk.index.selection import RowSelection
from plipdesk.index.vector_index import VectorIndex
from tests.vectors import Float32s, unit_vectors, vectors_file

DIM = 12
# So many candidates that every answer must be the exact one, although it goes through graphs.
SETTINGS = IndexSettings(
    length=13,
    links=6,
    build_breadth=40,
    segment_rows=90,
    graph_from_rows=40,
    fold_from_rows=15,
    breadth=90,
    candidates=90,
    step_rows=4,
)


class IndexMachine(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.place = tempfile.TemporaryDirectory()
        self.folder = Path(self.place.name)
        self.parts: dict[int, Float32s] = {}
        self.next_id = 1
        self.index = self.opened()

    def opened(self) -> VectorIndex:
        return VectorIndex(self.folder / "index", dim=DIM, encoder_fingerprint="e", settings=SETTINGS)

    def path(self, part_id: int) -> Path:
        return self.folder / f"{part_id}.safetensors"

    @rule(rows=st.integers(0, 70))
    def add(self, rows: int) -> None:
        part_id, self.next_id = self.next_id, self.next_id + 1
        self.parts[part_id] = vectors_file(self.path(part_id), unit_vectors(rows, DIM, seed=part_id))
        self.index.add(part_id, self.path(part_id), rows)

    @precondition(lambda self: self.parts)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        part_id = data.draw(st.sampled_from(sorted(self.parts)))
        del self.parts[part_id]
        self.index.remove(part_id)

    @rule()
    def fold(self) -> None:
        self.index.fold()

    @rule(steps=st.integers(0, 12))
    def fold_and_stop(self, steps: int) -> None:
        calls = iter(range(10**6))
        self.index.fold(stop=lambda: next(calls) >= steps)

    @rule()
    def save(self) -> None:
        self.index.save()

    @rule(load=st.booleans())
    def restart(self, load: bool) -> None:
        self.index = self.opened()
        self.index.add_all((part_id, self.path(part_id), len(rows)) for part_id, rows in self.parts.items())
        if load:
            self.index.load_or_build()
            assert self.index.rebuilt == []

    @invariant()
    def everything_is_found_once(self) -> None:
        rows = sum(map(len, self.parts.values()))
        assert self.index.rows == rows
        assert self.index.rows_in_graphs <= rows
        view = self.index.current()
        in_segments = [number for segment in view.segments for number in segment.number_of_label if number >= 0]
        assert sorted([*in_segments, *view.loose]) == list(range(rows))

    @invariant()
    def answers_are_the_exact_ones(self) -> None:
        query = unit_vectors(1, DIM, seed=10_000 + self.next_id)
        places = [(part_id, row) for part_id in sorted(self.parts) for row in range(len(self.parts[part_id]))]
        scores = np.concatenate([np.empty(0), *(self.parts[part_id] @ query[0] for part_id in sorted(self.parts))])
        self.compare(query, places, scores, None)
        half = frozenset(part_id for part_id in self.parts if part_id % 2)
        kept = [number for number, (part_id, _) in enumerate(places) if part_id in half]
        self.compare(query, [places[number] for number in kept], scores[kept], RowSelection(parts=half))

    def compare(
        self, query: Float32s, places: list[tuple[int, int]], scores: np.ndarray, allowed: RowSelection | None
    ) -> None:
        found = self.index.search(query, 8, allowed=allowed)
        got = [place for place in zip(found.part_ids[0].tolist(), found.rows[0].tolist(), strict=True) if place[0] >= 0]
        best = np.argsort(-scores, kind="stable")[:8]
        np.testing.assert_allclose(found.scores[0][: len(best)], scores[best], atol=1e-5)
        assert len(got) == len(set(got)) == len(best)
        assert set(got) <= set(places)

    def teardown(self) -> None:
        del self.index
        self.place.cleanup()


TestIndexMachine = IndexMachine.TestCase
TestIndexMachine.settings = settings(max_examples=20, stateful_step_count=15, deadline=None)
