"""The messages between window, commands, engine, workers and readers: typed, versioned, never pickles.

One frame on the wire is a 4-byte big-endian length and a MessagePack document of :class:`Envelope`. A request has an
id; its reply carries the same id; events have id 0. Unknown types and newer versions are refused in words.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from plipdesk.base.errors import Bug, Cancelled, EnvironmentProblem, NotFound, Paused, PlipdeskError, UsageProblem
from plipdesk.base.files import DiskFull
from plipdesk.base.progress import Json, Progress
from plipdesk.catalogue.rows import (
    AnnotationRow,
    CollectionRow,
    CorrectionRow,
    EmbeddingRow,
    JobItemRow,
    JobRow,
    SlideFilter,
    SlideRow,
)
from plipdesk.engine.message_parts import LevelSize as LevelSize
from plipdesk.engine.message_parts import PatchPlaces as PatchPlaces
from plipdesk.search.comparing import Comparison
from plipdesk.search.query import Query, SearchResult

PROTOCOL_VERSION = 1
MAX_FRAME_BYTES = 64 * 1024 * 1024

Role = Literal["window", "command", "worker", "reader"]
JobAction = Literal["cancel", "pause", "resume", "retry"]


class Message(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Root of all messages."""


# --- a person's side: requests and their replies ----------------------------------------------------------------------


class Hello(Message, frozen=True):
    """First message of every connection. Reply: :class:`Welcome`.

    ``token`` is the secret that only the person's own processes can read; ``child`` the engine's number for a child.
    """

    version: int
    role: Role
    pid: int
    token: str = ""
    child: int = 0


class Welcome(Message, frozen=True):
    """The engine that answers, and the address of its reader process."""

    version: int
    engine_pid: int
    workspace: str


class Search(Message, frozen=True):
    """Ask the index. Reply: :class:`SearchAnswer`."""

    query: Query


class SearchAnswer(Message, frozen=True):
    """The hits, and the status of the moment when the question came."""

    result: SearchResult
    status: Status | None = None


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


class ListAnnotations(Message, frozen=True):
    """What is drawn on a slide. Reply: :class:`AnnotationList`."""

    slide_id: str


class AnnotationList(Message, frozen=True):
    """All annotations of a slide, oldest first."""

    slide_id: str
    annotations: tuple[AnnotationRow, ...]


class EditAnnotations(Message, frozen=True):
    """Add or replace annotations by id, and take others away, in one transaction. Reply: :class:`Done`.

    ``origin`` comes back in :class:`AnnotationsChanged`, so that whoever made the change knows it for its own.
    """

    slide_id: str
    put: tuple[AnnotationRow, ...] = ()
    remove: tuple[str, ...] = ()
    origin: str = ""


class CorrectPatches(Message, frozen=True):
    """Say what patches are, and take back what was said of others (by their places). Reply: :class:`Done`."""

    put: tuple[CorrectionRow, ...] = ()
    remove: tuple[CorrectionRow, ...] = ()


class ListCorrections(Message, frozen=True):
    """What people said of patches in the words of a label set. Reply: :class:`CorrectionList`."""

    label_set: str
    filters: SlideFilter = SlideFilter()


class CorrectionList(Message, frozen=True):
    """Corrections, slide by slide, oldest first."""

    corrections: tuple[CorrectionRow, ...]


class ListLabelSets(Message, frozen=True):
    """Reply: :class:`LabelSetList`."""


class LabelSetState(msgspec.Struct, frozen=True):
    """A label set that can be used by name; ``document`` is the whole of it, each class with its colour."""

    name: str
    title: str
    version: int
    origin: str
    document: dict[str, Json]


class LabelSetList(Message, frozen=True):
    """The shipped label sets, then those of the workspace."""

    label_sets: tuple[LabelSetState, ...]


class KeepLabelSet(Message, frozen=True):
    """Keep a label set in the workspace, as its next version where it is changed. Reply: LabelSetList."""

    labels: dict[str, Json]


class LabelSlide(Message, frozen=True):
    """Label every patch of a slide with a label set's document. Reply: :class:`SlideLabelled`."""

    slide_id: str
    labels: dict[str, Json]
    settings: dict[str, Json] = {}
    encoder: str | None = None


class SlideLabelled(Message, frozen=True):
    """Labels of the n patches of a slide; arrays are little-endian bytes.

    ``names`` and ``colours``: of the c classes, then of "none of these" (number c) and "unsure" (c + 1). ``x0_px``,
    ``y0_px``, ``label``, ``best`` (the likeliest, however unsure) and ``corrected`` (−1: nobody said any) are int32
    (n), ``probability`` float32 (n), ``shares`` float16 (n, c). ``ask_next``: patches to ask a person about.
    ``table``: as ``plipdesk label --json`` has it.
    """

    slide_id: str
    label_set: str
    names: tuple[str, ...]
    colours: tuple[str, ...]
    encoder: str
    size0_px: float
    x0_px: bytes
    y0_px: bytes
    label: bytes
    best: bytes
    probability: bytes
    shares: bytes
    corrected: bytes
    ask_next: tuple[int, ...]
    table: dict[str, Json]
    notes: tuple[str, ...]


class GetPatches(Message, frozen=True):
    """Where the patches of a slide lie. Reply: :class:`PatchList`."""

    slide_id: str


class PatchList(Message, frozen=True):
    """All tilings of a slide, oldest first."""

    slide_id: str
    tilings: tuple[PatchPlaces, ...]
    tissue_rule: str = "auto"
    """What :class:`FindTissue` must be asked with to see the tissue in force."""


class CorrectTissue(Message, frozen=True):
    """Add polygons (rings of level-0 pixels, holes after the outer one) to a slide's tissue, or take them away.

    The slide is cut anew in the background: patches that stay keep their vectors. Reply: :class:`JobReply`.
    """

    slide_id: str
    add: bool
    polygons: tuple[tuple[tuple[tuple[float, float], ...], ...], ...]


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
    """Make an encoder that of the workspace or a collection (empty id: no longer its own). Reply: EncoderList."""

    id: str
    collection: str | None = None


class ListModels(Message, frozen=True):
    """Encoders that are installed, and those that plipdesk knows of. Reply: :class:`ModelList`."""


class ModelEntry(msgspec.Struct, frozen=True):
    """An encoder, installed (with its card) or only known (with its entry in the catalogue of known models).

    ``obstacle``: why a known one cannot be used. Bytes are those on the disk, or of the download where they are known.
    """

    id: str
    name: str
    installed: bool
    embedded: bool
    licence: str
    card: dict[str, Json]
    obstacle: str | None = None
    fingerprint: str = ""
    patches: int = 0
    slides: int = 0
    model_bytes: int = 0
    vectors_bytes: int = 0


class ModelList(Message, frozen=True):
    """Installed encoders first, and the id of the workspace's default."""

    models: tuple[ModelEntry, ...]
    current: str


class KeepToken(Message, frozen=True):
    """Keep the token of the person's account at the hub in the system's keyring. Reply: :class:`Done`."""

    token: str


class RemoveModel(Message, frozen=True):
    """Remove an imported encoder with its files, its vectors and its index. Reply: :class:`Removed`."""

    id: str


class Removed(Message, frozen=True):
    """What went with an encoder."""

    patches: int
    slides: int
    freed_bytes: int


class GetCost(Message, frozen=True):
    """What it costs to have the slides (of a collection) encoded by an encoder. Reply: :class:`Cost`."""

    id: str
    collection: str | None = None


class Cost(Message, frozen=True):
    """What is not encoded yet, at a rate measured or remembered; ``jobs``: parameters of the jobs that would do it."""

    slides: int
    patches: int
    rate_per_s: float
    measured: bool
    seconds: float
    jobs: tuple[dict[str, Json], ...]
    notes: tuple[str, ...] = ()


class Compare(Message, frozen=True):
    """Ask two encoders the same. Reply: :class:`Compared`."""

    query: Query
    encoders: tuple[str, str]


class Compared(Message, frozen=True):
    """Both answers and what they have in common."""

    comparison: Comparison


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


class AnnotationsChanged(Message, frozen=True):
    """Something was drawn, changed or taken away on a slide, by whoever ``origin`` names."""

    slide_id: str
    origin: str


class ModelsChanged(Message, frozen=True):
    """An encoder was imported, removed or chosen: ask again for what is shown."""


class StatusChanged(Message, frozen=True):
    """Counts or the index's phase changed."""

    status: Status


# --- the reader process -----------------------------------------------------------------------------------------------


class OpenSlide(Message, frozen=True):
    """Open a slide for viewing (path absolute). Reply: :class:`SlideOpened`."""

    path: str
    mpp_um: float | None = None


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
    has_icc: bool = False
    """Whether its pixels come with an ICC profile that can be applied."""


class ReaderReady(Message, frozen=True):
    """The reader process listens here. Reply: :class:`Done`."""

    address: str


class ReadRegion(Message, frozen=True):
    """Read a rectangle of ``width0_px`` × ``height0_px`` level-0 pixels, drawn at ``width_px`` × ``height_px``.

    Reply: :class:`Pixels`. ``generation``: requests of an older generation of the same connection and ``view`` that
    have not begun are dropped and answered with an empty :class:`Pixels`. ``icc``: through the slide's ICC profile,
    for the eye only.
    """

    path: str
    x0_px: float
    y0_px: float
    width0_px: float
    height0_px: float
    width_px: int
    height_px: int
    generation: int = 0
    icc: bool = False
    view: int = 0


class ReadThumbnail(Message, frozen=True):
    """The whole slide, longer side at most ``max_px``. Reply: :class:`Pixels`."""

    path: str
    max_px: int
    icc: bool = False


class FindTissue(Message, frozen=True):
    """Where tissue is on a slide. Reply: :class:`TissueFound`.

    ``rule`` is ``auto``, ``all`` or the path of a GeoJSON file with drawn outlines; ``mpp_um`` what a person gave.
    """

    path: str
    rule: str = "auto"
    mpp_um: float | None = None


class TissueFound(Message, frozen=True):
    """A tissue mask: rows of bits, the first pixel in the highest bit, each row padded to whole bytes.

    Pixel (row, column) is a square of ``downsample`` level-0 pixels whose top left is (column, row) · ``downsample``.
    """

    width_px: int
    height_px: int
    downsample: float
    bits: bytes


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
    """Work; the reply comes when there is some. ``checkpoint`` of the job is what its function saved.

    ``suspects``: items during which a worker died before. Each is to be done with nothing else in work beside it, so
    that the right one is blamed should it happen again.
    """

    job: JobRow
    suspects: tuple[str, ...] = ()


class ReportProgress(Message, frozen=True):
    """How far the leased job has come; also its heartbeat. Reply: :class:`Orders`."""

    job_id: int
    progress: Progress | None


class Orders(Message, frozen=True):
    """What the worker must do now; also sent as an event, so that a person's word counts at once.

    ``yield``: give the job back, since one of higher priority waits.
    """

    stop: Literal["no", "pause", "cancel", "yield"]


class BeginItem(Message, frozen=True):
    """The worker starts on an item: this is what to blame should the worker die. Reply: :class:`Done`."""

    job_id: int
    path: str


class LookUpSlide(Message, frozen=True):
    """Ask what is committed of a slide. Reply: :class:`SlideKnown`."""

    slide_id: str


class SlideKnown(Message, frozen=True):
    """A slide and its embeddings; None where the workspace does not have it."""

    slide: SlideRow | None
    embeddings: tuple[EmbeddingRow, ...]


class CommitSlide(Message, frozen=True):
    """A slide's vectors lie complete on the disk: write the rows that make it searchable. Reply: :class:`Done`.

    Without embeddings (the slide was committed before) its place, case and collection are brought up to date.
    ``replaces``: ids of embeddings whose rows go in the same transaction, and whose files go after it.
    """

    job_id: int
    slide: SlideRow
    embeddings: tuple[EmbeddingRow, ...]
    item: JobItemRow
    collection: str | None = None
    replaces: tuple[int, ...] = ()


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
    state: Literal["done", "failed", "cancelled", "paused", "queued"]
    """``queued``: given back unfinished, since something more urgent waits."""
    reason: str | None
    result: dict[str, Json]


AnyMessage = (
    CorrectTissue | Hello | Welcome | Search | SearchAnswer | SubmitJob | ControlJob | GetJob | JobReply | ListJobs
    | JobList | ListSlides | SlideList | SetSlide | RelinkSlide | RemoveSlide | ListCollections | CollectionList
    | EditCollection | ListAnnotations | AnnotationList | EditAnnotations | AnnotationsChanged | GetPatches
    | PatchList | FindTissue | TissueFound | ListEncoders | EncoderList | UseEncoder | ListModels | ModelList
    | KeepToken | RemoveModel | Removed | GetCost | Cost | Compare | Compared | ModelsChanged | GetStatus | Status
    | CorrectPatches | ListCorrections | CorrectionList | ListLabelSets | LabelSetList | KeepLabelSet | LabelSlide
    | SlideLabelled | GetReader
    | ReaderAt | Subscribe | Shutdown | Done | Failed | JobChanged | JobItemDone | SlidesChanged | StatusChanged
    | OpenSlide | SlideOpened | ReadRegion | ReadThumbnail | Pixels | ReaderReady | LeaseJob | JobLeased
    | ReportProgress | Orders | BeginItem | LookUpSlide | SlideKnown | CommitSlide | ReportItem | SaveCheckpoint
    | FinishJob
)  # fmt: skip


class Envelope(msgspec.Struct, frozen=True):
    """A message with the id that ties a reply to its request; 0 for events."""

    id: int
    body: Message


class _Unread(msgspec.Struct, frozen=True):
    """An envelope whose body is not understood yet, so that even a refusal can name the request."""

    id: int
    body: msgspec.Raw


class NotUnderstood(EnvironmentProblem):
    """A frame that is no message of this version; ``request_id`` is 0 where not even that can be read."""

    kind = "protocol"

    def __init__(self, request_id: int) -> None:
        super().__init__(
            "A message was not understood: it is damaged, or comes from another version of plipdesk.",
            remedy="Close every plipdesk window and command of this workspace, then start again.",
        )
        self.request_id = request_id


_encoder = msgspec.msgpack.Encoder()
_unread_decoder = msgspec.msgpack.Decoder(_Unread)
_body_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(AnyMessage)


def encode(envelope: Envelope) -> bytes:
    """The envelope as MessagePack, without the frame's length."""
    return _encoder.encode(envelope)


def decode(frame: bytes | bytearray | memoryview) -> Envelope:
    """The envelope in a frame.

    Raises:
        NotUnderstood: not a message of this version.
    """
    try:
        unread = _unread_decoder.decode(frame)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotUnderstood(0) from error
    try:
        return Envelope(unread.id, _body_decoder.decode(unread.body))
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotUnderstood(unread.id) from error


def failed(error: PlipdeskError) -> Failed:
    """The reply that carries ``error`` to whoever asked."""
    return Failed(error.kind, error.message, error.path, error.remedy, error.exit_code)


def rebuilt(failure: Failed) -> PlipdeskError:
    """The error that a reply carries, as an exception of the same kind and exit code."""
    known: type[PlipdeskError]
    for known in (UsageProblem, NotFound, DiskFull, Bug):
        if failure.kind == known.kind:
            return known(failure.message, path=failure.path, remedy=failure.remedy)
    same_kind = type("RemoteProblem", (EnvironmentProblem,), {"kind": failure.kind, "exit_code": failure.exit_code})
    error: PlipdeskError = same_kind(failure.message, path=failure.path, remedy=failure.remedy)
    return error


def failure_of(job: JobRow) -> PlipdeskError | None:
    """Why a job that has come to a stand did not do all of its work; None for one that is done, or goes on."""
    match job.state:
        case "cancelled":
            return Cancelled()
        case "paused":
            return Paused(job.reason) if job.reason else Paused()
        case "failed" if "error" in job.result:
            said = job.result["error"]
            return rebuilt(Failed(said["kind"], said["message"], said["path"], said["remedy"], job.result["exit_code"]))
        case "failed":
            return EnvironmentProblem(job.reason or "The job failed.", remedy="See 'plipdesk jobs list'.")
        case _:
            return None
