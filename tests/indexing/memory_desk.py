"""An index desk that keeps everything in memory, and lets a test act at a chosen moment."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping, Sequence

from plipdesk.base.errors import PlipdeskError
from plipdesk.base.progress import Json
from plipdesk.catalogue.rows import EmbeddingRow, JobItemRow, SlideRow


class MemoryDesk:
    """Commits like the catalogue does: all rows of a slide, its item and its collection at once."""

    def __init__(self) -> None:
        self.job_id = 1
        self.suspects: frozenset[str] = frozenset()
        self.slides: dict[str, SlideRow] = {}
        self.embeddings: list[EmbeddingRow] = []
        self.ended: dict[str, JobItemRow] = {}
        self.collections: dict[str, list[str]] = {}
        self.began: list[str] = []
        self.reports: list[tuple[int, int, str]] = []
        self.state: dict[str, Json] = {}
        self.stop: PlipdeskError | None = None
        self.on_begin: Callable[[str], None] = lambda _: None
        self.on_report: Callable[[int], None] = lambda _: None
        self.on_commit: Callable[[SlideRow], None] = lambda _: None
        self._lock = threading.Lock()

    def report(self, done: int, total: int, *, unit: str, note: str = "") -> None:
        self.reports.append((done, total, note))
        self.on_report(done)

    def check_cancel(self) -> None:
        if self.stop is not None:
            raise self.stop

    def checkpoint(self, state: Mapping[str, Json]) -> None:
        self.state = dict(state)

    def items(self) -> Sequence[JobItemRow]:
        return [self.ended[path] for path in sorted(self.ended)]

    def begin(self, path: str) -> None:
        self.began.append(path)
        self.on_begin(path)

    def known(self, slide_id: str) -> tuple[SlideRow | None, Sequence[EmbeddingRow]]:
        with self._lock:
            return self.slides.get(slide_id), [row for row in self.embeddings if row.slide_id == slide_id]

    def commit(
        self,
        slide: SlideRow,
        embeddings: Sequence[EmbeddingRow],
        item: JobItemRow,
        collection: str | None,
        replaces: Sequence[int] = (),
    ) -> None:
        self.on_commit(slide)
        with self._lock:
            self.slides[slide.slide_id] = slide
            for row in embeddings:
                number = 1 + max((old.embedding_id for old in self.embeddings), default=0)
                self.embeddings.append(dataclasses.replace(row, embedding_id=number))
            self.embeddings = [row for row in self.embeddings if row.embedding_id not in replaces]
            self.ended[item.path] = item
            if collection is not None:
                self.collections.setdefault(collection, []).append(slide.slide_id)

    def end(self, item: JobItemRow) -> None:
        with self._lock:
            self.ended[item.path] = item

    def status(self) -> dict[str, str]:
        """By name of the file: what became of it."""
        return {path.rsplit("/", 1)[-1]: item.status for path, item in self.ended.items()}
