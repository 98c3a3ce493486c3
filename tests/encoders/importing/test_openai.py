from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from torch import nn

from plipdesk.encoders.architecture import build_model
from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.importing import import_model
from plipdesk.encoders.importing.fitting import check_fit
from plipdesk.encoders.importing.openai import read_openai
from tests.encoders.importing.originals import save_tensors, shaken
from tests.encoders.importing.test_hf_clip import encoders
from tests.encoders.importing.test_open_clip import TEXTS, pictures_of, seen_by
from tests.encoders.models import lowest_cosine

TEXT = CLIPTextCfg(context_length=77, vocab_size=49408, width=64, heads=1, layers=2)
VISION = {
    "transformer": CLIPVisionCfg(image_size=64, layers=2, width=128, patch_size=16),
    "resnet": CLIPVisionCfg(image_size=64, layers=(1, 2, 1, 1), width=64, patch_size=None),  # type: ignore[arg-type]
}


class Node(nn.Module):
    """A module of an archive: what it holds, and a method that nobody may call."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


def archive_of(tensors: dict[str, torch.Tensor]) -> Any:
    """A TorchScript archive with these tensors in the modules that their names tell, in fp16 as OpenAI's."""
    root = Node()
    for name, tensor in tensors.items():
        place: Any = root
        *path, last = name.split(".")
        for part in path:
            if part not in dict(place.named_children()):
                place.add_module(part, Node())
            place = getattr(place, part)
        half = tensor.half() if tensor.is_floating_point() else tensor
        if half.is_floating_point() and half.ndim:
            place.register_parameter(last, nn.Parameter(half, requires_grad=False))
        else:
            place.register_buffer(last, half)
    with warnings.catch_warnings():
        # torch gives the format up, but what lies on the hubs stays in it.
        warnings.simplefilter("ignore")
        return torch.jit.script(root)


def original(vision: str) -> tuple[Any, dict[str, torch.Tensor]]:
    model = shaken(CLIP(48, VISION[vision], TEXT, quick_gelu=True))
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half().float())
    marks = {
        "input_resolution": torch.tensor(64),
        "context_length": torch.tensor(77),
        "vocab_size": torch.tensor(49408),
    }
    return model, model.state_dict() | marks


@pytest.mark.parametrize(
    ("vision", "form"),
    [("transformer", "archive"), ("transformer", "state"), ("transformer", "named")],
)
def test_openai_clip(tmp_path: Path, vision: str, form: str) -> None:
    model, tensors = original(vision)
    path = tmp_path / "ViT-B-32.pt"
    architecture = None
    if form == "archive":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.save(archive_of(tensors), path)
    elif form == "state":
        path = save_tensors(tmp_path / "ViT-B-32.safetensors", tensors)
    else:
        # As fine-tunings of OpenAI's code save it, which tells nothing of where it comes from.
        path = save_tensors(tmp_path / "ViT-B-32.safetensors", model.state_dict())
        architecture = "openai"
    report = import_model(path, tmp_path / "models", architecture=architecture)
    assert report.card.architecture["quick_gelu"] is True
    assert report.card.id == "vit-b-32"
    pictures = pictures_of(64)
    with torch.inference_mode():
        read = model.encode_text(open_clip.tokenize(TEXTS), normalize=True).numpy()
    for encoder in encoders(report):
        assert lowest_cosine(encoder.encode_pictures(pictures), seen_by(model, pictures)) >= 0.99999
        assert lowest_cosine(encoder.encode_texts(TEXTS), read) >= 0.99999
        encoder.close()


def test_openai_s_resnets_are_told_by_their_shapes(tmp_path: Path) -> None:
    model, tensors = original("resnet")
    draft = read_openai(tensors, tmp_path)
    check_fit(draft.architecture, draft.tensors, tmp_path)
    ours: Any = build_model(draft.architecture).eval()
    ours.load_state_dict(dict(draft.tensors))
    planes = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        assert torch.allclose(ours.encode_image(planes), model.encode_image(planes), atol=1e-5)


def test_a_part_that_is_missing_is_named(tmp_path: Path) -> None:
    _, tensors = original("transformer")
    del tensors["visual.transformer.resblocks.1.ln_2.bias"]
    path = save_tensors(tmp_path / "clip.safetensors", tensors)
    with pytest.raises(EncoderProblem, match=r"lack visual\.transformer\.resblocks\.1\.ln_2\.bias"):
        import_model(path, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []
