"""A Hugging Face text tower inside an open_clip model: its shape, read off its weights.

open_clip asks the hub for the tower's configuration by name. Here the weights themselves tell all but the number of
heads, which is BERT's 64 numbers a head unless the tower's own configuration lies in the folder and says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plipdesk.encoders.bert import POOLERS
from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.importing.documents import optional_document
from plipdesk.encoders.importing.draft import whole

if TYPE_CHECKING:
    import torch

_ROOT = "text.transformer."
_HEAD_WIDTH = 64
_REMEDY = "Only BERT text towers, such as BiomedCLIP's, are known here."


def bert_section(
    text: Mapping[str, Any], folder: Path, path: Path, tensors: Mapping[str, torch.Tensor]
) -> dict[str, Any]:
    """What a card's ``text_cfg.bert`` holds, for the tower in ``tensors``.

    Raises:
        EncoderProblem: it is no BERT, or pools in a way that is not known here.
    """
    name = str(text.get("hf_model_name"))
    config = _tower_config(folder)
    kind = config.get("model_type", "bert")
    if kind != "bert" or "roberta" in name.lower():
        raise EncoderProblem(f"The text tower {name} is not known here.", path=path, remedy=_REMEDY)

    def shape(part: str) -> tuple[int, ...]:
        tensor = tensors.get(_ROOT + part)
        if tensor is None or tensor.ndim != 2:
            raise EncoderProblem(f"The weights lack {_ROOT}{part}.", path=path, remedy=_REMEDY)
        return tuple(tensor.shape)

    vocabulary, width = shape("embeddings.word_embeddings.weight")
    numbers = {
        int(rest.split(".")[0])
        for rest in (key.removeprefix(f"{_ROOT}encoder.layer.") for key in tensors if "encoder.layer." in key)
        if rest.split(".")[0].isdigit()
    }
    pooler = text.get("hf_pooler_type") or "mean_pooler"
    if pooler not in POOLERS:
        raise EncoderProblem(f"The text tower pools in an unknown way ({pooler}).", path=path, remedy=_REMEDY)
    heads = whole(config, "num_attention_heads", max(1, width // _HEAD_WIDTH))
    activation = config.get("hidden_act", "gelu")
    if width % heads or activation != "gelu":
        raise EncoderProblem("The text tower's configuration is not one of BERT's.", path=path, remedy=_REMEDY)
    projection = "mlp" if "text.proj.0.weight" in tensors else "linear" if "text.proj.weight" in tensors else "none"
    return {
        "vocab_size": vocabulary,
        "width": width,
        "layers": len(numbers),
        "heads": heads,
        "mlp_width": shape("encoder.layer.0.intermediate.dense.weight")[0],
        "positions": shape("embeddings.position_embeddings.weight")[0],
        "types": shape("embeddings.token_type_embeddings.weight")[0],
        "epsilon": float(config.get("layer_norm_eps", 1e-12)),
        "pad_id": int(config.get("pad_token_id") or 0),
        "pooler": pooler,
        "projection": projection,
    }


def _tower_config(folder: Path) -> dict[str, Any]:
    """The tower's own configuration, where the folder has one (a ``config.json`` with a ``model_type``)."""
    config = optional_document(folder / "config.json")
    return config if "model_type" in config and "hidden_size" in config else {}
