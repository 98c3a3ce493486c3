from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from plipdesk.encoders.card import EncoderProblem, load_card
from plipdesk.encoders.torch_runtime import TorchEncoder, has_gpu, pick_device
from tests.encoders.models import random_patches


class SmallMemory(torch.nn.Module):
    """A tower that holds ``room`` patches and answers with the corner pixel of each."""

    def __init__(self, room: int, error: type[Exception] = torch.OutOfMemoryError, words: str = "no room") -> None:
        super().__init__()
        self.room, self.error, self.words = room, error, words
        self.sizes: list[int] = []

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(pixels))
        if len(pixels) > self.room:
            raise self.error(self.words)
        corner = pixels[:, 0, 0].float() + 1
        row = torch.nn.functional.pad(corner, (0, 61))
        return torch.nn.functional.normalize(row, dim=-1)


def _encoder(models: Path, tower: torch.nn.Module, batch: int) -> TorchEncoder:
    return TorchEncoder(load_card(models / "small-vit"), None, tower, None, batch=batch)


def test_a_batch_that_does_not_fit_is_halved_and_stays_halved(models: Path) -> None:
    tower = SmallMemory(room=5)
    encoder = _encoder(models, tower, batch=32)
    patches = random_patches(21, 64)
    rows = encoder.encode_patches(patches)
    expected = patches[:, 0, 0].astype(np.float32) + 1
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose(rows[:, :3], expected, atol=1e-6)
    assert tower.sizes == [21, 16, 8, 4, 4, 4, 4, 4, 1]
    assert encoder.batch == 4
    tower.sizes.clear()
    encoder.encode_patches(patches[:9])
    assert tower.sizes == [4, 4, 1]


@pytest.mark.parametrize("words", ["MPS backend out of memory", "DefaultCPUAllocator: can't allocate memory: tried 9"])
def test_devices_that_tell_only_in_words(models: Path, words: str) -> None:
    encoder = _encoder(models, SmallMemory(room=2, error=RuntimeError, words=words), batch=8)
    assert encoder.encode_patches(random_patches(5, 64)).shape == (5, 64)
    assert encoder.batch == 2


def test_not_even_one_patch_fits(models: Path) -> None:
    encoder = _encoder(models, SmallMemory(room=0), batch=8)
    with pytest.raises(EncoderProblem, match="not enough memory") as caught:
        encoder.encode_patches(random_patches(3, 64))
    assert caught.value.remedy


def test_other_errors_are_not_taken_for_full_memory(models: Path) -> None:
    encoder = _encoder(models, SmallMemory(room=2, error=RuntimeError, words="shapes cannot be multiplied"), batch=8)
    with pytest.raises(RuntimeError, match="multiplied"):
        encoder.encode_patches(random_patches(3, 64))
    assert encoder.batch == 8


def test_devices() -> None:
    assert pick_device("cpu") == "cpu"
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert pick_device("auto") == expected
    assert has_gpu() == (expected != "cpu")
    with pytest.raises(EncoderProblem, match="'cuda:99'"):
        pick_device("cuda:99")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.9999), ("bf16", 0.99), ("fp16", 0.999)])
def test_cuda_says_what_the_cpu_says(models: Path, precision: str, least: float) -> None:
    from plipdesk.encoders.loading import find_encoder, load_encoder
    from tests.encoders.models import lowest_cosine

    for name in ("small-vit", "small-lite"):
        installed = find_encoder(name, models)
        on_cpu = load_encoder(installed, runtime="torch", device="cpu")
        on_gpu = load_encoder(installed, runtime="torch", device="cuda", precision=precision)  # type: ignore[arg-type]
        patches = random_patches(300, 64)
        assert lowest_cosine(on_cpu.encode_patches(patches), on_gpu.encode_patches(patches)) >= least
        assert lowest_cosine(on_cpu.encode_texts(["gland"]), on_gpu.encode_texts(["gland"])) >= least
