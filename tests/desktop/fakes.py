"""An engine and a reader for the window's tests: they answer the real messages from plain lists.

Answers are given on the caller's thread, which is the link's courier, so they cross threads as real ones do. ``hold``
keeps replies of a type back until ``release``.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np

from plipdesk.catalogue.rows import (
    AnnotationRow,
    CollectionRow,
    CorrectionRow,
    EmbeddingRow,
    JobItemRow,
    JobRow,
    SlideRow,
)
from plipdesk.engine import messages as m
from plipdesk.search.query import Hit, Query, Searched, SearchResult, Timing

Reply = Callable[[m.Message], None]
SEARCHED = Searched(1200, 3)


def slide(number: int = 1, **changes: object) -> SlideRow:
    """A slide of 20,000 × 15,000 pixels at 0.5 µm."""
    row = SlideRow(
        slide_id=f"{number:032x}",
        path=f"/slides/slide-{number}.svs",
        name=f"slide-{number}.svs",
        format="svs",
        vendor=None,
        width_px=20_000,
        height_px=15_000,
        mpp_um=0.5,
        mpp_source="measured",
        objective_power=20.0,
        file_bytes=1000,
        file_mtime_ns=1,
        case=f"case-{number}",
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def embedding(row: SlideRow, patches: int = 120) -> EmbeddingRow:
    """What is indexed of a slide."""
    return EmbeddingRow(row.slide_id, "0" * 16, "f" * 32, "plipdesk-mini", {}, 0.5, 224.0, "v", patches, 512, 1.0, 1.0)


def job(number: int = 1, state: str = "running", **changes: object) -> JobRow:
    """An index job."""
    row = JobRow(
        job_id=number,
        kind="index",
        params={"paths": [f"/slides/new-{number}.svs"], "collection": None, "mpp_um": None, "recursive": True},
        state=state,  # type: ignore[arg-type]
        priority=0,
        attempts=1,
        done=0,
        total=0,
        unit="patches",
        note="",
        reason=None,
        checkpoint={},
        created_at="2026-01-01T00:00:00Z",
        started_at=None,
        finished_at=None,
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def item(path: str, status: str = "failed", *, job_id: int = 1, reason: str = "The file is damaged.") -> JobItemRow:
    """What became of a file."""
    return JobItemRow(job_id, path, None, status, reason, "Copy it again from its source.", 0, None, 1.0, 1)  # type: ignore[arg-type]


def hits(count: int = 5, row: SlideRow | None = None) -> tuple[Hit, ...]:
    """Hits on one slide, best first."""
    of = row or slide()
    return tuple(
        Hit(
            rank,
            0.4 - rank / 100,
            99.5 - rank,
            of.slide_id,
            of.path,
            of.name,
            of.case,
            224 * rank,
            448,
            224.0,
            of.mpp_um,
        )
        for rank in range(1, count + 1)
    )


def places(count: int, size0_px: float = 224.0) -> m.PatchPlaces:
    """A row of patches at the top of a slide."""
    x0_px = b"".join(round(number * size0_px).to_bytes(4, "little") for number in range(count))
    return m.PatchPlaces("0" * 16, "plipdesk-mini", {"tissue": "auto"}, size0_px, x0_px, bytes(4 * count))


def result(
    query: Query,
    found: tuple[Hit, ...],
    *,
    stands_out: bool = True,
    notes: tuple[str, ...] = (),
    searched: Searched = SEARCHED,
) -> SearchResult:
    """An answer."""
    return SearchResult(query, "plipdesk-mini", found, stands_out, searched, Timing(5.0, 2.0, 7.0), notes)


def label_set(name: str, *classes: str) -> m.LabelSetState:
    """A label set that comes with the application."""
    document = {"name": name, "version": 1, "classes": [{"name": one, "colour": "#0072b2"} for one in classes]}
    return m.LabelSetState(name, name.title(), 1, "shipped", document)


def labelled(slide_id: str, labels: dict[str, Any], corrections: list[CorrectionRow]) -> m.SlideLabelled:
    """Twelve patches in a row, the classes in turns; the later ones are less sure."""
    classes = [one["name"] for one in labels["classes"]]
    count, names = 12, (*classes, "none of these", "unsure")
    label = np.arange(count, dtype="<i4") % len(classes)
    sure = np.linspace(0.9, 0.4, count).astype("<f4")
    shares = np.repeat(((1 - sure) / max(1, len(classes) - 1))[:, None], len(classes), axis=1)
    shares[np.arange(count), label] = sure
    corrected = np.full(count, -1, dtype="<i4")
    for row in corrections:
        corrected[row.x0_px // 224] = names.index(row.class_name)
    rows = [
        {"name": name, "patches": int((label == number).sum()), "area_mm2": float((label == number).sum()),
         "share": float((label == number).mean()), "share_low": 0.1, "share_high": 0.5, "mean_score": 0.5}
        for number, name in enumerate(names) if name != "none of these"
    ]  # fmt: skip
    return m.SlideLabelled(
        slide_id, labels["name"], names, ("#0072b2", "#e69f00", "#009e73", "#b4b4b4", "#6e6e6e")[: len(names)],
        "plipdesk-mini", 224.0, (np.arange(count) * 224).astype("<i4").tobytes(), bytes(4 * count), label.tobytes(),
        label.tobytes(), sure.tobytes(), shares.astype("<f2").tobytes(), corrected.tobytes(), (11, 5),
        {"patches": count, "area_mm2": 12.0, "classes": rows, "unsure": 0}, (f"{len(corrections)} corrections",),
    )  # fmt: skip


STATUS = m.Status(
    slides=1, patches=120, encoder="plipdesk-mini", runtime="onnx", index="ready", jobs_running=0, jobs_queued=0
)
MINI = m.EncoderState("plipdesk-mini", "plipdesk-mini", "f" * 32, 0.5, 224, True, True, "Apache-2.0", 120)


@dataclass
class FakeLine:
    """One connection."""

    answer: Callable[[m.Message], m.Message | None]
    closed: bool = False
    sent: list[m.Message] = field(default_factory=list)
    events: list[Reply] = field(default_factory=list)
    losses: list[Callable[[], None]] = field(default_factory=list)
    held: dict[type[m.Message], list[tuple[m.Message, Reply]]] = field(default_factory=lambda: defaultdict(list))
    holding: set[type[m.Message]] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, message: m.Message, on_reply: Reply) -> None:
        """Answer now, unless this kind is held."""
        if self.closed:
            on_reply(m.Failed("connection-lost", "The process has ended.", None, None, 3))
            return
        with self.lock:
            self.sent.append(message)
            if type(message) in self.holding:
                self.held[type(message)].append((message, on_reply))
                return
        reply = self.answer(message)
        if reply is not None:
            on_reply(reply)

    def on_event(self, callback: Reply) -> None:
        """Whom to tell."""
        self.events.append(callback)

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Whom to tell of the end."""
        self.losses.append(callback)

    def close(self) -> None:
        """The window ends it."""
        self.closed = True

    def die(self) -> None:
        """The process at the other end is gone."""
        self.closed = True
        for callback in self.losses:
            callback()

    def tell(self, event: m.Message) -> None:
        """Send an event."""
        for callback in self.events:
            callback(event)

    def hold(self, kind: type[m.Message]) -> None:
        """Keep replies of this kind back."""
        with self.lock:
            self.holding.add(kind)

    def release(self, place: int = 0, *, kind: type[m.Message], reply: m.Message | None = None) -> None:
        """Answer a held request."""
        with self.lock:
            message, on_reply = self.held[kind].pop(place)
        answer = reply if reply is not None else self.answer(message)
        assert answer is not None
        on_reply(answer)

    def of(self, kind: type[m.Message]) -> list[m.Message]:
        """What was sent of a kind."""
        with self.lock:
            return [message for message in self.sent if isinstance(message, kind)]


class FakeEngine:
    """A workspace with lists for what there is; each connection of the window is a new line."""

    def __init__(self) -> None:
        self.slides: list[SlideRow] = []
        self.embeddings: list[EmbeddingRow] = []
        self.collections: list[CollectionRow] = []
        self.members: dict[str, set[str]] = defaultdict(set)
        self.jobs: dict[int, JobRow] = {}
        self.items: dict[int, tuple[JobItemRow, ...]] = {}
        self.found: tuple[Hit, ...] = hits()
        self.annotations: dict[str, dict[str, AnnotationRow]] = defaultdict(dict)
        self.tilings: tuple[m.PatchPlaces, ...] = (places(12),)
        self.stands_out = True
        self.notes: tuple[str, ...] = ()
        self.label_sets: list[m.LabelSetState] = [label_set("tissues", "fat", "muscle", "nerve")]
        self.corrections: list[CorrectionRow] = []
        self.searched = SEARCHED
        self.patches = STATUS.patches
        self.refuse: dict[type[m.Message], m.Failed] = {}
        self.status = STATUS
        self.lines: list[FakeLine] = []
        self.fail_to_start: list[Exception] = []
        self.submitted: list[m.SubmitJob] = []
        self.controlled: list[m.ControlJob] = []

    @property
    def line(self) -> FakeLine:
        """The connection in use."""
        return self.lines[-1]

    def add(self, *rows: SlideRow, patches: int = 120) -> None:
        """Slides that are indexed."""
        self.slides += rows
        self.embeddings += [embedding(row, patches) for row in rows]

    def open(self) -> FakeLine:
        """What the window calls to connect."""
        if self.fail_to_start:
            raise self.fail_to_start.pop(0)
        self.lines.append(FakeLine(self.answer))
        return self.line

    def answer(self, message: m.Message) -> m.Message | None:
        """The reply to a request."""
        if type(message) in self.refuse:
            return self.refuse[type(message)]
        match message:
            case m.Search(query):
                return m.SearchAnswer(
                    result(
                        query,
                        self.found[: query.k],
                        stands_out=self.stands_out,
                        notes=self.notes,
                        searched=self.searched,
                    ),
                    msgspec.structs.replace(STATUS, patches=self.patches),
                )
            case m.ListSlides(filters):
                ids = set(filters.slide_ids) or {row.slide_id for row in self.slides}
                for name in filters.collections:
                    ids &= self.members[name]
                return m.SlideList(
                    tuple(row for row in self.slides if row.slide_id in ids),
                    tuple(row for row in self.embeddings if row.slide_id in ids),
                )
            case m.ListCollections():
                return m.CollectionList(tuple(self.collections))
            case m.EditCollection(action, name, slides):
                if action == "create":
                    self.collections.append(CollectionRow(len(self.collections) + 1, name, 0, ""))
                if action == "add":
                    self.members[name] |= set(slides)
                return m.CollectionList(tuple(self.collections))
            case m.RemoveSlide(slide_id):
                self.slides = [row for row in self.slides if row.slide_id != slide_id]
                return m.Done()
            case m.ListEncoders():
                return m.EncoderList((MINI,), MINI.id)
            case m.GetStatus():
                return self.status
            case m.ListJobs():
                return m.JobList(tuple(sorted(self.jobs.values(), key=lambda row: -row.job_id)))
            case m.GetJob(job_id):
                return m.JobReply(self.jobs[job_id], self.items.get(job_id, ()))
            case m.SubmitJob(kind, params):
                self.submitted.append(message)
                row = job(max(self.jobs, default=0) + 1, "queued", kind=kind, params=params)
                self.jobs[row.job_id] = row
                return m.JobReply(row)
            case m.ControlJob(job_id, action):
                self.controlled.append(message)
                states = {"pause": "paused", "cancel": "cancelled", "resume": "queued", "retry": "queued"}
                self.jobs[job_id] = replace(self.jobs[job_id], state=states[action])  # type: ignore[arg-type]
                return m.JobReply(self.jobs[job_id], self.items.get(job_id, ()))
            case m.GetReader():
                return m.ReaderAt("fake:reader")
            case m.ListAnnotations(slide_id):
                return m.AnnotationList(slide_id, tuple(self.annotations[slide_id].values()))
            case m.EditAnnotations(slide_id, put, remove):
                for annotation_id in remove:
                    self.annotations[slide_id].pop(annotation_id, None)
                self.annotations[slide_id] |= {row.annotation_id: row for row in put}
                return m.Done()
            case m.ListLabelSets() | m.KeepLabelSet():
                if isinstance(message, m.KeepLabelSet):
                    self.label_sets.append(m.LabelSetState(message.labels["name"], "", 1, "workspace", message.labels))
                return m.LabelSetList(tuple(self.label_sets))
            case m.LabelSlide(slide_id, labels):
                return labelled(slide_id, labels, self.corrections)
            case m.CorrectPatches(put, remove):
                self.corrections += put
                gone = {(row.x0_px, row.y0_px) for row in remove}
                self.corrections = [row for row in self.corrections if (row.x0_px, row.y0_px) not in gone]
                return m.Done()
            case m.GetPatches(slide_id):
                return m.PatchList(slide_id, self.tilings)
            case _:
                return m.Done()


class FakeReader:
    """Slides of one colour per level of detail; a path can be broken."""

    def __init__(self) -> None:
        self.lines: list[FakeLine] = []
        self.broken: dict[str, m.Failed] = {}
        self.mpp_um: float | None = 0.5
        self.size = (20_000, 15_000)
        self.has_icc = False
        self.generations: dict[int, int] = defaultdict(int)

    def open(self, _address: str) -> FakeLine:
        """What the window calls to connect; first the viewer's line, then the pictures'."""
        self.lines.append(FakeLine(self.answer))
        return self.lines[-1]

    def answer(self, message: m.Message) -> m.Message | None:
        """Pixels, or a refusal."""
        path = getattr(message, "path", "")
        if path in self.broken:
            return self.broken[path]
        match message:
            case m.OpenSlide():
                width, height = self.size
                levels = (m.LevelSize(width, height, 1.0),)
                source = "unknown" if self.mpp_um is None else "measured"
                return m.SlideOpened(path, width, height, levels, self.mpp_um, source, 20.0, (), self.has_icc)
            case m.ReadRegion():
                newest = max(self.generations[message.view], message.generation)
                self.generations[message.view] = newest
                if message.generation < newest:
                    return m.Pixels(0, 0, b"")
                return pixels(message.width_px, message.height_px)
            case m.FindTissue():
                # Tissue on the left half of the slide.
                return m.TissueFound(16, 12, self.size[0] / 16, bytes([0xFF, 0x00]) * 12)
            case m.ReadThumbnail():
                return pixels(message.max_px, message.max_px * 3 // 4)
            case _:
                return m.Done()


def pixels(width_px: int, height_px: int, colour: tuple[int, int, int] = (210, 120, 170)) -> m.Pixels:
    """A picture of one colour."""
    return m.Pixels(width_px, height_px, bytes(colour) * (width_px * height_px))
