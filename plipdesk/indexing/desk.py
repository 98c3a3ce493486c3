"""What indexing needs from whoever runs it: a catalogue to ask and to commit to, and someone to report to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from plipdesk.base.progress import JobContext
from plipdesk.catalogue.rows import EmbeddingRow, JobItemRow, SlideRow


class IndexDesk(JobContext, Protocol):
    """The desk of one indexing job; thread-safe."""

    @property
    def job_id(self) -> int:
        """The job's number."""

    @property
    def suspects(self) -> frozenset[str]:
        """Paths during which a worker died before; nothing else is done beside them."""

    def items(self) -> Sequence[JobItemRow]:
        """What became of the job's slides so far, over all its attempts."""

    def begin(self, path: str) -> None:
        """A slide is in work from now on."""

    def known(self, slide_id: str) -> tuple[SlideRow | None, Sequence[EmbeddingRow]]:
        """What is committed of a slide."""

    def commit(
        self,
        slide: SlideRow,
        embeddings: Sequence[EmbeddingRow],
        item: JobItemRow,
        collection: str | None,
        replaces: Sequence[int] = (),
    ) -> None:
        """Make a slide searchable, in one transaction; without embeddings: bring its place and case up to date.

        ``replaces``: ids of embeddings that go in the same moment.
        """

    def end(self, item: JobItemRow) -> None:
        """A slide ended without a commit."""
