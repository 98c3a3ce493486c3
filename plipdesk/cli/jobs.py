"""``plipdesk jobs``: background work."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from plipdesk.catalogue.rows import JobItemRow, JobRow
from plipdesk.cli.commands import command, group
from plipdesk.cli.session import Session
from plipdesk.cli.watching import watch_job
from plipdesk.engine import messages

app = group("List, watch, cancel, pause, resume and retry background jobs.")
JobArgument = Annotated[int, typer.Argument(metavar="JOB", help="The job's number.")]


def job_document(job: JobRow, items: Sequence[JobItemRow] = ()) -> dict[str, Any]:
    """A job as ``--json`` prints it."""
    return dataclasses.asdict(job) | {"items": [dataclasses.asdict(item) for item in items]}


@command(app, "list")
def list_jobs(
    session: Session, limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 100
) -> None:
    """List jobs, newest first."""
    catalogue = session.catalogue()
    documents: list[dict[str, Any]] = []
    if catalogue is not None:
        with catalogue:
            documents = [job_document(job, catalogue.jobs.items(job.job_id)) for job in catalogue.jobs.all(limit=limit)]
    if session.as_json:
        session.answer({"jobs": documents})
        return
    from rich.table import Table

    table = Table("job", "kind", "state", "done", "reason", "created")
    for job in documents:
        done = f"{job['done']}/{job['total']} {job['unit']}" if job["total"] else ""
        table.add_row(str(job["job_id"]), job["kind"], job["state"], done, job["reason"] or "", job["created_at"])
    session.table().print(table)


@command(app, "watch")
def watch(session: Session, job: JobArgument) -> int:
    """Follow a job to its end; Ctrl-C stops watching, not the job."""
    ended, items = watch_job(session, job)
    if session.as_json:
        session.answer(job_document(ended, items))
    else:
        session.say(f"Job {job} is {ended.state}. {ended.reason or ''}".rstrip())
    return 0 if ended.state == "done" else 1


def _declare(action: Any, help_text: str) -> None:
    def control(session: Session, job: JobArgument) -> None:
        with session.engine() as engine:
            reply = engine.request(messages.ControlJob(job_id=job, action=action))
        assert isinstance(reply, messages.JobReply)
        if session.as_json:
            session.answer(job_document(reply.job, reply.items))
        else:
            session.say(f"Job {job} is {reply.job.state}.")

    control.__doc__ = help_text
    command(app, action)(control)


_declare("cancel", "Cancel a job; what it committed is kept.")
_declare("pause", "Let a job wait; it goes on from what is committed.")
_declare("resume", "Let a waiting job go on.")
_declare("retry", "Queue an ended job again; only what failed is tried once more.")
