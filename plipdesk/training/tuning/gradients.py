"""The gradient of a large batch in the memory of a small one, and over several processes.

Cached gradients (Gao et al. 2021): all pictures and texts are embedded chunk by chunk without keeping what lies
between; the loss of the whole batch gives the gradient of each embedding; then each chunk is embedded again, and that
gradient is carried into the towers. What comes out is the whole batch's gradient, for a second forward pass.

Over several processes each embeds its own share and learns everybody's embeddings; gradients are summed, and are those
of one process with the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Embed = Callable[[slice], "torch.Tensor"]
"""Embeddings (rows, d), L2-normalised, of a part of this process's batch, with gradients."""
Loss = Callable[["torch.Tensor", "torch.Tensor", "torch.Tensor"], "torch.Tensor"]
"""Loss of all images (n, d) and texts (n, d) at a logit scale (a scalar)."""


@dataclass(frozen=True)
class Group:
    """The processes that share a batch; one alone needs no communication."""

    rank: int = 0
    size: int = 1

    def gathered(self, rows: torch.Tensor) -> torch.Tensor:
        """Everybody's ``rows``, in the order of ranks; all have as many."""
        if self.size == 1:
            return rows
        import torch
        from torch import distributed

        parts = [torch.empty_like(rows) for _ in range(self.size)]
        distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Add up everybody's gradients; one without any counts as zero."""
        if self.size == 1:
            return
        import torch
        from torch import distributed

        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad, op=distributed.ReduceOp.SUM)

    def agree(self, fine: bool, device: Any) -> bool:
        """Whether everybody says ``fine``."""
        if self.size == 1:
            return fine
        import torch
        from torch import distributed

        flag = torch.tensor(int(fine), device=device)
        distributed.all_reduce(flag, op=distributed.ReduceOp.MIN)
        return bool(flag.item())


def batch_gradients(
    images: Embed,
    texts: Embed,
    loss: Loss,
    log_scale: torch.Tensor,
    *,
    rows: int,
    chunk: int,
    group: Group,
    autocast: Callable[[], AbstractContextManager[Any]],
    scale_loss: float = 1.0,
) -> torch.Tensor:
    """Add the gradient of the whole batch's loss to the parameters of this process; returns the loss (detached).

    Args:
        images, texts: embed a part of this process's ``rows``; the same random numbers must be drawn both times.
        log_scale: the learned logarithm of the logit scale.
        chunk: rows embedded with gradients at once.
        scale_loss: gradients are multiplied by this (mixed precision in float16).

    After it, gradients must be summed over the group (:meth:`Group.sum_gradients`).
    """
    import torch

    parts = [slice(start, min(start + chunk, rows)) for start in range(0, rows, chunk)]
    if len(parts) == 1 and group.size == 1:
        with autocast():
            found = loss(images(parts[0]).float(), texts(parts[0]).float(), log_scale.exp())
        (found * scale_loss).backward()  # type: ignore[no-untyped-call]
        return found.detach()
    with torch.no_grad(), autocast():
        seen = torch.cat([images(part).float() for part in parts])
        read = torch.cat([texts(part).float() for part in parts])
    every = [group.gathered(side).requires_grad_() for side in (seen, read)]
    scale = log_scale.detach().clone().requires_grad_()
    found = loss(every[0], every[1], scale.exp())
    gradients = torch.autograd.grad(found * scale_loss, [*every, scale])
    own = slice(group.rank * rows, (group.rank + 1) * rows)
    if log_scale.requires_grad:
        # Each process computes the whole loss, and gradients are summed: each gives its share.
        share = gradients[2] / group.size
        log_scale.grad = share if log_scale.grad is None else log_scale.grad + share
    for embed, gradient in zip((images, texts), gradients[:2], strict=True):
        mine = gradient[own]
        for part in parts:
            with autocast():
                embedded = embed(part).float()
            if embedded.requires_grad:
                embedded.backward(mine[part])  # type: ignore[no-untyped-call]
    return found.detach()
