"""What an engine answers: each message goes to the room that knows."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any

from plipdesk.base.errors import Bug, EnvironmentProblem, PlipdeskError, UsageProblem
from plipdesk.base.paths import Workspace
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.rows import SlideFilter
from plipdesk.engine import messages as m
from plipdesk.engine.drawing_desk import DrawingDesk
from plipdesk.engine.events import EventHub
from plipdesk.engine.jobs import JobDesk
from plipdesk.engine.labelling_desk import LabellingDesk
from plipdesk.engine.lifetime import Lifetime
from plipdesk.engine.model_desk import MODEL_JOBS, ModelDesk
from plipdesk.engine.reader_desk import ReaderDesk
from plipdesk.engine.server import Peer, Refused, in_words
from plipdesk.engine.shelves import EncoderShelf, IndexShelf
from plipdesk.engine.supervisor import Supervisor
from plipdesk.search.searcher import Searcher

_LOG = logging.getLogger(__name__)


class EngineService:
    """The engine as its peers see it. Quick requests are answered on the peer's thread, slow ones on ``slow``."""

    def __init__(
        self,
        workspace: Workspace,
        catalogue: Catalogue,
        *,
        encoders: EncoderShelf,
        indexes: IndexShelf,
        searcher: Searcher,
        jobs: JobDesk,
        readers: ReaderDesk,
        supervisor: Supervisor,
        events: EventHub,
        lifetime: Lifetime,
        slow: Executor,
        unforeseen: Callable[[BaseException], Bug],
        end: Callable[[], None],
    ) -> None:
        self._workspace = workspace
        self._catalogue = catalogue
        self._encoders = encoders
        self._indexes = indexes
        self._jobs = jobs
        self._readers = readers
        self._supervisor = supervisor
        self._searcher = searcher
        self._events = events
        self._lifetime = lifetime
        self._slow = slow
        self._unforeseen = unforeseen
        self._end = end
        self._slide_ids = {slide.slide_id for slide in catalogue.slides.select()}
        drawing = DrawingDesk(catalogue, workspace, events, self._submit)
        labelling = LabellingDesk(catalogue, workspace, encoders.get)
        self._models = ModelDesk(
            catalogue,
            workspace,
            encoders=encoders,
            indexes=indexes,
            searcher=searcher,
            jobs=jobs,
            events=events,
            slides_changed=self._slides_changed,
        )
        self._quick_answers: dict[type[m.Message], Callable[[Any], m.Message]] = {
            m.SubmitJob: self._submit,
            m.ControlJob: lambda asked: jobs.control(asked.job_id, asked.action),
            m.GetJob: lambda asked: jobs.get(asked.job_id),
            m.ListJobs: lambda asked: m.JobList(jobs.newest(asked.limit)),
            m.ListSlides: lambda asked: self._slides(asked.filters),
            m.SetSlide: self._set_slide,
            m.RemoveSlide: self._remove_slide,
            m.ListCollections: lambda _: self._collections(),
            m.EditCollection: self._edit_collection,
            m.GetStatus: lambda _: self.status(),
            m.LookUpSlide: self._look_up,
            **drawing.quick_answers(),
            **labelling.quick_answers(),
        }
        self._slow_answers: dict[type[m.Message], Callable[[Any], m.Message]] = {
            m.Search: self._search,
            m.RelinkSlide: self._relink_slide,
            m.ListEncoders: lambda _: self._encoder_list(),
            m.UseEncoder: self._use_encoder,
            **drawing.slow_answers(),
            **labelling.slow_answers(),
            **self._models.slow_answers(),
        }
        self._worker_answers: dict[type[m.Message], Callable[[Peer, Any], m.Message]] = {
            m.ReportProgress: lambda peer, said: jobs.progress(peer, said.job_id, said.progress),
            m.BeginItem: self._begin_item,
            m.CommitSlide: self._commit_slide,
            m.ReportItem: self._report_item,
            m.SaveCheckpoint: self._save_checkpoint,
            m.FinishJob: self._finish_job,
        }

    # --- peers --------------------------------------------------------------------------------------------------------

    def welcome(self, peer: Peer) -> m.Message:
        """Let a peer in; children must be ours."""
        if peer.role in ("worker", "reader") and not self._supervisor.check_in(peer.child):
            raise Refused(f"This engine has not started that {peer.role} process.")
        self._lifetime.came(peer.role)
        return m.Welcome(version=m.PROTOCOL_VERSION, engine_pid=os.getpid(), workspace=str(self._workspace.root))

    def gone(self, peer: Peer) -> None:
        """A peer's connection has ended."""
        if peer.role == "worker":
            self._jobs.left(peer)
        self._lifetime.left(peer.role)

    def answer(self, peer: Peer, request_id: int, message: m.Message) -> m.Message | None:
        """The reply, or None where it comes later."""
        kind = type(message)
        if kind in self._quick_answers:
            return self._quick_answers[kind](message)
        if kind in self._slow_answers:
            answer = partial(self._slow_answers[kind], message)
            self._slow.submit(self._answer_later, peer, request_id, answer)
            return None
        if kind in self._worker_answers and peer.role == "worker":
            return self._worker_answers[kind](peer, message)
        if isinstance(message, m.LeaseJob) and peer.role == "worker":
            self._jobs.ask_for_work(peer, request_id, message.kinds)
            return None
        if isinstance(message, m.ReaderReady) and peer.role == "reader":
            self._supervisor.useful(peer.child)
            self._readers.ready(peer.child, message.address)
            return m.Done()
        if isinstance(message, m.GetReader):
            return self._readers.ask(peer, request_id)
        if isinstance(message, m.Subscribe):
            peer.wants_events = True
            return m.Done()
        if isinstance(message, m.Shutdown):
            # Sent before the end begins, which would cut it off.
            peer.reply(request_id, m.Done())
            peer.close(flush=True)
            self._end()
            return None
        raise UsageProblem(f"The engine cannot be asked for {kind.__name__}.")

    def _answer_later(self, peer: Peer, request_id: int, answer: Callable[[], m.Message]) -> None:
        reply = in_words(answer, self._unforeseen)
        assert reply is not None
        peer.reply(request_id, reply)

    # --- status -------------------------------------------------------------------------------------------------------

    def status(self) -> m.Status:
        """What the status bar shows."""
        encoder = self._encoders.current_id()
        try:
            fingerprint = self._encoders.installed().card.fingerprint("fp32")
        except (EnvironmentProblem, Bug):
            fingerprint = ""
        running, queued = self._jobs.counts()
        return m.Status(
            slides=len(self._slide_ids),
            patches=self._indexes.patches(fingerprint),
            encoder=encoder,
            runtime=self._encoders.runtime(),
            index=self._indexes.phase(fingerprint),
            jobs_running=running,
            jobs_queued=queued,
        )

    def _search(self, asked: m.Search) -> m.SearchAnswer:
        # Counted before: what is committed meanwhile may have been searched, but need not.
        status = self.status()
        result = self._models.search(asked.query)
        return m.SearchAnswer(result, status)

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def _submit(self, asked: m.SubmitJob) -> m.Message:
        params = self._models.honoured_job(asked.params) if asked.kind == "index" else asked.params
        return self._jobs.submit(asked.kind, params, asked.priority)

    def _begin_item(self, peer: Peer, said: m.BeginItem) -> m.Message:
        self._supervisor.useful(peer.child)
        self._jobs.begin(peer, said.job_id, said.path)
        return m.Done()

    def _commit_slide(self, peer: Peer, said: m.CommitSlide) -> m.Message:
        item = self._jobs.attempted(peer, said.item)
        before = self._known(said.slide.slide_id).embeddings
        stored = self._catalogue.embeddings.commit(
            said.slide, said.embeddings, item=item, collection=said.collection, replaces=said.replaces
        )
        self._slide_ids.add(said.slide.slide_id)
        known = {row.embedding_id for row in before}
        self._indexes.added([row for row in stored if row.embedding_id not in known])
        # Killed here, the next start sweeps the files that no row names any more.
        gone = [row for row in before if row.embedding_id in said.replaces]
        self._indexes.removed(gone)
        for row in gone:
            (self._workspace.root / row.file).unlink(missing_ok=True)
        self._jobs.end_item(peer, item, stored=True)
        self._slides_changed(said.slide.slide_id)
        return m.Done()

    def _report_item(self, peer: Peer, said: m.ReportItem) -> m.Message:
        self._jobs.end_item(peer, self._jobs.attempted(peer, said.item), stored=False)
        return m.Done()

    def _save_checkpoint(self, peer: Peer, said: m.SaveCheckpoint) -> m.Message:
        self._jobs.save_checkpoint(peer, said.job_id, said.state)
        return m.Done()

    def _finish_job(self, peer: Peer, said: m.FinishJob) -> m.Message:
        self._supervisor.useful(peer.child)
        self._jobs.finish(peer, said)
        if self._jobs.get(said.job_id).job.kind in MODEL_JOBS:
            self._models.changed()
        return m.Done()

    # --- slides and collections ---------------------------------------------------------------------------------------

    def _slides(self, filters: SlideFilter) -> m.SlideList:
        slides = self._catalogue.slides.select(filters)
        return m.SlideList(tuple(slides), tuple(self._catalogue.embeddings.select(None, filters)))

    def _one_slide(self, slide_id: str) -> m.SlideList:
        return self._slides(SlideFilter(slide_ids=(slide_id,)))

    def _known(self, slide_id: str) -> m.SlideKnown:
        slide = self._catalogue.slides.get(slide_id)
        rows = self._catalogue.embeddings.select(None, SlideFilter(slide_ids=(slide_id,))) if slide else []
        return m.SlideKnown(slide, tuple(rows))

    def _look_up(self, asked: m.LookUpSlide) -> m.Message:
        return self._known(asked.slide_id)

    def _set_slide(self, asked: m.SetSlide) -> m.Message:
        slide = self._catalogue.slides.resolve(asked.slide)
        self._catalogue.slides.change(
            slide.slide_id,
            case=asked.case,
            stain=asked.stain,
            organ=asked.organ,
            name=asked.name,
            mpp_um=asked.mpp_um,
        )
        self._slides_changed(slide.slide_id)
        return self._one_slide(slide.slide_id)

    def _relink_slide(self, asked: m.RelinkSlide) -> m.Message:
        from plipdesk.slides.fingerprint import fingerprint

        slide = self._catalogue.slides.resolve(asked.slide)
        path = Path(asked.path).absolute()
        if fingerprint(path) != slide.slide_id:
            raise UsageProblem(
                "This file is another slide: its content differs.",
                path=path,
                remedy="Choose the file that was moved, or index this one as a new slide.",
            )
        file = path.stat()
        self._catalogue.slides.relink(slide.slide_id, path, file_bytes=file.st_size, file_mtime_ns=file.st_mtime_ns)
        self._slides_changed(slide.slide_id)
        return self._one_slide(slide.slide_id)

    def _remove_slide(self, asked: m.RemoveSlide) -> m.Message:
        slide = self._catalogue.slides.resolve(asked.slide)
        rows = self._known(slide.slide_id).embeddings
        orphans = self._catalogue.slides.remove(slide.slide_id)
        self._indexes.removed(rows)
        self._slide_ids.discard(slide.slide_id)
        for orphan in orphans:
            orphan.unlink(missing_ok=True)
        self._slides_changed(slide.slide_id)
        return m.Done()

    def _collections(self) -> m.CollectionList:
        return m.CollectionList(tuple(self._catalogue.collections.all()))

    def _edit_collection(self, asked: m.EditCollection) -> m.Message:
        collections = self._catalogue.collections
        slide_ids = [self._catalogue.slides.resolve(slide).slide_id for slide in asked.slides]
        match asked.action:
            case "create":
                collections.add(asked.name, slide_ids)
            case "delete":
                collections.delete(asked.name)
            case "add":
                collections.add(asked.name, slide_ids)
            case "remove":
                collections.take_out(asked.name, slide_ids)
        self._slides_changed(*slide_ids)
        return self._collections()

    def _slides_changed(self, *slide_ids: str) -> None:
        self._events.post("slides", m.SlidesChanged(slide_ids))

    # --- encoders -----------------------------------------------------------------------------------------------------

    def _encoder_list(self) -> m.EncoderList:
        return m.EncoderList(self._encoders.states(self._indexes.patches), self._encoders.current_id())

    def _use_encoder(self, asked: m.UseEncoder) -> m.Message:
        if asked.collection is None:
            self._encoders.use(asked.id)
            self._slow.submit(self.warm)
        else:
            chosen = self._encoders.installed(asked.id).card.id if asked.id else None
            self._catalogue.collections.set_encoder(asked.collection, chosen)
        self._models.changed()
        return self._encoder_list()

    def warm(self) -> None:
        """Load the default encoder and its index, so that the first query need not wait."""
        try:
            self._indexes.get(self._encoders.installed().card.fingerprint("fp32"))
            self._encoders.warm()
            self._searcher.warm()
        except PlipdeskError as problem:
            _LOG.warning("the default encoder is not ready: %s", problem.message)
        except Exception as error:  # noqa: BLE001  nobody waits for this: it must end in the log
            self._unforeseen(error)
        self._events.post_late("status", lambda: m.StatusChanged(self.status()))
