"""Making a tile look like another laboratory's: stain, light, size, direction; pure functions of picture and seed.

Stain: Beer–Lambert optical densities are unmixed into haematoxylin, eosin and a residual (the matrix of Ruifrok and
Johnston 2001), each scaled and shifted at random, and mixed again (Tellez et al. 2018).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_HED = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]], dtype=np.float32)
_HED /= np.linalg.norm(_HED, axis=1, keepdims=True)
_UNMIX = np.linalg.inv(_HED).astype(np.float32)
_DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1.0) / 256.0)


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """How far a view may stray. ``scale``: least side of the crop as a share; the others are ± ranges of factors."""

    scale: float = 0.62
    stain: float = 0.35
    stain_shift: float = 0.06
    light: float = 0.15
    blur: float = 0.15
    """Share of views that are blurred a little."""


def random_crop(pixels: NDArray[np.uint8], rng: np.random.Generator, settings: AugmentSettings) -> NDArray[np.uint8]:
    """A square part of ``pixels`` (h, w, 3), turned and mirrored at random."""
    height, width = pixels.shape[:2]
    side = max(1, round(min(height, width) * rng.uniform(settings.scale, 1.0)))
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    part = np.rot90(pixels[top : top + side, left : left + side], int(rng.integers(4)))
    return np.ascontiguousarray(part[:, ::-1] if rng.random() < 0.5 else part)


def recolour(pixels: NDArray[np.uint8], rng: np.random.Generator, settings: AugmentSettings) -> NDArray[np.uint8]:
    """``pixels`` (h, w, 3) with another stain, brightness, contrast, saturation and sharpness."""
    gains = 1 + rng.uniform(-settings.stain, settings.stain, 3)
    shifts = rng.uniform(-settings.stain_shift, settings.stain_shift, 3)
    mix = (_UNMIX @ np.diag(gains.astype(np.float32))) @ _HED
    density = _DENSITY[pixels] @ mix + shifts.astype(np.float32) @ _HED
    light = np.exp(-density) * np.float32(256) - np.float32(1)
    light *= np.float32(1 + rng.uniform(-settings.light, settings.light))
    contrast = np.float32(1 + rng.uniform(-settings.light, settings.light))
    light = light.mean() * (1 - contrast) + light * contrast
    grey = light.mean(axis=2, keepdims=True)
    light = grey + (light - grey) * np.float32(1 + rng.uniform(-2 * settings.light, 2 * settings.light))
    light *= (1 + rng.uniform(-settings.light / 2, settings.light / 2, 3)).astype(np.float32)
    if rng.random() < settings.blur:
        light = _blurred(light)
    picture: NDArray[np.uint8] = np.clip(light, 0, 255).astype(np.uint8)
    return picture


def _blurred(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """A binomial 1-2-1 blur along both axes, edges repeated."""
    for axis in (0, 1):
        pad = [(1, 1) if place == axis else (0, 0) for place in range(3)]
        wide = np.pad(light, pad, mode="edge")
        count = light.shape[axis]
        parts = [np.take(wide, range(start, start + count), axis=axis) for start in range(3)]
        light = ((parts[0] + 2 * parts[1] + parts[2]) / 4).astype(np.float32)
    return light
