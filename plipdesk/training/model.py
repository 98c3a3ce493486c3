"""The model under training, taken apart: image trunk and its projection, text body and its projection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plipdesk.training.recipe import TrainingProblem

if TYPE_CHECKING:
    import torch


class TextBody:
    """open_clip's text transformer up to its last normalisation, on tokens no longer than the batch needs."""

    def __init__(self, model: Any) -> None:
        import torch

        self.text = model.text
        if not isinstance(self.text.text_projection, torch.nn.Linear) or self.text.text_projection.bias is None:
            raise TrainingProblem(
                "The text tower's projection is no linear layer with a bias.",
                remedy="Set custom_text and text_cfg.proj_bias in the recipe's architecture.",
            )

    @property
    def width(self) -> int:
        """Size of what comes out."""
        return int(self.text.text_projection.in_features)

    def learning(self) -> list[torch.nn.Parameter]:
        """All parameters but the projection's."""
        return [value for name, value in self.text.named_parameters() if not name.startswith("text_projection")]

    def __call__(self, ids: torch.Tensor, used: NDArray[np.int64]) -> torch.Tensor:
        """Pooled states (n, width) of token ids (n, context) of which the first ``used`` count."""
        import torch

        length = int(used.max())
        hidden = self.text.token_embedding(ids[:, :length]) + self.text.positional_embedding[:length]
        mask = self.text.attn_mask
        hidden = self.text.transformer(hidden, attn_mask=None if mask is None else mask[:length, :length])
        rows = torch.arange(len(ids))
        pooled: torch.Tensor = self.text.ln_final(hidden[rows, torch.from_numpy(used - 1)])
        return pooled


def image_projection(model: Any) -> torch.nn.Linear:
    """The linear layer between the image trunk and the common space.

    Raises:
        TrainingProblem: the tower has none, or one without bias, so that nothing can be folded into it.
    """
    import torch

    head = getattr(model.visual, "head", None)
    layer = getattr(head, "proj", None)
    if not isinstance(layer, torch.nn.Linear) or layer.bias is None:
        raise TrainingProblem(
            "The image tower's projection is no linear layer with a bias.",
            remedy="Set vision_cfg.timm_proj to linear and timm_proj_bias in the recipe's architecture.",
        )
    return layer


def set_linear(layer: torch.nn.Linear, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """Give ``layer`` these weights."""
    import torch

    with torch.no_grad():
        layer.weight.copy_(weight)
        if layer.bias is not None:
            layer.bias.copy_(bias)
