"""Rows of the catalogue beside the vectors of one encoder."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Set

import numpy as np
from numpy.typing import NDArray

from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.changes import ChangeWatch
from plipdesk.catalogue.embedding_table import Unseen
from plipdesk.catalogue.rows import EmbeddingRow, SlideFilter, SlideRow
from plipdesk.index.selection import RowSelection


class Library:
    """What the catalogue says about the parts of an index. Thread-safe.

    Embeddings never change once committed, so they are remembered; slides are remembered until anything changes, since
    people edit what is said about them.
    """

    def __init__(self, catalogue: Catalogue, encoder_fingerprint: str) -> None:
        self._catalogue = catalogue
        self._encoder_fingerprint = encoder_fingerprint
        self._lock = threading.Lock()
        self._rows: dict[int, EmbeddingRow] = {}
        self._counted: tuple[NDArray[np.int64], int] | None = None
        self._changes = ChangeWatch(catalogue.database)
        self._stamp = self._changes.stamp()
        self._slides: dict[str, SlideRow] = {}
        self._unseen: tuple[object, list[Unseen]] | None = None

    def embeddings(self, part_ids: Iterable[int]) -> dict[int, EmbeddingRow]:
        """The rows of parts by id; one that is no longer committed may be among them, its slide is not."""
        wanted = set(part_ids)
        with self._lock:
            if not wanted <= self._rows.keys():
                self._rows = {
                    row.embedding_id: row for row in self._catalogue.embeddings.select(self._encoder_fingerprint)
                }
            return {part_id: self._rows[part_id] for part_id in wanted if part_id in self._rows}

    def parts_of(self, slide_ids: Set[str]) -> set[int]:
        """Ids of the parts of some slides, as far as any part was asked for since they were committed."""
        with self._lock:
            return {part_id for part_id, row in self._rows.items() if row.slide_id in slide_ids}

    def of_slide(self, slide_id: str, patch_mpp_um: tuple[float, ...] = ()) -> list[EmbeddingRow]:
        """The embeddings of one slide."""
        return self._catalogue.embeddings.select(
            self._encoder_fingerprint, SlideFilter(slide_ids=(slide_id,)), patch_mpp_um
        )

    def slides(self, slide_ids: Iterable[str]) -> dict[str, SlideRow]:
        """Slides by id; those that are gone are left out."""
        wanted = set(slide_ids)
        with self._lock:
            # The stamp is taken before reading: what changes meanwhile is then read again the next time.
            stamp = self._changes.stamp()
            if stamp != self._stamp:
                self._slides, self._stamp = {}, stamp
            if missing := tuple(sorted(wanted - self._slides.keys())):
                rows = self._catalogue.slides.select(SlideFilter(slide_ids=missing))
                self._slides.update((row.slide_id, row) for row in rows)
            return {slide_id: self._slides[slide_id] for slide_id in wanted if slide_id in self._slides}

    def collections(self) -> dict[str, list[str]]:
        """Names of the collections that each slide is in; slides in none are left out."""
        found: dict[str, list[str]] = {}
        for collection in self._catalogue.collections.all():
            for row in self._catalogue.slides.select(SlideFilter(collections=(collection.name,))):
                found.setdefault(row.slide_id, []).append(collection.name)
        return found

    def unseen(self) -> list[Unseen]:
        """Slides that this encoder sees nothing of, though another one does; remembered until anything changes."""
        with self._lock:
            stamp = self._changes.stamp()
            if self._unseen is None or self._unseen[0] != stamp:
                self._unseen = (stamp, self._catalogue.embeddings.unseen(self._encoder_fingerprint))
            return self._unseen[1]

    def close(self) -> None:
        """Close the connection that notices changes."""
        self._changes.close()

    def allowed(
        self, filters: SlideFilter, patch_mpp_um: tuple[float, ...]
    ) -> tuple[RowSelection, dict[int, EmbeddingRow]] | None:
        """The parts that pass the filters; None where there is no filter."""
        if filters == SlideFilter() and not patch_mpp_um:
            return None
        rows = {
            row.embedding_id: row
            for row in self._catalogue.embeddings.select(self._encoder_fingerprint, filters, patch_mpp_um)
        }
        return RowSelection(parts=frozenset(rows)), rows

    def slide_count(self, part_ids: NDArray[np.int64]) -> int:
        """How many slides the parts of an index belong to; ``part_ids`` is remembered by identity."""
        counted = self._counted
        if counted is None or counted[0] is not part_ids:
            rows = self.embeddings(part_ids.tolist())
            counted = (part_ids, len({row.slide_id for row in rows.values()}))
            self._counted = counted
        return counted[1]
