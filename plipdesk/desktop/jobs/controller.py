"""Keeps the list of jobs true to what the engine tells."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from plipdesk.base.progress import Json
from plipdesk.catalogue.rows import JobItemRow
from plipdesk.desktop.link import Link
from plipdesk.desktop.state.jobs import Action, JobsState
from plipdesk.engine import messages as m

ITEMS_OF_JOBS = 20
"""Of how many of the latest jobs the items are asked for at start."""


class JobsController(QObject):
    """The jobs, and what a person orders them to do."""

    changed = Signal(int)
    """A job is new or in another state (its id)."""
    progressed = Signal(int)
    """A job has come further (its id)."""
    item_done = Signal(object)
    """A :class:`~plipdesk.catalogue.rows.JobItemRow` that ended just now."""

    def __init__(self, link: Link, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._link = link
        self.state = JobsState()
        link.connected.connect(self.refresh)
        link.event_arrived.connect(self._on_event)

    def refresh(self) -> None:
        """List the jobs anew."""
        self._link.ask(m.ListJobs(), self._on_list)

    def submit(self, kind: str, params: dict[str, Json], *, priority: int = 0) -> None:
        """Queue a job; one of higher priority goes first."""
        self._link.ask(m.SubmitJob(kind, params, priority), self._on_reply)

    def control(self, job_id: int, action: Action) -> None:
        """Order a job to pause, resume, stop or try its failed items again."""
        self._link.ask(m.ControlJob(job_id, action), self._on_reply)

    def _on_list(self, reply: m.Message) -> None:
        if not isinstance(reply, m.JobList):
            return
        for job in reply.jobs:
            known = self.state.views.get(job.job_id)
            self.state.put(job, None if known is None else known.progress)
            self.changed.emit(job.job_id)
        for job in reply.jobs[:ITEMS_OF_JOBS]:
            self._link.ask(m.GetJob(job.job_id), self._on_reply)

    def _on_reply(self, reply: m.Message) -> None:
        if isinstance(reply, m.JobReply):
            known = self.state.views.get(reply.job.job_id)
            view = self.state.put(reply.job, None if known is None else known.progress)
            for item in reply.items:
                view.items[item.path] = item
            self.changed.emit(reply.job.job_id)

    def _on_event(self, event: m.Message) -> None:
        if isinstance(event, m.JobChanged):
            known = self.state.views.get(event.job.job_id)
            before = None if known is None else (known.job.state, _note(known.progress))
            self.state.put(event.job, event.progress)
            after = (event.job.state, _note(event.progress))
            (self.changed if before != after else self.progressed).emit(event.job.job_id)
        elif isinstance(event, m.JobItemDone):
            self._item(event.item)

    def _item(self, item: JobItemRow) -> None:
        if self.state.put_item(item) is not None:
            self.changed.emit(item.job_id)
            self.item_done.emit(item)
            return

        def known(reply: m.Message) -> None:
            self._on_reply(reply)
            self.item_done.emit(item)

        self._link.ask(m.GetJob(item.job_id), known)


def _note(progress: object) -> str:
    return getattr(progress, "note", "")
