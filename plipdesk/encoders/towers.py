"""Image towers that timm does not have, made known to it under names of their own.

``plipdesk_lite0_levels``: the first six stages of EfficientNet-Lite0 (Tan & Le 2019, without squeeze-and-excitation),
read out at three depths. Of the last three stages the mean and the standard deviation of every channel over the picture
are kept side by side: cells and textures (stride 16) beside arrangement (stride 32), and how evenly each is spread.
Tissue is told by texture more than by objects, so this beats the usual mean of the deepest layer, and costs less than
the full network.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

LITE0_LEVELS = "plipdesk_lite0_levels"
_BASE = "tf_efficientnet_lite0"
_STAGES = 6
_LEVELS = (3, 4, 5)
"""Stages (from 0) whose outputs are pooled."""
_VARIANCE_FLOOR = 1e-6


@lru_cache(maxsize=1)
def register_towers() -> None:
    """Make the towers of this module known to timm, once per process."""
    import timm
    import torch
    from timm.models import register_model

    class LevelsTower(torch.nn.Module):
        """(n, 3, h, w) normalised pixels → (n, num_features) means and standard deviations of three levels."""

        conv_stem: torch.nn.Module
        bn1: torch.nn.Module

        def __init__(self) -> None:
            super().__init__()
            whole: Any = timm.create_model(_BASE, pretrained=False)
            self.conv_stem, self.bn1 = whole.conv_stem, whole.bn1
            stages = list(whole.blocks)[:_STAGES]
            self.blocks = torch.nn.ModuleList(stages)
            self.num_features = 2 * sum(stages[level][-1].bn3.num_features for level in _LEVELS)
            # open_clip asks for it; None: the trunk pools by itself.
            self.default_cfg: dict[str, Any] = {"pool_size": None}

        def reset_classifier(self, num_classes: int = 0, global_pool: str | None = None) -> None:
            """There is no classifier; open_clip asks all the same."""

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            hidden: torch.Tensor = self.bn1(self.conv_stem(pixels))
            pooled = []
            for stage, block in enumerate(self.blocks):
                hidden = block(hidden)
                if stage in _LEVELS:
                    mean = hidden.mean((2, 3), keepdim=True)
                    variance = ((hidden - mean) ** 2).mean((2, 3))
                    pooled += [mean.flatten(1), (variance + _VARIANCE_FLOOR).sqrt()]
            return torch.cat(pooled, dim=1)

    def build(pretrained: bool = False, **_: Any) -> torch.nn.Module:
        if pretrained:
            raise ValueError(f"{LITE0_LEVELS} has no weights to fetch")
        return LevelsTower()

    build.__name__ = LITE0_LEVELS
    register_model(build)
