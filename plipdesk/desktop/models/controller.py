"""Keeps the list of encoders true to what the engine tells, and passes on what a person wants of them."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from plipdesk.base.progress import Json
from plipdesk.desktop.jobs.controller import JobsController
from plipdesk.desktop.link import Link
from plipdesk.desktop.state.jobs import JobView
from plipdesk.desktop.state.models import MODEL_KINDS, ModelsState
from plipdesk.engine import messages as m
from plipdesk.search.query import Query

MODELS_FIRST = 1
"""Priority of jobs that bring an encoder: a person waits for it, and an indexing that runs goes on afterwards."""
Failure = Callable[[m.Failed], None]


class ModelsController(QObject):
    """The encoders, and what happens to them."""

    changed = Signal()
    """:attr:`state` is new."""
    jobs_changed = Signal()
    """A job that brings or carries an encoder has begun, come further or ended."""
    job_ended = Signal(object)
    """Such a job has ended (its JobRow)."""

    def __init__(self, link: Link, jobs: JobsController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._link = link
        self._jobs = jobs
        self._at_work: set[int] = set()
        self.state = ModelsState()
        link.event_arrived.connect(self._on_event)
        link.connected.connect(self._on_connected)
        jobs.changed.connect(self._on_job)
        jobs.progressed.connect(self._on_job)
        self._wanted = False

    def load(self) -> None:
        """Ask for the encoders, now and whenever they change."""
        self._wanted = True
        self._link.ask(m.ListModels(), self._on_list)

    def at_work(self) -> list[JobView]:
        """The jobs that bring or carry an encoder now, oldest first."""
        return [view for view in self._jobs.state.active() if view.job.kind in MODEL_KINDS]

    # --- wishes -------------------------------------------------------------------------------------------------------

    def import_path(self, path: str, **given: Json) -> None:
        """Import a folder, a weights file or an exported encoder; ``given``: what the person knows of it."""
        known = {key: value for key, value in given.items() if value is not None}
        self._jobs.submit("import-model", {"path": path, **known}, priority=MODELS_FIRST)

    def download(self, model_id: str, accepted_licence: str) -> None:
        """Download a known model, whose licence was accepted."""
        params = {"id": model_id, "accepted_licence": accepted_licence}
        self._jobs.submit("download-model", params, priority=MODELS_FIRST)

    def keep_token(self, token: str, done: Callable[[], None], failed: Failure) -> None:
        """Keep the token of the person's account in the system's keyring."""
        self._link.ask(m.KeepToken(token), lambda _: done(), failed)

    def export(self, model_id: str, path: str) -> None:
        """Write an encoder into one file."""
        self._jobs.submit("export-model", {"id": model_id, "path": path}, priority=MODELS_FIRST)

    def stop(self, job_id: int) -> None:
        """Stop such a job; what was downloaded is kept."""
        self._jobs.control(job_id, "cancel")

    def cost(self, model_id: str, collection: str | None, done: Callable[[m.Cost], None], failed: Failure) -> int:
        """Ask what it costs; returns a ticket that can be forgotten."""

        def told(reply: m.Message) -> None:
            if isinstance(reply, m.Cost):
                done(reply)

        return self._link.ask(m.GetCost(model_id, collection), told, failed)

    def forget(self, ticket: int) -> None:
        """An answer does not matter any more."""
        self._link.forget(ticket)

    def use(self, model_id: str, collection: str | None, encode: m.Cost | None, failed: Failure) -> None:
        """Let the workspace or a collection use an encoder, and have what it does not know encoded."""

        def chosen(_: m.Message) -> None:
            for params in encode.jobs if encode is not None else ():
                self._jobs.submit("index", params)

        self._link.ask(m.UseEncoder(model_id, collection), chosen, failed)

    def remove(self, model_id: str, done: Callable[[m.Removed], None], failed: Failure) -> None:
        """Remove an encoder with all that it made."""

        def gone(reply: m.Message) -> None:
            if isinstance(reply, m.Removed):
                done(reply)

        self._link.ask(m.RemoveModel(model_id), gone, failed)

    def compare(
        self, query: Query, encoders: tuple[str, str], done: Callable[[m.Compared], None], failed: Failure
    ) -> int:
        """Ask two encoders the same; returns a ticket that can be forgotten."""

        def told(reply: m.Message) -> None:
            if isinstance(reply, m.Compared):
                done(reply)

        return self._link.ask(m.Compare(query, encoders), told, failed)

    # --- what the engine tells ----------------------------------------------------------------------------------------

    def _on_connected(self) -> None:
        if self._wanted:
            self.load()

    def _on_event(self, event: m.Message) -> None:
        if isinstance(event, m.ModelsChanged) and self._wanted:
            self.load()

    def _on_list(self, reply: m.Message) -> None:
        if isinstance(reply, m.ModelList):
            self.state = ModelsState(reply.models, reply.current)
            self.changed.emit()

    def _on_job(self, job_id: int) -> None:
        view = self._jobs.state.views.get(job_id)
        if view is None or view.job.kind not in MODEL_KINDS:
            return
        if view.active:
            self._at_work.add(job_id)
        elif job_id in self._at_work:
            self._at_work.discard(job_id)
            self.job_ended.emit(view.job)
        self.jobs_changed.emit()
