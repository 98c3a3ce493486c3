"""Finding the encoders that are installed, and loading one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from plipdesk.base.budget import CpuBudget
from plipdesk.base.errors import NotFound
from plipdesk.base.resources import resource_path
from plipdesk.encoders.architecture import build_model
from plipdesk.encoders.card import CARD_NAME, EncoderCard, EncoderProblem, ModelFile, load_card
from plipdesk.encoders.clip_graph import handles_text
from plipdesk.encoders.export import Tower, fits_onnx, graph_file
from plipdesk.encoders.null import NULL_ID, NullEncoder, null_card
from plipdesk.encoders.onnx_runtime import OnnxEncoder
from plipdesk.encoders.protocol import Encoder, Precision
from plipdesk.encoders.texts import TextPreparer, text_preparer
from plipdesk.encoders.torch_runtime import TorchEncoder, has_gpu, pick_device
from plipdesk.encoders.tuning import kept_tuning
from plipdesk.encoders.weights import load_weights, verified_file

EMBEDDED_ID = "plipdesk-mini"
_EMBEDDED_FOLDER = f"models/{EMBEDDED_ID}"


@dataclass(frozen=True)
class InstalledEncoder:
    """An encoder that is there: its card, its folder (None: built in, without files), shipped with plipdesk or not."""

    card: EncoderCard
    folder: Path | None
    embedded: bool


def list_encoders(models_folder: Path | None) -> list[InstalledEncoder]:
    """The embedded encoder first, then those imported into ``models_folder`` by id; one with a bad card is left out.

    Raises:
        Bug: the embedded encoder is missing, so the installation is damaged.
    """
    found = [_embedded()]
    for folder in _imported_folders(models_folder):
        try:
            found.append(InstalledEncoder(load_card(folder), folder, embedded=False))
        except EncoderProblem:
            continue
    return found


def find_encoder(encoder_id: str | None, models_folder: Path | None) -> InstalledEncoder:
    """The encoder called ``encoder_id``; None means the embedded one, ``null`` the one without weights.

    Raises:
        NotFound: no such encoder.
        EncoderProblem: its card cannot be used.
    """
    if encoder_id is None or encoder_id == EMBEDDED_ID:
        return _embedded()
    if encoder_id == NULL_ID:
        return InstalledEncoder(null_card(), None, embedded=False)
    for folder in _imported_folders(models_folder):
        if folder.name == encoder_id:
            return InstalledEncoder(load_card(folder), folder, embedded=False)
    raise NotFound(
        f"There is no encoder called {encoder_id!r}.", remedy="See 'plipdesk models list' for those that are installed."
    )


def load_encoder(
    installed: InstalledEncoder,
    *,
    runtime: Literal["auto", "torch", "onnx"] = "auto",
    precision: Precision = "fp32",
    threads: int | None = None,
    device: str = "auto",
    batch: int | None = None,
    report: Callable[[str], None] | None = None,
) -> Encoder:
    """Load ``installed``, ready to encode.

    Args:
        runtime: ``auto`` is ONNX Runtime on the CPU and torch where there is a GPU, or what ONNX Runtime cannot do is
            asked for.
        precision: numbers to compute in; ONNX Runtime computes in fp32 and int8, torch in the others. What is not fp32
            should come from :func:`plipdesk.encoders.precision.load_proven`.
        threads: CPU threads (None: the budget of the machine).
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        batch: pictures encoded at once (None: what was measured best on this machine, else what suits most).
        report: told in one sentence what takes long, such as the first export.

    Raises:
        EncoderProblem: a file is missing or damaged, or what was asked cannot be had.
    """
    card, folder = installed.card, installed.folder
    if folder is None:
        return NullEncoder()
    weights = verified_file(folder, listed_file(card, "weights"))
    tokenizer = verified_file(folder, listed_file(card, "tokenizer")) if card.tokenizer.file is not None else None
    _check_fit(card)
    texts = text_preparer(card, tokenizer)
    tuned = kept_tuning(card.fingerprint()) if precision == "fp32" and batch is None else None
    if tuned is not None and (runtime, device) == ("auto", "auto"):
        runtime, device = tuned.runtime, tuned.device if _still_there(tuned.device) else "auto"
    if runtime == "auto":
        on_gpu = device.split(":")[0] in ("cuda", "mps") or (device == "auto" and has_gpu())
        written = (texts is None or handles_text(card.architecture)) and fits_onnx(weights)
        runtime = "onnx" if written and not on_gpu and precision == "fp32" else "torch"
        runtime = "onnx" if precision == "int8" and written else runtime
    if tuned is not None and tuned.runtime == runtime and device in ("auto", tuned.device):
        batch = tuned.batch
    count = threads if threads is not None else CpuBudget.of_machine().encoder_threads
    if runtime == "torch":
        return _in_torch(card, weights, texts, precision=precision, threads=count, device=device, batch=batch)
    if precision not in ("fp32", "int8") or device not in ("auto", "cpu"):
        raise EncoderProblem(
            f"ONNX Runtime encodes in fp32 or int8 on the CPU here, not in {precision} on {device}.",
            remedy="Choose the torch runtime.",
        )

    def graph(tower: Tower) -> Path:
        # Texts are few: their tower stays in fp32 and is none the slower for it.
        return graph_file(card, folder, tower, int8=precision == "int8" and tower == "image", report=report)

    numeric_class: Literal["fp32", "int8"] = "int8" if precision == "int8" else "fp32"
    return OnnxEncoder(card, texts, graph, threads=count, numeric_class=numeric_class, chunk=batch)


def _still_there(device: str) -> bool:
    return device == "cpu" or has_gpu()


def _in_torch(
    card: EncoderCard,
    weights: Path,
    texts: TextPreparer | None,
    *,
    precision: Precision,
    threads: int,
    device: str,
    batch: int | None,
) -> Encoder:
    import torch

    from plipdesk.encoders.modules import image_tower, text_tower

    place = pick_device(device)
    if place == "cpu":
        torch.set_num_threads(threads)
    model = build_model(card.architecture)
    load_weights(model, weights)
    text = text_tower(model) if texts is not None else None
    return TorchEncoder(card, texts, image_tower(model, card), text, device=place, precision=precision, batch=batch)


def listed_file(card: EncoderCard, role: Literal["weights", "tokenizer"]) -> ModelFile:
    """The file that a card names for ``role``.

    Raises:
        EncoderProblem: it names none.
    """
    if role not in card.files:
        raise EncoderProblem(f"The card of {card.id} names no file for its {role}.", remedy="Complete the card.")
    return card.files[role]


def _check_fit(card: EncoderCard) -> None:
    """Refuse a card whose numbers contradict its own architecture."""
    vision = card.architecture.get("vision_cfg", {})
    claims = {
        "dim": (card.dim, card.architecture.get("embed_dim")),
        "input_px": (card.input_px, vision.get("image_size", 224) if isinstance(vision, dict) else None),
    }
    for name, (said, built) in claims.items():
        if said != built:
            raise EncoderProblem(
                f"The card of {card.id} says {name} {said}, its architecture {built}.", remedy="Correct the card."
            )


def _embedded() -> InstalledEncoder:
    folder = resource_path(_EMBEDDED_FOLDER)
    return InstalledEncoder(load_card(folder), folder, embedded=True)


def _imported_folders(models_folder: Path | None) -> list[Path]:
    if models_folder is None or not models_folder.is_dir():
        return []
    # What is still being imported has a name that starts with a dot.
    return sorted(
        folder
        for folder in models_folder.iterdir()
        if not folder.name.startswith(".") and (folder / CARD_NAME).is_file()
    )
