"""The job "label": stored vectors of slides and a label set in, the document of ``plipdesk label --json`` out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from plipdesk.base.paths import Workspace
from plipdesk.base.progress import JobContext, Json
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.encoders.protocol import Encoder
from plipdesk.exchange.errors import ExchangeProblem
from plipdesk.labelling.background import Background
from plipdesk.labelling.dicom_export import write_dicom
from plipdesk.labelling.exporting import Labelling, Outputs, write_geojson, write_patches, write_table
from plipdesk.labelling.label_sets import checked_label_set
from plipdesk.labelling.labelled import LabelledSlide, label_slide, table_of
from plipdesk.labelling.learning import gather_examples, learn
from plipdesk.labelling.map_export import write_maps
from plipdesk.labelling.prompts import ClassPrompts
from plipdesk.labelling.reporting import write_labelling_report
from plipdesk.labelling.session import make_labeller, open_slides
from plipdesk.labelling.settings import LabelSettings
from plipdesk.slides.errors import SlideProblem


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
    labels = checked_label_set(params.get("labels") or {})
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
