"""OpenAI's CLIP as it was published: a TorchScript archive, or its state dict, told by its shapes.

The names are those open_clip took over; the activation is always QuickGELU, which the file does not say.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.importing.draft import CLIP_MEAN, CLIP_STD, Draft, Picture
from plipdesk.encoders.importing.tokens import own_clip_words

if TYPE_CHECKING:
    import torch

OPENAI = "openai"
"""What stands for these architectures where one is named by hand."""
_MARKS = ("input_resolution", "context_length", "vocab_size")
_BPE_WORDS = 49408


def looks_like_clip(tensors: Mapping[str, torch.Tensor]) -> bool:
    """Whether these are the weights of a CLIP in OpenAI's and open_clip's names."""
    return "token_embedding.weight" in tensors and any(name.startswith("visual.") for name in tensors)


def is_openai(tensors: Mapping[str, torch.Tensor], scripted: bool) -> bool:
    """Whether these are OpenAI's own: a TorchScript archive, or the numbers only its state dict has."""
    return looks_like_clip(tensors) and (scripted or all(mark in tensors for mark in _MARKS))


def read_openai(tensors: Mapping[str, torch.Tensor], path: Path) -> Draft:
    """The draft of OpenAI's CLIP, with a Vision Transformer or a ResNet.

    Raises:
        EncoderProblem: a tensor is missing, or the shapes are none of CLIP's.
    """
    kept = {name: tensor for name, tensor in tensors.items() if name not in _MARKS and not name.endswith("attn_mask")}

    def shape(name: str, length: int) -> tuple[int, ...]:
        tensor = kept.get(name)
        if tensor is None or tensor.ndim != length:
            raise EncoderProblem(
                f"The weights lack {name}.", path=path, remedy="Copy or download the file again; it is no whole CLIP."
            )
        return tuple(tensor.shape)

    width, dim = shape("text_projection", 2)
    context_length = shape("positional_embedding", 2)[0]
    vocabulary = shape("token_embedding.weight", 2)[0]
    if vocabulary != _BPE_WORDS or context_length > 512:
        raise EncoderProblem(f"A vocabulary of {vocabulary} words is not OpenAI's.", path=path)
    vision = _transformer(kept, shape) if "visual.conv1.weight" in kept and "visual.proj" in kept else None
    vision = vision or _resnet(kept, shape, path)
    architecture: dict[str, Any] = {
        "embed_dim": dim,
        "quick_gelu": True,
        "vision_cfg": vision,
        "text_cfg": {
            "context_length": context_length,
            "vocab_size": vocabulary,
            "width": width,
            "heads": max(1, width // 64),
            "layers": _count(kept, "transformer.resblocks."),
        },
    }
    shape("logit_scale", kept["logit_scale"].ndim if "logit_scale" in kept else 0)
    scale = kept["logit_scale"] = kept["logit_scale"].reshape(())
    return Draft(
        layout="OpenAI CLIP",
        architecture=architecture,
        tensors=kept,
        picture=Picture(vision["image_size"], CLIP_MEAN, CLIP_STD),
        words=own_clip_words(context_length),
        logit_scale=float(scale.float().exp().item()),
        left_out=tuple(sorted(set(tensors) - set(kept))),
    )


def _count(tensors: Mapping[str, torch.Tensor], prefix: str) -> int:
    return len({name.removeprefix(prefix).split(".")[0] for name in tensors if name.startswith(prefix)})


def _transformer(tensors: Mapping[str, torch.Tensor], shape: Any) -> dict[str, Any]:
    width, _, patch, _ = shape("visual.conv1.weight", 4)
    side = round((shape("visual.positional_embedding", 2)[0] - 1) ** 0.5)
    return {
        "image_size": patch * side,
        "layers": _count(tensors, "visual.transformer.resblocks."),
        "width": width,
        "head_width": min(64, width),
        "patch_size": patch,
    }


def _resnet(tensors: Mapping[str, torch.Tensor], shape: Any, path: Path) -> dict[str, Any]:
    if "visual.attnpool.positional_embedding" not in tensors:
        raise EncoderProblem("The image tower is none of OpenAI's.", path=path)
    side = round((shape("visual.attnpool.positional_embedding", 2)[0] - 1) ** 0.5)
    return {
        "image_size": 32 * side,
        "layers": [_count(tensors, f"visual.layer{number}.") for number in (1, 2, 3, 4)],
        "width": shape("visual.layer1.0.conv1.weight", 4)[0],
        "patch_size": None,
    }
