"""The way of a model from a path to an encoder: look, read, convert, check, keep."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from plipdesk.base.files import DiskFull, atomic_write, sha256_of
from plipdesk.base.progress import JobContext, QuietContext
from plipdesk.encoders.card import CARD_NAME, EncoderCard, EncoderProblem, ModelFile, OriginalFile
from plipdesk.encoders.export import graph_folder
from plipdesk.encoders.importing.cards import WEIGHTS_NAME, check_overrides, encoder_id_of, make_card
from plipdesk.encoders.importing.checkpoint import check_room, read_weights
from plipdesk.encoders.importing.documents import said_in_readme
from plipdesk.encoders.importing.draft import Draft
from plipdesk.encoders.importing.fitting import check_fit
from plipdesk.encoders.importing.probe import run_probe
from plipdesk.encoders.importing.reading import read_draft
from plipdesk.encoders.importing.report import ImportReport, ProbeReport
from plipdesk.encoders.importing.source import Source, look_at
from plipdesk.encoders.importing.staging import commit, staging
from plipdesk.encoders.loading import EMBEDDED_ID
from plipdesk.encoders.null import NULL_ID

_STEPS = 5


def import_model(
    source: Path,
    models_folder: Path,
    *,
    encoder_id: str | None = None,
    architecture: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    context: JobContext | None = None,
) -> ImportReport:
    """Make an encoder of the model at ``source`` (a folder or a weights file) in ``models_folder``.

    It is there wholly or not at all. Nothing is fetched and the originals are not touched.

    Args:
        encoder_id: the id it is kept under; None: made from the name of ``source``.
        architecture: a name of open_clip or timm, where the file does not tell.
        overrides: fields of the card that are known from elsewhere (:data:`cards.OVERRIDES`), such as ``mpp_um``.
        context: told how far it is, and asked whether to stop.

    Raises:
        NotFound: nothing is at ``source``.
        EncoderProblem: no model, a damaged one, one that is more than weights, or one whose answers are not right.
        UsageProblem: an id or a field that cannot be.
        DiskFull: no room.
        Cancelled: ``context`` was asked to stop; nothing is left behind.
    """
    watcher = context or QuietContext()
    given = dict(overrides or {})
    check_overrides(given)
    _step(watcher, 0, "Looking at the files")
    found = look_at(source)
    chosen = encoder_id_of(source, encoder_id)
    target = models_folder / chosen
    if target.exists() or chosen in (EMBEDDED_ID, NULL_ID):
        raise EncoderProblem(
            f"There is an encoder called {chosen} already.",
            path=target if target.exists() else None,
            remedy="Give another id with --id, or remove that encoder first.",
        )
    with staging(models_folder) as folder:
        check_room(found.weights, models_folder)
        draft, originals = _read(found, architecture, folder, watcher)
        check_fit(draft.architecture, draft.tensors, found.weights[0])
        _step(watcher, 3, "Writing safetensors")
        card = make_card(chosen, draft, _write(draft, folder), originals, given)
        del draft
        watcher.check_cancel()
        _step(watcher, 4, "Checking what it answers")
        known_as = frozenset({chosen, *(original.sha256 for original in originals)})
        try:
            probe = run_probe(card, folder, watcher, known_as=known_as)
        except BaseException:
            shutil.rmtree(graph_folder(card), ignore_errors=True)
            raise
        card = _finished(card, probe)
        with atomic_write(folder / CARD_NAME) as stream:
            stream.write(card.model_dump_json(indent=2).encode())
        watcher.check_cancel()
        commit(folder, target)
    _step(watcher, _STEPS, "Done")
    return ImportReport(
        card, target, tuple((original.name, original.sha256) for original in originals), probe, card.notes
    )


def _step(context: JobContext, done: int, note: str) -> None:
    context.report(done, _STEPS, unit="steps", note=note)


def _read(
    found: Source, architecture: str | None, folder: Path, context: JobContext
) -> tuple[Draft, tuple[OriginalFile, ...]]:
    _step(context, 1, "Computing checksums")
    originals = []
    for path in found.files:
        context.check_cancel()
        originals.append(OriginalFile(name=path.name, sha256=sha256_of(path)))
    _step(context, 2, "Reading the weights")
    scratch = folder / "scratch"
    scratch.mkdir()
    tensors, scripted = read_weights(found.weights, scratch, context)
    draft = read_draft(found, tensors, architecture, scripted=scripted)
    if os.name == "nt" and any(scratch.iterdir()):
        # There a file that is mapped cannot be removed.
        draft = replace(draft, tensors={name: tensor.clone() for name, tensor in draft.tensors.items()})
    del tensors
    shutil.rmtree(scratch)
    said = {**said_in_readme(found.folder), **draft.said} if found.layout != "bare" else draft.said
    return replace(draft, said=said), tuple(originals)


def _write(draft: Draft, folder: Path) -> dict[str, ModelFile]:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    weights = folder / WEIGHTS_NAME
    try:
        save_file({name: tensor.contiguous() for name, tensor in draft.tensors.items()}, weights)
    except SafetensorError as error:
        # The library tells a full disk in words only.
        raise DiskFull(
            f"The converted weights could not be written: {error}.", path=folder.parent, remedy="Free some space."
        ) from error
    # The library lets nobody else read it, and a workspace may be a department's.
    weights.chmod(0o644)
    files = {"weights": ModelFile(name=WEIGHTS_NAME, sha256=sha256_of(weights))}
    if draft.words is not None and draft.words.content is not None and draft.words.card.file is not None:
        path = folder / draft.words.card.file
        path.write_bytes(draft.words.content)
        files["tokenizer"] = ModelFile(name=path.name, sha256=sha256_of(path))
    return files


def _finished(card: EncoderCard, probe: ProbeReport) -> EncoderCard:
    """The card with what the probe showed."""
    notes = [*card.notes]
    if probe.image_cosine is None:
        notes.append("It is too large for ONNX Runtime's file format and runs in torch only.")
    if probe.verdict == "differs":
        notes.append(
            "Its answers to the probe set differ from those on record for this model: it may be another model, or one "
            "that was converted wrongly. Do not rely on it."
        )
    assert card.provenance is not None
    provenance = card.provenance.model_copy(
        update={"image_cosine": probe.image_cosine, "text_cosine": probe.text_cosine}
    )
    return card.model_copy(update={"notes": tuple(notes), "provenance": provenance})
