from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from plipdesk.encoders.card import EncoderCard, EncoderProblem
from plipdesk.encoders.null import null_card
from plipdesk.encoders.preprocess import fit_picture
from tests.encoders.models import CLIP_MEAN, CLIP_STD

SIZES = [(224, 224), (300, 500), (500, 300), (225, 224), (223, 1000), (64, 64), (1000, 333), (97, 101), (1024, 1024)]


def _card(size: int, **changes: Any) -> EncoderCard:
    return null_card().model_copy(update={"input_px": size, **changes})


def _picture(height: int, width: int) -> np.ndarray:
    random = np.random.default_rng(height * width)
    waves = np.sin(np.arange(height)[:, None, None] / 7) + np.cos(np.arange(width)[None, :, None] / [5, 11, 3])
    return np.clip(120 + 60 * waves + random.normal(0, 20, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("resize", ["shortest-edge-and-centre-crop", "squash"])
def test_same_pixels_as_open_clip(interpolation: str, resize: str) -> None:
    import torch
    from open_clip.transform import image_transform

    card = _card(224, interpolation=interpolation, resize=resize)
    mode = "squash" if resize == "squash" else "shortest"
    theirs = image_transform(
        224, is_train=False, mean=CLIP_MEAN, std=CLIP_STD, interpolation=interpolation, resize_mode=mode
    )
    mean, std = torch.tensor(CLIP_MEAN).view(3, 1, 1), torch.tensor(CLIP_STD).view(3, 1, 1)
    for height, width in SIZES:
        picture = _picture(height, width)
        planes = theirs(Image.fromarray(picture)) * std + mean
        expected = (planes * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        assert np.array_equal(fit_picture(picture, card), expected), (height, width)


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    picture = _picture(224, 224)
    assert fit_picture(picture, _card(224)) is picture


def test_the_middle_is_kept() -> None:
    picture = np.zeros((100, 300, 3), dtype=np.uint8)
    picture[:, 120:180] = 255
    fitted = fit_picture(picture, _card(100))
    assert fitted.shape == (100, 100, 3)
    assert (fitted[:, 20:80] == 255).all()
    assert (fitted[:, :20] == 0).all()


def test_a_view_that_is_not_contiguous_is_fine() -> None:
    picture = _picture(300, 400)
    assert np.array_equal(fit_picture(picture[:, ::-1], _card(64)), fit_picture(picture[:, ::-1].copy(), _card(64)))


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((10, 10), dtype=np.uint8),
        np.zeros((10, 10, 4), dtype=np.uint8),
        np.zeros((10, 10, 3), dtype=np.uint16),
        np.zeros((0, 10, 3), dtype=np.uint8),
    ],
)
def test_what_is_no_rgb_picture_is_refused(picture: Any) -> None:
    with pytest.raises(EncoderProblem, match="uint8"):
        fit_picture(picture, _card(64))


def test_a_line_is_refused_before_memory_is_taken() -> None:
    with pytest.raises(EncoderProblem, match="too narrow"):
        fit_picture(np.zeros((1, 20000, 3), dtype=np.uint8), _card(224))
