"""Encoders that only see, in timm's or torchvision's names: foundation models, DenseNets, ResNets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plipdesk.encoders.assembled import TRUNK_KEYS
from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.importing.documents import optional_document
from plipdesk.encoders.importing.draft import IMAGENET_MEAN, IMAGENET_STD, Draft, Picture, check_numbers
from plipdesk.encoders.importing.fitting import expected_shapes
from plipdesk.encoders.importing.pictures import triple
from plipdesk.encoders.importing.trunks import GENERIC_VIT, stripped, told_by_shapes

if TYPE_CHECKING:
    import torch

_HEADS = ("head.", "head_dist.", "fc.", "classifier.", "decoder.", "mask_token", "projection_head.", "pooler.", "last_")
"""How the names of what is behind or beside an encoder begin."""
_EDGE_PX = 256
_REMEDY = "Name its architecture with --architecture, by its timm name (such as densenet121 or vit_large_patch16_224)."


def read_images_only(
    folder: Path | None, tensors: Mapping[str, torch.Tensor], architecture: str | None, path: Path
) -> Draft:
    """The draft of an image-only encoder.

    ``folder`` is the model's own, whose ``config.json`` may tell what timm's hub says of a model. ``architecture`` is a
    timm name given by hand, which goes before.

    Raises:
        EncoderProblem: the architecture cannot be told, or the tensors are not its own.
    """
    config = {} if folder is None else optional_document(folder / "config.json")
    check_numbers(config, path)
    inside, left_out = stripped(tensors)
    said = architecture or config.get("architecture")
    name, options = _tower(inside, said, config.get("model_args") or {}, path)
    if "img_size" in options:
        image_px = int(options["img_size"])
    else:
        image_px = _trained_px(config, name)
    outer: dict[str, Any] = {"image_size": image_px, "timm_model_name": name, "timm_model_kwargs": options}
    draft_architecture = {"embed_dim": _dim(name, options), "vision_cfg": outer}
    named, more = _fitting({f"visual.trunk.{key}": tensor for key, tensor in inside.items()}, draft_architecture, path)
    draft = Draft(
        layout="timm or torchvision",
        architecture=draft_architecture,
        tensors=named,
        picture=_picture(config, name, image_px, path),
        words=None,
        left_out=tuple(sorted((*left_out, *more))),
    )
    notes = [f"Its {options['num_heads']} attention heads are those usual for its width; the weights do not tell them."
             ] if name == GENERIC_VIT and not said else []  # fmt: skip
    if "pretrained_cfg" not in config:
        notes.append("How pictures were prepared is not on record; ImageNet's colours are assumed.")
    return replace(draft, notes=tuple(notes))


def _tower(
    tensors: Mapping[str, torch.Tensor], said: object, model_args: Mapping[str, Any], path: Path
) -> tuple[str, dict[str, Any]]:
    told = told_by_shapes(tensors, path) if not said or _is_vit(said) else None
    if not said:
        if told is None:
            raise EncoderProblem("What model these weights belong to cannot be told.", path=path, remedy=_REMEDY)
        return told
    if not isinstance(said, str) or not _known(said):
        raise EncoderProblem(f"Neither open_clip nor timm has a model called {said!r}.", path=path, remedy=_REMEDY)
    if told is not None and told[0] == GENERIC_VIT:
        # The shapes tell more than the name, which does not know of changed options; the name knows what they do not.
        return GENERIC_VIT, told[1] | _by_name(said, told[1]) | _arguments(model_args)
    return said, {}


def _is_vit(said: object) -> bool:
    return isinstance(said, str) and said.startswith("vit_")


def _known(name: str) -> bool:
    import timm

    return ":" not in name and "/" not in name and bool(timm.is_model(name))


def _by_name(name: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """What only a name tells of a Vision Transformer: heads, activation, normalisation, pooling."""
    import timm
    import torch

    with torch.device("meta"):
        built: Any = timm.create_model(name, num_classes=0)
    if getattr(built, "embed_dim", None) != told["embed_dim"]:
        return {}
    block = built.blocks[0]
    found: dict[str, Any] = {"num_heads": block.attn.num_heads, "norm_eps": block.norm1.eps}
    names = {"GELU": "gelu", "GELUTanh": "gelu_tanh", "QuickGELU": "quick_gelu"}
    if "mlp_layer" not in told and type(block.mlp.act).__name__ in names:
        found["act_layer"] = names[type(block.mlp.act).__name__]
    if "global_pool" not in told and built.global_pool in ("token", "avg"):
        found["global_pool"] = built.global_pool
    return found


def _arguments(model_args: Mapping[str, Any]) -> dict[str, Any]:
    """What a model's own configuration adds, of those options that its shapes do not tell."""
    free = ("num_heads", "global_pool")
    return {key: value for key, value in model_args.items() if key in free and key in TRUNK_KEYS and value}


def _trained_px(config: Mapping[str, Any], name: str) -> int:
    import timm

    size = (config.get("pretrained_cfg") or {}).get("input_size")
    if size is None:
        known = timm.models.get_pretrained_cfg(name, allow_unregistered=True)
        size = None if known is None else known.input_size
    if isinstance(size, list | tuple) and len(size) == 3 and isinstance(size[2], int) and 16 <= size[2] <= 2048:
        return size[2]
    return 224


def _dim(name: str, options: Mapping[str, Any]) -> int:
    import torch

    from plipdesk.encoders.assembled import image_trunk

    try:
        with torch.device("meta"):
            trunk: Any = image_trunk(name, options)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise EncoderProblem(f"The image tower cannot be built: {error}.", remedy=_REMEDY) from error
    return int(getattr(trunk.trunk, "head_hidden_size", trunk.trunk.num_features))


def _fitting(
    tensors: dict[str, torch.Tensor], architecture: dict[str, Any], path: Path
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The tensors that the tower has, and the names of what is behind or beside it in the file."""
    import torch

    wanted = expected_shapes(architecture)
    left_out = [
        name.removeprefix("visual.trunk.") for name in tensors if name not in wanted
    ]  # fmt: skip
    strange = [name for name in left_out if not name.startswith(_HEADS)]
    if strange and not any(name in tensors for name in wanted):
        raise EncoderProblem("The weights are not those of this architecture.", path=path, remedy=_REMEDY)
    if strange:
        raise EncoderProblem(
            f"The weights hold {strange[0]}, which this architecture has not.", path=path, remedy=_REMEDY
        )
    kept = {name: tensor for name, tensor in tensors.items() if name in wanted}
    for name in wanted.keys() - kept.keys():
        # Files from before 2018 do not count batches.
        if name.endswith("num_batches_tracked"):
            kept[name] = torch.zeros((), dtype=torch.int64)
    return kept, left_out


def _picture(config: Mapping[str, Any], name: str, image_px: int, path: Path) -> Picture:
    said = config.get("pretrained_cfg") or {}
    if not isinstance(said, Mapping):
        said = {}
    mean, std = triple(said.get("mean", IMAGENET_MEAN), path), triple(said.get("std", IMAGENET_STD), path)
    transformer = name == GENERIC_VIT
    kernel = said.get("interpolation", "bicubic" if transformer else "bilinear")
    share = said.get("crop_pct", 1.0 if transformer else image_px / _EDGE_PX if image_px < _EDGE_PX else 1.0)
    if kernel not in ("bicubic", "bilinear") or not isinstance(share, int | float) or not 0.25 <= share <= 1:
        raise EncoderProblem(f"Pictures are to be resized in a way that is not known here ({kernel}, {share}).",
                             path=path)  # fmt: skip
    edge = math.floor(image_px / share)
    return Picture(
        image_px, mean, std, "bicubic" if kernel == "bicubic" else "bilinear",
        resize_px=None if edge == image_px else edge,
    )  # fmt: skip
