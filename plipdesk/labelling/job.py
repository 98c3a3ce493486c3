"""The job "label": stored vectors of slides and a label set in, the document of ``plipdesk label --json`` out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from plipdesk.base.errors import NotFound, PlipdeskError, UsageProblem
from plipdesk.base.paths import Workspace
from plipdesk.base.progress import JobContext, Json
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.rows import EmbeddingRow, SlideFilter, SlideRow
from plipdesk.encoders.protocol import Encoder
from plipdesk.encoders.vocabulary import load_vocabulary
from plipdesk.exchange.errors import ExchangeProblem
from plipdesk.index.vectors import VectorFile, widened
from plipdesk.labelling.background import Background, background_words, calibrate_background, draw_patches
from plipdesk.labelling.dicom_export import write_dicom
from plipdesk.labelling.exporting import Labelling, Outputs, write_geojson, write_patches, write_table
from plipdesk.labelling.label_sets import LabelSet
from plipdesk.labelling.labelled import LabelledSlide, Tiled, choose_tilings, label_slide, table_of
from plipdesk.labelling.labeller import Labeller
from plipdesk.labelling.learning import gather_examples, learn
from plipdesk.labelling.map_export import write_maps
from plipdesk.labelling.prompts import ClassPrompts, encode_classes
from plipdesk.labelling.reporting import write_labelling_report
from plipdesk.labelling.settings import LabelSettings
from plipdesk.slides.errors import SlideProblem

Slides = Sequence[tuple[SlideRow, Sequence[Tiled]]]


def run_label_job(
    params: Mapping[str, Json],
    context: JobContext,
    encoder_called: Callable[[str | None], Encoder],
    workspace: Workspace,
) -> dict[str, Json]:
    """Label the slides that ``params`` name and write what they ask for.

    Args:
        params: ``slides`` (ids), ``labels`` (a label set's document), ``settings`` (see :class:`LabelSettings`),
            ``encoder`` (an id or None), ``out`` (see :class:`Outputs`).
        context: progress and cancelling.
        encoder_called: loads the encoder of an id; None: the workspace's default.
        workspace: where vectors lie.

    Raises:
        UsageProblem: the parameters make no sense.
        NotFound: none of the slides is indexed with this encoder.
        EncoderProblem: the encoder has no words.
    """
    settings = LabelSettings.of(params.get("settings") or {})
    outputs = Outputs.of(params.get("out") or {})
    try:
        labels = LabelSet.model_validate(params["labels"])
    except (KeyError, ValidationError) as error:
        raise UsageProblem("A labelling needs a label set.") from error
    if labels.none_of_these and not settings.none_of_these:
        settings = settings.model_copy(update={"none_of_these": True})
    encoder = encoder_called(params.get("encoder"))
    with Catalogue.open(workspace, readonly=True) as catalogue:
        slides, failed = open_slides(catalogue, workspace, list(params.get("slides") or ()), settings, encoder)
        examples = None
        if settings.use_corrections:
            examples = gather_examples(catalogue, workspace, labels, encoder.fingerprint, seed=settings.seed)
    context.report(0, len(slides), unit="slides", note="reading the classes")
    labeller = make_labeller(encoder, labels, settings, slides)
    learned: dict[str, Json] = {"examples": 0, "corrected": 0, "words": ""}
    if examples is not None:
        labeller, learned = learn(labeller, examples, encoder.fingerprint)
    found: list[LabelledSlide] = []
    maps: list[Path] = []
    objects: list[Path] = []
    for number, (slide, tilings) in enumerate(slides):
        context.check_cancel()
        context.report(number, len(slides), unit="slides", note=f"labelling {slide.name}")
        labelled, scores = label_slide(labeller, slide, tilings)
        found.append(labelled)
        if outputs.heatmap is not None:
            maps += write_maps(outputs.heatmap, labelled, labeller, scores, smooth=outputs.smooth_maps)
        if outputs.dicom is not None:
            try:
                objects += write_dicom(outputs.dicom, labelled, labeller, scores, with_patient=outputs.with_patient)
            except (ExchangeProblem, SlideProblem) as problem:
                failed.append({"slide": slide.path, "reason": f"DICOM: {problem}"})
    context.report(len(slides), len(slides), unit="slides", note="writing the results")
    labelling = Labelling(labels, settings, encoder.card.id, encoder.fingerprint, found)
    written = _write(outputs, labelling)
    if outputs.heatmap is not None:
        written["heatmap"] = {"path": str(outputs.heatmap), "count": len(maps), "files": [path.name for path in maps]}
    if outputs.dicom is not None:
        written["dicom"] = {"path": str(outputs.dicom), "count": len(objects), "files": [one.name for one in objects]}
    document = document_of(labelling, labeller.prompts, labeller.background)
    if learned["words"]:
        document["notes"].append(learned["words"])
    if outputs.report is not None:
        write_labelling_report(outputs.report, labelling, labeller.prompts, learned, document["notes"])
        written["report"] = {"path": str(outputs.report), "count": len(found)}
    return document | {"learned": learned, "failed": failed, "written": written}


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


def _write(outputs: Outputs, labelling: Labelling) -> dict[str, Json]:
    written: dict[str, Json] = {}

    def done(name: str, path: Path, count: int) -> None:
        written[name] = {"path": str(path), "count": count}

    if outputs.geojson is not None:
        done("geojson", outputs.geojson, write_geojson(outputs.geojson, labelling, tiles=outputs.tiles))
    if outputs.csv is not None:
        done("csv", outputs.csv, write_table(outputs.csv, labelling))
    if outputs.patches_csv is not None:
        done("patches_csv", outputs.patches_csv, write_patches(outputs.patches_csv, labelling))
    return written


def document_of(labelling: Labelling, prompts: ClassPrompts, background: Background | None) -> dict[str, Json]:
    """The result as ``--json`` prints it, with all that is needed to get it again."""
    labels, settings = labelling.labels, labelling.settings
    slides = []
    for one in labelling.slides:
        said = one.table(labels, settings).document()
        slides.append({"slide_id": one.slide.slide_id, "path": one.slide.path, **said})
    document: dict[str, Json] = {
        "slides": slides,
        "labels": labels.name,
        "prompts": prompts.document,
        "encoder": labelling.encoder_id,
        "encoder_fingerprint": labelling.encoder_fingerprint,
        "label_set": labels.model_dump(mode="json", exclude_defaults=True) | {"version": labels.version},
        "settings": settings.model_dump(mode="json"),
        "background_words": 0 if background is None else len(background.words),
        "notes": _notes(prompts, settings),
    }
    if len(labelling.slides) > 1:
        document["together"] = table_of(labelling.slides, labels, settings).document()
    return document


def _notes(prompts: ClassPrompts, settings: LabelSettings) -> list[str]:
    notes = []
    if prompts.truncated:
        notes.append(
            f"{len(prompts.truncated)} prompts are longer than the encoder can read; their ends were left out."
        )
    if settings.smooth:
        notes.append(f"Scores were averaged over neighbours up to {settings.smooth} patches away.")
    if len(settings.patch_mpp_um) > 1:
        notes.append("Scores of several magnifications were averaged.")
    return notes
