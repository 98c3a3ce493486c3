"""The folder of a training run: what it was told, where it ran, how it went, and the checkpoint it goes on from.

``run.json`` is rewritten whole before each checkpoint; going on cuts its curve to the checkpoint's step. A checkpoint
is one safetensors file with the weights, the optimiser's moments and the step; it replaces the stage's older one.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import plipdesk
from plipdesk.base.files import atomic_write
from plipdesk.training.recipe import Recipe, TrainingProblem

if TYPE_CHECKING:
    import torch

RUN_NAME = "run.json"


class StageRecord(BaseModel):
    """How one stage went: the loss of every step (None: not finite, the step was skipped), and what was lost."""

    model_config = ConfigDict(extra="forbid")
    name: str
    losses: list[float | None] = Field(default_factory=list)
    skipped_steps: int = 0
    seconds: float = 0.0
    done: bool = False


class RunRecord(BaseModel):
    """``run.json``."""

    model_config = ConfigDict(extra="forbid")
    schema_version: Literal[1] = 1
    recipe: Recipe
    data_fingerprint: str
    pictures: int
    unreadable_pictures: int = 0
    code_version: str
    environment: dict[str, str]
    stages: list[StageRecord] = Field(default_factory=list)

    def stage(self, name: str) -> StageRecord:
        """The record of the stage called ``name``, begun if it is new."""
        for record in self.stages:
            if record.name == name:
                return record
        self.stages.append(StageRecord(name=name))
        return self.stages[-1]


def environment(threads: int) -> dict[str, str]:
    """What a run's numbers depend on beside recipe and data."""
    names = ("torch", "open_clip_torch", "timm", "numpy", "onnxruntime")
    versions = {name: metadata.version(name) for name in names}
    return {**versions, "python": platform.python_version(), "machine": platform.machine(), "threads": str(threads)}


class RunFolder:
    """A run's files. Opening a folder that holds another recipe or other data is refused."""

    def __init__(self, folder: Path, recipe: Recipe, *, data_fingerprint: str, pictures: int) -> None:
        self.folder = folder
        path = folder / RUN_NAME
        if path.exists():
            self.record = read_run(path)
            if self.record.recipe != recipe or self.record.data_fingerprint != data_fingerprint:
                raise TrainingProblem(
                    "This folder holds a run of another recipe or of other data.",
                    path=folder,
                    remedy="Give a new run folder, or the recipe and manifest it was begun with.",
                )
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self.record = RunRecord(
                recipe=recipe,
                data_fingerprint=data_fingerprint,
                pictures=pictures,
                code_version=plipdesk.__version__,
                environment=environment(recipe.threads),
            )
            self.save()

    def save(self) -> None:
        """Write ``run.json``."""
        with atomic_write(self.folder / RUN_NAME) as stream:
            stream.write(self.record.model_dump_json(indent=1).encode())

    def checkpoint_path(self, stage: str) -> Path:
        """Where the stage's checkpoint lies."""
        return self.folder / f"{stage}.safetensors"

    def save_checkpoint(self, stage: str, step: int, tensors: dict[str, torch.Tensor]) -> None:
        """Commit the curve, then ``tensors`` as the state after ``step`` steps.

        In this order a kill between the two leaves a curve that is too long, and going on cuts it to the checkpoint.
        """
        self.save()
        write_checkpoint(self.checkpoint_path(stage), step, tensors)

    def load_checkpoint(self, stage: str) -> tuple[int, dict[str, torch.Tensor]] | None:
        """The last committed state of a stage, and its step; None if there is none.

        Raises:
            TrainingProblem: the file is damaged.
        """
        return read_checkpoint(self.checkpoint_path(stage))


def write_checkpoint(path: Path, step: int, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write ``tensors`` as the state after ``step`` steps, whole or not at all.

    Raises:
        DiskFull: no room left; what was there before stands.
    """
    from safetensors.torch import save

    content = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with atomic_write(path) as stream:
        stream.write(save(content, {"step": str(step)}))


def read_checkpoint(path: Path) -> tuple[int, dict[str, torch.Tensor]] | None:
    """The state in a checkpoint and its step; None if there is none.

    Raises:
        TrainingProblem: the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as opened:
            step = int((opened.metadata() or {})["step"])
            return step, {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise TrainingProblem(
            "The checkpoint is damaged.", path=path, remedy="Remove it; training then starts again from there."
        ) from error


def read_run(path: Path) -> RunRecord:
    """Read ``run.json``.

    Raises:
        TrainingProblem: unreadable, of another version, or malformed.
    """
    try:
        return RunRecord.model_validate(json.loads(path.read_bytes()))
    except (OSError, ValueError, ValidationError) as error:
        raise TrainingProblem(
            "The record of this run cannot be read.", path=path, remedy="Give a new run folder."
        ) from error
