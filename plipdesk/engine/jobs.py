"""The job desk of an engine: what people submit and order, what workers lease and report. It knows no kinds of work."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from plipdesk.base.errors import EnvironmentProblem, UsageProblem
from plipdesk.base.progress import Json, Progress
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.rows import JobItemRow, JobRow
from plipdesk.engine.events import EventHub
from plipdesk.engine.messages import (
    FinishJob,
    JobAction,
    JobChanged,
    JobItemDone,
    JobLeased,
    JobReply,
    Message,
    Orders,
)
from plipdesk.engine.server import Peer

_LOG = logging.getLogger(__name__)
Stop = Literal["no", "pause", "cancel", "yield"]
Death = Literal["crashed", "killed", "ended"]

CRASHES_ALLOWED = 1
"""How often native code may crash on an item before it is failed alone."""
KILLS_ALLOWED = 4
"""How often a worker may be killed from outside (by a person, or for memory) on an item before it is failed alone."""
SILENT_S = 120.0
"""A worker that says nothing for so long hangs."""
_SAVE_PROGRESS_S = 5.0


@dataclass
class _Running:
    """A leased job and the worker that has it."""

    job: JobRow
    peer: Peer
    progress: Progress | None = None
    stop: Stop = "no"
    in_work: set[str] = field(default_factory=set)
    heard_s: float = 0.0
    saved_s: float = 0.0


@dataclass(frozen=True)
class _Waiting:
    """A worker that asked for work when there was none."""

    peer: Peer
    request_id: int
    kinds: tuple[str, ...]


class JobDesk:
    """Queue and supervision of jobs; thread-safe.

    ``want_worker`` is called when work waits and no worker is there to ask for it.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        events: EventHub,
        *,
        kinds: Sequence[str],
        want_worker: Callable[[], None],
        changed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._jobs = catalogue.jobs
        self._events = events
        self._kinds = tuple(kinds)
        self._want_worker = want_worker
        self._changed = changed
        self._clock = clock
        self._lock = threading.RLock()
        self._running: dict[int, _Running] = {}
        self._waiting: list[_Waiting] = []
        self._stranded: list[tuple[_Running, Death]] = []
        self._asked_s = clock()

    # --- a person's side ----------------------------------------------------------------------------------------------

    def submit(self, kind: str, params: dict[str, Json], priority: int) -> JobReply:
        """Queue work.

        Raises:
            UsageProblem: there is no such kind of work.
        """
        if kind not in self._kinds:
            raise UsageProblem(f"There is no work called {kind!r}.")
        with self._lock:
            job = self._jobs.submit(kind, params, priority=priority)
            self._tell(job, None)
            for running in self._running.values():
                if running.job.priority < priority and running.stop == "no":
                    self._order(running, "yield")
            self.dispatch()
        return JobReply(job)

    def control(self, job_id: int, action: JobAction) -> JobReply:
        """Cancel, pause, resume or retry a job; a running one gets the order at once."""
        with self._lock:
            job = self._jobs.control(job_id, action)
            running = self._running.get(job_id)
            if running is not None:
                self._order(running, "no" if action == "resume" else "pause" if action == "pause" else "cancel")
            else:
                if action == "retry":
                    # What crashed before may have been repaired.
                    self._jobs.save_checkpoint(job_id, {**job.checkpoint, "deaths": {}})
                self._tell(job, None)
            self.dispatch()
        return JobReply(job, tuple(self._jobs.items(job_id)))

    def get(self, job_id: int) -> JobReply:
        """A job with its items, as far as it is now."""
        return JobReply(self._as_seen(self._jobs.get(job_id)), tuple(self._jobs.items(job_id)))

    def newest(self, limit: int) -> tuple[JobRow, ...]:
        """Jobs, newest first."""
        return tuple(self._as_seen(job) for job in self._jobs.all(limit=limit))

    def _as_seen(self, job: JobRow) -> JobRow:
        with self._lock:
            running = self._running.get(job.job_id)
        return job if running is None or running.progress is None else _with_progress(job, running.progress)

    def counts(self) -> tuple[int, int]:
        """How many jobs run, and how many wait."""
        return self._jobs.in_states("running"), self._jobs.in_states("queued")

    # --- a worker's side ----------------------------------------------------------------------------------------------

    def ask_for_work(self, peer: Peer, request_id: int, kinds: tuple[str, ...]) -> None:
        """A worker asks; the reply comes when there is work."""
        with self._lock:
            self._waiting.append(_Waiting(peer, request_id, kinds))
            self.dispatch()

    def dispatch(self) -> None:
        """Give work that waits to workers that wait; where there are none, want one."""
        with self._lock:
            while self._waiting:
                waiting = self._waiting[0]
                try:
                    job = self._jobs.lease(waiting.kinds, f"worker {waiting.peer.pid}")
                except EnvironmentProblem as problem:
                    # The disk is full, perhaps: the worker goes on waiting, and tidy() tries again.
                    _LOG.warning("no job can be leased: %s", problem.message)
                    return
                if job is None:
                    return
                self._waiting.pop(0)
                now = self._clock()
                self._running[job.job_id] = _Running(job, waiting.peer, heard_s=now, saved_s=now)
                deaths = _deaths(job)
                shown = dataclasses.replace(job, checkpoint=job.checkpoint.get("state", {}))
                waiting.peer.reply(waiting.request_id, JobLeased(shown, tuple(sorted(deaths))))
                self._tell(job, None)
            if not self._running and self._jobs.in_states("queued"):
                self._want_worker()

    def progress(self, peer: Peer, job_id: int, progress: Progress | None) -> Orders:
        """A worker's heartbeat; returns what it must do."""
        with self._lock:
            running = self._of(peer, job_id)
            now = self._clock()
            running.heard_s = now
            if progress is not None and progress != running.progress:
                running.progress = progress
                self._tell(running.job, progress)
            if now - running.saved_s >= _SAVE_PROGRESS_S:
                running.saved_s = now
                self._save_progress(running)
            return Orders(running.stop)

    def _save_progress(self, running: _Running) -> None:
        try:
            self._jobs.heartbeat(running.job.job_id, running.progress)
        except EnvironmentProblem as problem:
            _LOG.warning("progress cannot be saved: %s", problem.message)

    def begin(self, peer: Peer, job_id: int, path: str) -> None:
        """An item is in work from now on."""
        with self._lock:
            self._of(peer, job_id).in_work.add(path)

    def attempted(self, peer: Peer, item: JobItemRow) -> JobItemRow:
        """The item as it is to be stored: with the number of attempts it took."""
        with self._lock:
            running = self._of(peer, item.job_id)
            crashed, killed = _deaths(running.job).get(item.path, (0, 0))
            return dataclasses.replace(item, attempts=1 + crashed + killed)

    def end_item(self, peer: Peer, item: JobItemRow, *, stored: bool) -> None:
        """An item has ended; ``stored``: its row is written already."""
        with self._lock:
            if not stored:
                self._jobs.put_item(item)
            self._of(peer, item.job_id).in_work.discard(item.path)
        self._events.post_each(JobItemDone(item))

    def save_checkpoint(self, peer: Peer, job_id: int, state: dict[str, Json]) -> None:
        """Keep what the job's function wants to find when it goes on."""
        with self._lock:
            running = self._of(peer, job_id)
            checkpoint = {**running.job.checkpoint, "state": state}
            self._jobs.save_checkpoint(job_id, checkpoint)
            running.job = dataclasses.replace(running.job, checkpoint=checkpoint)

    def finish(self, peer: Peer, message: FinishJob) -> None:
        """A worker has ended its job, or gives it back."""
        with self._lock:
            running = self._of(peer, message.job_id)
            self._save_progress(running)
            if message.state == "queued":
                job = self._jobs.put_back(message.job_id)
            else:
                job = self._jobs.finish(message.job_id, message.state, reason=message.reason, result=message.result)
            del self._running[message.job_id]
            self._tell(job, running.progress)
            self.dispatch()

    def _of(self, peer: Peer, job_id: int) -> _Running:
        running = self._running.get(job_id)
        if running is None or running.peer is not peer:
            raise UsageProblem(f"Job {job_id} is not leased to this worker.")
        return running

    # --- supervision --------------------------------------------------------------------------------------------------

    def left(self, peer: Peer) -> bool:
        """A worker's connection is gone; returns whether it had a job (its death is then told by :meth:`died`)."""
        with self._lock:
            self._waiting = [waiting for waiting in self._waiting if waiting.peer is not peer]
            return any(running.peer is peer for running in self._running.values())

    def died(self, child: int, death: Death) -> bool:
        """The worker ``child`` has ended: blame what it had in work, put its job back. Returns whether it had one."""
        with self._lock:
            self._waiting = [waiting for waiting in self._waiting if waiting.peer.child != child]
            lost = [running for running in self._running.values() if running.peer.child == child]
            for running in lost:
                del self._running[running.job.job_id]
                self._stranded.append((running, death))
            self._put_back_stranded()
            self.dispatch()
            return bool(lost)

    def tidy(self) -> None:
        """Try again what could not be written down before; called now and then."""
        with self._lock:
            self._put_back_stranded()
            self.dispatch()

    def _put_back_stranded(self) -> None:
        stranded, self._stranded = self._stranded, []
        for running, death in stranded:
            try:
                if running.in_work and death != "ended":
                    self._blame(running, death)
                    running.in_work.clear()
                job = self._jobs.put_back(running.job.job_id)
            except EnvironmentProblem as problem:
                _LOG.warning("a job cannot be put back: %s", problem.message)
                self._stranded.append((running, death))
            else:
                self._save_progress(running)
                self._tell(job, running.progress)

    def _blame(self, running: _Running, death: Death) -> None:
        deaths = _deaths(running.job)
        # A commit may have come through just before the worker died.
        ended = {item.path for item in self._jobs.items(running.job.job_id)}
        for path in sorted(running.in_work - ended):
            crashed, killed = deaths.get(path, (0, 0))
            crashed, killed = (crashed + 1, killed) if death == "crashed" else (crashed, killed + 1)
            deaths[path] = (crashed, killed)
            alone = len(running.in_work) == 1
            if alone and (crashed > CRASHES_ALLOWED or killed > KILLS_ALLOWED):
                item = _killer_item(running.job.job_id, path, crashed, killed)
                self._jobs.put_item(item)
                self._events.post_each(JobItemDone(item))
        checkpoint = {**running.job.checkpoint, "deaths": {path: list(counts) for path, counts in deaths.items()}}
        self._jobs.save_checkpoint(running.job.job_id, checkpoint)
        _LOG.warning("a worker %s with %d items in work", death, len(running.in_work))

    def silent_workers(self) -> list[int]:
        """The children that hold a job and have said nothing for too long; to be asked every few seconds."""
        with self._lock:
            now = self._clock()
            if now - self._asked_s > SILENT_S / 4:
                # This process slept, too: the machine was suspended. Workers get the time to wake up.
                for running in self._running.values():
                    running.heard_s = now
            self._asked_s = now
            return [running.peer.child for running in self._running.values() if now - running.heard_s > SILENT_S]

    def recover(self) -> None:
        """At the engine's start: what ran when the last engine ended goes on."""
        for job_id in self._jobs.recover():
            _LOG.info("job %d goes on", job_id)
        self.dispatch()

    def give_up(self, reason: str) -> None:
        """No worker can be started: what waits is failed, in words."""
        with self._lock:
            while (job := self._jobs.lease(self._kinds, "nobody")) is not None:
                self._tell(self._jobs.finish(job.job_id, "failed", reason=reason, result={}), None)

    def busy(self) -> bool:
        """Whether a job runs or waits to run."""
        return any(self.counts())

    def _order(self, running: _Running, stop: Stop) -> None:
        running.stop = stop
        running.peer.push(Orders(stop))

    def _tell(self, job: JobRow, progress: Progress | None) -> None:
        shown = job if progress is None else _with_progress(job, progress)
        self._post(("job", job.job_id), JobChanged(shown, progress))
        self._changed()

    def _post(self, subject: tuple[str, int], event: Message) -> None:
        self._events.post(subject, event)


def _with_progress(job: JobRow, progress: Progress) -> JobRow:
    return dataclasses.replace(job, done=progress.done, total=progress.total, unit=progress.unit, note=progress.note)


def _deaths(job: JobRow) -> dict[str, tuple[int, int]]:
    """By path: how often a worker crashed, and was killed, with this item in work."""
    kept: dict[str, list[int]] = job.checkpoint.get("deaths", {})
    return {path: (crashed, killed) for path, (crashed, killed) in kept.items()}


def _killer_item(job_id: int, path: str, crashed: int, killed: int) -> JobItemRow:
    if crashed > CRASHES_ALLOWED:
        reason = f"Reading this slide crashed the worker process {crashed} times."
        remedy = "The file is damaged, or its reader is: make a new copy of the slide, then retry."
    else:
        reason = f"The worker process was ended from outside {killed} times while it read this slide."
        remedy = "Perhaps memory ran out: close other programs, then retry."
    return JobItemRow(job_id, path, None, "failed", reason, remedy, 0, None, 0.0, crashed + killed)
