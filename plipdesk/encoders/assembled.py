"""Models that open_clip does not build by itself: those without words, and those whose text tower is BERT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from plipdesk.encoders.bert import BertShape, bert_text
from plipdesk.encoders.card import EncoderProblem

if TYPE_CHECKING:
    import torch

TRUNK_KEYS = frozenset(
    {"img_size", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio", "init_values", "reg_tokens", "qkv_bias"}
    | {"no_embed_class", "class_token", "global_pool", "pre_norm", "final_norm", "fc_norm", "proj_bias"}
    | {"mlp_layer", "act_layer", "norm_eps"}
)
"""What ``vision_cfg.timm_model_kwargs`` of a card may hold; layers are told by name."""
_MLP_LAYERS = ("Mlp", "SwiGLUPacked")
_ACT_LAYERS = ("gelu", "gelu_tanh", "silu", "quick_gelu")


def image_trunk(name: str, options: Mapping[str, Any]) -> torch.nn.Module:
    """A timm model ``name`` with ``options`` and without a classifier, as ``.trunk`` of a module.

    Raises:
        EncoderProblem: an option that is not known, or a model that cannot be built.
    """
    import timm
    import torch

    unknown = sorted(set(options) - TRUNK_KEYS)
    if unknown:
        raise EncoderProblem(f"The image tower has options that are not known: {', '.join(unknown)}.")
    given = {key: value for key, value in options.items() if key not in ("mlp_layer", "norm_eps")}
    if given.get("act_layer", "gelu") not in _ACT_LAYERS or options.get("mlp_layer", "Mlp") not in _MLP_LAYERS:
        raise EncoderProblem("The image tower has layers that are not known.")
    if "mlp_layer" in options:
        given["mlp_layer"] = getattr(timm.layers, options["mlp_layer"])
    if "norm_eps" in options:
        given["norm_layer"] = _norm_with(float(options["norm_eps"]))
    trunk = timm.create_model(name, pretrained=False, num_classes=0, **given)

    class Trunk(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk = trunk

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            features: torch.Tensor = self.trunk(pixels)
            return features

    return Trunk()


def _norm_with(epsilon: float) -> Any:
    from functools import partial

    import torch

    return partial(torch.nn.LayerNorm, eps=epsilon)


def with_bert(visual: torch.nn.Module, text: Mapping[str, Any], dim: int) -> torch.nn.Module:
    """``visual`` and a BERT text tower side by side, with open_clip's names.

    Raises:
        EncoderProblem: the tower's description is not whole.
    """
    import torch

    tower = bert_text(BertShape.of(text["bert"]), dim)

    class Pair(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.visual, self.text = visual, tower
            self.logit_scale = torch.nn.Parameter(torch.zeros(()))

    return Pair()


def without_words(visual: torch.nn.Module) -> torch.nn.Module:
    """``visual`` alone, by the name it has beside a text tower."""
    import torch

    class Seeing(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.visual = visual

    return Seeing()
