"""Finding the encoders that are installed, and loading one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from plipdesk.base.errors import NotFound
from plipdesk.base.resources import resource_path
from plipdesk.encoders.card import CARD_NAME, EncoderCard, EncoderProblem, load_card
from plipdesk.encoders.null import NULL_ID, NullEncoder, null_card
from plipdesk.encoders.protocol import Encoder, Precision

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
    report: Callable[[str], None] | None = None,
) -> Encoder:
    """Load ``installed``, ready to encode.

    Args:
        runtime: ``auto`` is ONNX Runtime on the CPU and torch where there is a GPU.
        precision: numbers to compute in; ONNX Runtime computes in fp32.
        threads: CPU threads (None: the budget of the machine).
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        report: told in one sentence what takes long, such as the first export.

    Raises:
        EncoderProblem: a file is missing or damaged, or what was asked cannot be had.
    """
    del runtime, precision, threads, device, report
    if installed.folder is None:
        return NullEncoder()
    raise EncoderProblem(f"The encoder {installed.card.id} cannot be loaded.")


def _embedded() -> InstalledEncoder:
    folder = resource_path(_EMBEDDED_FOLDER)
    return InstalledEncoder(load_card(folder), folder, embedded=True)


def _imported_folders(models_folder: Path | None) -> list[Path]:
    if models_folder is None or not models_folder.is_dir():
        return []
    return sorted(folder for folder in models_folder.iterdir() if (folder / CARD_NAME).is_file())
