"""``plipdesk models import``: an encoder from files on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plipdesk.base.errors import UsageProblem
from plipdesk.cli.commands import command
from plipdesk.cli.places import absolute
from plipdesk.cli.progress import BarContext
from plipdesk.cli.session import Session

if TYPE_CHECKING:
    from plipdesk.encoders.card import EncoderCard
    from plipdesk.encoders.importing import ImportReport


def declare(app: typer.Typer) -> None:
    """Add the command to ``plipdesk models``."""
    command(app, "import")(import_encoder)


def import_encoder(
    session: Session,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A model's folder, its weights file, or what 'models export' made.")
    ],
    encoder_id: Annotated[str | None, typer.Option("--id", help="Its id here; else made from the path.")] = None,
    architecture: Annotated[str | None, typer.Option(help="open_clip's or timm's name, for a bare file.")] = None,
    mpp_um: Annotated[float | None, typer.Option("--mpp", help="Microns per pixel it was trained at.")] = None,
    name: Annotated[str | None, typer.Option(help="Its name on screen.")] = None,
    licence: Annotated[str | None, typer.Option(help="Its licence, where its files do not tell.")] = None,
    template: Annotated[list[str] | None, typer.Option(help="Prompt with {} for the term; repeatable.")] = None,
) -> None:
    """Import an encoder from files on this machine: a Hugging Face or open_clip folder, or a weights file.

    Nothing is fetched. The weights are converted to safetensors once, and the model must answer a built-in probe set
    alike in both runtimes before it is kept. Of a file that 'plipdesk models export' made every hash is verified.
    """
    from plipdesk.encoders.bundle import is_bundle
    from plipdesk.encoders.importing import import_model

    if is_bundle(absolute(path)):
        if any((architecture, mpp_um, name, licence, template)):
            raise UsageProblem("An exported encoder has its card with it.", remedy="Give --id alone, or nothing.")
        _import_bundle(session, absolute(path), encoder_id)
        return
    given = {"mpp_um": mpp_um, "name": name, "licence": licence, "prompt_templates": tuple(template or ()) or None}
    with session.progress_bar() as bar:
        report = import_model(
            absolute(path),
            session.workspace.models,
            encoder_id=encoder_id,
            architecture=architecture,
            overrides={key: value for key, value in given.items() if value is not None},
            context=BarContext(bar),
        )
    tell_import(session, report)


def _import_bundle(session: Session, path: Path, encoder_id: str | None) -> None:
    from plipdesk.encoders.bundle import read_bundle

    with session.progress_bar() as bar:
        installed = read_bundle(path, session.workspace.models, encoder_id=encoder_id, context=BarContext(bar))
    card = installed.card
    if session.as_json:
        session.answer({"model": _model_document(card), "folder": str(installed.folder), "bundle": str(path)})
        return
    session.say(f"Imported {card.id} ({card.name}); every hash is the one it was exported with.")
    session.say(f"Use it with: plipdesk models use {card.id}")


def tell_import(session: Session, report: ImportReport) -> None:
    """Print what came of an import."""
    if session.as_json:
        session.answer(report_document(report))
        return
    card, probe = report.card, report.probe
    kind = "words and pictures" if card.has_words else "pictures only, it has no words"
    session.say(f"Imported {card.id} ({card.name}): {kind}; {card.dim} numbers, {card.mpp_um} µm per pixel.")
    for what, cosine in (("pictures", probe.image_cosine), ("texts", probe.text_cosine)):
        if cosine is not None:
            session.say(f"torch and ONNX Runtime agree on the probe {what}: cosine {cosine:.6f}.")
    session.say(f"Known answers to the probe set: {probe.verdict}.")
    for note in report.notes:
        session.remark(f"Note: {note}")
    session.say(f"Use it with: plipdesk models use {card.id}")


def report_document(report: ImportReport) -> dict[str, Any]:
    """What an import tells, as ``--json`` prints it."""
    card, probe = report.card, report.probe
    return {
        "model": _model_document(card),
        "folder": str(report.folder),
        "originals": [{"name": name, "sha256": digest} for name, digest in report.originals],
        "weights_sha256": card.files["weights"].sha256,
        "probe": {
            "image_cosine": probe.image_cosine, "text_cosine": probe.text_cosine, "verdict": probe.verdict,
            "numbers": [list(row) for row in probe.numbers],
        },
        "notes": list(report.notes),
    }  # fmt: skip


def _model_document(card: EncoderCard) -> dict[str, Any]:
    return {
        "id": card.id, "name": card.name, "fingerprint": card.fingerprint(), "mpp_um": card.mpp_um,
        "input_px": card.input_px, "dim": card.dim, "has_words": card.has_words, "licence": card.licence,
    }  # fmt: skip
