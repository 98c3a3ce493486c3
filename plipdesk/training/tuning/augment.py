"""The paper's augmentations as pure functions of picture and seed.

torchvision's kernels on tensors, which antialias as Pillow's do but round differently: pixels differ by a grey level or
two from the authors' own pipeline, which worked on Pillow pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plipdesk.training.augment import AugmentSettings, recolour
from plipdesk.training.tuning.recipe import Affine, Flip, Perspective, RandomCrop, Resize, Stain, Step

if TYPE_CHECKING:
    import torch

Pixels = NDArray[np.uint8]


def augmented(pixels: Pixels, steps: Sequence[Step], seed: Sequence[int]) -> Pixels:
    """``pixels`` (h, w, 3) after all ``steps``; the same seed gives the same picture.

    A picture too small for a crop is enlarged first, until its shorter side suffices.
    """
    import torch

    rng = np.random.default_rng(list(seed))
    planes = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)
    for step in steps:
        planes = _STEPS[type(step)](planes, step, rng)
    found: Pixels = planes.permute(1, 2, 0).contiguous().numpy()
    return found


def _resize(planes: torch.Tensor, step: Resize, _rng: np.random.Generator) -> torch.Tensor:
    return _shorter_side(planes, step.px)


def _shorter_side(planes: torch.Tensor, px: int) -> torch.Tensor:
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2.functional import resize

    found: torch.Tensor = resize(planes, [px], interpolation=InterpolationMode.BICUBIC, antialias=True)
    return found


def _crop(planes: torch.Tensor, step: RandomCrop, rng: np.random.Generator) -> torch.Tensor:
    if min(planes.shape[1:]) < step.px:
        planes = _shorter_side(planes, step.px)
    top = int(rng.integers(planes.shape[1] - step.px + 1))
    left = int(rng.integers(planes.shape[2] - step.px + 1))
    return planes[:, top : top + step.px, left : left + step.px]


def _flip(planes: torch.Tensor, step: Flip, rng: np.random.Generator) -> torch.Tensor:
    return planes.flip(2) if rng.random() < step.chance else planes


def _affine(planes: torch.Tensor, step: Affine, rng: np.random.Generator) -> torch.Tensor:
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2.functional import affine

    height, width = planes.shape[1:]
    shift = rng.uniform(-step.translate, step.translate, 2) * (width, height)
    found: torch.Tensor = affine(
        planes,
        angle=float(rng.uniform(-step.degrees, step.degrees)),
        translate=[round(float(shift[0])), round(float(shift[1]))],
        scale=float(rng.uniform(*step.scale)),
        shear=[float(angle) for angle in rng.uniform(-step.shear_degrees, step.shear_degrees, 2)],
        interpolation=InterpolationMode.BILINEAR,
        fill=[float(step.fill)],
    )
    return found


def _perspective(planes: torch.Tensor, step: Perspective, rng: np.random.Generator) -> torch.Tensor:
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2.functional import perspective

    if rng.random() >= step.chance:
        return planes
    height, width = planes.shape[1:]
    reach = (math.floor(step.distortion * width / 2), math.floor(step.distortion * height / 2))
    moved = rng.integers(0, (reach[0] + 1, reach[1] + 1), (4, 2))
    corners = [(0, 0), (width - 1, 0), (width - 1, height - 1), (0, height - 1)]
    inwards = [(1, 1), (-1, 1), (-1, -1), (1, -1)]
    ends = [
        [corner[0] + way[0] * int(by[0]), corner[1] + way[1] * int(by[1])]
        for corner, way, by in zip(corners, inwards, moved, strict=True)
    ]
    found: torch.Tensor = perspective(
        planes,
        startpoints=[list(corner) for corner in corners],
        endpoints=ends,
        interpolation=InterpolationMode.BILINEAR,
        fill=[float(step.fill)],
    )
    return found


def _stain(planes: torch.Tensor, step: Stain, rng: np.random.Generator) -> torch.Tensor:
    import torch

    settings = AugmentSettings(stain=step.stain, stain_shift=step.stain_shift, light=step.light, blur=step.blur)
    pixels = recolour(planes.permute(1, 2, 0).numpy(), rng, settings)
    return torch.from_numpy(pixels).permute(2, 0, 1)


_STEPS: dict[type[Any], Callable[[torch.Tensor, Any, np.random.Generator], torch.Tensor]] = {
    Resize: _resize,
    RandomCrop: _crop,
    Flip: _flip,
    Affine: _affine,
    Perspective: _perspective,
    Stain: _stain,
}
