"""A run of contrastive fine-tuning from recipe and manifest to a new encoder's folder (Huang et al. 2023, Methods)."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.budget import CpuBudget
from plipdesk.base.errors import EnvironmentProblem
from plipdesk.base.ids import settings_id
from plipdesk.base.progress import JobContext, QuietContext
from plipdesk.datasets.manifest import ManifestRow, read_manifest
from plipdesk.encoders.loading import InstalledEncoder, load_encoder
from plipdesk.encoders.preprocess import fit_picture
from plipdesk.encoders.torch_runtime import pick_device
from plipdesk.encoders.trainable import Trainable, load_trainable
from plipdesk.slides.thumbnails import decode_picture
from plipdesk.training.losses import MOST_LOGIT_SCALE, clip_loss
from plipdesk.training.recipe import TrainingProblem
from plipdesk.training.tuning.augment import augmented
from plipdesk.training.tuning.gradients import Group, batch_gradients
from plipdesk.training.tuning.parameters import choose, fold_lora, groups, rate_at
from plipdesk.training.tuning.recipe import TuneRecipe
from plipdesk.training.tuning.state import Look, TuneFolder, TuneRecord, fresh_record

if TYPE_CHECKING:
    import torch

Pixels = NDArray[np.uint8]
_LOOK_AT_ONCE = 64
_RECALL = 10


class TuneRun:
    """One run in its folder, in one of the processes of ``group``."""

    def __init__(
        self,
        recipe: TuneRecipe,
        base: InstalledEncoder,
        manifest: Path,
        run_dir: Path,
        ctx: JobContext,
        *,
        group: Group | None = None,
        teacher: InstalledEncoder | None = None,
    ) -> None:
        import torch

        self._recipe, self._ctx, self._group = recipe, ctx, group or Group()
        threads = recipe.threads or CpuBudget.of_machine().encoder_threads
        torch.set_num_threads(threads)
        whole = read_manifest(manifest, check_files=False)
        self._rows = _chosen(whole.of_split(*recipe.splits), recipe.sources)
        self._looked_at = _chosen(whole.of_split(*recipe.validation.splits), recipe.sources)
        self._looked_at = self._looked_at[: recipe.validation.most_pictures]
        if len(self._rows) < recipe.batch:
            raise TrainingProblem(
                f"There are {len(self._rows)} captioned pictures to learn from, fewer than a batch of {recipe.batch}.",
                path=manifest,
                remedy="Check splits and sources, or make the batch smaller.",
            )
        if recipe.batch % self._group.size:
            raise TrainingProblem(
                f"A batch of {recipe.batch} cannot be shared by {self._group.size} processes.",
                remedy="Choose a batch that is a multiple of the number of processes.",
            )
        self._base: Trainable = load_trainable(base)
        fingerprint = settings_id({"rows": [[row.sha256, row.caption, row.split] for row in whole.rows]})
        fresh = fresh_record(
            recipe, base_fingerprint=base.card.fingerprint(), data_fingerprint=fingerprint, pictures=len(self._rows),
            validation_pictures=len(self._looked_at), threads=threads, processes=self._group.size,
        )  # fmt: skip
        self.files = TuneFolder(run_dir, fresh)
        self._teacher = None
        if recipe.distil is not None:
            if teacher is None:
                raise TrainingProblem("The encoder to distil from is not installed.", remedy="Import it first.")
            self._teacher = load_encoder(teacher, runtime="torch", threads=threads)
        device = pick_device(recipe.device)
        if device == "cuda" and self._group.size > 1:
            device = f"cuda:{self._group.rank % torch.cuda.device_count()}"
        self._device = torch.device(device)
        self._learning = choose(self._base.model, recipe.learning, seed=recipe.seed)
        for module in (self._base.model, self._base.image, self._base.text):
            module.to(self._device)
        self._log_scale: torch.nn.Parameter = self._base.model.logit_scale
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=recipe.precision == "fp16")

    @property
    def record(self) -> TuneRecord:
        """How the run went so far."""
        return self.files.record

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch; pictures that do not fill one are left to the next epoch's order."""
        return len(self._rows) // self._recipe.batch

    @property
    def scheduled(self) -> int:
        """Steps that the schedule of rates is made for."""
        return max(1, math.ceil(self._recipe.epochs * self.steps_per_epoch))

    def learn(self) -> None:
        """Run from the last checkpoint to the end; a step whose loss or gradient is not finite is skipped.

        Raises:
            Cancelled, Paused: asked to stop; the last checkpoint stands.
            DiskFull: a checkpoint could not be written; the one before it stands.
        """
        import torch

        recipe, record = self._recipe, self.record
        optimiser = torch.optim.AdamW(
            groups(self._base.model, recipe.optimiser),
            lr=recipe.optimiser.rate,
            betas=recipe.optimiser.betas,
            eps=recipe.optimiser.epsilon,
        )
        start = self._resume(optimiser)
        record.cut(start)
        last = min(self.scheduled, recipe.stop_after_steps or self.scheduled)
        every = max(1, round(recipe.validation.every_epochs * self.steps_per_epoch))
        began = time.monotonic()
        for step in range(start, last):
            self._ctx.check_cancel()
            rate = rate_at(step, self.scheduled, recipe.optimiser)
            for options in optimiser.param_groups:
                options["lr"] = rate
            loss = self._step(step, optimiser)
            record.losses.append(loss)
            record.rates.append(rate)
            record.skipped_steps += loss is None
            note = f"epoch {(step + 1) / self.steps_per_epoch:.2f}" + ("" if loss is None else f", loss {loss:.4f}")
            self._ctx.report(step + 1, last, unit="steps", note=note)
            ended = step + 1 == last
            improved = True
            if self._looked_at and ((step + 1) % every == 0 or ended):
                improved = self._look(step + 1, optimiser)
            if (step + 1) % recipe.checkpoint_every == 0 or ended or not improved:
                record.seconds += time.monotonic() - began
                began = time.monotonic()
                self._keep("last", step + 1, optimiser)
            if not improved:
                record.stopped = f"no gain in {recipe.validation.patience} looks at the validation pictures"
                break
        record.done = True
        if self._group.rank == 0:
            self.files.save()

    def _step(self, step: int, optimiser: torch.optim.Optimizer) -> float | None:
        """Learn from one batch; None where it was skipped."""
        import torch

        recipe, share = self._recipe, self._recipe.batch // self._group.size
        places = self._batch(step)[self._group.rank * share : (self._group.rank + 1) * share]
        pixels = torch.from_numpy(np.stack([self._picture(int(place), step) for place in places])).to(self._device)
        tokens = self._base.texts.batches([self._rows[place].caption for place in places], share)[0]
        back = torch.from_numpy(np.argsort(tokens.rows)).to(self._device)
        ids, ends = (torch.from_numpy(part).to(self._device)[back] for part in (tokens.ids, tokens.ends))
        wanted = self._teacher_targets(places)
        optimiser.zero_grad(set_to_none=True)
        loss = batch_gradients(
            lambda part: self._base.image(pixels[part]),
            lambda part: self._base.text(ids[part], ends[part]),
            lambda images, texts, scale: self._loss(images, texts, scale, wanted),
            self._log_scale,
            rows=share,
            chunk=recipe.chunk or share,
            group=self._group,
            autocast=self._autocast,
            scale_loss=float(self._scaler.get_scale()) if self._scaler.is_enabled() else 1.0,
        )
        self._group.sum_gradients(self._learning)
        kept = bool(torch.isfinite(loss))
        if self._scaler.is_enabled():
            self._scaler.unscale_(optimiser)
        elif kept:
            norm = torch.nn.utils.clip_grad_norm_(self._learning, recipe.optimiser.most_gradient or math.inf)
            kept = bool(torch.isfinite(norm))
        if self._group.agree(kept, self._device):
            if self._scaler.is_enabled():
                self._scaler.step(optimiser)
                self._scaler.update()
            else:
                optimiser.step()
            with torch.no_grad():
                self._log_scale.clamp_(0, math.log(MOST_LOGIT_SCALE))
            return float(loss)
        return None

    def _loss(
        self, images: torch.Tensor, texts: torch.Tensor, scale: torch.Tensor, wanted: torch.Tensor | None
    ) -> torch.Tensor:
        """CLIP's loss over everybody's pairs, and the distance from the teacher's similarities where one teaches."""
        import torch

        loss = clip_loss(images, texts, torch.eye(len(images), device=images.device), scale)
        if wanted is not None and self._recipe.distil is not None:
            gap = torch.nn.functional.kl_div(
                (images @ texts.T * scale).log_softmax(dim=1), wanted, reduction="batchmean"
            )
            loss = loss + self._recipe.distil.weight * gap
        return loss

    def _teacher_targets(self, places: Sequence[int] | NDArray[np.int64]) -> torch.Tensor | None:
        """The teacher's softmax (n, n) over the captions of everybody's batch; None where there is no teacher."""
        if self._teacher is None:
            return None
        import torch

        pictures = [decode_or_grey(self._rows[place].image) for place in places]
        images = torch.from_numpy(self._teacher.encode_pictures(pictures)).to(self._device)
        texts = torch.from_numpy(self._teacher.encode_texts([self._rows[place].caption for place in places]))
        every = [self._group.gathered(side.to(self._device)) for side in (images, texts)]
        return (every[0] @ every[1].T * self._teacher.card.logit_scale).softmax(dim=1)

    def _batch(self, step: int) -> NDArray[np.int64]:
        """The numbers of a step's rows: an epoch's order is drawn from seed and epoch, the same in every process."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((self._recipe.seed, epoch)).permutation(len(self._rows))
        return order[place * self._recipe.batch : (place + 1) * self._recipe.batch]

    def _picture(self, place: int, step: int) -> Pixels:
        """A picture as the towers take it; one that cannot be read is grey, and counted."""
        try:
            pixels = decode_picture(self._rows[place].image)
        except (EnvironmentProblem, OSError):
            self.record.unreadable_pictures += 1
            return np.full((self._base.card.input_px, self._base.card.input_px, 3), 127, dtype=np.uint8)
        if self._recipe.augment:
            pixels = augmented(pixels, self._recipe.augment, (self._recipe.seed, step, place))
        return fit_picture(pixels, self._base.card)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        import torch

        if self._recipe.precision == "fp32":
            return contextlib.nullcontext()
        kind = torch.bfloat16 if self._recipe.precision == "bf16" else torch.float16
        return torch.autocast(self._device.type, dtype=kind)

    # --- looking ------------------------------------------------------------------------------------------------------

    def _look(self, step: int, optimiser: torch.optim.Optimizer) -> bool:
        """Look at the validation rows, keep the best; False when patience is at an end."""
        look = self.validate(step)
        record, patience = self.record, self._recipe.validation.patience
        best = min((one.loss for one in record.looks), default=math.inf)
        record.looks.append(look)
        if look.loss < best:
            record.best_step = step
            self._keep("best", step, optimiser)
        since = sum(one.step > (record.best_step or 0) for one in record.looks)
        return patience is None or since < patience

    def validate(self, step: int) -> Look:
        """Loss in batches of the recipe's size, and Recall@10 among all validation pictures, both ways."""
        import torch

        images, texts = [], []
        with torch.inference_mode(), self._autocast():
            for start in range(0, len(self._looked_at), _LOOK_AT_ONCE):
                some = self._looked_at[start : start + _LOOK_AT_ONCE]
                pixels = np.stack([fit_picture(decode_or_grey(row.image), self._base.card) for row in some])
                images.append(self._base.image(torch.from_numpy(pixels).to(self._device)).float())
                tokens = self._base.texts.batches([row.caption for row in some], len(some))[0]
                read = self._base.text(*(torch.from_numpy(part).to(self._device) for part in (tokens.ids, tokens.ends)))
                texts.append(read.float()[torch.from_numpy(np.argsort(tokens.rows)).to(self._device)])
            seen, said = torch.cat(images), torch.cat(texts)
            scale = self._log_scale.exp()
            losses = []
            for start in range(0, len(seen), self._recipe.batch):
                part = slice(start, start + self._recipe.batch)
                own = torch.eye(len(seen[part]), device=self._device)
                losses.append((len(own), float(clip_loss(seen[part], said[part], own, scale))))
            scores = said @ seen.T
            own_scores = scores.diagonal()
            ranks = [(scores >= own_scores[:, None]).sum(1), (own_scores[:, None] <= scores.T).sum(1)]
        return Look(
            step=step,
            loss=sum(count * loss for count, loss in losses) / sum(count for count, _ in losses),
            text_to_image_recall_at_10=float((ranks[0] <= _RECALL).float().mean()),
            image_to_text_recall_at_10=float((ranks[1] <= _RECALL).float().mean()),
            pictures=len(seen),
        )

    # --- keeping ------------------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, torch.Tensor]:
        return {name: value for name, value in self._base.model.named_parameters() if value.requires_grad}

    def _keep(self, which: Any, step: int, optimiser: torch.optim.Optimizer) -> None:
        if self._group.rank:
            return
        tensors: dict[str, torch.Tensor] = {f"model/{name}": value for name, value in self._state().items()}
        if which == "last":
            for name, value in self._state().items():
                for key, moment in optimiser.state[value].items():
                    tensors[f"optimiser/{name}/{key}"] = moment
            if self._scaler.is_enabled():
                import torch

                tensors["scaler"] = torch.tensor(float(self._scaler.get_scale()))
        self.files.keep(which, step, tensors)

    def _resume(self, optimiser: torch.optim.Optimizer) -> int:
        import torch

        found = self.files.kept("last")
        if found is None:
            return 0
        step, tensors = found
        with torch.no_grad():
            for name, value in self._state().items():
                value.copy_(tensors[f"model/{name}"])
                prefix = f"optimiser/{name}/"
                moments = {key.removeprefix(prefix): kept for key, kept in tensors.items() if key.startswith(prefix)}
                if moments:
                    optimiser.state[value] = {
                        key: kept if key == "step" else kept.to(self._device) for key, kept in moments.items()
                    }
        if "scaler" in tensors and self._scaler.is_enabled():
            self._scaler.load_state_dict({**self._scaler.state_dict(), "scale": float(tensors["scaler"])})
        return step

    def best_model(self) -> Any:
        """The model of the best look (or, where nothing was looked at, of the last step), low-rank updates folded."""
        import torch

        found = self.files.kept("best") or self.files.kept("last")
        if found is not None:
            with torch.no_grad():
                for name, value in self._state().items():
                    value.copy_(found[1][f"model/{name}"])
        fold_lora(self._base.model)
        return self._base.model.to("cpu")

    @property
    def base(self) -> Trainable:
        """What the run started from."""
        return self._base


def decode_or_grey(path: Path) -> Pixels:
    """The picture, or a small grey one where it cannot be read."""
    try:
        return decode_picture(path)
    except (EnvironmentProblem, OSError):
        return np.full((32, 32, 3), 127, dtype=np.uint8)


def _chosen(rows: Sequence[ManifestRow], sources: Sequence[str] | None) -> list[ManifestRow]:
    return [row for row in rows if row.caption.strip() and (sources is None or row.source in sources)]


def tune(
    recipe: TuneRecipe,
    base: InstalledEncoder,
    manifest: Path,
    run_dir: Path,
    ctx: JobContext | None = None,
    *,
    group: Group | None = None,
    teacher: InstalledEncoder | None = None,
) -> Path:
    """Tune ``base`` on ``manifest`` in ``run_dir``; returns the folder of the new encoder.

    Called again after a kill it goes on from the last checkpoint to the same losses and, on one CPU and with the same
    number of threads, the same weights bit for bit.

    Raises:
        TrainingProblem: the folder holds another run, or the recipe does not fit data or base.
        EncoderProblem: the base cannot be tuned.
        Cancelled, Paused: asked to stop; the last checkpoint stands.
    """
    import torch

    from plipdesk.training.tuning.export import export_tuned

    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=recipe.device not in ("auto", "cpu"))
    try:
        run = TuneRun(recipe, base, manifest, run_dir, ctx or QuietContext(), group=group, teacher=teacher)
        if not run.record.done:
            run.learn()
        folder = run_dir / "model"
        if run.files.record.done and (group or Group()).rank == 0:
            export_tuned(run, folder)
        return folder
    finally:
        torch.use_deterministic_algorithms(before)
