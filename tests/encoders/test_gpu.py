"""Batches sized from the memory of a device that only keeps count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from plipdesk.encoders.gpu import batch_for, measured_batch
from plipdesk.encoders.loading import find_encoder
from plipdesk.encoders.torch_runtime import TorchEncoder
from tests.encoders.models import random_patches


@pytest.mark.parametrize(
    ("free", "per_patch", "batch"),
    [(1000, 1, 512), (1280, 1, 1024), (1279, 1, 512), (10**9, 1, 1024), (100, 10, 16), (0, 10, 16), (100, 0, 16)],
)
def test_batches_fill_four_fifths_of_what_is_free(free: int, per_patch: int, batch: int) -> None:
    assert batch_for(free, per_patch) == batch


class FakeDevice:
    """Weights take 100, each patch 7, and the first run 500 more for the libraries."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.peak = 0
        self.runs: list[int] = []

    def run(self, patches: int) -> None:
        self.runs.append(patches)
        self.peak = max(self.peak, 100 + 7 * patches + (500 if len(self.runs) == 1 else 0))

    def free_bytes(self) -> int:
        return self.free

    def peak_bytes(self) -> int:
        taken, self.peak = self.peak, 0
        return taken


def test_what_a_patch_takes_is_measured_without_weights_and_start() -> None:
    device = FakeDevice(free=880)  # 80 % hold 100 patches of 7
    assert measured_batch(device.run, device) == 64
    assert device.runs == [8, 8, 16]


class Tower(torch.nn.Module):
    """An image tower that tells the device of each batch."""

    def __init__(self, device: FakeDevice, dim: int) -> None:
        super().__init__()
        self.device, self.dim = device, dim

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.device.run(len(pixels))
        return torch.nn.functional.normalize(pixels.float().mean(dim=(1, 2)).repeat(1, self.dim)[:, : self.dim], dim=1)


def test_the_encoder_sizes_its_batch_once(models: Path) -> None:
    card = find_encoder("small-vit", models).card
    device = FakeDevice(free=320)  # 80 % hold 36 patches
    encoder = TorchEncoder(card, None, Tower(device, card.dim), None, memory=device)
    patches = random_patches(70, 64)
    first = encoder.encode_patches(patches)
    assert encoder.batch == 32
    assert device.runs == [8, 8, 16, 32, 32, 6]
    np.testing.assert_array_equal(encoder.encode_patches(patches), first)
    assert device.runs[6:] == [32, 32, 6]


def test_a_batch_that_was_asked_for_is_not_changed(models: Path) -> None:
    card = find_encoder("small-vit", models).card
    device = FakeDevice(free=320)
    encoder = TorchEncoder(card, None, Tower(device, card.dim), None, memory=device, batch=5)
    encoder.encode_patches(random_patches(6, 64))
    assert device.runs == [5, 1]
