"""What learns in a run: towers, blocks that stand still, low-rank updates, and who decays."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from plipdesk.training.recipe import TrainingProblem
from plipdesk.training.tuning.recipe import Learning, Lora, Optimiser

if TYPE_CHECKING:
    import torch


def choose(model: Any, learning: Learning, *, seed: int) -> list[torch.nn.Parameter]:
    """Switch gradients on for what learns, and off for all else; returns what learns.

    Raises:
        TrainingProblem: more blocks are to stand still than there are.
    """
    model.requires_grad_(False)
    text = getattr(model, "text", None) or _TextParts(model)
    towers = (
        (model.visual, learning.image, learning.freeze_image_layers, "image"),
        (text, learning.text, learning.freeze_text_layers, "text"),
    )
    for tower, learns, frozen, name in towers:
        if not learns:
            continue
        if learning.lora is not None:
            _add_lora(tower, learning.lora, seed=seed)
            continue
        for parameter in tower.parameters():
            parameter.requires_grad_(True)
        _freeze(tower, frozen, name)
    model.logit_scale.requires_grad_(learning.logit_scale)
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def groups(model: Any, settings: Optimiser) -> list[dict[str, Any]]:
    """Parameter groups of AdamW: gains, biases and the temperature decay only where the recipe says so."""
    decayed: list[Any] = []
    plain: list[Any] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            gain = parameter.ndim < 2 or name.endswith(("logit_scale", "bias"))
            (plain if gain and not settings.decay_gains_and_biases else decayed).append(parameter)
    found = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return [group for group in found if group["params"]]


def rate_at(step: int, steps: int, settings: Optimiser) -> float:
    """The rate at ``step`` (from 0) of ``steps``: straight up over the warm-up, then half a cosine down to 0."""
    if step < settings.warmup_steps:
        return settings.rate * (step + 1) / settings.warmup_steps
    share = (step - settings.warmup_steps) / max(1, steps - settings.warmup_steps)
    return settings.rate * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def fold_lora(model: Any) -> None:
    """Put low-rank updates into the layers they belong to, and take them away."""
    from torch.nn.utils import parametrize

    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)


class _TextParts:
    """The text tower of a model that keeps its parts beside the image tower."""

    def __init__(self, model: Any) -> None:
        self.transformer = model.transformer
        self._parts = (model.token_embedding, model.transformer, model.ln_final)
        self._loose = [model.positional_embedding, model.text_projection]
        self.early = [model.token_embedding.weight, model.positional_embedding]

    def parameters(self) -> Iterable[Any]:
        for part in self._parts:
            yield from part.parameters()
        yield from (value for value in self._loose if hasattr(value, "requires_grad_") and value.is_leaf)

    def modules(self) -> Iterable[Any]:
        for part in self._parts:
            yield from part.modules()


def _blocks(tower: Any) -> list[Any]:
    for place in (("transformer", "resblocks"), ("trunk", "blocks"), ("transformer", "encoder", "layer")):
        found = tower
        for name in place:
            found = getattr(found, name, None)
        if found is not None:
            return list(found)
    return []


def _freeze(tower: Any, count: int, name: str) -> None:
    if not count:
        return
    blocks = _blocks(tower)
    if count > len(blocks):
        raise TrainingProblem(
            f"The {name} tower has {len(blocks)} blocks; {count} cannot stand still.",
            remedy=f"Lower learning.freeze_{name}_layers in the recipe.",
        )
    late = {id(parameter) for block in blocks[count:] for parameter in block.parameters()}
    after = ("ln_post", "ln_final", "proj", "head", "text_projection", "norm", "fc_norm")
    for part in after:
        value = getattr(tower, part, None) if not isinstance(tower, _TextParts) else None
        if value is None and hasattr(tower, "trunk"):
            value = getattr(tower.trunk, part, None)
        if value is not None:
            late |= {id(one) for one in (value.parameters() if hasattr(value, "parameters") else [value])}
    if isinstance(tower, _TextParts):
        early = {id(one) for one in tower.early} | {id(one) for block in blocks[:count] for one in block.parameters()}
        late = {id(one) for one in tower.parameters()} - early
    for parameter in tower.parameters():
        if id(parameter) not in late:
            parameter.requires_grad_(False)


def _add_lora(tower: Any, settings: Lora, *, seed: int) -> None:
    """Low-rank updates of every matrix of the tower's blocks, zero at first."""
    import torch
    from torch.nn.utils import parametrize

    class LowRank(torch.nn.Module):
        def __init__(self, weight: torch.Tensor, generator: torch.Generator) -> None:
            super().__init__()
            rank = min(settings.rank, *weight.shape)
            self.down = torch.nn.Parameter(torch.randn(rank, weight.shape[1], generator=generator) / rank)
            self.up = torch.nn.Parameter(torch.zeros(weight.shape[0], rank))
            self.share = settings.alpha / rank

        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            changed: torch.Tensor = weight + self.share * (self.up @ self.down)
            return changed

    generator = torch.Generator().manual_seed(seed)
    for module in list(tower.modules()):
        for name in ("weight", "in_proj_weight"):
            weight = getattr(module, name, None)
            linear = isinstance(module, torch.nn.Linear | torch.nn.MultiheadAttention)
            if linear and isinstance(weight, torch.nn.Parameter) and weight.ndim == 2:
                parametrize.register_parametrization(module, name, LowRank(weight, generator))
