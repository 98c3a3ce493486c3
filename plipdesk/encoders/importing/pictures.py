"""How a model wants its pictures, from ``preprocessor_config.json``, or from open_clip's ``preprocess_cfg``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.importing.documents import optional_document
from plipdesk.encoders.importing.draft import CLIP_MEAN, CLIP_STD, Picture

PROCESSOR_NAME = "preprocessor_config.json"
_KERNELS: dict[int, Literal["bicubic", "bilinear"]] = {2: "bilinear", 3: "bicubic"}
_REMEDY = "Fetch the file again; the pictures must be prepared as they were when the model was trained."


def from_hugging_face(
    folder: Path, image_px: int, *, kernel: int = 3, mean: tuple[float, float, float] = CLIP_MEAN,
    std: tuple[float, float, float] = CLIP_STD, edge_px: int | None = None,
) -> tuple[Picture, list[str]]:  # fmt: skip
    """The rules of Hugging Face's picture processors and what is to be noted about them.

    ``kernel``, ``mean``, ``std`` and ``edge_px`` (the shortest edge) hold where the file says nothing.

    Raises:
        EncoderProblem: the file contradicts the model, or asks for what is not known here.
    """
    path = folder / PROCESSOR_NAME
    config = optional_document(path)
    notes = [] if config else [f"There is no {PROCESSOR_NAME}; pictures are prepared as is usual for such a model."]
    resample = config.get("resample", kernel)
    if resample not in _KERNELS:
        raise EncoderProblem(f"Pictures are to be resized in a way that is not known here (resample {resample!r}).",
                             path=path, remedy=_REMEDY)  # fmt: skip
    scale = config.get("rescale_factor", 1 / 255)
    if config.get("do_rescale", True) is not True or not isinstance(scale, float) or abs(scale * 255 - 1) > 1e-3:
        raise EncoderProblem("Pictures are to be scaled in a way that is not known here.", path=path, remedy=_REMEDY)
    if config.get("do_normalize", True):
        mean, std = triple(config.get("image_mean", mean), path), triple(config.get("image_std", std), path)
    else:
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    size = config.get("size", edge_px or image_px)
    if isinstance(size, int):
        # Old files write one number; whether it is an edge or a square depends on the crop that follows.
        size = {"shortest_edge": size} if config.get("do_center_crop", True) else {"height": size, "width": size}
    if not isinstance(size, dict):
        raise EncoderProblem(f"The size of pictures is given as {size!r}.", path=path, remedy=_REMEDY)
    interpolation = _KERNELS[resample]
    if not config.get("do_resize", True):
        raise EncoderProblem("Pictures are not to be resized, which is not known here.", path=path, remedy=_REMEDY)
    if "shortest_edge" not in size:
        _same(size.get("height"), image_px, path)
        _same(size.get("width"), image_px, path)
        return Picture(image_px, mean, std, interpolation, "squash"), notes
    crop = config.get("crop_size", image_px)
    crop = crop if isinstance(crop, dict) else {"height": crop, "width": crop}
    if not config.get("do_center_crop", True):
        raise EncoderProblem("Pictures are to keep their shape, which this model cannot take.", path=path)
    _same(crop.get("height"), image_px, path)
    _same(crop.get("width"), image_px, path)
    edge = size["shortest_edge"]
    if not isinstance(edge, int) or not image_px <= edge <= 4096:
        raise EncoderProblem(f"The shortest edge of pictures is given as {edge!r}.", path=path, remedy=_REMEDY)
    resize_px = None if edge == image_px else edge
    return Picture(image_px, mean, std, interpolation, "shortest-edge-and-floored-crop", resize_px), notes


def from_open_clip(config: Mapping[str, Any], image_px: int, path: Path) -> Picture:
    """The rules of open_clip's ``preprocess_cfg``; what it leaves out is open_clip's own.

    Raises:
        EncoderProblem: it asks for what is not known here.
    """
    interpolation = config.get("interpolation", "bicubic")
    mode = config.get("resize_mode", "shortest")
    ways: dict[str, Literal["shortest-edge-and-centre-crop", "squash"]] = {
        "shortest": "shortest-edge-and-centre-crop", "squash": "squash",
    }  # fmt: skip
    if interpolation not in ("bicubic", "bilinear") or mode not in ways:
        raise EncoderProblem(
            f"Pictures are to be resized in a way that is not known here ({interpolation}, {mode}).",
            path=path,
            remedy=_REMEDY,
        )
    mean, std = triple(config.get("mean", CLIP_MEAN), path), triple(config.get("std", CLIP_STD), path)
    return Picture(image_px, mean, std, interpolation, ways[mode])


def triple(value: object, path: Path) -> tuple[float, float, float]:
    """Three numbers, one for each colour.

    Raises:
        EncoderProblem: it is something else.
    """
    values = [value] * 3 if isinstance(value, int | float) else value
    if not isinstance(values, list | tuple) or len(values) != 3 or not all(isinstance(v, int | float) for v in values):
        raise EncoderProblem(f"Three numbers are needed for the colours, not {value!r}.", path=path, remedy=_REMEDY)
    red, green, blue = (float(number) for number in values)
    return red, green, blue


def _same(said: object, built: int, path: Path) -> None:
    if said != built:
        raise EncoderProblem(
            f"Pictures are to become {said!r} pixels wide, but the model takes {built}.", path=path, remedy=_REMEDY
        )
