"""What an import tells when it is done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from plipdesk.encoders.card import EncoderCard

Verdict = Literal["matches the record", "differs", "no record"]


@dataclass(frozen=True)
class ProbeReport:
    """What the built-in pictures and texts showed.

    ``image_cosine`` and ``text_cosine``: the lowest cosine between torch and ONNX Runtime (None: there are no words, or
    ONNX Runtime cannot hold the model). ``verdict``: how the embeddings compare with those on record for this model.
    """

    image_cosine: float | None
    text_cosine: float | None
    verdict: Verdict
    numbers: tuple[tuple[float, ...], ...]
    """The first numbers of each probe embedding, pictures before texts: what a record holds."""


@dataclass(frozen=True)
class ImportReport:
    """An encoder that was imported: its card, its folder, and the files it was made from as (name, SHA-256)."""

    card: EncoderCard
    folder: Path
    originals: tuple[tuple[str, str], ...]
    probe: ProbeReport
    notes: tuple[str, ...]
