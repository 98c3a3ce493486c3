"""What of a slide is to be cut anew, what is there already, and what the new patches take the place of.

A tiling is known by its settings. Where a slide's pixels turn out to be of another size, or other channels of it are
chosen, the same settings cut other patches: then the size, or the channels, become part of the settings, so that old
and new vectors never share a file or a row, and one transaction can put one in the other's place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.errors import PlipdeskError
from plipdesk.base.paths import Workspace
from plipdesk.base.progress import Json
from plipdesk.catalogue.rows import EmbeddingRow, SlideRow
from plipdesk.index.vectors import VectorFile
from plipdesk.slides.tiling import Tiling, TilingSettings

SCALE_TOLERANCE = 0.005
"""Level-0 MPPs that differ by less cut the same patches."""
SAME_PATCH_MPP = 0.01
"""Tilings whose patches differ by less in MPP show the same scale, and one takes the place of the other."""


@dataclass(frozen=True)
class Cutting:
    """``missing``: tilings to make; ``there``: rows that serve what is wanted; ``others``: rows that may go."""

    missing: tuple[TilingSettings, ...]
    there: tuple[EmbeddingRow, ...]
    others: tuple[EmbeddingRow, ...]
    mpp_um: float | None

    def replaced(self, made: Sequence[TilingSettings]) -> tuple[EmbeddingRow, ...]:
        """The rows that go once these tilings are made: those of the same scale, and those of a wrong one."""
        return tuple(
            row
            for row in self.others
            if made
            and (not fits_scale(row, self.mpp_um) or any(_same_scale(row.patch_mpp_um, settings) for settings in made))
        )


def plan_cutting(
    wanted: Sequence[TilingSettings],
    rows: Sequence[EmbeddingRow],
    mpp_um: float | None,
    *,
    keep_old: bool,
    loosely: bool = False,
) -> Cutting:
    """Compare what is wanted of a slide with the ``rows`` that one encoder has of it.

    Once something has to be made, everything that was cut at another scale is made anew with it, but for hand-drawn
    tissue, whose drawing is not kept; what is replaced goes, unless ``keep_old``. ``loosely``: of what is wanted only
    the scale and the channels count; overlap and tissue may be those of before.
    """
    there, missing = _compared(wanted, rows, mpp_um, loosely)
    if not missing or keep_old:
        return Cutting(tuple(missing), tuple(there), (), mpp_um)
    stale = [row for row in rows if not fits_scale(row, mpp_um)]
    before = [
        dataclasses.replace(settings_of(row.tiling), channels=wanted[0].channels, slide_mpp_um=None) for row in stale
    ]
    before = [settings for settings in before if settings.tissue in ("auto", "all")]
    asked = list(wanted)
    if loosely:
        asked = [next((old for old in before if _same_scale(old.patch_mpp_um, one)), one) for one in asked]
    for old in before:
        if not any(_same_scale(old.patch_mpp_um, one) for one in asked):
            asked.append(old)
    there, missing = _compared(asked, rows, mpp_um, loosely)
    serving = {row.embedding_id for row in there}
    others = tuple(row for row in rows if row.embedding_id not in serving)
    return Cutting(tuple(missing), tuple(there), others, mpp_um)


def _compared(
    wanted: Sequence[TilingSettings], rows: Sequence[EmbeddingRow], mpp_um: float | None, loosely: bool
) -> tuple[list[EmbeddingRow], list[TilingSettings]]:
    there, missing = [], []
    for settings in wanted:
        fitting = [row for row in rows if fits_scale(row, mpp_um)]
        row = next((row for row in fitting if _cuts_like(row.tiling, settings)), None)
        if row is None and loosely:
            row = next((row for row in fitting if _shows_like(row.tiling, settings)), None)
        if row is not None:
            there.append(row)
        elif any(row.tiling_id == settings.tiling_id for row in rows):
            missing.append(dataclasses.replace(settings, slide_mpp_um=mpp_um))
        else:
            missing.append(settings)
    return there, missing


def fits_scale(row: EmbeddingRow, mpp_um: float | None) -> bool:
    """Whether a row was cut for this level-0 MPP (None: nobody knows better); its patches then have the right size."""
    wanted_um = row.tiling["patch_px"] * row.patch_mpp_um
    return mpp_um is None or abs(row.size0_px * mpp_um / wanted_um - 1) <= SCALE_TOLERANCE


def _same_scale(patch_mpp_um: float, settings: TilingSettings) -> bool:
    return abs(patch_mpp_um / settings.patch_mpp_um - 1) <= SAME_PATCH_MPP


def _cuts_like(tiling: Mapping[str, Json], settings: TilingSettings) -> bool:
    document = settings.document()
    return {**tiling, "slide_mpp_um": None} == {**document, "slide_mpp_um": None}


def _shows_like(tiling: Mapping[str, Json], settings: TilingSettings) -> bool:
    """Whether patches show the same field at the same scale by the same channels, wherever they lie."""
    old = settings_of(tiling)
    return (old.patch_px, old.channels) == (settings.patch_px, settings.channels) and _same_scale(
        old.patch_mpp_um, settings
    )


def settings_of(tiling: Mapping[str, Json]) -> TilingSettings:
    """The settings that a row's tiling was cut with; its tissue is found by the detector as it is now."""
    channels = tiling.get("channels")
    return TilingSettings(
        patch_px=tiling["patch_px"],
        patch_mpp_um=tiling["patch_mpp_um"],
        overlap=tiling["overlap"],
        tissue=tiling["tissue"],
        min_tissue=tiling["min_tissue"],
        mask_sha256=tiling.get("mask_sha256"),
        channels=None if channels is None else tuple(channels),
        slide_mpp_um=tiling.get("slide_mpp_um"),
    )


def recuts(slide: SlideRow, rows: Sequence[EmbeddingRow]) -> list[dict[str, Json]]:
    """Parameters of the index jobs that cut anew what of a slide was cut at another MPP than it has now."""
    stale = [row for row in rows if not fits_scale(row, slide.mpp_um)]
    jobs = []
    for encoder in dict.fromkeys(row.encoder_id for row in stale):
        own = [row for row in stale if row.encoder_id == encoder]
        like = settings_of(own[0].tiling)
        jobs.append(
            {
                "paths": [slide.path],
                "encoder": encoder,
                "patch_mpp_um": sorted({row.patch_mpp_um for row in own}),
                "overlap": like.overlap,
                "tissue": like.tissue if like.tissue in ("auto", "all") else "auto",
                "channels": list(slide.channels or ()),
            }
        )
    return jobs


@dataclass(frozen=True, eq=False)
class Copied:
    """Vectors float16 (c, d) that an older tiling has of patches number ``places`` int64 (c) of a new one."""

    places: NDArray[np.int64]
    vectors: NDArray[np.float16]


def copied_of(workspace: Workspace, tiling: Tiling, rows: Sequence[EmbeddingRow]) -> Copied | None:
    """What of ``tiling`` need not be encoded, since one of ``rows`` (of the same slide and encoder) holds it.

    A corrected mask keeps the places of its patches; so do tissue found by another rule and a denser grid in part.
    """
    settings = tiling.settings
    found: dict[tuple[int, int], NDArray[np.float16]] = {}
    for row in rows:
        old = settings_of(row.tiling)
        alike = (old.patch_px, old.patch_mpp_um, old.channels) == (
            settings.patch_px,
            settings.patch_mpp_um,
            settings.channels,
        )
        if not alike or abs(row.size0_px - tiling.size0_px) > 1e-6:
            continue
        try:
            file = VectorFile.open(workspace.root / row.file, expect_rows=row.patches)
        except PlipdeskError:
            continue  # a damaged file is no loss: what it held is encoded again
        corners = zip(file.x0_px.tolist(), file.y0_px.tolist(), strict=True)
        found.update(zip(corners, np.array(file.embeddings), strict=True))
    corners = zip(tiling.x0_px.tolist(), tiling.y0_px.tolist(), strict=True)
    held = [(place, found[corner]) for place, corner in enumerate(corners) if corner in found]
    if not held:
        return None
    return Copied(np.array([place for place, _ in held], np.int64), np.stack([vector for _, vector in held]))
