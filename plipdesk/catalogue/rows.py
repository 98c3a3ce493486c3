"""The rows of the catalogue, as the other rooms see them: plain, frozen, without SQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from plipdesk.base.progress import Json

JobState = Literal["queued", "running", "paused", "done", "failed", "cancelled"]
ItemStatus = Literal["indexed", "unchanged", "skipped", "failed"]
AnnotationKind = Literal["rectangle", "ellipse", "polygon", "freehand", "brush", "point", "ruler"]


@dataclass(frozen=True)
class SlideRow:
    """A slide: identity by content, last known place, and what people and files say about it.

    ``path`` is absolute when seen from outside; the catalogue stores it relative to the workspace where it can.
    ``mpp_um`` is the level-0 MPP in force: ``mpp_source`` is measured, guessed, given or unknown.
    """

    slide_id: str
    path: str
    name: str
    format: str
    vendor: str | None
    width_px: int
    height_px: int
    mpp_um: float | None
    mpp_source: str
    objective_power: float | None
    file_bytes: int
    file_mtime_ns: int
    tissue_mm2: float | None = None
    case: str | None = None
    stain: str | None = None
    organ: str | None = None
    added_at: str = ""
    """ISO 8601, UTC."""
    notes: tuple[str, ...] = ()
    channels: tuple[int, ...] | None = None
    """What it is read by where it is no 8-bit colour: one channel (grey) or three (red, green, blue)."""


@dataclass(frozen=True)
class EmbeddingRow:
    """The row that commits one vectors file: slide, tiling and encoder. No row, no file."""

    slide_id: str
    tiling_id: str
    encoder_fingerprint: str
    encoder_id: str
    tiling: dict[str, Json]
    """Settings of the tiling: patch_px, patch_mpp_um, overlap, tissue, min_tissue, mask_sha256, channels."""
    patch_mpp_um: float
    size0_px: float
    """Side of a patch in level-0 pixels."""
    file: str
    """Relative to the workspace, forward slashes."""
    patches: int
    dim: int
    tissue_mm2: float
    seconds: float
    embedding_id: int = 0
    """Assigned by the catalogue; grows, never used twice."""
    committed_at: str = ""


@dataclass(frozen=True)
class CollectionRow:
    """A named set of slides."""

    collection_id: int
    name: str
    slides: int
    created_at: str
    encoder: str | None = None
    """Id of the encoder that new slides and searches of this collection use; None: the workspace's default."""


@dataclass(frozen=True)
class JobRow:
    """Background work: ``kind`` names the function, ``params`` what it is given; leased, never deleted on take."""

    job_id: int
    kind: str
    params: dict[str, Json]
    state: JobState
    priority: int
    attempts: int
    done: int
    total: int
    unit: str
    note: str
    reason: str | None
    checkpoint: dict[str, Json]
    created_at: str
    started_at: str | None
    finished_at: str | None
    result: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class JobItemRow:
    """What became of one item (a slide's path) of a job."""

    job_id: int
    path: str
    slide_id: str | None
    status: ItemStatus
    reason: str | None
    remedy: str | None
    patches: int
    tissue_mm2: float | None
    seconds: float
    attempts: int


@dataclass(frozen=True)
class AnnotationRow:
    """Something that a person drew on a slide.

    ``kind`` is what it was drawn with; ``geometry`` a GeoJSON geometry in level-0 pixels: Polygon or MultiPolygon for
    areas (an ellipse is a polygon of many corners), Point, or LineString of two points for a ruler.
    """

    annotation_id: str
    """A UUID as text."""
    slide_id: str
    kind: AnnotationKind
    geometry: dict[str, Json]
    name: str = ""
    class_name: str | None = None
    colour: str | None = None
    """``#rrggbb``; None: that of its class."""
    locked: bool = False
    created_at: str = ""
    """ISO 8601, UTC; assigned by the catalogue."""
    changed_at: str = ""


@dataclass(frozen=True)
class CorrectionRow:
    """What a person says a patch is, in the words of a label set; the patch is known by its place, level-0 pixels."""

    slide_id: str
    label_set: str
    x0_px: int
    y0_px: int
    size0_px: float
    class_name: str
    created_at: str = ""
    """ISO 8601, UTC; assigned by the catalogue."""


@dataclass(frozen=True)
class SlideFilter:
    """Conditions on slides, all of which hold; an empty field holds always. Within one field any value suffices."""

    collections: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    slide_ids: tuple[str, ...] = ()
    not_slide_ids: tuple[str, ...] = ()
    not_cases: tuple[str, ...] = ()
    stains: tuple[str, ...] = ()
    organs: tuple[str, ...] = ()
    mpp_min_um: float | None = None
    mpp_max_um: float | None = None
    name_globs: tuple[str, ...] = ()
    since: str | None = None
    before: str | None = None
