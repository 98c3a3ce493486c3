"""The loop that every stage of training runs in: optimiser, schedule, skipped steps, checkpoints, resume."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from plipdesk.base.progress import JobContext
from plipdesk.training.recipe import AlignStage, DistilStage, Optimiser
from plipdesk.training.run import RunFolder

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ParameterGroup:
    """Tensors that learn at ``rate`` times the stage's rate, with or without weight decay."""

    parameters: tuple[torch.nn.Parameter, ...]
    rate: float = 1.0
    decay: float = 1.0


class StageTask(Protocol):
    """What a stage does in a step. Everything random is drawn from the step's number."""

    def groups(self) -> list[ParameterGroup]:
        """What learns."""

    def loss(self, step: int) -> torch.Tensor:
        """The loss of step ``step``, ready for ``backward``."""

    def state(self) -> dict[str, torch.Tensor]:
        """All tensors that the stage changes, by name; loaded back in place by ``copy_``."""

    def finish(self) -> None:
        """Put what was learned into the model."""


def rate_at(step: int, steps: int, optimiser: Optimiser) -> float:
    """Share of the full rate at ``step``: a straight warm-up, then half a cosine down to zero."""
    warm = min(1.0, (step + 1) / optimiser.warmup_steps) if optimiser.warmup_steps else 1.0
    return warm * 0.5 * (1.0 + math.cos(math.pi * step / steps))


def step_seed(seed: int, stage: int, step: int) -> tuple[int, int, int]:
    """What names a step's random numbers."""
    return (seed, stage, step)


def run_stage(
    task: StageTask, stage: DistilStage | AlignStage, number: int, run: RunFolder, ctx: JobContext, *, seed: int
) -> None:
    """Run ``stage`` from its last checkpoint to its end; a step whose loss or gradient is not finite is skipped.

    Raises:
        Cancelled, Paused: asked to stop; the last checkpoint stands.
    """
    import torch

    record = run.record.stage(stage.name)
    settings = stage.optimiser
    groups = task.groups()
    optimiser = torch.optim.AdamW(
        [{"params": list(group.parameters), "weight_decay": settings.weight_decay * group.decay} for group in groups],
        lr=settings.rate,
        betas=settings.betas,
    )
    learning = [parameter for group in groups for parameter in group.parameters]
    average = getattr(stage, "average", 0.0)
    shadow = [parameter.detach().clone() for parameter in learning] if average else []
    start = _resume(task, optimiser, learning, shadow, run, stage.name)
    del record.losses[start:]
    record.skipped_steps = sum(loss is None for loss in record.losses)
    began = time.monotonic()
    for step in range(start, stage.steps):
        ctx.check_cancel()
        share = rate_at(step, stage.steps, settings)
        for group, options in zip(groups, optimiser.param_groups, strict=True):
            options["lr"] = settings.rate * share * group.rate
        torch.manual_seed(_one_seed(seed, number, step))
        loss = task.loss(step)
        optimiser.zero_grad(set_to_none=True)
        kept = bool(torch.isfinite(loss))
        if kept:
            loss.backward()  # type: ignore[no-untyped-call]
            kept = bool(torch.isfinite(torch.nn.utils.clip_grad_norm_(learning, settings.most_gradient)))
        if kept:
            optimiser.step()
            if average:
                # Young averages forget faster, or the start would weigh on them for long.
                decay = min(average, (1 + step) / (10 + step))
                for held, parameter in zip(shadow, learning, strict=True):
                    held.lerp_(parameter.detach(), 1 - decay)
        record.losses.append(float(loss.detach()) if kept else None)
        record.skipped_steps += not kept
        ctx.report(step + 1, stage.steps, unit="steps", note=stage.name)
        if (step + 1) % stage.checkpoint_every == 0 and step + 1 < stage.steps:
            record.seconds += time.monotonic() - began
            began = time.monotonic()
            run.save_checkpoint(stage.name, step + 1, _tensors(task, optimiser, learning, shadow))
    if average:
        with torch.no_grad():
            for held, parameter in zip(shadow, learning, strict=True):
                parameter.copy_(held)
    record.seconds += time.monotonic() - began
    task.finish()


def _one_seed(seed: int, stage: int, step: int) -> int:
    import numpy as np

    return int(np.random.SeedSequence(step_seed(seed, stage, step)).generate_state(1)[0])


def _tensors(
    task: StageTask,
    optimiser: torch.optim.Optimizer,
    learning: list[torch.nn.Parameter],
    shadow: list[torch.Tensor],
) -> dict[str, torch.Tensor]:
    found = {f"state/{name}": value for name, value in task.state().items()}
    for place, parameter in enumerate(learning):
        for name, value in optimiser.state[parameter].items():
            found[f"optimiser/{place}/{name}"] = value
    found.update({f"average/{place}": value for place, value in enumerate(shadow)})
    # safetensors refuses tensors that share memory.
    return {name: value.detach().clone() for name, value in found.items()}


def _resume(
    task: StageTask,
    optimiser: torch.optim.Optimizer,
    learning: list[torch.nn.Parameter],
    shadow: list[torch.Tensor],
    run: RunFolder,
    name: str,
) -> int:
    import torch

    found = run.load_checkpoint(name)
    if found is None:
        return 0
    step, tensors = found
    with torch.no_grad():
        for key, value in task.state().items():
            value.copy_(tensors[f"state/{key}"])
        for place, parameter in enumerate(learning):
            prefix = f"optimiser/{place}/"
            kept = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            if kept:
                optimiser.state[parameter] = kept
        for place, held in enumerate(shadow):
            held.copy_(tensors[f"average/{place}"])
    return step
