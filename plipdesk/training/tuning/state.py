"""The folder of a fine-tuning run: what it was told, how it went, and the checkpoints it goes on from.

``run.json`` is rewritten whole before each checkpoint; going on cuts its curve to the checkpoint's step. ``last`` and
``best`` are safetensors files: weights that learn, the optimiser's moments, the step.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import plipdesk
from plipdesk.base.files import atomic_write
from plipdesk.training.recipe import TrainingProblem
from plipdesk.training.run import RUN_NAME, environment, read_checkpoint, write_checkpoint
from plipdesk.training.tuning.recipe import TuneRecipe

if TYPE_CHECKING:
    import torch

Which = Literal["last", "best"]


class Look(BaseModel):
    """What a look at the validation rows found after ``step`` steps."""

    model_config = ConfigDict(extra="forbid")
    step: int
    loss: float
    text_to_image_recall_at_10: float
    image_to_text_recall_at_10: float
    pictures: int


class TuneRecord(BaseModel):
    """``run.json``: the curve holds the loss of each step (None: not finite, the step was skipped)."""

    model_config = ConfigDict(extra="forbid")
    schema_version: Literal[2] = 2
    recipe: TuneRecipe
    base_fingerprint: str
    data_fingerprint: str
    pictures: int
    validation_pictures: int
    code_version: str
    environment: dict[str, str]
    processes: int = 1
    losses: list[float | None] = Field(default_factory=list)
    rates: list[float] = Field(default_factory=list)
    looks: list[Look] = Field(default_factory=list)
    best_step: int | None = None
    skipped_steps: int = 0
    unreadable_pictures: int = 0
    seconds: float = 0.0
    stopped: str | None = None
    """Why it ended before its last step, if it did."""
    done: bool = False

    def cut(self, step: int) -> None:
        """Forget what came after ``step`` steps."""
        del self.losses[step:], self.rates[step:]
        self.looks = [look for look in self.looks if look.step <= step]
        self.skipped_steps = sum(loss is None for loss in self.losses)
        if self.best_step is not None and self.best_step > step:
            self.best_step = None


class TuneFolder:
    """A run's files. Opening a folder that holds another run is refused."""

    def __init__(self, folder: Path, fresh: TuneRecord) -> None:
        self.folder = folder
        path = folder / RUN_NAME
        self.record = fresh
        if path.exists():
            self.record = read_tune_run(path)
            same = ("recipe", "base_fingerprint", "data_fingerprint")
            if any(getattr(self.record, name) != getattr(fresh, name) for name in same):
                raise TrainingProblem(
                    "This folder holds a run of another recipe, base or data.",
                    path=folder,
                    remedy="Give a new run folder, or what it was begun with.",
                )
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self.save()

    def save(self) -> None:
        """Write ``run.json``."""
        with atomic_write(self.folder / RUN_NAME) as stream:
            stream.write(self.record.model_dump_json(indent=1).encode())

    def keep(self, which: Which, step: int, tensors: dict[str, torch.Tensor]) -> None:
        """Commit the curve, then ``tensors`` as the state after ``step`` steps."""
        self.save()
        write_checkpoint(self.path(which), step, tensors)

    def kept(self, which: Which) -> tuple[int, dict[str, torch.Tensor]] | None:
        """The last committed state and its step; None if there is none.

        Raises:
            TrainingProblem: the file is damaged.
        """
        return read_checkpoint(self.path(which))

    def path(self, which: Which) -> Path:
        """Where a checkpoint lies."""
        return self.folder / f"{which}.safetensors"


def fresh_record(
    recipe: TuneRecipe, *, base_fingerprint: str, data_fingerprint: str, pictures: int, validation_pictures: int,
    threads: int, processes: int,
) -> TuneRecord:  # fmt: skip
    """The record of a run that has not begun."""
    return TuneRecord(
        recipe=recipe,
        base_fingerprint=base_fingerprint,
        data_fingerprint=data_fingerprint,
        pictures=pictures,
        validation_pictures=validation_pictures,
        code_version=plipdesk.__version__,
        environment=environment(threads),
        processes=processes,
    )


def read_tune_run(path: Path) -> TuneRecord:
    """Read ``run.json`` of a fine-tuning run.

    Raises:
        TrainingProblem: unreadable, of another version, or malformed.
    """
    try:
        return TuneRecord.model_validate(json.loads(path.read_bytes()))
    except (OSError, ValueError, ValidationError) as error:
        raise TrainingProblem(
            "The record of this run cannot be read.", path=path, remedy="Give a new run folder."
        ) from error
