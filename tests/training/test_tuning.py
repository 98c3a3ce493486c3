"""Fine-tuning: the large batch's gradient in a small one's memory, a run that goes on after a kill, and what learns."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from plipdesk.base.errors import Cancelled
from plipdesk.base.files import sha256_of
from plipdesk.base.progress import QuietContext
from plipdesk.cli.main import run
from plipdesk.datasets.manifest import ManifestRow, read_manifest, write_manifest
from plipdesk.encoders.card import load_card
from plipdesk.encoders.loading import InstalledEncoder, load_encoder
from plipdesk.slides.thumbnails import decode_picture, encode_png
from plipdesk.training.recipe import TrainingProblem
from plipdesk.training.run import RUN_NAME
from plipdesk.training.tuning.augment import augmented
from plipdesk.training.tuning.parameters import rate_at
from plipdesk.training.tuning.recipe import Optimiser, TuneRecipe, parse_tune_recipe
from plipdesk.training.tuning.running import TuneRun, tune
from plipdesk.training.tuning.state import read_tune_run
from tests.encoders.models import write_model

SMALL: dict[str, Any] = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 600, "width": 32, "heads": 2, "layers": 2},
}
COLOURS = {
    "crimson": (200, 30, 60), "azure": (40, 120, 230), "olive": (120, 130, 20), "black": (10, 10, 10),
    "ivory": (250, 245, 230), "teal": (0, 130, 130), "lemon": (240, 230, 40), "plum": (120, 30, 110),
}  # fmt: skip
SHAPES = ("stripes", "fields")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> InstalledEncoder:
    folder = write_model(tmp_path_factory.mktemp("models") / "small", SMALL)
    return InstalledEncoder(load_card(folder), folder, embedded=False)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen kinds of pictures, four of each to learn from and one to look at."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(5)
    rows = []
    for name, colour in COLOURS.items():
        for shape in SHAPES:
            for place in range(5):
                pixels = np.tile(np.array(colour, dtype=np.float64), (40, 40, 1))
                if shape == "stripes":
                    pixels[::8] = pixels[1::8] = pixels[2::8] = 255 - pixels[::8]
                pixels = np.clip(pixels + rng.normal(0, 8, pixels.shape), 0, 255).astype(np.uint8)
                path = folder / f"{name}-{shape}-{place}.png"
                path.write_bytes(encode_png(pixels))
                split = "val" if place == 4 else "train"
                rows.append(
                    ManifestRow(
                        path, sha256_of(path), f"{shape} of {name}", (name,), f"{split}-{path.stem}", "x", split
                    )
                )
    write_manifest(folder / "manifest.parquet", rows)
    return folder / "manifest.parquet"


def recipe(**changes: Any) -> TuneRecipe:
    document: dict[str, Any] = {
        "schema_version": 2,
        "kind": "tune-contrastive",
        "name": "tuned",
        "seed": 3,
        "threads": 1,
        "base": "small",
        "epochs": 2,
        "batch": 16,
        "device": "cpu",
        "optimiser": {"rate": 2e-3, "weight_decay": 0.1, "warmup_steps": 2},
        "validation": {"every_epochs": 1},
        "checkpoint_every": 3,
        "card": {},
    }
    return parse_tune_recipe({**document, **changes})


def gradients(run: TuneRun) -> dict[str, torch.Tensor]:
    """Of the first step, which is then not taken."""

    class Untaken(torch.optim.SGD):
        def step(self, *_: Any) -> None:
            pass

    learning = [value for value in run.base.model.parameters() if value.requires_grad]
    assert run._step(0, Untaken(learning, lr=1.0)) is not None
    return {name: value.grad.clone() for name, value in run.base.model.named_parameters() if value.grad is not None}


def start(recipe_: TuneRecipe, base: InstalledEncoder, manifest: Path, folder: Path) -> TuneRun:
    return TuneRun(recipe_, base, manifest, folder, QuietContext())


def test_the_step_is_clips_own(base: InstalledEncoder, manifest: Path, tmp_path: Path) -> None:
    """Loss and gradients against a plain step written here, with open_clip's own encoders."""
    run = start(recipe(), base, manifest, tmp_path / "run")
    found = gradients(run)
    model = start(recipe(), base, manifest, tmp_path / "other").base.model
    rows = [run._rows[place] for place in run._batch(0)]
    card = base.card
    pixels = torch.from_numpy(np.stack([run._picture(int(place), 0) for place in run._batch(0)]))
    mean, std = torch.tensor(card.mean).view(3, 1, 1), torch.tensor(card.std).view(3, 1, 1)
    planes = (pixels.permute(0, 3, 1, 2) / 255.0 - mean) / std
    tokens = run.base.texts.batches([row.caption for row in rows], len(rows))[0]
    ids = torch.zeros((len(rows), 16), dtype=torch.int64)
    ids[torch.from_numpy(tokens.rows), : tokens.ids.shape[1]] = torch.from_numpy(tokens.ids)
    for value in model.parameters():
        value.requires_grad_(True)
    images, texts = model.encode_image(planes, normalize=True), model.encode_text(ids, normalize=True)
    logits = model.logit_scale.exp() * images @ texts.T
    right = torch.arange(len(rows))
    loss = (torch.nn.functional.cross_entropy(logits, right) + torch.nn.functional.cross_entropy(logits.T, right)) / 2
    loss.backward()
    for name, value in model.named_parameters():
        assert value.grad is not None
        torch.testing.assert_close(found[name], value.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("chunk", [1, 5, 8])
def test_cached_gradients_are_the_whole_batchs(
    base: InstalledEncoder, manifest: Path, tmp_path: Path, chunk: int
) -> None:
    whole = gradients(start(recipe(), base, manifest, tmp_path / "whole"))
    parts = gradients(start(recipe(chunk=chunk), base, manifest, tmp_path / "parts"))
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-4, atol=1e-5)


_PROCESS = """
import sys, torch
from pathlib import Path
from torch import distributed
sys.path.insert(0, sys.argv[1])
from tests.training.test_tuning import gradients, recipe, start
from plipdesk.encoders.card import load_card
from plipdesk.encoders.loading import InstalledEncoder
from plipdesk.training.tuning.distributed import joined
folder = Path(sys.argv[2])
with joined() as group:
    from plipdesk.base.progress import QuietContext
    from plipdesk.training.tuning.running import TuneRun
    base = InstalledEncoder(load_card(folder), folder, embedded=False)
    place = Path(sys.argv[4]) / str(group.rank)
    run = TuneRun(recipe(chunk=3), base, Path(sys.argv[3]), place, QuietContext(), group=group)
    found = gradients(run)
    if group.rank == 0:
        torch.save(found, sys.argv[5])
"""


def test_two_processes_find_the_gradient_of_one(base: InstalledEncoder, manifest: Path, tmp_path: Path) -> None:
    assert base.folder is not None
    whole = gradients(start(recipe(), base, manifest, tmp_path / "whole"))
    script, out = tmp_path / "two.py", tmp_path / "gradients.pt"
    script.write_text(_PROCESS, encoding="utf-8")
    arguments = [str(Path(__file__).resolve().parents[2]), base.folder, manifest, tmp_path / "runs", out]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", script]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    found = torch.load(out, weights_only=True)
    assert found.keys() == whole.keys()
    for name, value in whole.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5)


def test_drawn_pictures_are_found_by_their_words(base: InstalledEncoder, manifest: Path, tmp_path: Path) -> None:
    asked = recipe(epochs=25, chunk=8, checkpoint_every=50, validation={"every_epochs": 5})
    folder = tune(asked, base, manifest, tmp_path / "run")
    record = read_tune_run(tmp_path / "run" / RUN_NAME)
    card = load_card(folder)
    encoder = load_encoder(InstalledEncoder(card, folder, embedded=False), runtime="torch", threads=1)
    rows = read_manifest(manifest).of_split("val")
    images = encoder.encode_pictures([decode_picture(row.image) for row in rows])
    texts = encoder.encode_texts([row.caption for row in rows])
    first = float((np.argmax(texts @ images.T, axis=1) == np.arange(len(rows))).mean())
    assert first >= 0.9  # chance: one in sixteen
    assert record.looks[-1].text_to_image_recall_at_10 == 1.0
    assert record.done
    assert card.id == "tuned"
    assert card.notes[0].startswith("Before tuning it was small")
    assert "validation_loss" in card.scores


class StopAfter(QuietContext):
    """Asks to stop after so many steps, as a kill would."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def check_cancel(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Cancelled


def test_a_killed_run_goes_on_amid_an_epoch_to_the_same_weights(
    base: InstalledEncoder, manifest: Path, tmp_path: Path
) -> None:
    augment = [{"kind": "random-crop", "px": 32}, {"kind": "horizontal-flip"}, {"kind": "affine", "degrees": 10}]
    asked = recipe(epochs=2.5, augment=augment)
    whole = tune(asked, base, manifest, tmp_path / "whole")
    with pytest.raises(Cancelled):
        tune(asked, base, manifest, tmp_path / "cut", StopAfter(8))
    kept = start(asked, base, manifest, tmp_path / "cut").files.kept("last")
    assert kept is not None
    assert kept[0] == 6  # amid the second epoch of four steps
    again = tune(asked, base, manifest, tmp_path / "cut")
    one, other = (read_tune_run(tmp_path / name / RUN_NAME) for name in ("whole", "cut"))
    assert one.losses == other.losses
    assert one.looks == other.looks
    assert len(one.losses) == 10
    assert sha256_of(again / "model.safetensors") == sha256_of(whole / "model.safetensors")
    with pytest.raises(TrainingProblem, match="another recipe"):
        tune(recipe(epochs=3), base, manifest, tmp_path / "cut")


def changed_names(base: InstalledEncoder, folder: Path) -> set[str]:
    from safetensors.torch import load_file

    assert base.folder is not None
    before, after = (load_file(place / "model.safetensors") for place in (base.folder, folder))
    assert before.keys() == after.keys()
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def test_what_stands_still_stands_still(base: InstalledEncoder, manifest: Path, tmp_path: Path) -> None:
    words_only = recipe(epochs=1, learning={"image": False, "logit_scale": False})
    changed = changed_names(base, tune(words_only, base, manifest, tmp_path / "text"))
    assert changed
    assert not any(name.startswith("visual") or name == "logit_scale" for name in changed)
    late = recipe(epochs=1, learning={"text": False, "freeze_image_layers": 1})
    changed = changed_names(base, tune(late, base, manifest, tmp_path / "late"))
    assert any("resblocks.1." in name for name in changed)
    assert not any(
        "resblocks.0." in name or "conv1" in name or not name.startswith(("visual", "logit")) for name in changed
    )
    with pytest.raises(TrainingProblem, match="2 blocks"):
        tune(recipe(learning={"freeze_image_layers": 9}), base, manifest, tmp_path / "none")


def test_low_rank_updates_are_folded_into_their_layers(base: InstalledEncoder, manifest: Path, tmp_path: Path) -> None:
    asked = recipe(epochs=2, learning={"lora": {"rank": 2}})
    run = start(asked, base, manifest, tmp_path / "count")
    learning = sum(value.numel() for value in run._learning)
    assert learning < 0.2 * sum(value.numel() for value in run.base.model.parameters())
    folder = tune(asked, base, manifest, tmp_path / "run")
    changed = changed_names(base, folder)
    assert any(name.endswith(("in_proj_weight", "c_fc.weight")) for name in changed)
    assert not any(name.endswith("bias") for name in changed)
    load_encoder(InstalledEncoder(load_card(folder), folder, embedded=False), runtime="torch", threads=1)


def test_a_step_whose_loss_is_no_number_is_skipped(
    base: InstalledEncoder, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plipdesk.training.tuning import running

    real, calls = running.clip_loss, []

    def sometimes_not_a_number(*tensors: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return real(*tensors) * (float("nan") if len(calls) == 2 else 1.0)

    monkeypatch.setattr(running, "clip_loss", sometimes_not_a_number)
    run = start(recipe(epochs=1, validation={"splits": ["none"]}), base, manifest, tmp_path / "run")
    run.learn()
    assert [loss is None for loss in run.record.losses] == [False, True, False, False]
    assert run.record.skipped_steps == 1
    assert all(torch.isfinite(value).all() for value in run.base.model.parameters())


def test_patience_ends_a_run_that_gains_nothing(base: InstalledEncoder, manifest: Path, tmp_path: Path) -> None:
    asked = recipe(
        epochs=20, validation={"every_epochs": 0.25, "patience": 2}, optimiser={"rate": 5.0, "warmup_steps": 0}
    )
    tune(asked, base, manifest, tmp_path / "run")
    record = read_tune_run(tmp_path / "run" / RUN_NAME)
    assert record.stopped is not None
    assert record.done
    assert len(record.losses) < 20 * 4


def test_a_larger_encoder_teaches(base: InstalledEncoder, manifest: Path, tmp_path: Path) -> None:
    asked = recipe(epochs=1, distil={"encoder": "small", "weight": 0.5})
    folder = tune(asked, base, manifest, tmp_path / "run", teacher=base)
    assert load_card(folder).id == "tuned"
    with pytest.raises(TrainingProblem, match="not installed"):
        tune(asked, base, manifest, tmp_path / "other")


def test_the_rate_rises_and_falls() -> None:
    settings = Optimiser(rate=1.0, warmup_steps=50)
    assert rate_at(0, 1000, settings) == pytest.approx(1 / 50)
    assert rate_at(49, 1000, settings) == pytest.approx(1.0)
    assert rate_at(50, 1000, settings) == pytest.approx(1.0)
    assert rate_at(525, 1000, settings) == pytest.approx(0.5)
    assert rate_at(999, 1000, settings) == pytest.approx(0.0, abs=1e-5)


def test_gains_and_biases_decay_only_on_request(base: InstalledEncoder, manifest: Path, tmp_path: Path) -> None:
    from plipdesk.training.tuning.parameters import groups

    model = start(recipe(), base, manifest, tmp_path / "run").base.model
    decayed, plain = groups(model, Optimiser(rate=1.0))
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert all(value.ndim >= 2 for value in decayed["params"])
    assert any(value is model.logit_scale for value in plain["params"])
    (both,) = groups(model, Optimiser(rate=1.0, decay_gains_and_biases=True))
    assert len(both["params"]) == len(decayed["params"]) + len(plain["params"])


def test_the_papers_augmentations() -> None:
    document = {
        "augment": [
            {"kind": "resize", "px": 64}, {"kind": "random-crop", "px": 32}, {"kind": "horizontal-flip"},
            {"kind": "affine", "degrees": 10, "translate": 0.1, "scale": [0.8, 1.2], "shear_degrees": 15},
            {"kind": "perspective", "distortion": 0.3, "chance": 1.0}, {"kind": "stain"},
        ]
    }  # fmt: skip
    steps = recipe(**document).augment
    pixels = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    one = augmented(pixels, steps, (1, 2))
    assert one.shape == (32, 32, 3)
    assert one.dtype == np.uint8
    np.testing.assert_array_equal(one, augmented(pixels, steps, (1, 2)))
    assert not np.array_equal(one, augmented(pixels, steps, (1, 3)))
    # A picture smaller than the crop is enlarged, and nothing at all leaves it as it is.
    assert augmented(pixels[:20, :20], steps[1:2], (0,)).shape == (32, 32, 3)
    np.testing.assert_array_equal(augmented(pixels, (), (0,)), pixels)


def test_the_papers_run_is_a_recipe() -> None:
    import yaml

    from plipdesk.base.resources import resource_path

    found = parse_tune_recipe(yaml.safe_load(resource_path("recipes/plip.yaml").read_text(encoding="utf-8")))
    assert (found.batch, found.optimiser.rate, found.optimiser.weight_decay) == (128, 1e-5, 0.1)
    assert (found.optimiser.warmup_steps, found.epochs, found.validation.every_epochs) == (50, 12, 0.25)
    assert [step.kind for step in found.augment] == [
        "resize", "random-crop", "horizontal-flip", "affine", "perspective",
    ]  # fmt: skip


def test_too_few_pictures_are_told(base: InstalledEncoder, manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingProblem, match="fewer than a batch"):
        start(recipe(batch=128), base, manifest, tmp_path / "run")
    assert math.isclose(start(recipe(), base, manifest, tmp_path / "run").steps_per_epoch, 4)


def test_the_command(
    base: InstalledEncoder, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert base.folder is not None
    workspace = tmp_path / "workspace"
    (workspace / "models").mkdir(parents=True)
    (workspace / "models" / "small").symlink_to(base.folder)
    path = tmp_path / "mine.yaml"
    path.write_text(recipe().model_dump_json(), encoding="utf-8")
    command = [
        "train",
        "contrastive",
        "--recipe",
        str(path),
        "--manifest",
        str(manifest),
        "--workspace",
        str(workspace),
    ]
    assert run([*command, "--set", "epochs=1", "--set", "optimiser.rate=1e-3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["steps"] == 4
    assert len(document["looks"]) == 1
    assert (workspace / "runs" / "mine" / "model" / "card.json").is_file()
    assert run([*command, "--set", "optimiser.rate=-1", "--json"]) == 3
    assert "optimiser.rate" in json.loads(capsys.readouterr().out)["error"]["message"]
