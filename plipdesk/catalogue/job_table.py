"""The queue of background work: jobs are leased with a heartbeat, never deleted on take; attempts are counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from plipdesk.base.errors import NotFound, UsageProblem
from plipdesk.base.progress import Json, Progress
from plipdesk.catalogue import schema
from plipdesk.catalogue.clock import now_text
from plipdesk.catalogue.connection import Database
from plipdesk.catalogue.rows import JobItemRow, JobRow

Order = Literal["no", "pause", "cancel"]
JobAction = Literal["cancel", "pause", "resume", "retry"]
EndState = Literal["done", "failed", "cancelled", "paused"]

_jobs = schema.jobs
_items = schema.job_items
_HIDDEN = ("wanted", "owner", "heartbeat_at")


class JobTable:
    """The jobs of one workspace. It knows no kinds: those are the engine's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def submit(self, kind: str, params: Mapping[str, Json], *, priority: int = 0) -> JobRow:
        """Queue work; a higher priority goes first, then the older job."""
        values = {
            "kind": kind, "params": dict(params), "state": "queued", "wanted": "no", "priority": priority,
            "attempts": 0, "done": 0, "total": 0, "unit": "", "note": "", "checkpoint": {}, "result": {},
            "created_at": now_text(),
        }  # fmt: skip
        with self._database.writing() as connection:
            job_id = connection.execute(insert(_jobs).values(values)).inserted_primary_key
            assert job_id is not None
            return self._get_within(connection, int(job_id[0]))

    def lease(self, kinds: Sequence[str], owner: str) -> JobRow | None:
        """Take the next queued job of one of ``kinds`` for ``owner``; None if there is none."""
        with self._database.writing() as connection:
            ready = select(_jobs.c.job_id).where(_jobs.c.state == "queued", _jobs.c.kind.in_(kinds))
            ready = ready.order_by(_jobs.c.priority.desc(), _jobs.c.job_id).limit(1)
            job_id = connection.execute(ready).scalar_one_or_none()
            if job_id is None:
                return None
            now = now_text()
            started = self._get_within(connection, job_id).started_at or now
            taken = {
                "state": "running", "wanted": "no", "owner": owner, "heartbeat_at": now, "started_at": started,
                "finished_at": None, "reason": None, "attempts": _jobs.c.attempts + 1,
            }  # fmt: skip
            connection.execute(update(_jobs).where(_jobs.c.job_id == job_id).values(taken))
            return self._get_within(connection, job_id)

    def heartbeat(self, job_id: int, progress: Progress | None = None) -> Order:
        """Note that a running job is alive, and how far it has come; returns what it must do now."""
        values: dict[str, Any] = {"heartbeat_at": now_text()}
        if progress is not None:
            values |= {"done": progress.done, "total": progress.total, "unit": progress.unit, "note": progress.note}
        with self._database.writing() as connection:
            connection.execute(update(_jobs).where(_jobs.c.job_id == job_id).values(values))
            wanted: Order = connection.execute(select(_jobs.c.wanted).where(_jobs.c.job_id == job_id)).scalar_one()
        return wanted

    def save_checkpoint(self, job_id: int, state: Mapping[str, Json]) -> None:
        """Keep a small state from which the job can go on."""
        with self._database.writing() as connection:
            connection.execute(update(_jobs).where(_jobs.c.job_id == job_id).values(checkpoint=dict(state)))

    def finish(self, job_id: int, state: EndState, *, reason: str | None, result: Mapping[str, Json]) -> JobRow:
        """End (or, with ``paused``, lay aside) a running job."""
        values = {
            "state": state, "wanted": "no", "owner": None, "reason": reason, "result": dict(result),
            "finished_at": None if state == "paused" else now_text(),
        }  # fmt: skip
        with self._database.writing() as connection:
            connection.execute(update(_jobs).where(_jobs.c.job_id == job_id).values(values))
            return self._get_within(connection, job_id)

    def put_back(self, job_id: int, *, reason: str | None = None) -> JobRow:
        """Return a running job to the queue, since its worker is gone; an order given meanwhile is carried out."""
        with self._database.writing() as connection:
            self._put_back_within(connection, job_id, reason)
            return self._get_within(connection, job_id)

    def recover(self) -> list[int]:
        """Return every running job to the queue: called once when an engine starts, since no worker can be alive."""
        with self._database.writing() as connection:
            found = connection.execute(select(_jobs.c.job_id).where(_jobs.c.state == "running")).scalars().all()
            for job_id in found:
                self._put_back_within(connection, job_id, None)
        return list(found)

    def _put_back_within(self, connection: Connection, job_id: int, reason: str | None) -> None:
        row = connection.execute(select(_jobs.c.wanted, _jobs.c.state).where(_jobs.c.job_id == job_id)).one()
        if row.state != "running":
            return
        state = {"no": "queued", "pause": "paused", "cancel": "cancelled"}[row.wanted]
        values = {"state": state, "wanted": "no", "owner": None, "reason": reason}
        if state == "cancelled":
            values["finished_at"] = now_text()
        connection.execute(update(_jobs).where(_jobs.c.job_id == job_id).values(values))

    def control(self, job_id: int, action: JobAction) -> JobRow:
        """Cancel, pause, resume or retry a job. A running one gets the order with its next heartbeat.

        Retry queues an ended job again and forgets its failed and skipped items, so that they are tried once more.

        Raises:
            NotFound: no such job.
            UsageProblem: the job's state does not allow it.
        """
        with self._database.writing() as connection:
            job = self._get_within(connection, job_id)
            values: dict[str, Any]
            if action in ("cancel", "pause") and job.state == "running":
                values = {"wanted": action}
            elif action == "cancel" and job.state in ("queued", "paused"):
                values = {"state": "cancelled", "finished_at": now_text()}
            elif action == "pause" and job.state == "queued":
                values = {"state": "paused"}
            elif action == "resume" and job.state == "paused":
                values = {"state": "queued"}
            elif action == "resume" and job.state == "running":
                values = {"wanted": "no"}
            elif action == "retry" and job.state in ("done", "failed", "cancelled"):
                values = {"state": "queued", "reason": None, "finished_at": None, "result": {}}
                again = (_items.c.job_id == job_id) & _items.c.status.in_(("failed", "skipped"))
                connection.execute(delete(_items).where(again))
            else:
                raise UsageProblem(
                    f"Job {job_id} is {job.state}: it cannot be asked to {action}.", remedy="See 'plipdesk jobs list'."
                )
            connection.execute(update(_jobs).where(_jobs.c.job_id == job_id).values(values))
            return self._get_within(connection, job_id)

    def get(self, job_id: int) -> JobRow:
        """The job with this number.

        Raises:
            NotFound: no such job.
        """
        with self._database.reading() as connection:
            return self._get_within(connection, job_id)

    def all(self, *, limit: int = 100) -> list[JobRow]:
        """Jobs, newest first."""
        with self._database.reading() as connection:
            rows = connection.execute(select(_jobs).order_by(_jobs.c.job_id.desc()).limit(limit))
            return [_row(row) for row in rows]

    def in_states(self, *states: str) -> int:
        """How many jobs are in one of ``states``."""
        with self._database.reading() as connection:
            return len(connection.execute(select(_jobs.c.job_id).where(_jobs.c.state.in_(states))).all())

    def put_item(self, item: JobItemRow) -> None:
        """Note what became of one item of a job; an earlier note about the same path is replaced."""
        with self._database.writing() as connection:
            self.put_item_within(connection, item)

    def put_item_within(self, connection: Connection, item: JobItemRow) -> None:
        """:meth:`put_item` as part of a larger transaction."""
        values = dataclasses.asdict(item)
        statement = upsert(_items).values(values)
        connection.execute(statement.on_conflict_do_update(index_elements=["job_id", "path"], set_=values))

    def items(self, job_id: int) -> list[JobItemRow]:
        """What became of each item so far, by path."""
        with self._database.reading() as connection:
            rows = connection.execute(select(_items).where(_items.c.job_id == job_id).order_by(_items.c.path))
            return [JobItemRow(**row._mapping) for row in rows]

    def _get_within(self, connection: Connection, job_id: int) -> JobRow:
        row = connection.execute(select(_jobs).where(_jobs.c.job_id == job_id)).one_or_none()
        if row is None:
            raise NotFound(f"There is no job {job_id}.", remedy="See 'plipdesk jobs list'.")
        return _row(row)


def _row(row: Row[Any]) -> JobRow:
    return JobRow(**{name: value for name, value in row._mapping.items() if name not in _HIDDEN})
