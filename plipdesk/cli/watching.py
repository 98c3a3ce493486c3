"""Watching work from the command line: progress on stderr until it ends, Ctrl-C cancels."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from plipdesk.base.errors import NotFound
from plipdesk.base.progress import Json
from plipdesk.catalogue.rows import JobItemRow, JobRow
from plipdesk.cli.session import Session
from plipdesk.engine import messages
from plipdesk.engine.client import EngineClient

if TYPE_CHECKING:
    from rich.progress import Progress

ENDED = ("done", "failed", "cancelled", "paused")


def follow_job(session: Session, kind: str, params: Mapping[str, Json]) -> JobRow:
    """Submit a job and follow it to its end.

    Raises:
        Cancelled: after Ctrl-C (the job is cancelled, what it committed is kept) or by someone else.
        Paused: it waits, since someone asked for it, the disk is full or the slides' drive is gone.
        PlipdeskError: the job as a whole failed, with the error that it met.
    """
    with session.engine() as engine:
        seen = _watch(engine)
        submitted = engine.request(messages.SubmitJob(kind=kind, params=dict(params)))
        assert isinstance(submitted, messages.JobReply)
        job_id = submitted.job.job_id
        try:
            job = _until_ended(session, engine, seen, job_id)
        except KeyboardInterrupt:
            engine.request(messages.ControlJob(job_id=job_id, action="cancel"))
            job = _until_ended(session, engine, seen, job_id)
    failure = messages.failure_of(job)
    if failure is not None:
        raise failure
    return job


def watch_job(session: Session, job_id: int) -> tuple[JobRow, tuple[JobItemRow, ...]]:
    """Follow a job that was submitted elsewhere; Ctrl-C stops watching, not the job."""
    with session.engine() as engine:
        seen = _watch(engine)
        job = _until_ended(session, engine, seen, job_id)
        reply = engine.request(messages.GetJob(job_id=job_id))
        assert isinstance(reply, messages.JobReply)
        return job, reply.items


def _watch(engine: EngineClient) -> queue.Queue[messages.Message | None]:
    seen: queue.Queue[messages.Message | None] = queue.Queue()
    engine.on_event(seen.put)
    engine.on_lost(lambda: seen.put(None))
    engine.request(messages.Subscribe())
    return seen


def _until_ended(
    session: Session, engine: EngineClient, seen: queue.Queue[messages.Message | None], job_id: int
) -> JobRow:
    with session.progress_bar() as bar:
        task = bar.add_task("waiting", total=None, unit="")
        reply = engine.request(messages.GetJob(job_id=job_id))
        assert isinstance(reply, messages.JobReply)
        job = reply.job
        while job.state not in ENDED:
            event = seen.get()
            if event is None:
                raise NotFound("The engine ended before the job did.", remedy="Run the command again: it goes on.")
            if isinstance(event, messages.JobChanged) and event.job.job_id == job_id:
                job = event.job
                if event.progress is not None:
                    progress = event.progress
                    note = progress.note or job.kind
                    total = progress.total or None
                    bar.update(task, completed=progress.done, total=total, description=note, unit=progress.unit)
            elif isinstance(event, messages.JobItemDone) and event.item.job_id == job_id and event.item.reason:
                bar.console.print(f"{event.item.status}: {event.item.path}: {event.item.reason}", soft_wrap=True)
    return job


@contextmanager
def watched(session: Session) -> Iterator[_OwnWork]:
    """A context for work that the command does itself, with its progress on stderr."""
    with session.progress_bar() as bar:
        yield _OwnWork(bar)


class _OwnWork:
    """A job's context; Ctrl-C ends the command by raising, and what was kept is found again the next time."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("preparing", total=None, unit="")

    def report(self, done: int, total: int, *, unit: str, note: str = "") -> None:
        """Draw how far it is."""
        self._bar.update(self._task, completed=done, total=total or None, description=note or "working", unit=unit)

    def check_cancel(self) -> None:
        """A command is cancelled by Ctrl-C, which raises by itself."""

    def checkpoint(self, state: Mapping[str, Json]) -> None:
        """The work's own files keep what is needed to go on."""
