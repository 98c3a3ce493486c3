"""The finished model as a folder that encoders load: card, weights in half precision, merges."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from plipdesk.base.files import atomic_write, sha256_of
from plipdesk.encoders.card import CARD_NAME, EncoderCard, ModelFile, TokenizerCard
from plipdesk.training.recipe import Recipe, TrainingProblem

WEIGHTS_NAME = "model.safetensors"
MERGES_NAME = "bpe.txt.gz"


def export_model(
    model: Any,
    recipe: Recipe,
    architecture: dict[str, Any],
    merges: Path,
    folder: Path,
    *,
    scores: Mapping[str, float] | None = None,
) -> Path:
    """Write ``model`` to ``folder``; the card comes last, so a folder with a card is whole.

    Raises:
        TrainingProblem: the recipe's card lacks a field.
    """
    import torch
    from safetensors.torch import save

    tensors = {
        name: value.to(torch.float16).contiguous() if value.is_floating_point() else value.contiguous()
        for name, value in model.state_dict().items()
    }
    with atomic_write(folder / WEIGHTS_NAME) as stream:
        stream.write(save(tensors, {"format": "pt"}))
    with atomic_write(folder / MERGES_NAME) as stream:
        stream.write(merges.read_bytes())
    shape = recipe.preprocessing
    fields: dict[str, Any] = {
        "prompt_templates": ("{}",),
        "scores": dict(scores or {}),
        **recipe.card,
        "schema_version": 1,
        "architecture": architecture,
        "files": {
            "weights": ModelFile(name=WEIGHTS_NAME, sha256=sha256_of(folder / WEIGHTS_NAME)),
            "tokenizer": ModelFile(name=MERGES_NAME, sha256=sha256_of(folder / MERGES_NAME)),
        },
        "dim": architecture["embed_dim"],
        "input_px": shape.input_px,
        "mpp_um": shape.mpp_um,
        "mean": shape.mean,
        "std": shape.std,
        "interpolation": shape.interpolation,
        "resize": shape.resize,
        "tokenizer": TokenizerCard(kind="clip-bpe", file=MERGES_NAME),
        "context_length": architecture["text_cfg"]["context_length"],
        "logit_scale": min(100.0, math.exp(model.logit_scale.item())),
    }
    try:
        card = EncoderCard.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise TrainingProblem(
            f"The recipe's card cannot be used: {'.'.join(map(str, first['loc']))}: {first['msg']}.",
            remedy="Complete the recipe's section card.",
        ) from error
    write_card(folder, card)
    return folder


def write_card(folder: Path, card: EncoderCard) -> None:
    """Write ``card`` as the folder's ``card.json``."""
    with atomic_write(folder / CARD_NAME) as stream:
        stream.write((json.dumps(card.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n").encode())
