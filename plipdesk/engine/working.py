"""Doing the engine's jobs, one after another, at low priority."""

from __future__ import annotations

from argparse import Namespace

from plipdesk.base.budget import CpuBudget, be_nice
from plipdesk.base.errors import Cancelled, Paused, PlipdeskError
from plipdesk.base.paths import Workspace
from plipdesk.encoders.protocol import Encoder
from plipdesk.engine import messages as m
from plipdesk.engine.client import EngineClient, NoAnswer, attach_child
from plipdesk.engine.kinds import KINDS
from plipdesk.engine.logs import ProcessLog
from plipdesk.engine.work import GivenBack, Work

IDLE_S = 30.0
"""A worker that has had nothing to do for so long ends, and gives back its memory."""


class Worker:
    """Does the engine's jobs, one at a time, and keeps the encoder of the last one loaded."""

    def __init__(self, workspace: Workspace, engine: EngineClient, log: ProcessLog, *, threads: int) -> None:
        self._workspace = workspace
        self._engine = engine
        self._log = log
        self._threads = threads
        self._encoder: tuple[str, Encoder] | None = None
        self._work: Work | None = None
        engine.on_event(self._hear)

    def run(self) -> None:
        """Work until there has been nothing to do for a while."""
        while True:
            try:
                leased = self._engine.request(m.LeaseJob(tuple(KINDS)), timeout_s=IDLE_S)
            except NoAnswer:
                return
            if isinstance(leased, m.JobLeased):
                self._do(leased)

    def _do(self, leased: m.JobLeased) -> None:
        work = Work(self._engine, leased, self._workspace, self._encoder_called)
        self._work = work
        with work:
            try:
                result = KINDS[leased.job.kind](work)
            except GivenBack:
                work.finish("queued", None, {})
            except Paused as pause:
                work.finish("paused", pause.message, {})
            except Cancelled as cancelled:
                work.finish("cancelled", cancelled.message, {})
            except PlipdeskError as error:
                work.finish("failed", str(error), _failure(error))
            except Exception as error:  # noqa: BLE001  the edge of the process: the next job goes on
                bug = self._log.bug(error)
                work.finish("failed", str(bug), _failure(bug))
            else:
                work.finish("done", None, result)

    def _hear(self, event: m.Message) -> None:
        if self._work is not None:
            self._work.obey(event)

    def _encoder_called(self, encoder_id: str | None) -> Encoder:
        from plipdesk.encoders.loading import find_encoder, load_encoder

        if encoder_id is None:
            status = self._engine.request(m.GetStatus())
            encoder_id = status.encoder if isinstance(status, m.Status) else None
        installed = find_encoder(encoder_id, self._workspace.models)
        fingerprint = installed.card.fingerprint("fp32")
        if self._encoder is not None and self._encoder[0] == fingerprint:
            return self._encoder[1]
        if self._encoder is not None:
            self._encoder[1].close()
            self._encoder = None
        encoder = load_encoder(installed, threads=self._threads)
        self._encoder = (fingerprint, encoder)
        return encoder


def _failure(error: PlipdeskError) -> dict[str, object]:
    return {"error": error.document(), "exit_code": error.exit_code}


def work(options: Namespace) -> None:
    """Work for the engine that ``options`` of the command line name."""
    workspace = Workspace(options.workspace)
    log = ProcessLog(workspace, "worker")
    engine = attach_child("worker", workspace, options.child, options.engine_pid)
    if engine is None:
        return
    be_nice()
    Worker(workspace, engine, log, threads=CpuBudget.of_machine().encoder_threads).run()
    engine.close()
