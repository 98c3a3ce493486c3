"""Image towers told by their tensors' names and shapes: timm's and torchvision's, with whatever stands before them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.importing.draft import ratio

if TYPE_CHECKING:
    import torch

    Tensors = Mapping[str, torch.Tensor]

GENERIC_VIT = "vit_base_patch16_224"
"""timm's Vision Transformer, which its options make any other."""
# Heads cannot be read off the weights; these are what published models of a width have.
_HEADS = {192: 3, 384: 6, 512: 8, 768: 12, 1024: 16, 1152: 16, 1280: 16, 1408: 16, 1536: 24, 1664: 16}
_VIT_MARK, _RESNET_MARK, _DENSE_MARK = "patch_embed.proj.weight", "layer1.0.conv1.weight", "features.conv0.weight"
_OLD_DENSE = re.compile(r"^(.*denselayer\d+\.(?:norm|conv))\.((?:[12])\..*)$")
# (blocks of each stage, bottleneck) of torchvision's ResNets and the growth of DenseNets, under timm's names.
_RESNETS: dict[tuple[tuple[int, ...], bool], str] = {
    ((2, 2, 2, 2), False): "resnet18", ((3, 4, 6, 3), False): "resnet34", ((3, 4, 6, 3), True): "resnet50",
    ((3, 4, 23, 3), True): "resnet101", ((3, 8, 36, 3), True): "resnet152",
}  # fmt: skip
_DENSENETS: dict[tuple[int, ...], str] = {
    (6, 12, 24, 16): "densenet121", (6, 12, 32, 32): "densenet169", (6, 12, 48, 32): "densenet201",
    (6, 12, 36, 24): "densenet161",
}  # fmt: skip


def stripped(tensors: Tensors) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """The image tower's tensors without what stands before their names, and the names of all others."""
    for mark in (_VIT_MARK, _DENSE_MARK, _RESNET_MARK):
        found = sorted((name for name in tensors if name == mark or name.endswith(f".{mark}")), key=len)
        if found:
            prefix = found[0].removesuffix(mark)
            inside = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
            # Old DenseNets have a dot in the middle of their layers' names.
            renamed = {_OLD_DENSE.sub(r"\1\2", name): tensor for name, tensor in inside.items()}
            return renamed, tuple(sorted(name for name in tensors if not name.startswith(prefix)))
    return dict(tensors), ()


def told_by_shapes(tensors: Tensors, path: Path) -> tuple[str, dict[str, Any]] | None:
    """timm's name and options for the tower in ``tensors``, or None where the shapes do not tell.

    Raises:
        EncoderProblem: a Vision Transformer with parts that are not known here.
    """
    if _VIT_MARK in tensors and any(name.startswith("blocks.0.attn.qkv") for name in tensors):
        return GENERIC_VIT, vit_options(tensors, image_px=None, heads=None, path=path)
    if _DENSE_MARK in tensors:
        stages = tuple(_count(tensors, rf"features\.denseblock{n}\.denselayer(\d+)\.") for n in (1, 2, 3, 4))
        name = _DENSENETS.get(stages)
    elif _RESNET_MARK in tensors:
        stages = tuple(_count(tensors, rf"layer{n}\.(\d+)\.") for n in (1, 2, 3, 4))
        name = _RESNETS.get((stages, "layer1.0.conv3.weight" in tensors))
    else:
        name = None
    return None if name is None else (name, {})


def vit_options(tensors: Tensors, *, image_px: int | None, heads: int | None, path: Path) -> dict[str, Any]:
    """timm's options for the Vision Transformer in ``tensors``; ``heads`` None: what models of its width have.

    Raises:
        EncoderProblem: parts that are not known here, or a width of which the heads are not known.
    """
    kernel, positions = tensors.get("patch_embed.proj.weight"), tensors.get("pos_embed")
    first, second = tensors.get("blocks.0.mlp.fc1.weight"), tensors.get("blocks.0.mlp.fc2.weight")
    if kernel is None or positions is None or first is None or second is None or positions.ndim != 3:
        raise EncoderProblem("The weights are not those of a whole Vision Transformer.", path=path)
    if any(name.startswith("blocks.0.attn.q_norm") for name in tensors) or kernel.ndim != 4:
        raise EncoderProblem("This Vision Transformer has parts that are not known here.", path=path)
    width, patch = int(kernel.shape[0]), int(kernel.shape[2])
    registers = int(tensors["reg_token"].shape[1]) if "reg_token" in tensors else 0
    before = registers + ("cls_token" in tensors)
    side, apart = _side(int(positions.shape[1]), before, None if image_px is None else image_px // patch, path)
    heads = heads if heads is not None else _HEADS.get(width)
    if heads is None or width % heads:
        raise EncoderProblem(
            f"The number of heads of a Vision Transformer of width {width} is not known.",
            path=path,
            remedy="Name its architecture with --architecture, by its timm name.",
        )
    gated = 2 * second.shape[1] == first.shape[0]
    options: dict[str, Any] = {
        "img_size": side * patch,
        "patch_size": patch,
        "embed_dim": width,
        "depth": _count(tensors, r"blocks\.(\d+)\."),
        "num_heads": heads,
        "mlp_ratio": ratio(int(first.shape[0]), width),
        "class_token": "cls_token" in tensors,
        "reg_tokens": registers,
        "no_embed_class": apart,
        "qkv_bias": "blocks.0.attn.qkv.bias" in tensors,
    }
    if gated:
        options |= {"mlp_layer": "SwiGLUPacked", "act_layer": "silu"}
    if "blocks.0.ls1.gamma" in tensors:
        options["init_values"] = 1e-5
    if "norm_pre.weight" in tensors:
        options["pre_norm"] = True
    if "attn_pool.latent" in tensors:
        options["global_pool"] = "map"
    elif "fc_norm.weight" in tensors or not options["class_token"]:
        options |= {"global_pool": "avg", "fc_norm": "fc_norm.weight" in tensors}
    return options


def _side(positions: int, before: int, side: int | None, path: Path) -> tuple[int, bool]:
    """Patches along an edge, and whether the tokens before them have no positions of their own."""
    for count, apart in ((positions - before, False), (positions, True)):
        found = round(max(count, 0) ** 0.5)
        if found * found == count and count > 0 and side in (None, found):
            return found, apart and before > 0
    raise EncoderProblem(f"{positions} positions fill no square of patches.", path=path)


def _count(tensors: Tensors, pattern: str) -> int:
    compiled = re.compile(pattern)
    return len({found[1] for found in (compiled.match(name) for name in tensors) if found is not None})
