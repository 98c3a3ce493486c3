"""A model between the file it came from and the card it gets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from plipdesk.encoders.card import EncoderProblem, TokenizerCard

if TYPE_CHECKING:
    import torch

    Tensors = Mapping[str, torch.Tensor]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_MOST_LAYERS = 256
_MOST_WIDTH = 1 << 16
_MOST_WORDS = 1 << 21


@dataclass(frozen=True)
class Picture:
    """How pictures are brought to size: the fields of a card that tell it."""

    input_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    resize: Literal["shortest-edge-and-centre-crop", "shortest-edge-and-floored-crop", "squash"] = (
        "shortest-edge-and-centre-crop"
    )
    resize_px: int | None = None


@dataclass(frozen=True)
class Words:
    """How words become numbers: the card's entry, the file it names (None: open_clip's own merges), the context."""

    card: TokenizerCard
    content: bytes | None
    context_length: int


@dataclass(frozen=True)
class Draft:
    """A model whose tensors have the names and shapes that ``architecture`` asks for."""

    layout: str
    architecture: dict[str, Any]
    tensors: Tensors
    picture: Picture
    words: Words | None
    logit_scale: float = 1.0
    logit_bias: float | None = None
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    said: dict[str, str] = field(default_factory=dict)
    """What the original says of itself: ``name``, ``licence``, ``source``."""


def whole(section: Mapping[str, Any], key: str, default: int | None, *, most: int = _MOST_WIDTH) -> int:
    """The whole number ``key`` of a configuration, within reason.

    Raises:
        EncoderProblem: it is missing, no positive whole number, or larger than any model's.
    """
    value = section.get(key, default)
    if isinstance(value, list | tuple) and len(set(value)) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise EncoderProblem(
            f"The model's configuration gives {key} as {value!r}.",
            remedy="Fetch the model's configuration again; it must be a whole number that a model can have.",
        )
    return value


def check_numbers(document: object, path: Path, depth: int = 0) -> None:
    """Refuse a configuration with numbers that no model has, before anything is built by them.

    Raises:
        EncoderProblem: one of them is beyond reason, or it is nested without end.
    """
    if depth > 8:
        raise EncoderProblem("The model's configuration is nested too deeply.", path=path)
    if isinstance(document, int | float) and not -1e6 <= document <= _MOST_WORDS:
        raise EncoderProblem(f"The model's configuration holds the number {document}.", path=path)
    parts = document.values() if isinstance(document, Mapping) else document if isinstance(document, list) else ()
    for part in parts:
        check_numbers(part, path, depth + 1)


def layers(section: Mapping[str, Any], key: str, default: int) -> int:
    """A number of layers; see :func:`whole`."""
    return whole(section, key, default, most=_MOST_LAYERS)


def words_known(section: Mapping[str, Any], key: str, default: int) -> int:
    """A size of a vocabulary; see :func:`whole`."""
    return whole(section, key, default, most=_MOST_WORDS)


def ratio(inner: int, width: int) -> float:
    """``inner`` as a multiple of ``width``, such that multiplying and cutting off the fraction gives it back."""
    found = inner / width
    return found if int(width * found) == inner else math.nextafter(found, math.inf)
