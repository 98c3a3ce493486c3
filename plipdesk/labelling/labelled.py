"""A labelled slide: from its stored vectors to a label, a score and an own area for each patch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.cells import CellGrid
from plipdesk.base.errors import NotFound
from plipdesk.catalogue.rows import EmbeddingRow, SlideRow
from plipdesk.index.vectors import VectorFile
from plipdesk.labelling.deciding import Decision, groups_of
from plipdesk.labelling.label_sets import LabelSet
from plipdesk.labelling.labeller import Labeller, PatchScores
from plipdesk.labelling.settings import LabelSettings
from plipdesk.labelling.tables import Table, tabulate

Float32s = NDArray[np.float32]

_MPP_TOLERANCE = 0.01


@dataclass(frozen=True, eq=False)
class Tiled:
    """One tiling of a slide and its vectors."""

    row: EmbeddingRow
    file: VectorFile


@dataclass(frozen=True, eq=False)
class LabelledSlide:
    """Patches of one slide with what was found. ``score`` (n) is the one that the settings choose.

    ``own_area_mm2`` (n): the area of each patch, what several cover divided among them.
    """

    slide: SlideRow
    row: EmbeddingRow
    x0_px: NDArray[np.int32]
    y0_px: NDArray[np.int32]
    decision: Decision
    score: Float32s
    cells: CellGrid
    own_area_mm2: NDArray[np.float64]

    @property
    def size0_px(self) -> float:
        """Side of a patch in level-0 pixels."""
        return self.row.size0_px

    def table(self, labels: LabelSet, settings: LabelSettings) -> Table:
        """Area and share of each class on this slide."""
        return table_of([self], labels, settings)


def choose_tilings(rows: Sequence[EmbeddingRow], settings: LabelSettings, encoder_mpp_um: float) -> list[EmbeddingRow]:
    """The tilings to label, the finest first; of two at one MPP the one with more patches.

    Raises:
        NotFound: a tiling that was asked for is not there, or none is.
    """
    asked = settings.patch_mpp_um
    if not asked and rows:
        nearest = min(rows, key=lambda row: (abs(math.log(row.patch_mpp_um / encoder_mpp_um)), row.embedding_id))
        asked = (nearest.patch_mpp_um,)
    found = []
    for mpp_um in sorted(dict.fromkeys(asked)):
        near = [row for row in rows if abs(row.patch_mpp_um / mpp_um - 1) <= _MPP_TOLERANCE]
        if not near:
            raise NotFound(
                f"This slide has no patches at {mpp_um:g} µm per pixel.",
                remedy=f"Index it so first: plipdesk index PATH --patch-mpp {mpp_um:g}.",
            )
        found.append(max(near, key=lambda row: (row.patches, -row.embedding_id)))
    if not found:
        raise NotFound("This slide is not indexed with this encoder.", remedy="Index it first: plipdesk index PATH.")
    return found


def label_slide(labeller: Labeller, slide: SlideRow, tilings: Sequence[Tiled]) -> tuple[LabelledSlide, PatchScores]:
    """Label the patches of the first (finest) tiling; scores of the others are averaged in where they cover a patch."""
    finest = tilings[0]
    x0_px, y0_px, size0_px = finest.file.x0_px, finest.file.y0_px, finest.row.size0_px
    scores = labeller.score(finest.file.embeddings)
    scores = labeller.smooth(scores, x0_px, y0_px, size0_px)
    if len(tilings) > 1:
        scores = _with_coarser(labeller, scores, tilings)
    decision = labeller.decide(scores)
    cells = CellGrid.of(x0_px, y0_px, size0_px, width0_px=slide.width_px, height0_px=slide.height_px)
    mpp_um = finest.row.tiling["patch_px"] * finest.row.patch_mpp_um / size0_px
    labelled = LabelledSlide(
        slide, finest.row, x0_px, y0_px, decision, labeller.shown_score(scores, decision), cells,
        cells.own_areas_px2() * (mpp_um / 1000) ** 2,
    )  # fmt: skip
    return labelled, scores


def _with_coarser(labeller: Labeller, scores: PatchScores, tilings: Sequence[Tiled]) -> PatchScores:
    finest = tilings[0]
    x = finest.file.x0_px + finest.row.size0_px / 2
    y = finest.file.y0_px + finest.row.size0_px / 2
    total = scores.similarity.astype(np.float64)
    limit = None if scores.limit is None else scores.limit.astype(np.float64)
    count = np.ones(len(x))
    for tiled in tilings[1:]:
        own = labeller.score(tiled.file.embeddings)
        own = labeller.smooth(own, tiled.file.x0_px, tiled.file.y0_px, tiled.row.size0_px)
        grid = CellGrid.of(tiled.file.x0_px, tiled.file.y0_px, tiled.row.size0_px)
        if not len(own.similarity):
            continue
        cover = grid.spread()
        row = np.clip(np.searchsorted(grid.y_edges, y, side="right") - 1, 0, grid.shape[0] - 1)
        column = np.clip(np.searchsorted(grid.x_edges, x, side="right") - 1, 0, grid.shape[1] - 1)
        on_grid = (x >= grid.x_edges[0]) & (x < grid.x_edges[-1]) & (y >= grid.y_edges[0]) & (y < grid.y_edges[-1])
        there = on_grid & (cover[row, column] > 0.5)
        row, column = row[there], column[there]
        for number in range(total.shape[1]):
            total[there, number] += (grid.spread(own.similarity[:, number]) / np.maximum(cover, 1))[row, column]
        if limit is not None and own.limit is not None:
            limit[there] += (grid.spread(own.limit) / np.maximum(cover, 1))[row, column]
        count[there] += 1
    similarity = (total / count[:, None]).astype(np.float32)
    return PatchScores(similarity, None if limit is None else (limit / count).astype(np.float32))


def table_of(slides: Sequence[LabelledSlide], labels: LabelSet, settings: LabelSettings) -> Table:
    """The table of all patches of some slides together."""
    members = [one.decision.members for one in slides if one.decision.members is not None]
    return tabulate(
        labels.names,
        np.concatenate([one.decision.label for one in slides]) if slides else np.zeros(0, np.int32),
        np.concatenate([one.score for one in slides]) if slides else np.zeros(0, np.float32),
        np.concatenate([one.own_area_mm2 for one in slides]) if slides else np.zeros(0),
        none_of_these=settings.none_of_these,
        unsure=settings.choice != "multi",
        groups=groups_of(labels) if settings.choice == "hierarchical" else None,
        members=np.concatenate(members) if members else None,
        seed=settings.seed,
    )
