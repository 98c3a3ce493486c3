"""Contrastive losses between pictures and words, with more than one right answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

MOST_LOGIT_SCALE = 100.0
PROMINENCE = (1.0, 0.6, 0.4)
"""Weight of a picture's first, second and any further tag."""


def soft_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean over rows of the cross entropy of ``logits`` (n, m) against distributions ``targets`` (n, m).

    Rows without any target are left out; without any row left the loss is zero.
    """
    total = targets.sum(dim=1)
    kept = total > 0
    if not bool(kept.any()):
        return logits.sum() * 0.0
    share = targets[kept] / total[kept].unsqueeze(1)
    return -(share * logits[kept].log_softmax(dim=1)).sum(dim=1).mean()


def clip_loss(
    images: torch.Tensor, texts: torch.Tensor, targets: torch.Tensor, logit_scale: torch.Tensor
) -> torch.Tensor:
    """Symmetric contrastive loss with soft targets.

    Args:
        images: (n, d) and texts (m, d), L2-normalised.
        targets: (n, m), at least 0: how right each text is for each picture. The identity gives CLIP's loss (Radford
            et al. 2021); several right answers share a row's weight.
        logit_scale: the inverse temperature (not its logarithm), clamped to 100 as CLIP does.
    """
    logits = images @ texts.T * logit_scale.clamp(max=MOST_LOGIT_SCALE)
    return (soft_cross_entropy(logits, targets) + soft_cross_entropy(logits.T, targets.T)) / 2


def tag_weights(tags: list[tuple[str, ...]], names: list[str]) -> NDArray[np.float32]:
    """(pictures, names): how prominent each tag is in each picture (0: not there); tags come most prominent first."""
    column = {name: place for place, name in enumerate(names)}
    weights = np.zeros((len(tags), len(names)), dtype=np.float32)
    for row, row_tags in enumerate(tags):
        for rank, tag in enumerate(row_tags):
            if tag in column:
                weights[row, column[tag]] = PROMINENCE[min(rank, len(PROMINENCE) - 1)]
    return weights


def caption_targets(weights: torch.Tensor, neighbour: float) -> torch.Tensor:
    """(n, n): a picture's own caption counts 1, another's ``neighbour`` times the squared cosine of the tags.

    Pictures without tags have their own caption only.
    """
    import torch

    unit = torch.nn.functional.normalize(weights, dim=1)
    alike = (unit @ unit.T) ** 2
    own = torch.eye(len(weights), dtype=weights.dtype)
    return own + neighbour * alike * (1 - own)
