from __future__ import annotations

import pytest
import torch

from plipdesk.encoders.architecture import build_model
from plipdesk.encoders.card import EncoderProblem
from tests.encoders.models import SMALL_LITE, SMALL_VIT


def test_vit_is_a_clip_with_quick_gelu() -> None:
    from open_clip.model import CLIP
    from open_clip.transformer import QuickGELU

    model = build_model(SMALL_VIT)
    assert type(model) is CLIP
    assert any(isinstance(module, QuickGELU) for module in model.modules())


def test_timm_trunk_with_its_own_text_tower() -> None:
    from open_clip.model import CustomTextCLIP

    model = build_model(SMALL_LITE).eval()
    assert type(model) is CustomTextCLIP
    with torch.inference_mode():
        assert model.encode_image(torch.zeros(2, 3, 64, 64)).shape == (2, 48)


def test_pretrained_flag_is_overruled() -> None:
    wants = {**SMALL_LITE, "vision_cfg": {**SMALL_LITE["vision_cfg"], "timm_model_pretrained": True}}
    assert build_model(wants) is not None


@pytest.mark.parametrize("trunk", ["hf-hub:someone/something", "hf_hub:a", "local-dir:/tmp", "org/model"])
def test_names_that_would_be_fetched_are_refused(trunk: str) -> None:
    wants = {**SMALL_LITE, "vision_cfg": {**SMALL_LITE["vision_cfg"], "timm_model_name": trunk}}
    with pytest.raises(EncoderProblem, match="fetched"):
        build_model(wants)


def test_hugging_face_text_towers_are_refused() -> None:
    with pytest.raises(EncoderProblem, match="Hugging Face"):
        build_model({**SMALL_VIT, "text_cfg": {"hf_model_name": "roberta-base"}})


@pytest.mark.parametrize("missing", ["vision_cfg", "embed_dim"])
def test_missing_part_is_named(missing: str) -> None:
    with pytest.raises(EncoderProblem, match=missing):
        build_model({key: value for key, value in SMALL_VIT.items() if key != missing})


def test_unknown_part_is_named() -> None:
    with pytest.raises(EncoderProblem, match="multimodal_cfg"):
        build_model({**SMALL_VIT, "multimodal_cfg": {}})
    with pytest.raises(EncoderProblem, match="depth"):
        build_model({**SMALL_VIT, "vision_cfg": {"depth": 3}})
