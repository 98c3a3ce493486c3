"""Stain normalisation of patches before they are encoded: an optional step of an encoder's card, off by default.

Sources: Macenko et al. (2009), "A method for normalizing histology slides for quantitative analysis", with the
reference stains of the authors' published code; Reinhard et al. (2001), "Color transfer between images", in the lαβ
space of Ruderman et al. (1998), with the reference of HistomicsTK (one TCGA slide).

Every patch is normalised by itself, so that no embedding depends on what is encoded beside it. A patch in which the
stains cannot be told (background, one stain alone, one flat colour) stays as it is rather than become invented colours.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

StainMethod = Literal["macenko", "reinhard"]
Floats = NDArray[np.float64]

_WHITE = 240.0
"""Light without tissue."""
_LEAST_DENSITY = 0.15
_PERCENT = 1.0
_LEAST_TISSUE = 0.01
"""Share of the patch that must be stained for anything to be estimated."""
_LEAST_ANGLE = np.radians(2.0)
"""Between the two stains; less is one stain and noise."""
_REFERENCE_STAINS: Floats = np.array([[0.5626, 0.7201, 0.4062], [0.2159, 0.8012, 0.5581]])
"""Haematoxylin and eosin: optical density in red, green and blue."""
_REFERENCE_MOST: Floats = np.array([1.9705, 1.0308])
"""99th percentile of their concentrations."""

_TO_LMS: Floats = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
_TO_LAB: Floats = np.diag(1 / np.sqrt([3.0, 6.0, 2.0])) @ np.array([[1.0, 1, 1], [1, 1, -2], [1, -1, 0]])
_REFERENCE_MEAN: Floats = np.array([8.63234435, -0.11501964, 0.03868433])
_REFERENCE_SPREAD: Floats = np.array([0.57506023, 0.10403329, 0.01364062])
_LEAST_SPREAD = 1e-6


def normalise_stain(pixels: NDArray[np.uint8], method: StainMethod) -> NDArray[np.uint8]:
    """Patches uint8 (n, h, w, 3) with the colours of the reference, each normalised by itself."""
    one = macenko if method == "macenko" else reinhard
    return np.stack([one(patch) for patch in pixels]) if len(pixels) else pixels


def macenko(patch: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``patch`` (h, w, 3) with its two stains replaced by the reference's haematoxylin and eosin."""
    density = -np.log((patch.reshape(-1, 3).astype(np.float64) + 1) / _WHITE)
    stained = density[(density >= _LEAST_DENSITY).all(axis=1)]
    stains = _stains(stained) if len(stained) >= max(3, _LEAST_TISSUE * len(density)) else None
    if stains is None:
        return patch
    amounts = density @ np.linalg.pinv(stains)
    most = np.percentile(amounts, 100 - _PERCENT, axis=0)
    if (most <= 0).any():
        return patch
    normal = _WHITE * np.exp(-(amounts * (_REFERENCE_MOST / most)) @ _REFERENCE_STAINS)
    return _as_pixels(normal, patch.shape)


def _stains(density: Floats) -> Floats | None:
    """Haematoxylin and eosin (2, 3), unit vectors of optical density; None: there are no two stains."""
    values, vectors = np.linalg.eigh(np.cov(density, rowvar=False))
    plane = vectors[:, [2, 1]]
    if values[1] <= 1e-8:
        return None
    # The main direction must point to where tissue is, or the angles around it would wrap.
    plane = plane * np.where(density.mean(axis=0) @ plane < 0, -1.0, 1.0)
    along = density @ plane
    angles = np.arctan2(along[:, 1], along[:, 0])
    low, high = np.percentile(angles, [_PERCENT, 100 - _PERCENT])
    if high - low < _LEAST_ANGLE:
        return None
    ends = np.stack([plane @ [np.cos(angle), np.sin(angle)] for angle in (low, high)])
    # Haematoxylin takes more of the red.
    return ends if ends[0, 0] > ends[1, 0] else ends[::-1]


def reinhard(patch: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``patch`` (h, w, 3) whose tissue has the reference's mean and spread in lαβ; its background stays as it is."""
    light = patch.reshape(-1, 3).astype(np.float64)
    tissue = (-np.log((light + 1) / _WHITE) >= _LEAST_DENSITY).all(axis=1)
    if tissue.sum() < max(3, _LEAST_TISSUE * len(light)):
        return patch
    lab = to_lab(light[tissue])
    spread = lab.std(axis=0)
    if (spread < _LEAST_SPREAD).any():
        return patch
    light[tissue] = from_lab((lab - lab.mean(axis=0)) / spread * _REFERENCE_SPREAD + _REFERENCE_MEAN)
    return _as_pixels(light, patch.shape)


def to_lab(light: Floats) -> Floats:
    """Red, green and blue (n, 3), 0 to 255, in lαβ with the natural logarithm; black counts as one."""
    lab: Floats = np.log(np.maximum(light, 1.0) @ _TO_LMS.T) @ _TO_LAB.T
    return lab


def from_lab(lab: Floats) -> Floats:
    """The light (n, 3) of colours in lαβ; may lie outside 0 to 255."""
    light: Floats = np.exp(lab @ np.linalg.inv(_TO_LAB).T) @ np.linalg.inv(_TO_LMS).T
    return light


def _as_pixels(light: Floats, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.clip(np.rint(light), 0, 255).astype(np.uint8).reshape(shape)
