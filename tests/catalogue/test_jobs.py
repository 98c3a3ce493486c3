"""The queue: leases, orders, recovery and items."""

from __future__ import annotations

from pathlib import Path

import pytest

from plipdesk.base.errors import NotFound, UsageProblem
from plipdesk.base.paths import Workspace
from plipdesk.base.progress import Progress
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.job_table import JobTable
from plipdesk.catalogue.rows import JobItemRow


@pytest.fixture
def jobs(tmp_path: Path):
    with Catalogue.open(Workspace(tmp_path)) as catalogue:
        yield catalogue.jobs


def item(job_id: int, path: str, status: str) -> JobItemRow:
    return JobItemRow(job_id, path, None, status, None, None, 0, None, 0.0, 1)  # type: ignore[arg-type]


def test_leases_follow_priority_then_age_and_never_delete(jobs: JobTable) -> None:
    old = jobs.submit("index", {"paths": ["a"]})
    young = jobs.submit("index", {})
    urgent = jobs.submit("index", {}, priority=5)
    jobs.submit("train", {})
    order = [jobs.lease(["index"], "worker") for _ in range(4)]
    assert [job and job.job_id for job in order] == [urgent.job_id, old.job_id, young.job_id, None]
    first = order[1]
    assert first is not None
    assert (first.state, first.attempts, first.params) == ("running", 1, {"paths": ["a"]})
    assert len(jobs.all()) == 4


def test_heartbeats_carry_progress_one_way_and_orders_the_other(jobs: JobTable) -> None:
    job = jobs.submit("index", {})
    jobs.lease(["index"], "worker")
    assert jobs.heartbeat(job.job_id, Progress(3, 10, "patches", "slide a")) == "no"
    seen = jobs.get(job.job_id)
    assert (seen.done, seen.total, seen.unit, seen.note) == (3, 10, "patches", "slide a")
    jobs.control(job.job_id, "pause")
    assert jobs.heartbeat(job.job_id) == "pause"
    jobs.control(job.job_id, "resume")
    assert jobs.heartbeat(job.job_id) == "no"
    jobs.control(job.job_id, "cancel")
    assert jobs.heartbeat(job.job_id) == "cancel"
    assert jobs.finish(job.job_id, "cancelled", reason=None, result={"n": 1}).result == {"n": 1}
    assert jobs.get(job.job_id).finished_at is not None


def test_after_a_kill_running_jobs_wait_again_and_orders_are_kept(jobs: JobTable) -> None:
    plain, told_to_pause, told_to_cancel = (jobs.submit("index", {}) for _ in range(3))
    for _ in range(3):
        jobs.lease(["index"], "worker")
    jobs.save_checkpoint(plain.job_id, {"epoch": 2})
    jobs.control(told_to_pause.job_id, "pause")
    jobs.control(told_to_cancel.job_id, "cancel")
    assert jobs.recover() == [plain.job_id, told_to_pause.job_id, told_to_cancel.job_id]
    states = {job.job_id: job.state for job in jobs.all()}
    assert states == {
        plain.job_id: "queued",
        told_to_pause.job_id: "paused",
        told_to_cancel.job_id: "cancelled",
    }
    again = jobs.lease(["index"], "another worker")
    assert again is not None
    assert (again.job_id, again.attempts, again.checkpoint) == (plain.job_id, 2, {"epoch": 2})
    assert jobs.recover() == [plain.job_id]


def test_a_retry_forgets_what_failed_and_keeps_what_is_done(jobs: JobTable) -> None:
    job = jobs.submit("index", {})
    jobs.lease(["index"], "worker")
    for path, status in (("a", "indexed"), ("b", "failed"), ("c", "skipped"), ("d", "unchanged")):
        jobs.put_item(item(job.job_id, path, status))
    jobs.put_item(item(job.job_id, "a", "unchanged"))
    jobs.finish(job.job_id, "done", reason=None, result={})
    assert jobs.control(job.job_id, "retry").state == "queued"
    assert [(row.path, row.status) for row in jobs.items(job.job_id)] == [("a", "unchanged"), ("d", "unchanged")]


@pytest.mark.parametrize(
    ("state", "action", "result"),
    [
        ("queued", "pause", "paused"),
        ("queued", "cancel", "cancelled"),
        ("paused", "resume", "queued"),
        ("paused", "cancel", "cancelled"),
        ("cancelled", "retry", "queued"),
        ("queued", "retry", None),
        ("cancelled", "pause", None),
        ("cancelled", "cancel", None),
    ],
)
def test_what_can_be_asked_of_a_waiting_or_ended_job(
    jobs: JobTable, state: str, action: str, result: str | None
) -> None:
    job = jobs.submit("index", {})
    if state != "queued":
        jobs.control(job.job_id, "pause" if state == "paused" else "cancel")
    if result is None:
        with pytest.raises(UsageProblem):
            jobs.control(job.job_id, action)  # type: ignore[arg-type]
    else:
        assert jobs.control(job.job_id, action).state == result  # type: ignore[arg-type]


def test_a_missing_job_is_said_in_words(jobs: JobTable) -> None:
    with pytest.raises(NotFound, match="no job 7"):
        jobs.get(7)
    with pytest.raises(NotFound):
        jobs.control(7, "cancel")
