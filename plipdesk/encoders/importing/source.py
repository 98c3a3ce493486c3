"""What lies at a path that a person wants to import: which layout, which files, told from names alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from plipdesk.base.errors import NotFound
from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.importing.checkpoint import shards
from plipdesk.encoders.importing.documents import read_document

Layout = Literal["hugging-face-clip", "open-clip", "hugging-face-images", "bare"]
# As their authors name them; what is read without trust comes first.
_WEIGHTS = (
    "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors",
    "open_clip_pytorch_model.bin", "open_clip_pytorch_model.pth", "open_clip_pytorch_model.pt",
    "pytorch_model.bin", "pytorch_model.pth", "model.pth", "model.pt",
)  # fmt: skip
_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".tar")
_BESIDE = (
    "config.json", "open_clip_config.json", "preprocessor_config.json", "tokenizer.json", "vocab.json", "merges.txt",
    "vocab.txt", "tokenizer_config.json", "special_tokens_map.json",
)  # fmt: skip
_REMEDY = (
    "Name a Hugging Face or open_clip model folder, or one weights file (.safetensors, .bin, .pt, .pth) with "
    "--architecture."
)


@dataclass(frozen=True)
class Source:
    """A model to import: its layout, its folder, its weights, and all files that say something of it."""

    layout: Layout
    folder: Path
    weights: list[Path]
    files: list[Path]


def look_at(path: Path) -> Source:
    """Tell what lies at ``path``.

    Raises:
        NotFound: nothing does.
        EncoderProblem: it is no model of a kind that can be imported.
    """
    if not path.exists():
        raise NotFound("There is nothing at this path.", path=path, remedy="Check the path.")
    if path.is_file():
        if path.name.endswith(".index.json"):
            weights = shards(path)
        elif path.suffix.lower() in _SUFFIXES:
            weights = [path]
        else:
            raise EncoderProblem("This file is no model's weights.", path=path, remedy=_REMEDY)
        return Source("bare", path.parent, weights, weights)
    layout = _layout(path)
    weights = _weights(path)
    beside = [path / name for name in _BESIDE if (path / name).is_file()]
    return Source(layout, path, weights, [*weights, *beside] if layout != "bare" else weights)


def _layout(folder: Path) -> Layout:
    if (folder / "open_clip_config.json").is_file():
        return "open-clip"
    if not (folder / "config.json").is_file():
        return "bare"
    config = read_document(folder / "config.json")
    kind = str(config.get("model_type", ""))
    if kind == "clip" or ("text_config" in config and "vision_config" in config and not kind):
        return "hugging-face-clip"
    if "model_cfg" in config and "architecture" not in config:
        return "open-clip"
    return "hugging-face-images"


def _weights(folder: Path) -> list[Path]:
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return [folder / name]
    for name in _INDEXES:
        if (folder / name).is_file():
            return shards(folder / name)
    others = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and path.is_file())
    if len(others) == 1:
        return others
    if others:
        names = ", ".join(path.name for path in others[:4])
        raise EncoderProblem(
            f"The folder holds several weights files ({names}), and none has the usual name.",
            path=folder,
            remedy="Name the one to import instead of the folder.",
        )
    raise EncoderProblem("This folder holds no model's weights.", path=folder, remedy=_REMEDY)
