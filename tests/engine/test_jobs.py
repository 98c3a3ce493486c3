"""The job desk: leases, orders, and what happens when workers die."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from plipdesk.base.errors import Cancelled, NotFound, Paused, UsageProblem
from plipdesk.base.files import DiskFull
from plipdesk.base.paths import Workspace
from plipdesk.base.progress import Progress
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.rows import JobItemRow
from plipdesk.engine.events import EventHub
from plipdesk.engine.jobs import SILENT_S, JobDesk
from plipdesk.engine.messages import FinishJob, JobLeased, Message, Orders, failure_of


class FakeWorker:
    """The far end of a worker's connection: keeps what is sent."""

    def __init__(self, child: int) -> None:
        self.child = child
        self.pid = 1000 + child
        self.replies: list[Message] = []
        self.pushed: list[Message] = []

    def reply(self, request_id: int, message: Message) -> None:
        self.replies.append(message)

    def push(self, event: Message) -> None:
        self.pushed.append(event)


class World:
    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.now_s = 0.0
        self.wanted = 0
        self.events: list[Message] = []
        self.hub = EventHub(self.events.append)
        self.desk = JobDesk(
            catalogue,
            self.hub,
            kinds=("index", "train"),
            want_worker=self._want,
            changed=lambda: None,
            clock=lambda: self.now_s,
        )
        self.workers = 0

    def _want(self) -> None:
        self.wanted += 1

    def worker(self) -> FakeWorker:
        self.workers += 1
        worker = FakeWorker(self.workers)
        self.desk.ask_for_work(worker, 1, ("index",))  # type: ignore[arg-type]
        return worker


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Catalogue.open(Workspace(tmp_path / "w")) as catalogue:
        world = World(catalogue)
        yield world
        world.hub.close()


def _leased(worker: FakeWorker) -> JobLeased:
    leased = worker.replies[-1]
    assert isinstance(leased, JobLeased)
    return leased


def _item(job_id: int, path: str, status: str = "unchanged") -> JobItemRow:
    return JobItemRow(job_id, path, None, status, None, None, 0, None, 0.0, 1)  # type: ignore[arg-type]


def test_work_goes_to_a_worker_that_waits(world: World) -> None:
    worker = world.worker()
    assert worker.replies == []
    job = world.desk.submit("index", {"paths": ["/a"]}, 0).job
    assert _leased(worker).job.job_id == job.job_id
    assert world.wanted == 0


def test_a_worker_is_wanted_when_none_waits(world: World) -> None:
    job = world.desk.submit("index", {}, 0).job
    assert world.wanted == 1
    worker = world.worker()
    assert _leased(worker).job.job_id == job.job_id
    assert world.desk.get(job.job_id).job.state == "running"


def test_work_of_an_unknown_kind_is_refused(world: World) -> None:
    with pytest.raises(UsageProblem, match="no work called 'dream'"):
        world.desk.submit("dream", {}, 0)


def test_higher_priority_first_and_running_work_yields_to_it(world: World) -> None:
    first = world.desk.submit("index", {}, 0).job
    worker = world.worker()
    urgent = world.desk.submit("index", {}, 5).job
    assert worker.pushed == [Orders("yield")]
    assert world.desk.progress(worker, first.job_id, None) == Orders("yield")  # type: ignore[arg-type]
    world.desk.finish(worker, FinishJob(first.job_id, "queued", None, {}))  # type: ignore[arg-type]
    world.desk.ask_for_work(worker, 2, ("index",))  # type: ignore[arg-type]
    assert _leased(worker).job.job_id == urgent.job_id
    assert world.desk.get(first.job_id).job.state == "queued"


def test_orders_reach_a_running_job_at_once(world: World) -> None:
    job = world.desk.submit("index", {}, 0).job
    worker = world.worker()
    world.desk.control(job.job_id, "pause")
    world.desk.control(job.job_id, "resume")
    world.desk.control(job.job_id, "cancel")
    assert worker.pushed == [Orders("pause"), Orders("no"), Orders("cancel")]
    world.desk.finish(worker, FinishJob(job.job_id, "cancelled", "Stopped.", {}))  # type: ignore[arg-type]
    assert world.desk.get(job.job_id).job.state == "cancelled"


def test_a_worker_may_speak_only_of_its_own_job(world: World) -> None:
    job = world.desk.submit("index", {}, 0).job
    world.worker()
    stranger = FakeWorker(99)
    with pytest.raises(UsageProblem, match="not leased"):
        world.desk.begin(stranger, job.job_id, "/a")  # type: ignore[arg-type]
    with pytest.raises(UsageProblem, match="not leased"):
        world.desk.finish(stranger, FinishJob(job.job_id, "done", None, {}))  # type: ignore[arg-type]


def test_progress_is_seen_and_kept(world: World) -> None:
    job = world.desk.submit("index", {}, 0).job
    worker = world.worker()
    world.desk.progress(worker, job.job_id, Progress(3, 10, "patches", "1 of 2 slides"))  # type: ignore[arg-type]
    assert world.desk.get(job.job_id).job.done == 3
    assert world.catalogue.jobs.get(job.job_id).done == 0
    world.now_s = 6.0
    world.desk.progress(worker, job.job_id, Progress(4, 10, "patches"))  # type: ignore[arg-type]
    assert world.catalogue.jobs.get(job.job_id).done == 4
    assert world.desk.newest(10)[0].done == 4


def test_a_dead_workers_job_goes_on_and_its_checkpoint_is_kept(world: World) -> None:
    job = world.desk.submit("index", {}, 0).job
    worker = world.worker()
    world.desk.save_checkpoint(worker, job.job_id, {"encoder": "null"})  # type: ignore[arg-type]
    wanted = world.wanted
    assert world.desk.died(worker.child, "killed")
    assert world.wanted == wanted + 1
    leased = _leased(world.worker())
    assert leased.job.checkpoint == {"encoder": "null"}
    assert leased.suspects == ()
    assert leased.job.attempts == 2


def test_a_slide_that_crashes_its_worker_twice_is_failed_alone(world: World) -> None:
    job = world.desk.submit("index", {}, 0).job
    worker = world.worker()
    for path in ("/good", "/evil"):
        world.desk.begin(worker, job.job_id, path)  # type: ignore[arg-type]
    world.desk.died(worker.child, "crashed")
    # Either may have done it: both are suspects, neither is failed.
    worker = world.worker()
    assert _leased(worker).suspects == ("/evil", "/good")
    assert world.desk.get(job.job_id).items == ()
    world.desk.begin(worker, job.job_id, "/good")  # type: ignore[arg-type]
    good = world.desk.attempted(worker, _item(job.job_id, "/good"))  # type: ignore[arg-type]
    assert good.attempts == 2
    world.desk.end_item(worker, good, stored=False)  # type: ignore[arg-type]
    world.desk.begin(worker, job.job_id, "/evil")  # type: ignore[arg-type]
    world.desk.died(worker.child, "crashed")
    items = {item.path: item for item in world.desk.get(job.job_id).items}
    assert items["/good"].status == "unchanged"
    assert items["/evil"].status == "failed"
    assert items["/evil"].attempts == 2
    assert items["/evil"].reason == "Reading this slide crashed the worker process 2 times."
    assert world.desk.get(job.job_id).job.state == "queued"


def test_kills_from_outside_are_borne_longer(world: World) -> None:
    job = world.desk.submit("index", {}, 0).job
    for kills in range(1, 6):
        worker = world.worker()
        world.desk.begin(worker, job.job_id, "/big")  # type: ignore[arg-type]
        world.desk.died(worker.child, "killed")
        assert len(world.desk.get(job.job_id).items) == (kills == 5)
    assert "ended from outside 5 times" in str(world.desk.get(job.job_id).items[0].reason)


def test_a_worker_that_just_ends_blames_nobody(world: World) -> None:
    job = world.desk.submit("index", {}, 0).job
    worker = world.worker()
    world.desk.begin(worker, job.job_id, "/a")  # type: ignore[arg-type]
    world.desk.died(worker.child, "ended")
    assert _leased(world.worker()).suspects == ()


def test_retry_forgives_crashes(world: World) -> None:
    job = world.desk.submit("index", {}, 0).job
    for _ in range(2):
        worker = world.worker()
        world.desk.begin(worker, job.job_id, "/evil")  # type: ignore[arg-type]
        world.desk.died(worker.child, "crashed")
    worker = world.worker()
    world.desk.finish(worker, FinishJob(job.job_id, "done", None, {}))  # type: ignore[arg-type]
    world.desk.ask_for_work(worker, 2, ("index",))  # type: ignore[arg-type]
    world.desk.control(job.job_id, "retry")
    assert _leased(worker).suspects == ()
    assert world.desk.get(job.job_id).items == ()


def _seconds_pass(world: World, seconds: int) -> list[int]:
    """The engine looks after its workers every five seconds."""
    silent: list[int] = []
    for _ in range(0, seconds, 5):
        world.now_s += 5
        silent = world.desk.silent_workers()
    return silent


def test_a_silent_worker_is_found(world: World) -> None:
    job = world.desk.submit("index", {}, 0).job
    worker = world.worker()
    assert _seconds_pass(world, int(SILENT_S)) == []
    world.desk.progress(worker, job.job_id, None)  # type: ignore[arg-type]
    assert _seconds_pass(world, int(SILENT_S)) == []
    assert _seconds_pass(world, 5) == [worker.child]


def test_a_suspended_machine_makes_no_worker_silent(world: World) -> None:
    world.desk.submit("index", {}, 0)
    worker = world.worker()
    assert _seconds_pass(world, 30) == []
    world.now_s += 3600
    assert _seconds_pass(world, int(SILENT_S)) == []
    assert _seconds_pass(world, 10) == [worker.child]


def test_after_an_engines_death_running_jobs_go_on(world: World) -> None:
    job = world.desk.submit("index", {}, 0).job
    world.worker()
    again = World(world.catalogue)
    again.desk.recover()
    assert again.wanted == 1
    assert _leased(again.worker()).job.job_id == job.job_id
    again.hub.close()


def test_what_a_full_disk_does_not_take_is_written_down_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = world.desk.submit("index", {}, 0).job
    worker = world.worker()

    def full(*_: object, **__: object) -> None:
        raise DiskFull("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(world.catalogue.jobs, "put_back", full)
        patch.setattr(world.catalogue.jobs, "heartbeat", full)
        world.now_s = 10.0
        assert world.desk.progress(worker, job.job_id, Progress(1, 2, "patches")) == Orders("no")  # type: ignore[arg-type]
        world.desk.died(worker.child, "crashed")
        world.desk.tidy()
        patch.setattr(world.catalogue.jobs, "lease", full)
        waiting = world.worker()
        assert waiting.replies == []
    world.desk.tidy()
    assert _leased(waiting).job.job_id == job.job_id


def test_when_no_worker_can_be_started_what_waits_fails_in_words(world: World) -> None:
    job = world.desk.submit("index", {}, 0).job
    world.desk.give_up("It cannot be started.")
    seen = world.desk.get(job.job_id).job
    assert (seen.state, seen.reason) == ("failed", "It cannot be started.")
    assert not world.desk.busy()


def test_what_became_of_a_job_comes_back_as_the_error_it_met(world: World) -> None:
    job = world.desk.submit("index", {}, 0).job
    assert failure_of(job) is None
    error = {"kind": "not-found", "message": "No such encoder.", "path": None, "remedy": "See the list."}
    failed = dataclasses.replace(job, state="failed", result={"error": error, "exit_code": 3})
    found = failure_of(failed)
    assert isinstance(found, NotFound)
    assert found.document() == error
    asked = {**error, "kind": "usage"}
    assert failure_of(dataclasses.replace(failed, result={"error": asked, "exit_code": 2})).exit_code == 2  # type: ignore[union-attr]
    assert "No worker" in str(failure_of(dataclasses.replace(job, state="failed", reason="No worker.")))
    assert isinstance(failure_of(dataclasses.replace(job, state="cancelled")), Cancelled)
    paused = failure_of(dataclasses.replace(job, state="paused", reason="The disk is full."))
    assert isinstance(paused, Paused)
    assert paused.message == "The disk is full."
