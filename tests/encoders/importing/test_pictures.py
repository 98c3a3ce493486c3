from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.importing.draft import Picture
from plipdesk.encoders.importing.pictures import from_hugging_face, from_open_clip
from plipdesk.encoders.preprocess import fit_picture
from tests.encoders.importing.originals import PROCESSOR, write_json
from tests.encoders.test_preprocess import SIZES, _picture

# Odd differences between edge and crop are where floor and round part: 227 − 224 = 3.
ODD = [(227, 224), (224, 227), (100, 131), (331, 97)]


def fitted(picture: np.ndarray, rule: Picture) -> np.ndarray:
    return fit_picture(picture, rule, rule.resize_px)


@pytest.mark.parametrize("resample", [2, 3])
@pytest.mark.parametrize("size", [64, {"shortest_edge": 64}, {"shortest_edge": 71}, {"height": 64, "width": 64}])
def test_the_same_pixels_as_hugging_face_s_processor_with_pillow(tmp_path: Path, resample: int, size: Any) -> None:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    config = PROCESSOR | {"resample": resample, "size": size}
    if isinstance(size, dict) and "height" in size:
        config["do_center_crop"] = False
    write_json(tmp_path / "preprocessor_config.json", config)
    rule, notes = from_hugging_face(tmp_path, 64)
    assert notes == []
    theirs = CLIPImageProcessorPil.from_pretrained(tmp_path, do_rescale=False, do_normalize=False)
    for height, width in [*SIZES, *ODD]:
        picture = _picture(height, width)
        expected = np.asarray(theirs(images=picture)["pixel_values"][0]).transpose(1, 2, 0)
        assert np.array_equal(fitted(picture, rule), expected.astype(np.uint8)), (height, width)


def test_how_far_hugging_face_s_processor_with_torch_is_from_pillow(tmp_path: Path) -> None:
    """torch weighs with more bits than Pillow's eight: the difference that docs/encoders.md tells of."""
    from transformers import CLIPImageProcessor

    write_json(tmp_path / "preprocessor_config.json", PROCESSOR | {"size": 224, "crop_size": 224})
    rule, _ = from_hugging_face(tmp_path, 224)
    theirs = CLIPImageProcessor.from_pretrained(tmp_path, do_rescale=False, do_normalize=False)
    for height, width in [*SIZES, *ODD]:
        picture = _picture(height, width)
        expected = np.asarray(theirs(images=picture)["pixel_values"][0]).transpose(1, 2, 0).round()
        apart = np.abs(fitted(picture, rule).astype(int) - expected.astype(int))
        assert apart.max() <= 3
        # Threefold reductions of a fine pattern differ most.
        assert (apart > 0).mean() < 0.3
        assert (apart > 1).mean() < 0.005


def test_what_is_not_known_is_refused(tmp_path: Path) -> None:
    for change, match in (
        ({"resample": 1}, "resample 1"),
        ({"resample": "bicubic"}, "resample 'bicubic'"),
        ({"do_rescale": False}, "scaled"),
        ({"rescale_factor": 0.5}, "scaled"),
        ({"do_resize": False}, "not to be resized"),
        ({"do_center_crop": False, "size": {"shortest_edge": 64}}, "keep their shape"),
        ({"image_mean": [0.1, 0.2]}, "Three numbers"),
        ({"size": {"shortest_edge": 32}}, "shortest edge"),
        ({"crop_size": 65}, "65"),
    ):
        write_json(tmp_path / "preprocessor_config.json", PROCESSOR | change)
        with pytest.raises(EncoderProblem, match=match):
            from_hugging_face(tmp_path, 64)
    for config in ({"interpolation": "nearest"}, {"resize_mode": "longest"}):
        with pytest.raises(EncoderProblem, match="not known here"):
            from_open_clip(config, 64, tmp_path)


def test_without_a_file_the_usual_rules_hold_and_it_is_said(tmp_path: Path) -> None:
    rule, notes = from_hugging_face(tmp_path, 224)
    assert (rule.interpolation, rule.resize, rule.input_px) == ("bicubic", "shortest-edge-and-floored-crop", 224)
    assert "There is no preprocessor_config.json" in notes[0]
