from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from plipdesk.encoders.architecture import build_model
from plipdesk.encoders.card import EncoderProblem, load_card
from plipdesk.encoders.clip_graph import image_graph, text_graph
from plipdesk.encoders.graph import Weights
from plipdesk.encoders.loading import InstalledEncoder, find_encoder, load_encoder
from plipdesk.encoders.modules import image_tower, text_tower
from plipdesk.encoders.null import null_card
from plipdesk.encoders.onnx_runtime import open_session
from plipdesk.encoders.protocol import Encoder
from plipdesk.encoders.weights import load_weights
from tests.encoders.models import (
    CLIP_MEAN,
    CLIP_STD,
    SMALL_LITE,
    SMALL_VIT,
    VIT_B_32,
    lowest_cosine,
    random_patches,
    write_model,
)

TEXTS = ["gland", "stroma with a very long description of what is seen in it", "fat", "gland and stroma", "a " * 90]


def _pair(folder: Path) -> tuple[Encoder, Encoder]:
    installed = InstalledEncoder(load_card(folder), folder, embedded=False)
    return load_encoder(installed, runtime="torch", device="cpu"), load_encoder(installed, runtime="onnx", threads=2)


def _reference(folder: Path, patches: np.ndarray, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """What open_clip itself says, with its own normalisation and at the full length of the context."""
    from open_clip.tokenizer import SimpleTokenizer

    card = load_card(folder)
    model = build_model(card.architecture).eval()
    load_weights(model, folder / card.files["weights"].name)
    planes = torch.from_numpy(patches).permute(0, 3, 1, 2).float() / 255
    planes = (planes - torch.tensor(card.mean).view(1, 3, 1, 1)) / torch.tensor(card.std).view(1, 3, 1, 1)
    if card.tokenizer.file is None:
        ids = SimpleTokenizer(context_length=card.context_length)(texts)
    else:
        from plipdesk.encoders.tokenizer import ClipTokenizer

        ids = torch.from_numpy(ClipTokenizer(folder / "merges.txt", context_length=card.context_length)(texts).ids)
    with torch.inference_mode():
        return (
            model.encode_image(planes, normalize=True).numpy(),
            model.encode_text(ids, normalize=True).numpy(),
        )


@pytest.mark.parametrize("name", ["small-vit", "small-lite"])
def test_both_runtimes_say_what_open_clip_says(models: Path, name: str) -> None:
    folder = models / name
    in_torch, in_onnx = _pair(folder)
    patches = random_patches(7, in_torch.card.input_px)
    pixels, words = _reference(folder, patches, TEXTS)
    for encoder in (in_torch, in_onnx):
        assert lowest_cosine(encoder.encode_patches(patches), pixels) >= 0.99999
        assert lowest_cosine(encoder.encode_texts(TEXTS), words) >= 0.99999
    assert in_torch.fingerprint == in_onnx.fingerprint
    assert (in_torch.runtime, in_onnx.runtime) == ("torch cpu", "onnx cpu")
    in_torch.close()
    in_onnx.close()


OTHER_TOWERS: list[dict[str, Any]] = [
    {**SMALL_VIT, "quick_gelu": False, "custom_text": True},
    {**SMALL_VIT, "vision_cfg": {**SMALL_VIT["vision_cfg"], "ls_init_value": 0.3, "no_ln_pre": True, "mlp_ratio": 2.0}},
    {**SMALL_VIT, "text_cfg": {**SMALL_VIT["text_cfg"], "ls_init_value": 0.3, "pool_type": "eos", "eos_id": 49407}},
    {**SMALL_VIT, "custom_text": True, "text_cfg": {**SMALL_VIT["text_cfg"], "no_causal_mask": True}},
]


@pytest.mark.parametrize("architecture", OTHER_TOWERS, ids=["gelu", "layer-scale", "eos", "both-directions"])
def test_other_transformers(tmp_path: Path, architecture: dict[str, Any]) -> None:
    folder = write_model(tmp_path / "other", architecture)
    in_torch, in_onnx = _pair(folder)
    patches = random_patches(3, 64)
    pixels, words = _reference(folder, patches, TEXTS)
    for encoder in (in_torch, in_onnx):
        assert lowest_cosine(encoder.encode_patches(patches), pixels) >= 0.99999
        assert lowest_cosine(encoder.encode_texts(TEXTS), words) >= 0.99999
        encoder.close()


def test_vit_b_32_in_full(tmp_path: Path) -> None:
    """At its real size, straight from the weights to the graphs, without files between."""
    import onnx

    torch.manual_seed(2)
    model = build_model(VIT_B_32).eval()
    card = null_card().model_copy(
        update={"architecture": VIT_B_32, "dim": 512, "input_px": 224, "mean": CLIP_MEAN, "std": CLIP_STD}
    )
    weights = Weights({name: tensor.numpy() for name, tensor in model.state_dict().items()})
    pixels = random_patches(2, 224)
    ids = np.array([[49406, 320, 1000, 49407, 0], [49406, 7, 8, 9, 49407]], dtype=np.int64)
    ends = np.array([3, 4], dtype=np.int64)
    given: dict[str, dict[str, np.ndarray]] = {"image": {"pixels": pixels}, "text": {"ids": ids, "ends": ends}}
    for tower, module, write in (
        ("image", image_tower(model, card), image_graph),
        ("text", text_tower(model), text_graph),
    ):
        onnx.save(write(card, weights), tmp_path / "tower.onnx")
        answer = open_session(tmp_path / "tower.onnx", 2).run(["embeddings"], given[tower])[0]
        with torch.inference_mode():
            expected = module(*map(torch.from_numpy, given[tower].values())).numpy()
        assert lowest_cosine(answer, expected) >= 0.9999


def test_a_text_tower_that_cannot_be_written_runs_in_torch(tmp_path: Path) -> None:
    text = {**SMALL_VIT["text_cfg"], "qk_norm": True}
    write_model(tmp_path / "unusual", {**SMALL_VIT, "custom_text": True, "text_cfg": text})
    installed = find_encoder("unusual", tmp_path)
    encoder = load_encoder(installed, device="cpu")
    assert encoder.runtime == "torch cpu"
    _, words = _reference(tmp_path / "unusual", random_patches(1, 64), TEXTS)
    assert lowest_cosine(encoder.encode_texts(TEXTS), words) >= 0.99999
    with pytest.raises(EncoderProblem, match="cannot be written"):
        load_encoder(installed, runtime="onnx").encode_texts(["gland"])


def test_embedded_model() -> None:
    folder = find_encoder(None, None).folder
    assert folder is not None
    in_torch, in_onnx = _pair(folder)
    patches = random_patches(6, in_torch.card.input_px)
    texts = ["adipose tissue", "mitosis", "renal tubules with a pale cytoplasm and hyaline casts", "mucus"]
    assert lowest_cosine(in_torch.encode_patches(patches), in_onnx.encode_patches(patches)) >= 0.9999
    assert lowest_cosine(in_torch.encode_texts(texts), in_onnx.encode_texts(texts)) >= 0.9999
    in_onnx.close()


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_order_is_kept_whatever_the_batches(models: Path, runtime: Any) -> None:
    encoder = load_encoder(find_encoder("small-vit", models), runtime=runtime, device="cpu", threads=3)
    patches = random_patches(29, 64)
    whole = encoder.encode_patches(patches)
    single = np.concatenate([encoder.encode_patches(patches[place : place + 1]) for place in range(29)])
    assert np.abs(whole - single).max() < 1e-5
    assert np.array_equal(whole, encoder.encode_patches(patches))
    texts = [f"{'long ' * (place % 7)}word {place}" for place in range(70)]
    words = encoder.encode_texts(texts)
    assert np.abs(words[::-1] - encoder.encode_texts(texts[::-1])).max() < 1e-5
    assert np.abs(words[13] - encoder.encode_texts([texts[13]])[0]).max() < 1e-5
    encoder.close()


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_nothing_in_nothing_out(models: Path, runtime: Any) -> None:
    encoder = load_encoder(find_encoder("small-vit", models), runtime=runtime, device="cpu")
    assert encoder.encode_patches(np.empty((0, 64, 64, 3), dtype=np.uint8)).shape == (0, 64)
    assert encoder.encode_pictures([]).shape == (0, 64)
    assert encoder.encode_texts([]).shape == (0, 64)
    encoder.close()


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_what_cannot_be_encoded_is_refused_in_words(models: Path, runtime: Any) -> None:
    encoder = load_encoder(find_encoder("small-vit", models), runtime=runtime, device="cpu")
    with pytest.raises(EncoderProblem, match=r"\(n, 64, 64, 3\)"):
        encoder.encode_patches(np.zeros((2, 65, 64, 3), dtype=np.uint8))
    with pytest.raises(EncoderProblem, match="uint8"):
        encoder.encode_patches(np.zeros((2, 64, 64, 3), dtype=np.float32))
    with pytest.raises(EncoderProblem, match="empty"):
        encoder.encode_texts(["gland", " \n"])
    assert encoder.truncated("word " * 100)
    assert not encoder.truncated("gland")
    encoder.close()


def test_pictures_are_fitted_and_then_patches(models: Path) -> None:
    encoder = load_encoder(find_encoder("small-vit", models), runtime="onnx")
    pictures = [random_patches(1, size, seed=size)[0] for size in (64, 100, 256)]
    rows = encoder.encode_pictures([pictures[0], pictures[1][:, :80], pictures[2][:120]])
    assert rows.shape == (3, 64)
    assert np.abs(rows[:1] - encoder.encode_patches(pictures[0][None])).max() < 1e-5
    encoder.close()


def test_an_encoder_can_be_used_again_after_it_was_closed(models: Path) -> None:
    encoder = load_encoder(find_encoder("small-vit", models), runtime="onnx", threads=2)
    patches = random_patches(20, 64)
    before = encoder.encode_patches(patches)
    encoder.close()
    assert np.array_equal(before, encoder.encode_patches(patches))
    encoder.close()


def test_lower_precision_is_close_and_has_its_own_fingerprint(models: Path) -> None:
    installed = find_encoder("small-vit", models)
    exact = load_encoder(installed, runtime="torch", device="cpu")
    rough = load_encoder(installed, precision="bf16", device="cpu")
    patches = random_patches(4, 64)
    assert lowest_cosine(exact.encode_patches(patches), rough.encode_patches(patches)) > 0.99
    assert rough.runtime == "torch cpu bf16"
    assert rough.fingerprint == installed.card.fingerprint("bf16") != exact.fingerprint


def test_small_lite_is_the_trunk_it_says(models: Path) -> None:
    assert load_card(models / "small-lite").architecture == SMALL_LITE
