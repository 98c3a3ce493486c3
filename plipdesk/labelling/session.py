"""What a labelling needs before it can begin: slides with their vectors, and a labeller made for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plipdesk.base.errors import NotFound, PlipdeskError
from plipdesk.base.paths import Workspace
from plipdesk.base.progress import Json
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.rows import EmbeddingRow, SlideFilter, SlideRow
from plipdesk.encoders.protocol import Encoder
from plipdesk.encoders.vocabulary import load_vocabulary
from plipdesk.index.vectors import VectorFile, widened
from plipdesk.labelling.background import Background, background_words, calibrate_background, draw_patches
from plipdesk.labelling.label_sets import LabelSet
from plipdesk.labelling.labelled import Tiled, choose_tilings
from plipdesk.labelling.labeller import Labeller
from plipdesk.labelling.prompts import ClassPrompts, encode_classes
from plipdesk.labelling.settings import LabelSettings

Slides = Sequence[tuple[SlideRow, Sequence[Tiled]]]


def open_slides(
    catalogue: Catalogue, workspace: Workspace, names: Sequence[str], settings: LabelSettings, encoder: Encoder
) -> tuple[Slides, list[dict[str, Json]]]:
    """The slides with the vectors to label, and why some cannot be.

    Raises:
        NotFound: none can.
    """
    slides: list[tuple[SlideRow, list[Tiled]]] = []
    failed: list[dict[str, Json]] = []
    first: PlipdeskError | None = None
    for name in dict.fromkeys(names):
        try:
            slide = catalogue.slides.resolve(name)
            rows = catalogue.embeddings.select(encoder.fingerprint, SlideFilter(slide_ids=(slide.slide_id,)))
            chosen = choose_tilings(rows, settings, encoder.card.mpp_um)
            slides.append((slide, [Tiled(row, _vectors(workspace, row)) for row in chosen]))
        except PlipdeskError as error:
            first = first or error
            failed.append({"slide": name, "reason": str(error)})
    if not slides:
        raise first or NotFound("No slide was named.", remedy="Name slides that are indexed.")
    return slides, failed


def _vectors(workspace: Workspace, row: EmbeddingRow) -> VectorFile:
    return VectorFile.open(workspace.root / row.file, expect_rows=row.patches, expect_dim=row.dim)


def make_labeller(encoder: Encoder, labels: LabelSet, settings: LabelSettings, slides: Slides) -> Labeller:
    """Everything that labels patches, calibrated on random patches of the slides where it must be."""
    prompts = encode_classes(encoder, labels, settings.way)
    background = None
    if settings.none_of_these or settings.choice == "multi":
        background = background_of(encoder, labels, prompts, settings, [tiled for _, own in slides for tiled in own])
    return Labeller(labels, settings, prompts, encoder.card.logit_scale, background)


def background_of(
    encoder: Encoder, labels: LabelSet, prompts: ClassPrompts, settings: LabelSettings, tilings: Sequence[Tiled]
) -> Background:
    """What random words reach on random patches of some slides."""
    rows = draw_patches([tiled.file.rows for tiled in tilings], settings.seed)
    drawn = [
        widened(tiled.file.embeddings[numbers]) for tiled, numbers in zip(tilings, rows, strict=True) if len(numbers)
    ]
    sample = np.concatenate(drawn) if drawn else np.zeros((1, encoder.card.dim), dtype=np.float32)
    words = background_words(load_vocabulary(), labels)
    return calibrate_background(encoder, prompts.vectors, words, sample, templates=labels.way_named(settings.way))
