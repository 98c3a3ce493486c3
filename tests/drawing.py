"""Slides drawn for the tests: small, deterministic, in the formats that the application must read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def tissue_picture(width_px: int, height_px: int, *, seed: int = 0, share: float = 0.6) -> Pixels:
    """A white field (h, w, 3) with one pink, textured ellipse of tissue that covers about ``share`` of it."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height_px, 0:width_px]
    radius = np.sqrt(share / np.pi)
    inside = ((x - width_px / 2) / (radius * width_px)) ** 2 + ((y - height_px / 2) / (radius * height_px)) ** 2 <= 1
    coarse = random.normal(0, 1, (height_px // 16 + 2, width_px // 16 + 2))
    texture = np.kron(coarse, np.ones((16, 16)))[:height_px, :width_px] * 12
    base = np.array([205, 130, 170]) + np.array(random.integers(-20, 20, 3))
    tissue = base + texture[..., None] + random.normal(0, 6, (height_px, width_px, 1))
    nuclei = random.random((height_px // 8 + 1, width_px // 8 + 1)) < 0.08
    dark = np.kron(nuclei, np.ones((8, 8), bool))[:height_px, :width_px]
    tissue[dark] = tissue[dark] * np.array([0.5, 0.4, 0.65])
    white = 243 + random.normal(0, 1.5, (height_px, width_px, 1)) * np.ones(3)
    return np.clip(np.where(inside[..., None], tissue, white), 0, 255).astype(np.uint8)


def halve(pixels: Pixels) -> Pixels:
    """The next level of a pyramid: every 2 × 2 pixels averaged."""
    height, width = (pixels.shape[0] // 2) * 2, (pixels.shape[1] // 2) * 2
    blocks = pixels[:height, :width].reshape(height // 2, 2, width // 2, 2, -1).astype(np.uint16)
    return ((blocks.sum(axis=(1, 3)) + 2) // 4).astype(np.uint8)


def pyramidal_tiff(
    path: Path,
    *,
    width_px: int = 1024,
    height_px: int = 768,
    levels: int = 3,
    mpp_um: float | None = 0.5,
    seed: int = 0,
    pixels: Pixels | None = None,
    lossless: bool = True,
) -> Path:
    """Write a tiled pyramidal TIFF that OpenSlide opens as ``generic-tiff``; returns ``path``."""
    level = tissue_picture(width_px, height_px, seed=seed) if pixels is None else pixels
    resolution = None if mpp_um is None else (10_000 / mpp_um, 10_000 / mpp_um)
    with tifffile.TiffWriter(path, bigtiff=False) as tiff:
        for number in range(levels):
            options = (
                {}
                if resolution is None
                else {
                    "resolution": (resolution[0] / 2**number, resolution[1] / 2**number),
                    "resolutionunit": "CENTIMETER",
                }
            )
            tiff.write(
                level,
                photometric="rgb",
                tile=(256, 256),
                compression="deflate" if lossless else "jpeg",
                subfiletype=1 if number else 0,
                metadata=None,
                **options,
            )
            level = halve(level)
    return path


def picture(path: Path, *, width_px: int = 300, height_px: int = 260, seed: int = 0) -> Path:
    """Write an ordinary picture; the format follows the ending of ``path``."""
    Image.fromarray(tissue_picture(width_px, height_px, seed=seed)).save(path)
    return path
