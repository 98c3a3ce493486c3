"""What can be asked, and what is answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from plipdesk.catalogue.rows import SlideFilter

Group = Literal["patch", "slide", "case"]
Combine = Literal["max", "mean"]


@dataclass(frozen=True)
class TextPart:
    """Words; a negative weight says what the tissue must not look like."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True)
class RegionPart:
    """A region of an indexed or readable slide: a box (x0, y0, width, height) or a polygon, level-0 pixels."""

    slide: str
    """slide_id, path or unique name."""
    box: tuple[float, float, float, float] | None = None
    polygon: tuple[tuple[float, float], ...] | None = None
    weight: float = 1.0
    combine: Combine = "max"


@dataclass(frozen=True)
class PicturePart:
    """A picture file, or the bytes of a pasted one."""

    path: str | None = None
    content: bytes | None = None
    mpp_um: float | None = None
    weight: float = 1.0
    combine: Combine = "max"
    """Of a picture that shows several patches."""


@dataclass(frozen=True)
class SlidePart:
    """A whole slide, compared with other slides by the median of its patches' best matches (Yottixel's rule)."""

    slide: str
    weight: float = 1.0


@dataclass(frozen=True)
class Query:
    """A question to the index: weighted parts, filters, and how hits are grouped."""

    texts: tuple[TextPart, ...] = ()
    regions: tuple[RegionPart, ...] = ()
    pictures: tuple[PicturePart, ...] = ()
    slides: tuple[SlidePart, ...] = ()
    k: int = 20
    group: Group = "patch"
    per_group: int = 1
    merge_neighbours: bool = True
    include_query: bool = False
    filters: SlideFilter = field(default_factory=SlideFilter)
    patch_mpp_um: tuple[float, ...] = ()
    """Only tilings at these MPPs (within 1 %); empty: all."""
    encoder: str | None = None
    """Encoder id; None: the workspace's default."""
    leakage: bool = False
    """Whether to measure how far the hits' neighbours come from the same slide, scanner or site; takes a search more
    for each hit."""


@dataclass(frozen=True)
class Hit:
    """A patch that answers, with all that a grid draws."""

    rank: int
    score: float
    """Cosine similarity to the query (weighted sum for mixes)."""
    percentile: float
    """0 to 100 among this query's scores on 2,000 seeded random patches."""
    slide_id: str
    path: str
    name: str
    case: str | None
    x0_px: int
    y0_px: int
    size0_px: float
    mpp_um: float | None
    """Level-0 MPP of the slide."""
    stain: str | None = None
    organ: str | None = None
    merged: int = 1
    """How many overlapping neighbours of the same spot this hit stands for."""
    channels: tuple[int, ...] | None = None
    """By which channels the slide is read, where it is no 8-bit colour."""


@dataclass(frozen=True)
class Searched:
    """How much was searched."""

    patches: int
    slides: int


@dataclass(frozen=True)
class Timing:
    """Milliseconds spent encoding the query, searching, and in all."""

    encode: float
    search: float
    total: float


@dataclass(frozen=True)
class Share:
    """How often neighbours come from the same group: measured, and by chance; over so many hits."""

    share: float
    chance: float
    hits: int


@dataclass(frozen=True)
class Leakage:
    """Of the ``neighbours`` nearest of each hit; None where nothing is known of scanner or site, or all are alone."""

    neighbours: int
    slide: Share | None
    scanner: Share | None
    site: Share | None


@dataclass(frozen=True)
class SearchResult:
    """The answer to a query."""

    query: Query
    encoder: str
    hits: tuple[Hit, ...]
    stands_out: bool
    """Whether the best hits are more like the query than 90 % of random words get on this index or, for regions and
    pictures, than the loneliest tenth of its patches is like its neighbours; where not, nothing there looks like it."""
    searched: Searched
    timing_ms: Timing
    notes: tuple[str, ...] = ()
    """Plain sentences: truncated text, an index still loading, an upsampled region."""
    leakage: Leakage | None = None
    """Only where it was asked for."""
