"""The trainer from manifest to model folder: it learns, goes on after a kill, repeats itself, and survives bad data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from plipdesk.base.errors import Cancelled
from plipdesk.base.files import sha256_of
from plipdesk.base.progress import QuietContext
from plipdesk.datasets.manifest import read_manifest
from plipdesk.encoders.card import load_card
from plipdesk.encoders.loading import InstalledEncoder, load_encoder
from plipdesk.slides.thumbnails import decode_picture
from plipdesk.training import align
from plipdesk.training.contrastive import train_contrastive
from plipdesk.training.recipe import TrainingProblem
from plipdesk.training.run import RUN_NAME, RunRecord, read_run
from tests.training.drawn import COLOURS, draw, recipe


class StopAfter(QuietContext):
    """Asks to stop after so many steps, as a kill would."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def check_cancel(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Cancelled


def curve(run_dir: Path) -> RunRecord:
    return read_run(run_dir / RUN_NAME)


def test_drawn_pictures_are_found_by_their_words(tmp_path: Path) -> None:
    manifest = draw(tmp_path)
    folder = train_contrastive(recipe(), manifest, tmp_path / "run", recipe_folder=tmp_path)
    card = load_card(folder)
    encoder = load_encoder(InstalledEncoder(card, folder, embedded=False), runtime="torch", threads=1)
    rows = read_manifest(manifest).rows
    images = encoder.encode_patches(np.stack([decode_picture(row.image) for row in rows]))
    names = sorted(COLOURS)
    best = np.argmax(images @ encoder.encode_texts(names).T, axis=1)
    right = np.mean([names[place] == row.tags[0] for place, row in zip(best, rows, strict=True)])
    assert right >= 0.9  # chance: one in six
    losses = curve(tmp_path / "run").stages[0].losses
    assert losses[-1] is not None
    assert losses[0] is not None
    assert losses[-1] < losses[0] / 1.5


def test_a_killed_run_goes_on_to_the_same_curve_and_weights(tmp_path: Path) -> None:
    manifest = draw(tmp_path)
    settings = recipe(steps=14, batch=8, checkpoint_every=4, average=0.9, learn_logit_scale=True)
    whole = train_contrastive(settings, manifest, tmp_path / "whole", recipe_folder=tmp_path)
    with pytest.raises(Cancelled):
        train_contrastive(settings, manifest, tmp_path / "cut", StopAfter(7), recipe_folder=tmp_path)
    assert len(curve(tmp_path / "cut").stages[0].losses) == 4
    again = train_contrastive(settings, manifest, tmp_path / "cut", recipe_folder=tmp_path)
    assert curve(tmp_path / "cut").stages[0].losses == curve(tmp_path / "whole").stages[0].losses
    assert sha256_of(again / "model.safetensors") == sha256_of(whole / "model.safetensors")
    # Finished: nothing is done again, the same model comes out.
    third = train_contrastive(settings, manifest, tmp_path / "cut", recipe_folder=tmp_path)
    assert sha256_of(third / "model.safetensors") == sha256_of(whole / "model.safetensors")


def test_projections_learn_on_cached_views_and_are_folded_into_the_model(tmp_path: Path) -> None:
    manifest = draw(tmp_path, broken=2)
    settings = recipe(train="projections", views=2, steps=60, whitening=0.5, dropout=0.1, checkpoint_every=25)
    lite = settings.architecture["vision_cfg"] | {"timm_model_name": "test_efficientnet", "timm_pool": "avg"}
    lite = {key: lite[key] for key in ("image_size", "timm_model_name", "timm_pool")}
    vision = lite | {"timm_proj": "linear", "timm_proj_bias": True}
    settings = settings.model_copy(update={"architecture": settings.architecture | {"vision_cfg": vision}})
    folder = train_contrastive(settings, manifest, tmp_path / "run", recipe_folder=tmp_path)
    record = curve(tmp_path / "run")
    assert record.unreadable_pictures == 2
    encoder = load_encoder(InstalledEncoder(load_card(folder), folder, embedded=False), runtime="torch", threads=1)
    rows = [row for row in read_manifest(manifest).rows if "broken" not in row.image.name]
    images = encoder.encode_patches(np.stack([decode_picture(row.image) for row in rows]))
    names = sorted(COLOURS)
    best = np.argmax(images @ encoder.encode_texts(names).T, axis=1)
    assert np.mean([names[place] == row.tags[0] for place, row in zip(best, rows, strict=True)]) >= 0.9
    # Killed halfway, the cached views and the checkpoint lead to the same weights.
    with pytest.raises(Cancelled):
        train_contrastive(settings, manifest, tmp_path / "cut", StopAfter(40), recipe_folder=tmp_path)
    again = train_contrastive(settings, manifest, tmp_path / "cut", recipe_folder=tmp_path)
    assert curve(tmp_path / "cut").stages[0].losses == record.stages[0].losses
    assert sha256_of(again / "model.safetensors") == sha256_of(folder / "model.safetensors")


def test_unreadable_pictures_and_endless_losses_are_counted_and_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = draw(tmp_path, per_colour=2, broken=3)
    real = align.clip_loss
    calls: list[int] = []

    def sometimes_not_a_number(*tensors: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        loss = real(*tensors)
        return loss * float("nan") if len(calls) in (3, 4) else loss

    monkeypatch.setattr(align, "clip_loss", sometimes_not_a_number)
    settings = recipe(steps=5, batch=15)
    folder = train_contrastive(settings, manifest, tmp_path / "run", recipe_folder=tmp_path)
    record = curve(tmp_path / "run")
    stage = record.stages[0]
    assert record.unreadable_pictures == 3 * 5
    assert stage.skipped_steps == 1
    assert [loss is None for loss in stage.losses] == [False, True, False, False, False]
    assert load_card(folder).id == "drawn"


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    manifest = draw(tmp_path, per_colour=2)
    train_contrastive(recipe(steps=2, batch=4), manifest, tmp_path / "run", recipe_folder=tmp_path)
    with pytest.raises(TrainingProblem, match="another recipe"):
        train_contrastive(recipe(steps=3, batch=4), manifest, tmp_path / "run", recipe_folder=tmp_path)


def test_a_manifest_without_pictures_of_the_split_is_refused(tmp_path: Path) -> None:
    manifest = draw(tmp_path, per_colour=2)
    settings = recipe()
    settings = settings.model_copy(update={"data": settings.data.model_copy(update={"splits": ("nowhere",)})})
    with pytest.raises(TrainingProblem, match="no picture"):
        train_contrastive(settings, manifest, tmp_path / "run", recipe_folder=tmp_path)
