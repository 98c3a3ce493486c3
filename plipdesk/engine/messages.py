"""The messages between window, commands, engine, workers and readers: typed, versioned, never pickles.

One frame on the wire is a 4-byte big-endian length and a MessagePack document of :class:`Envelope`. A request has an
id; its reply carries the same id; events have id 0. Unknown types and newer versions are refused in words.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from plipdesk.base.progress import Json, Progress
from plipdesk.catalogue.rows import CollectionRow, EmbeddingRow, JobItemRow, JobRow, SlideFilter, SlideRow
from plipdesk.search.query import Query, SearchResult

PROTOCOL_VERSION = 1
MAX_FRAME_BYTES = 64 * 1024 * 1024

Role = Literal["window", "command", "worker", "reader"]
JobAction = Literal["cancel", "pause", "resume", "retry"]


class Message(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Root of all messages."""


# --- a person's side: requests and their replies ----------------------------------------------------------------------


class Hello(Message, frozen=True):
    """First message of every connection. Reply: :class:`Welcome`."""

    version: int
    role: Role
    pid: int


class Welcome(Message, frozen=True):
    """The engine that answers, and the address of its reader process."""

    version: int
    engine_pid: int
    workspace: str


class Search(Message, frozen=True):
    """Ask the index. Reply: :class:`SearchAnswer`."""

    query: Query


class SearchAnswer(Message, frozen=True):
    """The hits."""

    result: SearchResult


class SubmitJob(Message, frozen=True):
    """Queue background work; higher priority goes first. Reply: :class:`JobReply`."""

    kind: str
    params: dict[str, Json]
    priority: int = 0


class ControlJob(Message, frozen=True):
    """Cancel, pause, resume or retry (its failed items) a job. Reply: :class:`JobReply`."""

    job_id: int
    action: JobAction


class GetJob(Message, frozen=True):
    """One job with its items. Reply: :class:`JobReply`."""

    job_id: int


class JobReply(Message, frozen=True):
    """A job and what became of its items."""

    job: JobRow
    items: tuple[JobItemRow, ...] = ()


class ListJobs(Message, frozen=True):
    """All jobs, newest first. Reply: :class:`JobList`."""

    limit: int = 100


class JobList(Message, frozen=True):
    """Jobs, newest first."""

    jobs: tuple[JobRow, ...]


class ListSlides(Message, frozen=True):
    """Slides by filter, sorted by name. Reply: :class:`SlideList`."""

    filters: SlideFilter = SlideFilter()


class SlideList(Message, frozen=True):
    """Slides with what is indexed of each."""

    slides: tuple[SlideRow, ...]
    embeddings: tuple[EmbeddingRow, ...]


class SetSlide(Message, frozen=True):
    """Change what people say about a slide; a field that is None stays, an empty string clears. Reply: SlideList."""

    slide: str
    case: str | None = None
    stain: str | None = None
    organ: str | None = None
    name: str | None = None
    mpp_um: float | None = None


class RelinkSlide(Message, frozen=True):
    """Say where a moved slide lies now; its fingerprint is checked. Reply: SlideList."""

    slide: str
    path: str


class RemoveSlide(Message, frozen=True):
    """Forget a slide, its embeddings and thumbnails; the original is never touched. Reply: Done."""

    slide: str


class ListCollections(Message, frozen=True):
    """Reply: :class:`CollectionList`."""


class CollectionList(Message, frozen=True):
    """All collections by name."""

    collections: tuple[CollectionRow, ...]


class EditCollection(Message, frozen=True):
    """Create a collection, or add slides to it, or take them out of it. Reply: CollectionList."""

    action: Literal["create", "delete", "add", "remove"]
    name: str
    slides: tuple[str, ...] = ()


class ListEncoders(Message, frozen=True):
    """Reply: :class:`EncoderList`."""


class EncoderState(msgspec.Struct, frozen=True):
    """An encoder of this workspace."""

    id: str
    name: str
    fingerprint: str
    mpp_um: float
    input_px: int
    has_words: bool
    embedded: bool
    """Whether it is the model shipped for trying the application."""
    licence: str
    patches: int


class EncoderList(Message, frozen=True):
    """Encoders that can be used, and the id of the one that is."""

    encoders: tuple[EncoderState, ...]
    current: str


class UseEncoder(Message, frozen=True):
    """Make an encoder the workspace's default. Reply: EncoderList."""

    id: str


class GetStatus(Message, frozen=True):
    """Reply: :class:`Status`."""


IndexPhase = Literal["empty", "loading", "building", "ready"]


class Status(Message, frozen=True):
    """What the status bar shows."""

    slides: int
    patches: int
    encoder: str
    runtime: str
    index: IndexPhase
    jobs_running: int
    jobs_queued: int


class GetReader(Message, frozen=True):
    """Where the reader process listens; started when first asked. Reply: :class:`ReaderAt`."""


class ReaderAt(Message, frozen=True):
    """The reader's address and the token that its Hello needs."""

    address: str


class Subscribe(Message, frozen=True):
    """Send events to this connection from now on. Reply: :class:`Done`."""


class Shutdown(Message, frozen=True):
    """End the engine: running jobs are put back into the queue. Reply: :class:`Done`."""


class Done(Message, frozen=True):
    """It is done."""


class Failed(Message, frozen=True):
    """The request failed: what happened, to which file, what to do. ``exit_code`` as in plipdesk.base.errors."""

    kind: str
    message: str
    path: str | None
    remedy: str | None
    exit_code: int


# --- events -----------------------------------------------------------------------------------------------------------


class JobChanged(Message, frozen=True):
    """A job's state or progress changed (at most ten times a second a job; the last state always arrives)."""

    job: JobRow
    progress: Progress | None


class JobItemDone(Message, frozen=True):
    """One item of a job has ended, well or not."""

    item: JobItemRow


class SlidesChanged(Message, frozen=True):
    """These slides (ids) were added, changed, committed or removed: ask again for what is shown."""

    slide_ids: tuple[str, ...]


class StatusChanged(Message, frozen=True):
    """Counts or the index's phase changed."""

    status: Status


# --- the reader process -----------------------------------------------------------------------------------------------


class OpenSlide(Message, frozen=True):
    """Open a slide for viewing (path absolute). Reply: :class:`SlideOpened`."""

    path: str
    mpp_um: float | None = None


class LevelSize(msgspec.Struct, frozen=True):
    """A level of the pyramid."""

    width_px: int
    height_px: int
    downsample: float


class SlideOpened(Message, frozen=True):
    """What the viewer must know of a slide."""

    path: str
    width_px: int
    height_px: int
    levels: tuple[LevelSize, ...]
    mpp_um: float | None
    mpp_source: str
    objective_power: float | None
    notes: tuple[str, ...]


class ReadRegion(Message, frozen=True):
    """Read a rectangle of ``width0_px`` × ``height0_px`` level-0 pixels, drawn at ``width_px`` × ``height_px``.

    Reply: :class:`Pixels`. ``generation``: requests of an older generation of the same connection that have not begun
    are dropped and answered with an empty :class:`Pixels`.
    """

    path: str
    x0_px: float
    y0_px: float
    width0_px: float
    height0_px: float
    width_px: int
    height_px: int
    generation: int = 0


class ReadThumbnail(Message, frozen=True):
    """The whole slide, longer side at most ``max_px``. Reply: :class:`Pixels`."""

    path: str
    max_px: int


class Pixels(Message, frozen=True):
    """RGB rows, 3 bytes a pixel, no padding; width 0 where the request was dropped as stale."""

    width_px: int
    height_px: int
    rgb: bytes


# --- the worker process -----------------------------------------------------------------------------------------------


class LeaseJob(Message, frozen=True):
    """A worker asks for work. Reply: :class:`JobLeased`."""

    kinds: tuple[str, ...]


class JobLeased(Message, frozen=True):
    """Work, or none."""

    job: JobRow | None


class ReportProgress(Message, frozen=True):
    """How far the leased job has come; also its heartbeat. Reply: :class:`Orders`."""

    job_id: int
    progress: Progress | None


class Orders(Message, frozen=True):
    """What the worker must do now."""

    stop: Literal["no", "pause", "cancel"]


class CommitSlide(Message, frozen=True):
    """A slide's vectors lie complete on the disk: write the rows that make it searchable. Reply: :class:`Done`."""

    job_id: int
    slide: SlideRow
    embeddings: tuple[EmbeddingRow, ...]
    item: JobItemRow
    collection: str | None = None


class ReportItem(Message, frozen=True):
    """An item ended without a commit: unchanged, skipped or failed. Reply: :class:`Done`."""

    item: JobItemRow


class SaveCheckpoint(Message, frozen=True):
    """Keep a small state of the job. Reply: :class:`Done`."""

    job_id: int
    state: dict[str, Json]


class FinishJob(Message, frozen=True):
    """The leased job has ended. Reply: :class:`Done`."""

    job_id: int
    state: Literal["done", "failed", "cancelled", "paused"]
    reason: str | None
    result: dict[str, Json]


AnyMessage = (
    Hello | Welcome | Search | SearchAnswer | SubmitJob | ControlJob | GetJob | JobReply | ListJobs | JobList
    | ListSlides | SlideList | SetSlide | RelinkSlide | RemoveSlide | ListCollections | CollectionList | EditCollection
    | ListEncoders | EncoderList | UseEncoder | GetStatus | Status | GetReader | ReaderAt | Subscribe | Shutdown | Done
    | Failed | JobChanged | JobItemDone | SlidesChanged | StatusChanged | OpenSlide | SlideOpened | ReadRegion
    | ReadThumbnail | Pixels | LeaseJob | JobLeased | ReportProgress | Orders | CommitSlide | ReportItem
    | SaveCheckpoint | FinishJob
)  # fmt: skip


class Envelope(msgspec.Struct, frozen=True):
    """A message with the id that ties a reply to its request; 0 for events."""

    id: int
    body: AnyMessage


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Envelope)


def encode(envelope: Envelope) -> bytes:
    """The envelope as MessagePack, without the frame's length."""
    return _encoder.encode(envelope)


def decode(frame: bytes) -> Envelope:
    """The envelope in a frame.

    Raises:
        msgspec.DecodeError: not a message of this version.
    """
    return _decoder.decode(frame)
