"""A leased job as its function sees it, and the messages to the engine behind that."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Self

from plipdesk.base.errors import Bug, Cancelled, Paused, PlipdeskError
from plipdesk.base.paths import Workspace
from plipdesk.base.progress import Json, Progress, RateMeter
from plipdesk.catalogue.rows import EmbeddingRow, JobItemRow, JobRow, SlideRow
from plipdesk.encoders.protocol import Encoder
from plipdesk.engine import messages as m
from plipdesk.engine.client import EngineClient

_LOG = logging.getLogger(__name__)
HEARTBEAT_S = 1.0
_REPORT_S = 0.1


class GivenBack(Paused):
    """The job goes back into the queue, since one of higher priority waits."""


class Work:
    """Implements what rooms ask for: :class:`JobContext` for all, ``IndexDesk`` for indexing. Thread-safe.

    While it is open a thread tells the engine how far the work has come: at most ten times a second, and at least once
    a second, which is the worker's heartbeat.
    """

    def __init__(
        self,
        engine: EngineClient,
        leased: m.JobLeased,
        workspace: Workspace,
        encoder: Callable[[str | None], Encoder],
    ) -> None:
        self.job: JobRow = leased.job
        self.workspace = workspace
        self.encoder = encoder
        self.suspects = frozenset(leased.suspects)
        self._engine = engine
        self._meter = RateMeter()
        self._lock = threading.Condition()
        self._progress: Progress | None = None
        self._told: Progress | None = None
        self._stop = "no"
        self._closed = False
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    @property
    def job_id(self) -> int:
        """The job's number."""
        return self.job.job_id

    # --- JobContext ---------------------------------------------------------------------------------------------------

    def report(self, done: int, total: int, *, unit: str, note: str = "") -> None:
        """Tell how far the work has come; cheap."""
        with self._lock:
            self._progress = self._meter.progress(done, total, unit=unit, note=note)
            self._lock.notify()

    def check_cancel(self) -> None:
        """Raise :class:`Cancelled` or :class:`Paused` if asked to stop."""
        if self._stop == "cancel":
            raise Cancelled
        if self._stop == "pause":
            raise Paused
        if self._stop == "yield":
            raise GivenBack

    def checkpoint(self, state: Mapping[str, Json]) -> None:
        """Keep a small state from which the work can go on after a kill."""
        self._ask(m.SaveCheckpoint(self.job_id, dict(state)))

    def obey(self, event: m.Message) -> None:
        """Take an order that the engine sends by itself."""
        if isinstance(event, m.Orders):
            self._stop = event.stop

    # --- IndexDesk ----------------------------------------------------------------------------------------------------

    def items(self) -> Sequence[JobItemRow]:
        """What became of the job's items so far, over all its attempts."""
        reply = self._engine.request(m.GetJob(self.job_id))
        if not isinstance(reply, m.JobReply):
            raise Bug(f"The engine answered GetJob with {type(reply).__name__}.")
        return reply.items

    def begin(self, path: str) -> None:
        """An item is in work from now on."""
        self._ask(m.BeginItem(self.job_id, path))

    def known(self, slide_id: str) -> tuple[SlideRow | None, Sequence[EmbeddingRow]]:
        """What is committed of a slide."""
        reply = self._engine.request(m.LookUpSlide(slide_id))
        if not isinstance(reply, m.SlideKnown):
            raise Bug(f"The engine answered LookUpSlide with {type(reply).__name__}.")
        return reply.slide, reply.embeddings

    def commit(
        self,
        slide: SlideRow,
        embeddings: Sequence[EmbeddingRow],
        item: JobItemRow,
        collection: str | None,
        replaces: Sequence[int] = (),
    ) -> None:
        """Make a slide searchable, in one transaction in which what it replaces goes."""
        self._ask(m.CommitSlide(self.job_id, slide, tuple(embeddings), item, collection, tuple(replaces)))

    def end(self, item: JobItemRow) -> None:
        """An item ended without a commit."""
        self._ask(m.ReportItem(item))

    # --- the engine ---------------------------------------------------------------------------------------------------

    def finish(self, state: str, reason: str | None, result: Mapping[str, Json]) -> None:
        """Tell the engine how the job ended."""
        self.close()
        self._ask(m.FinishJob(self.job_id, state, reason, dict(result)))  # type: ignore[arg-type]

    def _ask(self, message: m.Message) -> None:
        self._engine.request(message)

    def _beat(self) -> None:
        while True:
            with self._lock:
                if self._progress == self._told:
                    self._lock.wait(HEARTBEAT_S)
                if self._closed:
                    return
                progress = self._told = self._progress
            try:
                self.obey(self._engine.request(m.ReportProgress(self.job_id, progress)))
            except PlipdeskError as error:
                # The work itself will meet what is wrong; without a heartbeat it would be taken for dead.
                _LOG.warning("progress cannot be told: %s", error.message)
            with self._lock:
                # Also paces: what is reported meanwhile is told together.
                self._lock.wait_for(lambda: self._closed, timeout=_REPORT_S)

    def close(self) -> None:
        """Say how far the work has come, then stop the heartbeat."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._lock.notify()
            progress = self._progress if self._progress != self._told else None
        self._thread.join()
        if progress is not None:
            self._ask(m.ReportProgress(self.job_id, progress))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
