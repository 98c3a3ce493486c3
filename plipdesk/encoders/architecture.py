"""Building a model from its configuration alone: no names looked up, no network, no weights."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.towers import register_towers

if TYPE_CHECKING:
    import torch

_REMEDY = "Use a model whose configuration holds embed_dim, vision_cfg and text_cfg as open_clip writes them."
_MODEL_KEYS = frozenset({"embed_dim", "vision_cfg", "text_cfg", "quick_gelu", "init_logit_scale", "init_logit_bias"})
# What only names a tokenizer or a training habit: the card says how words become numbers.
_IGNORED_TEXT_KEYS = frozenset({"hf_tokenizer_name", "tokenizer_mode", "tokenizer_kwargs"})


def _section(architecture: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = architecture.get(name)
    if not isinstance(section, Mapping):
        raise EncoderProblem(f"The model's architecture has no {name}.", remedy=_REMEDY)
    return dict(section)


def build_model(architecture: Mapping[str, Any]) -> torch.nn.Module:
    """Build an open_clip ``CLIP`` or ``CustomTextCLIP`` (``custom_text`` true) with freshly initialised weights.

    ``architecture`` is an open_clip model configuration: ``embed_dim``, ``vision_cfg`` (a ViT, a ResNet or a timm
    trunk by its plain name), ``text_cfg``, and optionally ``quick_gelu``, ``custom_text``, ``init_logit_scale`` and
    ``init_logit_bias``. Two things are plipdesk's own: without ``text_cfg`` the model only sees, and then
    ``timm_model_kwargs`` may shape its timm trunk; a ``text_cfg`` that holds ``bert`` has that tower. The network is
    never touched: pretrained flags are overruled, and what would be looked up elsewhere (``hf-hub:`` names, Hugging
    Face text towers) is refused.

    Raises:
        EncoderProblem: a part is missing, unknown, or would have to be fetched.
    """
    vision = _section(architecture, "vision_cfg")
    text = _section(architecture, "text_cfg") if "text_cfg" in architecture else None
    unknown = sorted(set(architecture) - _MODEL_KEYS - {"custom_text"})
    if unknown:
        raise EncoderProblem(f"The model's architecture has parts that are not known: {', '.join(unknown)}.")
    if text is not None and text.get("hf_model_name"):
        raise EncoderProblem("Models with a Hugging Face text tower cannot be built.", remedy=_REMEDY)
    trunk = vision.get("timm_model_name")
    if trunk is not None and (":" in trunk or "/" in trunk):
        raise EncoderProblem(
            f"The image tower {trunk!r} would have to be fetched.", remedy="Name a plain timm architecture in the card."
        )
    # timm and open_clip import huggingface_hub, which reads this once.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if trunk is not None and trunk.startswith("plipdesk_"):
        register_towers()
    try:
        return _built(architecture, vision, text)
    except (TypeError, ValueError, RuntimeError, AssertionError, ZeroDivisionError, KeyError) as error:
        raise EncoderProblem(f"The model's architecture cannot be built: {error}.", remedy=_REMEDY) from error


def _built(
    architecture: Mapping[str, Any], vision: dict[str, Any], text: dict[str, Any] | None
) -> torch.nn.Module:  # fmt: skip
    from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP

    from plipdesk.encoders.assembled import image_trunk, with_bert, without_words

    dim = architecture["embed_dim"]
    options = vision.pop("timm_model_kwargs", None)
    if text is None and options is not None:
        return without_words(image_trunk(vision["timm_model_name"], options))
    vision["timm_model_pretrained"] = False
    settings = {key: architecture[key] for key in _MODEL_KEYS - {"vision_cfg", "text_cfg"} if key in architecture}
    own_text = text is None or "bert" in text
    if text is None or own_text:
        # open_clip builds both towers or none; the one that nobody wants is as small as it can be.
        cfg = CLIPTextCfg(context_length=1, vocab_size=2, width=1, heads=1, layers=1)
        visual = CustomTextCLIP(vision_cfg=CLIPVisionCfg(**vision), text_cfg=cfg, **settings).visual
        return without_words(visual) if text is None else with_bert(visual, text, dim)
    cfg = CLIPTextCfg(**{key: value for key, value in text.items() if key not in _IGNORED_TEXT_KEYS})
    kind = CustomTextCLIP if architecture.get("custom_text", False) else CLIP
    model: torch.nn.Module = kind(vision_cfg=CLIPVisionCfg(**vision), text_cfg=cfg, **settings)
    return model
