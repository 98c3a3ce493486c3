"""Which reader a model's files are for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.importing.draft import Draft
from plipdesk.encoders.importing.hf_clip import read_hf_clip
from plipdesk.encoders.importing.hf_vit import KINDS, read_hf_vit
from plipdesk.encoders.importing.images import read_images_only
from plipdesk.encoders.importing.openai import OPENAI, is_openai, looks_like_clip, read_openai
from plipdesk.encoders.importing.openclip import read_named, read_open_clip
from plipdesk.encoders.importing.source import Source

if TYPE_CHECKING:
    import torch

    Tensors = Mapping[str, torch.Tensor]


def read_draft(found: Source, tensors: Tensors, architecture: str | None, *, scripted: bool) -> Draft:
    """The draft of the model in ``found``, of whose ``tensors`` it is known whether TorchScript held them.

    Raises:
        EncoderProblem: the files are not what they seem to be, or what they are cannot be told.
    """
    if found.layout == "hugging-face-clip":
        return read_hf_clip(found.folder, tensors)
    if found.layout == "open-clip":
        return read_open_clip(found.folder, tensors)
    if found.layout == "hugging-face-images":
        from plipdesk.encoders.importing.documents import read_document

        config = read_document(found.folder / "config.json")
        if config.get("model_type") in KINDS or "architecture" not in config:
            return read_hf_vit(found.folder, tensors)
        return read_images_only(found.folder, tensors, architecture, found.weights[0])
    return _bare(found, tensors, architecture, scripted)


def _bare(found: Source, tensors: Tensors, architecture: str | None, scripted: bool) -> Draft:
    path = found.weights[0]
    if architecture == OPENAI or (architecture is None and is_openai(tensors, scripted)):
        return read_openai(tensors, path)
    if architecture is not None:
        draft = read_named(architecture, found.folder, tensors)
        if draft is not None:
            return draft
    elif looks_like_clip(tensors):
        raise EncoderProblem(
            "The file does not tell which activation its model was trained with, and a wrong one would go unnoticed.",
            path=path,
            remedy="Give --architecture: ViT-B-32-quickgelu, or openai, for what descends from OpenAI's weights; "
            "ViT-B-32, ViT-B-16, ViT-L-14 for what was trained with open_clip.",
        )
    return read_images_only(None, tensors, architecture, path)
