"""What ``plipdesk train`` calls: plain functions of paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plipdesk.base.progress import JobContext
from plipdesk.datasets.atlas import build_atlas_manifest
from plipdesk.datasets.holdout import read_held_out
from plipdesk.encoders.loading import find_encoder
from plipdesk.training.contrastive import train_contrastive
from plipdesk.training.recipe import read_recipe
from plipdesk.training.run import RUN_NAME, read_run
from plipdesk.training.tuning.distributed import joined
from plipdesk.training.tuning.recipe import TuneRecipe
from plipdesk.training.tuning.running import tune
from plipdesk.training.tuning.state import read_tune_run


def run_contrastive(recipe: Path, manifest: Path, run_dir: Path, ctx: JobContext | None = None) -> dict[str, Any]:
    """Train as ``recipe`` says; the answer names the model's folder and how the stages went."""
    model = train_contrastive(read_recipe(recipe), manifest, run_dir, ctx, recipe_folder=recipe.resolve().parent)
    record = read_run(run_dir / RUN_NAME)
    return {
        "model": str(model.resolve()),
        "run": str((run_dir / RUN_NAME).resolve()),
        "pictures": record.pictures,
        "unreadable_pictures": record.unreadable_pictures,
        "stages": [
            {
                "name": stage.name,
                "steps": len(stage.losses),
                "skipped_steps": stage.skipped_steps,
                "seconds": round(stage.seconds, 1),
                "last_loss": next((loss for loss in reversed(stage.losses) if loss is not None), None),
            }
            for stage in record.stages
        ],
    }


def run_tuning(
    recipe: TuneRecipe, manifest: Path, run_dir: Path, models: Path, ctx: JobContext | None = None
) -> dict[str, Any]:
    """Tune an installed encoder; started by ``torchrun`` the processes share each batch."""
    teacher = None if recipe.distil is None else find_encoder(recipe.distil.encoder, models)
    with joined() as group:
        model = tune(recipe, find_encoder(recipe.base, models), manifest, run_dir, ctx, group=group, teacher=teacher)
    record = read_tune_run(run_dir / RUN_NAME)
    return {
        "model": str(model.resolve()),
        "run": str((run_dir / RUN_NAME).resolve()),
        "pictures": record.pictures,
        "unreadable_pictures": record.unreadable_pictures,
        "steps": len(record.losses),
        "skipped_steps": record.skipped_steps,
        "best_step": record.best_step,
        "stopped": record.stopped,
        "seconds": round(record.seconds, 1),
        "last_loss": next((loss for loss in reversed(record.losses) if loss is not None), None),
        "looks": [look.model_dump() for look in record.looks],
    }


def make_atlas_manifest(data_dir: Path, split: Path, out: Path) -> dict[str, Any]:
    """Write the manifest of the atlas data folder with the held-out cases that ``split`` (YAML) lists."""
    return {"manifest": str(out.resolve()), "rows": build_atlas_manifest(data_dir, read_held_out(split), out)}
