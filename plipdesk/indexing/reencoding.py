"""What it takes to have slides that are in the workspace encoded by another encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plipdesk.base.progress import Json
from plipdesk.catalogue.rows import EmbeddingRow, SlideRow
from plipdesk.encoders.card import EncoderCard


@dataclass(frozen=True)
class Reencoding:
    """Slides and patches (estimated from what is known of the tissue), and the index jobs that encode them."""

    slides: int
    patches: int
    jobs: tuple[dict[str, Json], ...]
    notes: tuple[str, ...] = ()


def plan_reencoding(slides: Sequence[SlideRow], embeddings: Sequence[EmbeddingRow], card: EncoderCard) -> Reencoding:
    """What is missing for an encoder of these slides, cut as they were cut before but at the encoder's own MPP.

    Slides whose file is gone cannot be encoded and are only told of. Where tissue was drawn by hand it is found by
    itself, since the drawing is not kept.
    """
    rows_of: dict[str, list[EmbeddingRow]] = {}
    for row in embeddings:
        rows_of.setdefault(row.slide_id, []).append(row)
    fingerprint = card.fingerprint("fp32")
    groups: dict[tuple[str, float], list[str]] = {}
    count, patches, gone, drawn = 0, 0.0, 0, 0
    for slide in slides:
        rows = rows_of.get(slide.slide_id, [])
        # What was cut without overlap first: its number of patches says most.
        like = min(rows, key=lambda row: (row.tiling.get("overlap", 0.0), row.embedding_id), default=None)
        if any(row.encoder_fingerprint == fingerprint for row in rows):
            continue
        if not Path(slide.path).exists():
            gone += 1
            continue
        tissue, overlap = ("auto", 0.0) if like is None else (like.tiling["tissue"], like.tiling.get("overlap", 0.0))
        if tissue not in ("auto", "all"):
            tissue, drawn = "auto", drawn + 1
        count += 1
        patches += _patches(slide, like, card, overlap)
        groups.setdefault((tissue, overlap), []).append(slide.path)
    notes = []
    if gone:
        notes.append(f"{gone} of the slides are not where they were and are left out.")
    if drawn:
        notes.append(f"On {drawn} of the slides tissue was drawn by hand; it is found by itself this time.")
    jobs = tuple(
        {"paths": paths, "encoder": card.id, "tissue": tissue, "overlap": overlap}
        for (tissue, overlap), paths in groups.items()
    )
    return Reencoding(count, round(patches), jobs, tuple(notes))


def _patches(slide: SlideRow, like: EmbeddingRow | None, card: EncoderCard, overlap: float) -> float:
    """How many patches a slide is cut into: as many as before, by the areas of the patches; else by its tissue."""
    side_um = card.input_px * card.mpp_um
    if like is not None:
        before_um = float(like.tiling["patch_px"]) * like.patch_mpp_um
        return float(like.patches * (before_um / side_um) ** 2)
    step_um = side_um * (1.0 - overlap)
    return (slide.tissue_mm2 or 0.0) * 1e6 / step_um**2
