"""An installed encoder as torch modules whose weights can be changed: what fine-tuning starts from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plipdesk.encoders.architecture import build_model
from plipdesk.encoders.card import EncoderCard, EncoderProblem
from plipdesk.encoders.loading import InstalledEncoder, listed_file
from plipdesk.encoders.modules import image_tower, text_tower
from plipdesk.encoders.texts import TextPreparer, text_preparer
from plipdesk.encoders.weights import load_weights, verified_file

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Trainable:
    """``image`` and ``text`` are views of ``model``'s own parameters, with plipdesk's inputs and outputs."""

    card: EncoderCard
    model: Any
    image: torch.nn.Module
    text: torch.nn.Module
    texts: TextPreparer
    tokenizer: Path | None


def load_trainable(installed: InstalledEncoder) -> Trainable:
    """The model of an encoder with words, in float32 on the CPU; nothing learns yet.

    Raises:
        EncoderProblem: it has no weights or no words, or a file is missing or damaged.
    """
    card, folder = installed.card, installed.folder
    if folder is None or not card.has_words:
        raise EncoderProblem(
            f"{card.name} cannot be tuned by pictures and words.",
            remedy="Choose an image–text encoder.",
        )
    weights = verified_file(folder, listed_file(card, "weights"))
    tokenizer = verified_file(folder, listed_file(card, "tokenizer")) if card.tokenizer.file is not None else None
    texts = text_preparer(card, tokenizer)
    assert texts is not None
    model = build_model(card.architecture)
    load_weights(model, weights)
    model.eval()
    return Trainable(card, model, image_tower(model, card), text_tower(model), texts, tokenizer)
