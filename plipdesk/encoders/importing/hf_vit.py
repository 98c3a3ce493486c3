"""Hugging Face's Vision Transformers in timm's names: ViT as Phikon, DINOv2 as Phikon-v2, with or without registers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.importing.documents import read_document
from plipdesk.encoders.importing.draft import IMAGENET_MEAN, IMAGENET_STD, Draft, whole
from plipdesk.encoders.importing.pictures import from_hugging_face
from plipdesk.encoders.importing.trunks import GENERIC_VIT, vit_options

if TYPE_CHECKING:
    import torch

KINDS = ("vit", "dinov2", "dinov2_with_registers")
_MARK = "embeddings.patch_embeddings.projection.weight"
_ACTIVATIONS = {"gelu": "gelu", "gelu_pytorch_tanh": "gelu_tanh", "quick_gelu": "quick_gelu"}
_OUTSIDE = {
    "embeddings.cls_token": "cls_token", "embeddings.register_tokens": "reg_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
    "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
    "layernorm.weight": "norm.weight", "layernorm.bias": "norm.bias",
}  # fmt: skip
_BLOCK = re.compile(r"(?:encoder\.layer|layers|encoder\.layers)\.(\d+)\.(.+)")
# In files of every version of the library; q, k and v are joined below.
_INSIDE = {
    "layernorm_before": "norm1", "layernorm_after": "norm2", "norm1": "norm1", "norm2": "norm2",
    "attention.output.dense": "attn.proj", "attention.o_proj": "attn.proj",
    "intermediate.dense": "mlp.fc1", "output.dense": "mlp.fc2", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2",
    "mlp.weights_in": "mlp.fc1", "mlp.weights_out": "mlp.fc2", "mlp.down_proj": "mlp.fc2",
}  # fmt: skip
_JOINED = {
    "attn.qkv": (("attention.attention.query", "attention.attention.key", "attention.attention.value"),
                 ("attention.q_proj", "attention.k_proj", "attention.v_proj")),
    "mlp.fc1": (("mlp.gate_proj", "mlp.up_proj"),),
}  # fmt: skip


def read_hf_vit(folder: Path, tensors: Mapping[str, torch.Tensor]) -> Draft:
    """The draft of an image-only encoder in Hugging Face's layout; it answers with its class token.

    Raises:
        EncoderProblem: the configuration or the weights are none of these models'.
    """
    path = folder / "config.json"
    config = read_document(path)
    kind = config.get("model_type")
    if kind not in KINDS:
        raise EncoderProblem(
            f"Models of the kind {kind!r} cannot be imported.",
            path=path,
            remedy="What can: CLIP, ViT and DINOv2 of Hugging Face, open_clip's models, and timm's or torchvision's.",
        )
    dino = kind != "vit"
    image_px = _input_px(config, folder, dino)
    patch = whole(config, "patch_size", 16)
    picture, notes = from_hugging_face(
        folder, image_px, kernel=3 if dino else 2,
        mean=IMAGENET_MEAN if dino else (0.5, 0.5, 0.5), std=IMAGENET_STD if dino else (0.5, 0.5, 0.5),
    )  # fmt: skip
    named, left_out = _renamed(tensors, path)
    side = image_px // patch
    named["pos_embed"], registers = _positions(named, side, path, antialias=kind == "dinov2_with_registers")
    activation = config.get("hidden_act", "gelu")
    if activation not in _ACTIVATIONS:
        raise EncoderProblem(f"The activation {activation!r} is not known here.", path=path)
    options = vit_options(named, image_px=side * patch, heads=whole(config, "num_attention_heads", 12), path=path)
    options["norm_eps"] = float(config.get("layer_norm_eps", 1e-6 if dino else 1e-12))
    if options.get("mlp_layer") is None:
        options["act_layer"] = _ACTIVATIONS[activation]
    if registers:
        options["no_embed_class"] = True
    return Draft(
        layout={"vit": "Hugging Face ViT"}.get(str(kind), "Hugging Face DINOv2"),
        architecture={
            "embed_dim": options["embed_dim"],
            "vision_cfg": {"image_size": image_px, "timm_model_name": GENERIC_VIT, "timm_model_kwargs": options},
        },
        tensors={f"visual.trunk.{name}": tensor for name, tensor in named.items()},
        picture=picture,
        words=None,
        left_out=left_out,
        notes=tuple(notes),
    )


def _input_px(config: Mapping[str, Any], folder: Path, dino: bool) -> int:
    """DINOv2 was trained at 518 pixels and is used at what its processor cuts out; ViT takes one size only."""
    from plipdesk.encoders.importing.documents import optional_document
    from plipdesk.encoders.importing.pictures import PROCESSOR_NAME

    trained = whole(config, "image_size", 224, most=2048)
    crop = optional_document(folder / PROCESSOR_NAME).get("crop_size")
    crop = crop.get("height") if isinstance(crop, dict) else crop
    return crop if dino and isinstance(crop, int) and 16 <= crop <= 2048 else trained


def _renamed(tensors: Mapping[str, torch.Tensor], path: Path) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    import torch

    marks = [name for name in tensors if name.endswith(_MARK)]
    if len(marks) != 1:
        raise EncoderProblem("The weights are none of a Vision Transformer.", path=path.parent)
    prefix = marks[0].removesuffix(_MARK)
    named: dict[str, torch.Tensor] = {}
    blocks: dict[str, dict[str, torch.Tensor]] = {}
    left_out = []
    for full, tensor in tensors.items():
        name = full.removeprefix(prefix) if full.startswith(prefix) else full
        found = _BLOCK.fullmatch(name)
        if found is not None:
            blocks.setdefault(found[1], {})[found[2]] = tensor
        elif name in _OUTSIDE:
            named[_OUTSIDE[name]] = tensor
        else:
            left_out.append(full)
    for number, parts in blocks.items():
        for part, tensor in parts.items():
            inside, _, kind = part.rpartition(".")
            if inside in _INSIDE:
                named[f"blocks.{number}.{_INSIDE[inside]}.{kind}"] = tensor
            elif inside in ("layer_scale1", "layer_scale2"):
                named[f"blocks.{number}.ls{inside[-1]}.gamma"] = tensor
        for joined, ways in _JOINED.items():
            for kind in ("weight", "bias"):
                for way in ways:
                    pieces = [parts[f"{piece}.{kind}"] for piece in way if f"{piece}.{kind}" in parts]
                    if len(pieces) == len(way):
                        named[f"blocks.{number}.{joined}.{kind}"] = torch.cat(pieces)
    return named, tuple(sorted(left_out))


def _positions(
    named: dict[str, torch.Tensor], side: int, path: Path, *, antialias: bool
) -> tuple[torch.Tensor, bool]:  # fmt: skip
    """Positions for ``side`` * ``side`` patches, stretched as the library does, and whether there are registers.

    timm keeps the positions of the class token apart where there are registers, so they become part of the token.
    """
    import torch

    positions = named.get("pos_embed")
    if positions is None or positions.ndim != 3 or "cls_token" not in named:
        raise EncoderProblem("The weights lack their positions or their class token.", path=path.parent)
    first, rest = positions[:, :1], positions[:, 1:]
    old = round(rest.shape[1] ** 0.5)
    if old * old != rest.shape[1]:
        raise EncoderProblem(f"{rest.shape[1]} positions fill no square.", path=path.parent)
    if old != side:
        square = rest.reshape(1, old, old, -1).permute(0, 3, 1, 2).float()
        stretched = torch.nn.functional.interpolate(
            square, size=(side, side), mode="bicubic", align_corners=False, antialias=antialias
        )
        rest = stretched.permute(0, 2, 3, 1).reshape(1, side * side, -1)
    if "reg_token" not in named:
        return torch.cat([first, rest], dim=1), False
    named["cls_token"] = named["cls_token"] + first
    return rest.contiguous(), True
