"""Background jobs as the window knows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from plipdesk.base.progress import Progress
from plipdesk.catalogue.rows import JobItemRow, JobRow, JobState

ACTIVE: frozenset[JobState] = frozenset({"queued", "running"})
Action = Literal["cancel", "pause", "resume", "retry"]


@dataclass
class JobView:
    """A job, the last progress told of it, and what became of its items (the last word on each path)."""

    job: JobRow
    progress: Progress | None = None
    items: dict[str, JobItemRow] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether it runs or waits to."""
        return self.job.state in ACTIVE

    @property
    def done(self) -> int:
        """Items finished."""
        return self.progress.done if self.progress is not None else self.job.done

    @property
    def total(self) -> int:
        """Items in all; 0 while that is not known."""
        return self.progress.total if self.progress is not None else self.job.total

    @property
    def share(self) -> float | None:
        """How far it is, 0 to 1; None while that is not known."""
        if self.job.state == "done":
            return 1.0
        return min(1.0, self.done / self.total) if self.total else None

    @property
    def troubled(self) -> list[JobItemRow]:
        """Items that failed or were skipped, by path."""
        return [item for _, item in sorted(self.items.items()) if item.status in ("failed", "skipped")]

    def allowed(self) -> frozenset[Action]:
        """What can be done with the job now."""
        actions: set[Action] = set()
        if self.active:
            actions |= {"pause", "cancel"}
        if self.job.state == "paused":
            actions |= {"resume", "cancel"}
        if self.job.state in ("failed", "cancelled"):
            actions.add("retry")
        if self.job.state == "done" and any(item.status == "failed" for item in self.items.values()):
            actions.add("retry")
        return frozenset(actions)


class JobsState:
    """All jobs by id. Events may come before the list they belong to; rows never go back in time."""

    def __init__(self) -> None:
        self.views: dict[int, JobView] = {}

    def newest_first(self) -> list[JobView]:
        """Jobs, newest first."""
        return [view for _, view in sorted(self.views.items(), reverse=True)]

    def put(self, job: JobRow, progress: Progress | None = None) -> JobView:
        """A job was listed or has changed."""
        view = self.views.get(job.job_id)
        if view is None:
            view = self.views[job.job_id] = JobView(job)
        view.job = job
        view.progress = progress if job.state in ACTIVE else None
        return view

    def put_item(self, item: JobItemRow) -> JobView | None:
        """An item has ended; None if its job is not known yet."""
        view = self.views.get(item.job_id)
        if view is not None:
            view.items[item.path] = item
        return view

    def active(self) -> list[JobView]:
        """Jobs that run or wait to, oldest first."""
        return [view for _, view in sorted(self.views.items()) if view.active]

    def running(self) -> JobView | None:
        """The job that is worked on now, if any."""
        return next((view for view in self.active() if view.job.state == "running"), None)


def job_paths(job: JobRow) -> tuple[str, ...]:
    """The paths an index job was given; empty for other kinds."""
    paths = job.params.get("paths") if job.kind == "index" else None
    return tuple(str(path) for path in paths) if isinstance(paths, (list, tuple)) else ()


def short_name(path: str) -> str:
    """The last part of a path, as it is shown."""
    return Path(path).name or path


def reason_text(reason: str | None, remedy: str | None) -> str:
    """Why something failed and what to do; a remedy that speaks of the command line is not for the window."""
    return " ".join(part for part in (reason, None if remedy and "--" in remedy else remedy) if part)


def found_no_tissue(reason: str | None) -> bool:
    """Whether a slide was skipped because no tissue was found on it."""
    return reason is not None and "no tissue" in reason.lower()
