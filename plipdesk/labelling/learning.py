"""Learning from what people say of patches: calibrated prompts, or a probe in their place where it is better."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.paths import Workspace
from plipdesk.base.progress import Json
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.rows import AnnotationRow, CorrectionRow, EmbeddingRow, SlideFilter, SlideRow
from plipdesk.index.vectors import VectorFile, widened
from plipdesk.labelling.annotations import labels_by_overlap
from plipdesk.labelling.label_sets import NONE_OF_THESE, LabelSet
from plipdesk.labelling.labelled import LabelledSlide
from plipdesk.labelling.labeller import Labeller, PatchScores
from plipdesk.probes import calibration, comparing
from plipdesk.probes.calibration import fit_calibration
from plipdesk.probes.comparing import compare_probe
from plipdesk.probes.errors import ProbeProblem

Float32s = NDArray[np.float32]

MOST_PER_CLASS = 2000
"""Patches of a class that are learned from; drawn areas may hold many more."""
MOST_CALIBRATED = 4000
"""Patches that scores are calibrated on."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Patches whose class a person told: ``vectors`` (m, d), ``target`` (m) numbers of classes, and their ``cases``."""

    vectors: Float32s
    target: NDArray[np.int64]
    cases: tuple[str, ...]
    corrected: int = 0
    """How many were told one by one; the others lie in drawn areas."""

    def __len__(self) -> int:
        return len(self.target)


def gather_examples(
    catalogue: Catalogue, workspace: Workspace, labels: LabelSet, encoder_fingerprint: str, *, seed: int = 0
) -> Examples:
    """What people said in the words of a label set: corrected patches, and patches inside drawn areas of its classes.

    A correction goes before an area. Slides without vectors of this encoder are passed over.
    """
    corrections: dict[str, list[CorrectionRow]] = {}
    for said in catalogue.corrections.select(labels.name):
        corrections.setdefault(said.slide_id, []).append(said)
    areas: dict[str, list[AnnotationRow]] = {}
    known = {name.casefold() for name in labels.names}
    for drawn in catalogue.annotations.select():
        if (drawn.class_name or drawn.name).casefold().strip() in known:
            areas.setdefault(drawn.slide_id, []).append(drawn)
    ids = tuple(sorted(corrections.keys() | areas.keys()))
    if not ids:
        return Examples(np.zeros((0, 0), np.float32), np.zeros(0, np.int64), ())
    slides = {slide.slide_id: slide for slide in catalogue.slides.select(SlideFilter(slide_ids=ids))}
    vectors, target, cases, corrected = [], [], list[str](), 0
    for row in catalogue.embeddings.select(encoder_fingerprint, SlideFilter(slide_ids=ids)):
        slide = slides[row.slide_id]
        numbers, told = _told(slide, row, workspace, labels, corrections, areas)
        chosen, file = np.flatnonzero(numbers >= 0), VectorFile.open(workspace.root / row.file)
        corrected += int(told.sum())
        vectors.append(widened(file.embeddings[chosen]))
        target.append(numbers[chosen].astype(np.int64))
        cases += [slide.case or slide.slide_id] * len(chosen)
    if not vectors:
        return Examples(np.zeros((0, 0), np.float32), np.zeros(0, np.int64), ())
    return _thinned(Examples(np.concatenate(vectors), np.concatenate(target), tuple(cases), corrected), seed)


def _told(
    slide: SlideRow,
    row: EmbeddingRow,
    workspace: Workspace,
    labels: LabelSet,
    corrections: dict[str, list[CorrectionRow]],
    areas: dict[str, list[AnnotationRow]],
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """For each patch of a tiling the number of its class, −1 where nobody said any; and whether it was corrected."""
    file = VectorFile.open(workspace.root / row.file)
    numbers = labels_by_overlap(
        areas.get(slide.slide_id, ()), labels.names, slide, file.x0_px, file.y0_px, row.size0_px
    )
    told = np.zeros(len(numbers), dtype=bool)
    place = {name: number for number, name in enumerate(labels.names)}
    own = {(int(x), int(y)): patch for patch, (x, y) in enumerate(zip(file.x0_px, file.y0_px, strict=True))}
    for said in corrections.get(slide.slide_id, ()):
        patch = own.get((said.x0_px, said.y0_px))
        if patch is not None and abs(said.size0_px - row.size0_px) < 0.01 * row.size0_px:
            # Another class, such as "none of these", takes the patch out of the examples.
            numbers[patch] = place.get(said.class_name, -1)
            told[patch] = numbers[patch] >= 0
    return numbers, told


def _thinned(examples: Examples, seed: int) -> Examples:
    rng = np.random.default_rng(seed)
    keep = []
    for number in np.unique(examples.target):
        own = np.flatnonzero(examples.target == number)
        keep.append(own if len(own) <= MOST_PER_CLASS else rng.choice(own, MOST_PER_CLASS, replace=False))
    order = np.sort(np.concatenate(keep)) if keep else np.zeros(0, dtype=np.int64)
    return Examples(
        examples.vectors[order], examples.target[order], tuple(examples.cases[place] for place in order),
        examples.corrected,
    )  # fmt: skip


def correction_numbers(catalogue: Catalogue, labels: LabelSet, labelled: LabelledSlide) -> NDArray[np.int32]:
    """For each patch of a labelled slide the number of the class that a person gave it; −1 where nobody did."""
    found = np.full(len(labelled.x0_px), -1, dtype=np.int32)
    place = {name: number for number, name in enumerate((*labels.names, NONE_OF_THESE))}
    own = {(int(x), int(y)): n for n, (x, y) in enumerate(zip(labelled.x0_px, labelled.y0_px, strict=True))}
    for said in catalogue.corrections.select(labels.name, SlideFilter(slide_ids=(labelled.slide.slide_id,))):
        patch = own.get((said.x0_px, said.y0_px))
        if patch is not None and abs(said.size0_px - labelled.size0_px) < 0.01 * labelled.size0_px:
            found[patch] = place.get(said.class_name, -1)
    return found


def learn(labeller: Labeller, examples: Examples, encoder_fingerprint: str) -> tuple[Labeller, dict[str, Json]]:
    """The labeller, calibrated on ``examples`` or with a probe in place of the prompts; and what was learned, in words.

    With fewer than 20 examples it stays as it is. From 40 on a linear probe is learned as well, and replaces the
    prompts if cross-validation over cases says that it is better.
    """
    told: dict[str, Json] = {"examples": len(examples), "corrected": examples.corrected, "words": ""}
    if len(examples) < calibration.LEAST_EXAMPLES:
        if len(examples):
            least = calibration.LEAST_EXAMPLES
            told["words"] = f"Labelled so far: {len(examples)}. From {least} patches on they calibrate the scores."
        return labeller, told
    scores = labeller.score(examples.vectors)
    logits = scores.similarity * np.float32(labeller.logit_scale)
    seed = labeller.settings.seed
    some = np.arange(len(examples))
    if len(examples) > MOST_CALIBRATED:
        some = np.sort(np.random.default_rng(seed).choice(len(examples), MOST_CALIBRATED, replace=False))
    fitted = fit_calibration(
        logits[some], examples.target[some], groups=[examples.cases[place] for place in some], seed=seed
    )
    calibrated = dataclasses.replace(labeller, calibration=fitted.calibration)
    told["calibration"] = {
        "temperature": fitted.calibration.temperature,
        "offsets": dict(zip(labeller.labels.names, fitted.calibration.offsets.tolist(), strict=True)),
        "ece_before": fitted.ece_before, "ece_after": fitted.ece_after,
        "accuracy_before": fitted.accuracy_before, "accuracy_after": fitted.accuracy_after,
    }  # fmt: skip
    told["words"] = (
        f"Calibrated on {len(examples)} labelled patches: expected calibration error {fitted.ece_before:.3f} before, "
        f"{fitted.ece_after:.3f} after (cross-validated)."
    )
    if len(examples) < comparing.LEAST_EXAMPLES or len(np.unique(examples.target)) < 2:
        return calibrated, told
    before = calibrated.logits(PatchScores(scores.similarity, None))[0].argmax(axis=1)
    try:
        probe, comparison = compare_probe(
            examples.vectors, examples.target, before, labeller.labels.names, examples.cases,
            encoder_fingerprint=encoder_fingerprint, seed=seed,
        )  # fmt: skip
    except ProbeProblem as problem:
        told["words"] += f" No probe was learned: {problem.message}"
        return calibrated, told
    told["probe"] = dataclasses.asdict(comparison) | {"classes": list(probe.classes)}
    told["words"] += f" {comparison.words}"
    if not comparison.better:
        return calibrated, told
    return dataclasses.replace(labeller, probe=probe), told


def ask_next(
    vectors: NDArray[np.floating], margins: Float32s, count: int, *, known: Sequence[int] = (), pool: int = 500
) -> NDArray[np.int64]:
    """Which patches (at most ``count``) to ask a person about next: unsure ones that differ as much as can be.

    Of the ``pool`` patches with the least margin, first the least sure; then always the one that is least like all that
    are chosen (or ``known`` already).
    """
    taken = np.asarray(known, dtype=np.int64)
    free = np.setdiff1d(np.arange(len(margins)), taken)
    order = free[np.argsort(margins[free], kind="stable")][: max(pool, count)]
    if not len(order) or count < 1:
        return np.zeros(0, dtype=np.int64)
    rows = np.asarray(vectors[order], dtype=np.float32)
    nearest = np.full(len(order), -2.0, dtype=np.float32)
    if len(taken):
        nearest = (rows @ np.asarray(vectors[taken], dtype=np.float32).T).max(axis=1)
    chosen: list[int] = []
    step = 0
    while len(chosen) < min(count, len(order)):
        chosen.append(step)
        nearest = np.maximum(nearest, rows @ rows[step])
        nearest[step] = np.inf
        step = int(nearest.argmin())
    return order[chosen]
