"""A query in, ranked hits out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.paths import Workspace, cache_folder
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.embedding_table import Unseen
from plipdesk.catalogue.rows import EmbeddingRow, SlideRow
from plipdesk.encoders.protocol import Encoder
from plipdesk.encoders.vocabulary import Vocabulary
from plipdesk.index.selection import RowSelection
from plipdesk.index.vector_index import VectorIndex
from plipdesk.search.asking import Asked, Asker, Own, check_query
from plipdesk.search.calibration import BEST_PATCHES, Calibration, TermVectors
from plipdesk.search.candidates import Candidate, grouped, merge_neighbours
from plipdesk.search.leakage import leakage_of
from plipdesk.search.library import Library
from plipdesk.search.parts import Part, Scoring
from plipdesk.search.query import Hit, Leakage, Query, Searched, SearchResult, Timing
from plipdesk.search.regions import COVERED
from plipdesk.search.slide_ranking import rank_slides

_SPARE = 30
"""Candidates asked for beyond what is wanted, for neighbours that merge and patches that the query itself shows."""
_MOST_ASKED = 4096
"""Candidates of one round; where they do not suffice, rows already seen are left out of the next."""
_MOST_ROUNDS = 12


class Searcher:
    """Answers queries on one workspace. Thread-safe."""

    def __init__(
        self,
        catalogue: Catalogue,
        index_for: Callable[[str], VectorIndex],
        encoder: Callable[[str | None], Encoder],
        workspace: Workspace,
        vocabulary: Vocabulary,
    ) -> None:
        """Nothing is read yet.

        Args:
            catalogue: rows of slides and embeddings.
            index_for: the index of an encoder fingerprint.
            encoder: the encoder with an id; None: the workspace's default.
            workspace: where the vectors lie.
            vocabulary: terms that tell what scores chance gives, and that translate.
        """
        self._catalogue = catalogue
        self._index_for = index_for
        self._encoder = encoder
        self._workspace = workspace
        self._vocabulary = vocabulary
        self._terms = TermVectors(vocabulary, cache_folder() / "vocabulary")
        self._lock = threading.Lock()
        self._desks: dict[str, _Desk] = {}

    def search(self, query: Query) -> SearchResult:
        """The best patches (or slides, where only slides are asked for) of a query.

        Raises:
            UsageProblem: nothing is asked, or what is asked makes no sense.
            NotFound: a slide, picture or encoder that is not there.
            EncoderProblem: words for an encoder that has none.
            SlideProblem: a region or picture that cannot be read.
        """
        start = time.perf_counter()
        check_query(query)
        encoder = self._encoder(query.encoder)
        desk = self._desk(encoder)
        if not desk.index.rows:
            for slide in [*(part.slide for part in query.regions), *(part.slide for part in query.slides)]:
                desk.asker.must_exist(slide)
            notes = unseen_notes(encoder.card.id, desk.library.unseen())
            total = (time.perf_counter() - start) * 1000
            return SearchResult(query, encoder.card.id, (), False, Searched(0, 0), Timing(0.0, total, total), notes)
        asked = desk.asker.ask(query)
        encoded = time.perf_counter()
        answer = _Answer(query, asked, desk)
        hits = answer.hits()
        stands_out = answer.stands_out()
        leakage = answer.leakage() if query.leakage else None
        notes = (*asked.notes, *answer.notes, *unseen_notes(encoder.card.id, desk.library.unseen()))
        end = time.perf_counter()
        timing = Timing((encoded - start) * 1000, (end - encoded) * 1000, (end - start) * 1000)
        return SearchResult(query, encoder.card.id, hits, stands_out, answer.searched, timing, notes, leakage)

    def warm(self, encoder_id: str | None = None) -> None:
        """Do ahead what the first query would wait for: learn where words lie, and what they reach on the index."""
        encoder = self._encoder(encoder_id)
        desk = self._desk(encoder)
        if encoder.card.has_words and desk.index.rows:
            desk.calibration.limit("words", encoder)
            desk.calibration.tune(encoder)

    def close(self) -> None:
        """Let go of the catalogue."""
        with self._lock:
            for desk in self._desks.values():
                desk.library.close()
            self._desks.clear()

    def _desk(self, encoder: Encoder) -> _Desk:
        index = self._index_for(encoder.fingerprint)
        with self._lock:
            desk = self._desks.get(encoder.fingerprint)
            if desk is None or desk.index is not index or desk.encoder is not encoder:
                if desk is not None:
                    desk.library.close()
                desk = _Desk(self._catalogue, index, encoder, self._vocabulary, self._terms)
                self._desks[encoder.fingerprint] = desk
            return desk


def unseen_notes(encoder_id: str, unseen: Iterable[Unseen]) -> tuple[str, ...]:
    """What a query does not see, in words: slides whose patches are another encoder's, or of other weights."""
    notes = []
    for one in unseen:
        alone = one.slides == 1
        slides, be = ("1 slide", "is") if alone else (f"{one.slides:,} slides", "are")
        if one.encoder_id == encoder_id:
            was, them = ("was", "it") if alone else ("were", "them")
            notes.append(
                f"{slides} ({one.patches:,} patches) {was} indexed with other weights or settings of {encoder_id} and "
                f"{be} not searched: index {them} again, or remove what is left with 'plipdesk doctor --repair'."
            )
        else:
            notes.append(
                f"{slides} {be} indexed with {one.encoder_id}, not with {encoder_id}, and not searched: index with "
                f"this encoder too, or search with that one."
            )
    return tuple(notes)


class _Desk:
    """All that is needed to answer with one encoder."""

    def __init__(
        self,
        catalogue: Catalogue,
        index: VectorIndex,
        encoder: Encoder,
        vocabulary: Vocabulary,
        terms: TermVectors,
    ) -> None:
        self.index = index
        self.encoder = encoder
        self.library = Library(catalogue, encoder.fingerprint)
        self.asker = Asker(catalogue, self.library, index, encoder, vocabulary)
        self.calibration = Calibration(index, terms)


class _Answer:
    """One query being answered."""

    def __init__(self, query: Query, asked: Asked, desk: _Desk) -> None:
        self._query = query
        self._asked = asked
        self._index = desk.index
        self._encoder = desk.encoder
        self._calibration = desk.calibration
        self._library = desk.library
        self.notes: list[str] = []
        if desk.index.phase == "loading":
            self.notes.append("The index is still loading; this answer took an exact scan.")
        allowed = desk.library.allowed(query.filters, query.patch_mpp_um)
        self._selection = None if allowed is None else allowed[0]
        self._allowed_rows = None if allowed is None else allowed[1]
        self._chosen: list[Candidate] = []
        self._own = {} if query.include_query else self._own_rows(asked.own)
        parts = asked.parts or [Part(mosaic.vectors, weight) for weight, mosaic in asked.mosaics]
        self._scoring = Scoring(parts, desk.calibration.random_patches())
        if allowed is None:
            part_ids = desk.index.part_ids
            self.searched = Searched(desk.index.rows, desk.library.slide_count(part_ids))
        else:
            present = set(desk.index.part_ids.tolist())
            rows = [row for part_id, row in allowed[1].items() if part_id in present]
            self.searched = Searched(sum(row.patches for row in rows), len({row.slide_id for row in rows}))
        self._slides: dict[str, SlideRow] = {}
        self._best_patches: list[Candidate] = []

    def hits(self) -> tuple[Hit, ...]:
        """The hits, best first."""
        chosen = self._slides_that_match() if self._asked.mosaics else self._patches_that_match()
        self._know_slides(candidate.slide_id for candidate in chosen)
        chosen = [candidate for candidate in chosen if candidate.slide_id in self._slides]
        self._chosen = chosen
        return tuple(self._hit(rank, candidate) for rank, candidate in enumerate(chosen, start=1))

    def leakage(self) -> Leakage:
        """How far the neighbours of the hits come from the same slide, scanner or site, among what was searched."""
        rows = self._allowed_rows
        if rows is None:
            rows = self._library.embeddings(self._index.part_ids.tolist())
        return leakage_of(self._chosen, self._index, rows, self._library, self._selection)

    def stands_out(self) -> bool:
        """Whether the best patches found are more like what was asked than chance allows; see Calibration."""
        attracting = [part for part in self._scoring.parts if part.weight > 0]
        if not self._best_patches or not attracting:
            return False
        part_ids = np.array([patch.part_id for patch in self._best_patches], dtype=np.int64)
        rows = np.array([patch.row for patch in self._best_patches], dtype=np.int32)
        total = sum(part.weight for part in attracting)
        limits = {kind: self._calibration.limit(kind, self._encoder) for kind in {part.kind for part in attracting}}
        limit = sum(part.weight / total * limits[part.kind] for part in attracting)
        return self._scoring.likeness(self._index.vectors(part_ids, rows)) > limit

    # --- patches ------------------------------------------------------------------------------------------------------

    def _patches_that_match(self) -> list[Candidate]:
        """Rounds of candidates until there are enough groups, or no more candidates."""
        query = self._query
        left_out = sum(int(rows.sum()) for rows in self._own.values())
        ask = min(query.k * query.per_group + _SPARE + min(left_out, 1000), _MOST_ASKED)
        found: list[Candidate] = []
        seen: dict[int, list[int]] = {}
        full: set[int] = set()
        chosen: list[Candidate] = []
        for _ in range(_MOST_ROUNDS):
            part_ids, rows, scores = self._best(ask, seen, full)
            if not len(part_ids):
                break
            for part_id, row in zip(part_ids.tolist(), rows.tolist(), strict=True):
                seen.setdefault(part_id, []).append(row)
            found += self._as_candidates(part_ids, rows, scores)
            self._best_patches = found[:BEST_PATCHES]
            merged = merge_neighbours(found) if query.merge_neighbours else found
            chosen = self._grouped(merged)
            if len(part_ids) < ask or self._suffices(chosen):
                break
            if query.group != "patch":
                full.update(self._full(merged))
            ask = min(4 * ask, _MOST_ASKED)
        return chosen

    def _full(self, candidates: list[Candidate]) -> set[int]:
        """Parts of slides whose group has all the hits that it may show."""
        members: dict[str, int] = {}
        for candidate in candidates:
            group = self._group_of(candidate)
            members[group] = members.get(group, 0) + 1
        slide_ids = {one.slide_id for one in candidates if members[self._group_of(one)] >= self._query.per_group}
        return self._library.parts_of(slide_ids)

    def _best(
        self, count: int, seen: Mapping[int, list[int]], full: Set[int]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
        """The ``count`` best rows that were not seen yet, of parts that are not full, best first."""
        selection = self._without(seen, full)
        found = self._index.search(
            self._scoring.probes(), count, allowed=selection, scattered=self._scoring.asks_in_words
        )
        if self._scoring.is_plain:
            known = found.part_ids[0] >= 0
            return found.part_ids[0][known], found.rows[0][known], found.scores[0][known]
        together = np.stack([found.part_ids.ravel(), found.rows.ravel().astype(np.int64)], axis=1)
        together = np.unique(together[together[:, 0] >= 0], axis=0)
        part_ids, rows = together[:, 0], together[:, 1].astype(np.int32)
        scores = self._scoring.scores(self._index.vectors(part_ids, rows))
        order = np.argsort(-scores, kind="stable")[:count]
        return part_ids[order], rows[order], scores[order]

    def _without(self, seen: Mapping[int, list[int]], full: Set[int]) -> RowSelection | None:
        if not seen:
            return self._selection
        allowed = self._index.part_ids.tolist() if self._selection is None else self._selection.parts
        rest = {}
        for part_id in seen.keys() - full:
            file = self._index.file(part_id)
            if file is not None:
                rest[part_id] = np.setdiff1d(np.arange(file.rows), seen[part_id]).astype(np.int32)
        return RowSelection(parts=frozenset(allowed) - seen.keys() - full, rows=rest)

    def _as_candidates(
        self, part_ids: NDArray[np.int64], rows: NDArray[np.int32], scores: NDArray[np.float32]
    ) -> list[Candidate]:
        """Candidates in the order given, without those that the query itself shows."""
        known = self._library.embeddings(part_ids.tolist())
        found = []
        for part_id, row, score in zip(part_ids.tolist(), rows.tolist(), scores.tolist(), strict=True):
            embedding, file = known.get(part_id), self._index.file(part_id)
            own = self._own.get(part_id)
            if embedding is None or file is None or (own is not None and own[row]):
                continue
            x0_px, y0_px = int(file.x0_px[row]), int(file.y0_px[row])
            found.append(Candidate(part_id, row, score, embedding.slide_id, x0_px, y0_px, embedding.size0_px))
        return found

    def _grouped(self, candidates: list[Candidate]) -> list[Candidate]:
        query = self._query
        if query.group == "patch":
            return candidates[: query.k]
        if query.group == "case":
            self._know_slides(candidate.slide_id for candidate in candidates)
        return grouped(candidates, self._group_of, query.k, query.per_group)

    def _group_of(self, candidate: Candidate) -> str:
        slide = self._slides.get(candidate.slide_id)
        # A slide whose case nobody told is a case of its own.
        return slide.case if self._query.group == "case" and slide and slide.case else f"slide {candidate.slide_id}"

    def _suffices(self, chosen: list[Candidate]) -> bool:
        if self._query.group == "patch":
            return len(chosen) >= self._query.k
        return len({self._group_of(candidate) for candidate in chosen}) >= self._query.k

    def _own_rows(self, own: list[Own]) -> dict[int, NDArray[np.bool_]]:
        """For each part that the query itself shows something of, whether it shows each row."""
        shown: dict[int, NDArray[np.bool_]] = {}
        for one in own:
            for row in self._library.of_slide(one.slide_id):
                file = self._index.file(row.embedding_id)
                if file is None:
                    continue
                inside = np.ones(file.rows, dtype=bool)
                if one.region is not None:
                    inside = one.region.shares(file.x0_px, file.y0_px, row.size0_px) > COVERED
                before = shown.get(row.embedding_id)
                shown[row.embedding_id] = inside if before is None else inside | before
        return shown

    # --- slides -------------------------------------------------------------------------------------------------------

    def _slides_that_match(self) -> list[Candidate]:
        """Slides by Yottixel's rule; each shows its best matching patches, which carry the slide's score."""
        query = self._query
        own = set() if query.include_query else {one.slide_id for one in self._asked.own}
        part_ids = self._index.part_ids.tolist() if self._selection is None else self._selection.parts
        rows: dict[int, EmbeddingRow] = {
            part_id: row for part_id, row in self._library.embeddings(part_ids).items() if row.slide_id not in own
        }
        per_slide = 1 if query.group == "patch" else query.per_group
        wanted = len(rows) if query.group == "case" else query.k
        ranked = rank_slides(self._index, self._asked.mosaics, rows, wanted, max(per_slide, BEST_PATCHES))
        patches = sorted((patch for slide in ranked for patch in slide.patches), key=lambda patch: -patch.score)
        self._best_patches = patches[:BEST_PATCHES]
        found = [replace(patch, score=slide.score) for slide in ranked for patch in slide.patches[:per_slide]]
        return found if query.group == "patch" else self._grouped(found)

    # --- hits ---------------------------------------------------------------------------------------------------------

    def _know_slides(self, slide_ids: Iterable[str]) -> None:
        wanted = set(slide_ids) - self._slides.keys()
        self._slides.update(self._library.slides(wanted))

    def _hit(self, rank: int, candidate: Candidate) -> Hit:
        slide = self._slides[candidate.slide_id]
        # Stored vectors are as long as half precision lets them be: up to 0.0002 more than one.
        score = min(candidate.score, 1.0) if len(self._scoring.parts) == 1 else candidate.score
        return Hit(
            rank=rank,
            score=score,
            percentile=self._scoring.percentile(candidate.score),
            slide_id=slide.slide_id,
            path=slide.path,
            name=slide.name,
            case=slide.case,
            x0_px=candidate.x0_px,
            y0_px=candidate.y0_px,
            size0_px=candidate.size0_px,
            mpp_um=slide.mpp_um,
            stain=slide.stain,
            organ=slide.organ,
            merged=candidate.merged,
            channels=slide.channels,
        )
