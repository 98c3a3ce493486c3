"""How far a search finds the slide, the scanner or the site instead of the tissue.

Encoders know stains and scanners (Howard et al. 2021, "The impact of site-specific digital histology signatures"). The
meter asks, for each hit, for its nearest neighbours in the index, and tells how many of them come from the hit's own
slide, scanner or site, beside the share that patches drawn at random from the same index would have: the expectation
over all permutations of the labels.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plipdesk.catalogue.rows import EmbeddingRow, SlideRow
from plipdesk.index.selection import RowSelection
from plipdesk.index.vector_index import VectorIndex
from plipdesk.search.candidates import Candidate
from plipdesk.search.library import Library
from plipdesk.search.query import Leakage, Share

Origin = Literal["slide", "scanner", "site"]
GroupOf = Callable[[str], str | None]
"""From a slide's id to the group it belongs to; None: not known."""

NEIGHBOURS = 10
MOST_HITS = 50
"""More hits would change the shares by less than they vary anyway."""
_TCGA = re.compile(r"\bTCGA-([A-Z0-9]{2})-[A-Z0-9]{4}", re.IGNORECASE)
_PREFIX = re.compile(r"^([^\W_]+)[-_ ./].")
# What a file's format says where it does not say who made the scanner.
_NO_SCANNER = frozenset({"generic-tiff", "picture", "unknown", "tiff"})


def scanner_of(slide: SlideRow) -> str | None:
    """Who made the scanner, as far as the slide's file tells."""
    vendor = (slide.vendor or "").lower()
    return None if not vendor or vendor in _NO_SCANNER else vendor


def site_of(slide: SlideRow, collections: Sequence[str] = ()) -> str | None:
    """Where a slide was made: the tissue source site of a TCGA barcode, else its case's prefix, else its collection."""
    for text in (slide.case, slide.name):
        found = _TCGA.search(text or "")
        if found:
            return f"TCGA-{found.group(1).upper()}"
    prefix = _PREFIX.match(slide.case or "")
    if prefix:
        return prefix.group(1).lower()
    return collections[0] if len(collections) == 1 else None


def measure_leakage(
    hits: Sequence[Candidate],
    index: VectorIndex,
    rows: Mapping[int, EmbeddingRow],
    groups: Mapping[Origin, GroupOf],
    *,
    allowed: RowSelection | None = None,
    neighbours: int = NEIGHBOURS,
) -> Leakage:
    """Measure the first 50 of ``hits``.

    The hit itself, and patches of its slide that share a fifth with it or more, are no neighbours and count neither in
    the measured share nor in that of chance.

    Args:
        rows: the parts that may answer, by id; ``allowed`` limits the search to the same.
        groups: the group of a slide, for each origin.
    """
    some = [hit for hit in hits[:MOST_HITS] if index.file(hit.part_id) is not None]
    parts: dict[str, list[int]] = {}
    for part_id, row in rows.items():
        parts.setdefault(row.slide_id, []).append(part_id)
    own = [_beside(hit, index, {part: rows[part] for part in parts.get(hit.slide_id, ())}) for hit in some]
    found: list[list[str]] = []
    if some:
        vectors = index.vectors(
            np.array([hit.part_id for hit in some], np.int64), np.array([hit.row for hit in some], np.int32)
        )
        asked = neighbours + max(sum(int(mask.sum()) for mask in masks.values()) for masks in own)
        answer = index.search(vectors, asked, allowed=allowed)
        for number, masks in enumerate(own):
            pairs = zip(answer.part_ids[number].tolist(), answer.rows[number].tolist(), strict=True)
            others = [part for part, row in pairs if part in rows and not (part in masks and masks[part][row])]
            found.append([rows[part].slide_id for part in others[:neighbours]])
    slide_sizes: Counter[str] = Counter()
    for part_id in set(index.part_ids.tolist()) & rows.keys():
        slide_sizes[rows[part_id].slide_id] += rows[part_id].patches
    left_out = [sum(int(mask.sum()) for mask in masks.values()) for masks in own]
    shares = {
        origin: _share([hit.slide_id for hit in some], found, left_out, slide_sizes, group_of)
        for origin, group_of in groups.items()
    }
    return Leakage(neighbours, shares.get("slide"), shares.get("scanner"), shares.get("site"))


def leakage_of(
    hits: Sequence[Candidate],
    index: VectorIndex,
    rows: Mapping[int, EmbeddingRow],
    library: Library,
    allowed: RowSelection | None,
) -> Leakage:
    """Measure ``hits`` by what the catalogue says of slides."""
    slides = library.slides({row.slide_id for row in rows.values()})
    collections = library.collections()
    scanners = {slide_id: scanner_of(slide) for slide_id, slide in slides.items()}
    sites = {slide_id: site_of(slide, collections.get(slide_id, ())) for slide_id, slide in slides.items()}
    groups: dict[Origin, GroupOf] = {"slide": lambda slide_id: slide_id, "scanner": scanners.get, "site": sites.get}
    return measure_leakage(hits, index, rows, groups, allowed=allowed)


def _beside(hit: Candidate, index: VectorIndex, rows: Mapping[int, EmbeddingRow]) -> dict[int, NDArray[np.bool_]]:
    """For each part of the hit's slide (``rows``), which rows are the hit itself or lie on its spot."""
    masks = {}
    for part_id, row in rows.items():
        file = index.file(part_id)
        if file is not None:
            masks[part_id] = hit.beside(file.x0_px, file.y0_px, row.size0_px)
    return masks


def _share(
    slides: Sequence[str],
    neighbours: Sequence[Sequence[str]],
    left_out: Sequence[int],
    slide_sizes: Mapping[str, int],
    group_of: GroupOf,
) -> Share | None:
    """The share of neighbours in the hit's own group; ``left_out`` rows of the hit's slide cannot be neighbours."""
    groups = {slide: group_of(slide) for slide in slide_sizes}
    sizes: Counter[str] = Counter()
    for slide, size in slide_sizes.items():
        group = groups[slide]
        if group is not None:
            sizes[group] += size
    total = sum(slide_sizes.values())
    measured, by_chance = [], []
    for slide, near, missing in zip(slides, neighbours, left_out, strict=True):
        group = groups.get(slide)
        if group is None or not near or total <= missing:
            continue
        measured.append(sum(groups.get(other) == group for other in near) / len(near))
        by_chance.append((sizes[group] - missing) / (total - missing))
    if not measured:
        return None
    return Share(float(np.mean(measured)), float(np.mean(by_chance)), len(measured))
