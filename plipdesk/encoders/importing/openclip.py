"""open_clip's folders (``open_clip_config.json``) and bare checkpoints whose architecture open_clip knows by name.

QuiltNet, PathCLIP and PathGen-CLIP are of this kind, BiomedCLIP with a BERT text tower, and SigLIP with a tokenizer of
its own and a sigmoid instead of a softmax.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.importing.bert_tower import bert_section
from plipdesk.encoders.importing.documents import read_document, section
from plipdesk.encoders.importing.draft import Draft, Words, check_numbers, layers, whole
from plipdesk.encoders.importing.pictures import from_open_clip
from plipdesk.encoders.importing.tokens import Clean, file_words, own_clip_words

if TYPE_CHECKING:
    import torch

CONFIG_NAME = "open_clip_config.json"
_TEXT_OUTER = ("text_projection", "positional_embedding", "token_embedding.", "transformer.", "ln_final.", "cls_emb")
# What old versions wrote among the weights, and what a training script needs and an encoder does not.
_JUNK = ("attn_mask", "text.attn_mask", "input_resolution", "context_length", "vocab_size")
_JUNK_ENDS = (".position_ids",)
_NO_TOWER_KEYS = ("timm_model_pretrained", "timm_drop", "timm_drop_path", "hf_model_pretrained", "hf_tokenizer_name",
                  "tokenizer_kwargs", "tokenizer_mode", "output_tokens", "patch_dropout")  # fmt: skip
_SIGLIP = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "resize_mode": "squash"}
_MOBILE = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0], "interpolation": "bilinear"}


def read_open_clip(folder: Path, tensors: Mapping[str, torch.Tensor]) -> Draft:
    """The draft of the model in an open_clip folder.

    Raises:
        EncoderProblem: the configuration is incomplete, or asks for what is not known here.
    """
    path = folder / CONFIG_NAME
    if not path.is_file():
        path = folder / "config.json"
    config = read_document(path)
    return _draft(section(config, "model_cfg", path), config.get("preprocess_cfg") or {}, folder, path, tensors)


def read_named(name: str, folder: Path, tensors: Mapping[str, torch.Tensor]) -> Draft | None:
    """The draft of a bare checkpoint of open_clip's architecture ``name``; None where open_clip has none so called.

    Raises:
        EncoderProblem: the checkpoint is not of that architecture, or lacks the tokenizer that belongs to it.
    """
    path = _config_file(name)
    if path is None:
        return None
    rules = _SIGLIP if "SigLIP" in name else _MOBILE if name.startswith("MobileCLIP") else {}
    draft = _draft(read_document(path), rules, folder, path, tensors)
    note = f"The architecture is open_clip's {name} as it was named by hand, and pictures are prepared as it wants."
    return replace(draft, layout="open_clip checkpoint", notes=(*draft.notes, note))


def _config_file(name: str) -> Path | None:
    if Path(name).name != name:
        return None
    spec = importlib.util.find_spec("open_clip")
    for place in (spec.submodule_search_locations or []) if spec else []:
        path = Path(place) / "model_configs" / f"{name}.json"
        if path.is_file():
            return path
    return None


def _draft(
    config: dict[str, Any], rules: Mapping[str, Any], folder: Path, path: Path, tensors: Mapping[str, torch.Tensor]
) -> Draft:
    check_numbers(config, path)
    vision, text = section(config, "vision_cfg", path), section(config, "text_cfg", path)
    if "multimodal_cfg" in config:
        raise EncoderProblem("Models that write captions (CoCa) are not known here.", path=path)
    if isinstance(vision.get("layers", 12), int):
        layers(vision, "layers", 12)
    layers(text, "layers", 12)
    tensors, left_out = _named(tensors)
    context_length = whole(text, "context_length", 77, most=512)
    outer: dict[str, Any] = {"embed_dim": whole(config, "embed_dim", None), "vision_cfg": _kept(vision)}
    if config.get("quick_gelu", False):
        outer["quick_gelu"] = True
    if text.get("hf_model_name"):
        outer["text_cfg"] = {"context_length": context_length, "bert": bert_section(text, folder, path, tensors)}
        dropped = [name for name in tensors if name.startswith("text.transformer.pooler.")]
        if outer["text_cfg"]["bert"]["pooler"] != "cls_pooler":
            tensors = {name: tensor for name, tensor in tensors.items() if name not in dropped}
            left_out = (*left_out, *dropped)
    else:
        outer["text_cfg"] = _kept(text)
        if any(name.startswith("text.") for name in tensors):
            outer["custom_text"] = True
    scale, bias = tensors.get("logit_scale"), tensors.get("logit_bias")
    tensors = {name: tensor for name, tensor in tensors.items() if name != "logit_bias"}
    if scale is not None and scale.numel() == 1:
        tensors["logit_scale"] = scale.reshape(())
    image_px = whole(vision, "image_size", 224, most=2048)
    outer["vision_cfg"]["image_size"] = image_px
    return Draft(
        layout="open_clip folder",
        architecture=outer,
        tensors=tensors,
        picture=from_open_clip(rules, image_px, path),
        words=_words(text, folder, context_length, path),
        logit_scale=float(scale.float().exp().item()) if scale is not None and scale.numel() == 1 else 100.0,
        logit_bias=None if bias is None else float(bias.float().mean().item()),
        left_out=left_out,
    )


def _kept(tower: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in tower.items() if key not in _NO_TOWER_KEYS and not key.startswith("hf_")}


def _named(tensors: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """The tensors by the names that the newest open_clip has, and the names of those nobody needs."""
    left_out = tuple(sorted(name for name in tensors if name in _JUNK or name.endswith(_JUNK_ENDS)))
    kept = {name: tensor for name, tensor in tensors.items() if name not in left_out}
    inner = [name for name in kept if name.startswith("text.")]
    if inner and not all(name.startswith(("text.", "visual.", "logit_")) for name in kept):
        kept = {f"text.{name}" if name.startswith(_TEXT_OUTER) else name: tensor for name, tensor in kept.items()}
    return kept, left_out


def _words(text: Mapping[str, Any], folder: Path, context_length: int, path: Path) -> Words:
    if not text.get("hf_model_name") and not text.get("hf_tokenizer_name"):
        return own_clip_words(context_length)
    options = text.get("tokenizer_kwargs") or {}
    clean: Clean = options.get("clean", "whitespace")
    known = set(options) <= {"clean", "strip_sep_token"} and not text.get("tokenizer_mode")
    if not known or clean not in get_args(Clean):
        raise EncoderProblem("The model's tokenizer is used in a way that is not known here.", path=path)
    return file_words(folder, context_length, clean=clean, pad_id=None, zeroed=bool(options.get("strip_sep_token")))
