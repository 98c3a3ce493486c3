"""The prompt bench on a workspace: random stored patches, and what people said of patches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plipdesk.base.errors import NotFound
from plipdesk.base.paths import Workspace
from plipdesk.base.progress import Json
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.rows import SlideFilter
from plipdesk.encoders.protocol import Encoder
from plipdesk.encoders.vocabulary import load_vocabulary
from plipdesk.index.vectors import VectorFile, widened
from plipdesk.labelling.background import draw_patches
from plipdesk.labelling.bench import (
    Suggestions,
    compare_variants,
    suggest_prompts,
    template_variants,
    variants_of,
)
from plipdesk.labelling.label_sets import LabelSet
from plipdesk.labelling.learning import Examples, gather_examples

PATCHES = 5000


def run_bench(
    workspace: Workspace,
    encoder: Encoder,
    labels: LabelSet,
    *,
    templates: Sequence[str] = (),
    suggest: bool = False,
    filters: SlideFilter | None = None,
    seed: int = 0,
) -> tuple[dict[str, Json], Suggestions | None]:
    """Compare the label set's ways of asking (or ``templates``) on random patches and on labelled ones.

    Raises:
        NotFound: nothing is indexed with this encoder.
        LabelProblem: words are to be suggested, and there are too few labelled patches.
        EncoderProblem: the encoder has no words.
    """
    with Catalogue.open(workspace, readonly=True) as catalogue:
        rows = catalogue.embeddings.select(encoder.fingerprint, filters or SlideFilter())
        examples = gather_examples(catalogue, workspace, labels, encoder.fingerprint, seed=seed)
    if not rows:
        raise NotFound("Nothing is indexed with this encoder.", remedy="Index slides first: plipdesk index PATH.")
    files = [VectorFile.open(workspace.root / row.file, expect_rows=row.patches) for row in rows]
    drawn = draw_patches([file.rows for file in files], seed, PATCHES)
    patches = np.concatenate([widened(file.embeddings[numbers]) for file, numbers in zip(files, drawn, strict=True)])
    if not len(examples):
        examples = Examples(np.zeros((0, encoder.card.dim), np.float32), np.zeros(0, np.int64), ())
    variants = template_variants(labels, templates) if templates else variants_of(labels, encoder)
    document = compare_variants(encoder, variants, patches, examples).document()
    document |= {
        "labels": labels.name, "labels_version": labels.version, "encoder": encoder.card.id,
        "encoder_fingerprint": encoder.fingerprint, "seed": seed, "cases": len(set(examples.cases)),
    }  # fmt: skip
    suggestions = None
    if suggest:
        suggestions = suggest_prompts(encoder, labels, load_vocabulary(), examples, seed=seed)
        document["suggestions"] = suggestions.document()
    return document, suggestions
