"""Training an image–text model from a recipe: words, tokenizer, model, stages, and the model folder at the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.ids import settings_id
from plipdesk.base.progress import JobContext, QuietContext
from plipdesk.datasets.manifest import ManifestRow, read_manifest
from plipdesk.encoders.architecture import build_model
from plipdesk.encoders.preprocess import fit_picture
from plipdesk.encoders.tokenizer import ClipTokenizer
from plipdesk.encoders.trunk_features import trunk_features
from plipdesk.encoders.vocabulary import load_vocabulary
from plipdesk.training.align import ProjectionTask, WholeTask
from plipdesk.training.augment import AugmentSettings
from plipdesk.training.batches import Lesson, make_lesson
from plipdesk.training.bpe import learn_merges, write_merges
from plipdesk.training.corpus import combined, distinct, read_phrases, read_synonyms, wordnet_texts
from plipdesk.training.distil import DistilTask, teacher_embeddings
from plipdesk.training.export import MERGES_NAME, export_model
from plipdesk.training.loop import StageTask, run_stage
from plipdesk.training.model import TextBody
from plipdesk.training.pictures import ViewFeatures, read_view
from plipdesk.training.recipe import AlignStage, DistilStage, Recipe, TrainingProblem
from plipdesk.training.run import RunFolder
from plipdesk.training.starting import SentenceTeacher, load_lite0, trunk_sha256

if TYPE_CHECKING:
    import torch

_CORPUS_SEED = 11


@dataclass(frozen=True)
class Texts:
    """``core``: pathology words and captions; ``rest``: dictionary and made-up queries."""

    core: tuple[str, ...]
    rest: tuple[str, ...]


class ContrastiveRun:
    """One run in its folder; what was finished before is taken from there."""

    def __init__(self, recipe: Recipe, recipe_folder: Path, manifest: Path, run_dir: Path, ctx: JobContext) -> None:
        self._recipe, self._from, self._ctx = recipe, recipe_folder, ctx
        data = recipe.data
        self._rows: list[ManifestRow] = [
            row
            for row in read_manifest(manifest, check_files=False).of_split(*data.splits)
            if data.sources is None or row.source in data.sources
        ]
        if not self._rows:
            raise TrainingProblem(
                "The manifest has no picture of the recipe's splits and sources.",
                path=manifest,
                remedy="Check data.splits and data.sources in the recipe.",
            )
        self._phrases = read_phrases(recipe_folder / data.phrases) if data.phrases else None
        kept = read_synonyms(recipe_folder / data.kept_synonyms) if data.kept_synonyms else {}
        self._lesson = make_lesson(
            self._rows,
            phrases=self._phrases.phrases if self._phrases else {},
            kept_words=[word for words in kept.values() for word in words],
            least_per_tag=data.least_per_tag,
        )
        fingerprint = settings_id({"rows": [[row.sha256, row.caption, *row.tags] for row in self._rows]})
        self.run = RunFolder(run_dir, recipe, data_fingerprint=fingerprint, pictures=len(self._rows))
        self._texts = self._corpus()
        self._merges = self._learned_merges()
        architecture = _with_vocabulary(recipe.architecture, self._tokenizer().vocabulary_size)
        self._architecture = architecture
        import torch

        torch.manual_seed(recipe.seed)
        model: Any = build_model(architecture)
        if recipe.start == "efficientnet-lite0":
            load_lite0(model.visual.trunk)
        self.model: Any = model.eval()
        self._teacher_head: torch.nn.Linear | None = None

    def _tokenizer(self) -> ClipTokenizer:
        length = int(self._recipe.architecture["text_cfg"]["context_length"])
        return ClipTokenizer(self._merges, context_length=length)

    def _corpus(self) -> Texts:
        settings = self._recipe.corpus
        words = self._lesson.texts()
        if settings.vocabulary:
            words = [word for term in load_vocabulary().terms for word in term.english] + words
        core = distinct(words)
        rest: list[str] = []
        if settings.combinations and self._phrases is not None:
            rest += combined(core, self._phrases, count=settings.combinations, seed=_CORPUS_SEED)
        if settings.wordnet and settings.wordnet_texts:
            found = distinct(wordnet_texts(Path(settings.wordnet)))
            order = np.random.default_rng(_CORPUS_SEED).permutation(len(found))[: settings.wordnet_texts]
            rest += [found[place] for place in order]
        known = set(core)
        return Texts(tuple(core), tuple(text for text in distinct(rest) if text not in known))

    def _learned_merges(self) -> Path:
        path = self.run.folder / MERGES_NAME
        if not path.exists():
            # Pathology words weigh more than the dictionary: they are what people type.
            write_merges(path, learn_merges([*self._texts.core * 3, *self._texts.rest], self._recipe.tokenizer.merges))
        return path

    def stages(self) -> None:
        """Run every stage that is not done yet."""
        for number, stage in enumerate(self._recipe.stages):
            record = self.run.record.stage(stage.name)
            if isinstance(stage, DistilStage):
                self._teacher_head = _teacher_head(self.model, self._recipe.seed)
            if self._restore(stage.name, stage.steps):
                record.done = True
                continue
            task = self._task(stage, number)
            run_stage(task, stage, number, self.run, self._ctx, seed=self._recipe.seed)
            if isinstance(task, WholeTask):
                self.run.record.unreadable_pictures = int(task.unreadable)
            self.run.save_checkpoint(stage.name, stage.steps, dict(self._finished()))
            record.done = True
        self.run.save()

    def _finished(self) -> Iterator[tuple[str, torch.Tensor]]:
        for name, value in self.model.state_dict().items():
            yield f"model/{name}", value.clone()
        if self._teacher_head is not None:
            for name, value in self._teacher_head.state_dict().items():
                yield f"teacher/{name}", value.clone()

    def _restore(self, name: str, steps: int) -> bool:
        """Load the model as the stage left it; False where the stage is not finished."""
        found = self.run.load_checkpoint(name)
        if found is None or found[0] < steps:
            return False
        tensors = found[1]
        self.model.load_state_dict({k.removeprefix("model/"): v for k, v in tensors.items() if k.startswith("model/")})
        if self._teacher_head is not None:
            self._teacher_head.load_state_dict(
                {k.removeprefix("teacher/"): v for k, v in tensors.items() if k.startswith("teacher/")}
            )
        return True

    def _task(self, stage: DistilStage | AlignStage, number: int) -> StageTask:
        seed = self._recipe.seed
        if isinstance(stage, DistilStage):
            assert self._teacher_head is not None
            texts = [*self._texts.core, *self._texts.rest]
            return DistilTask(
                TextBody(self.model),
                self._teacher_head,
                self._tokenizer(),
                stage,
                texts,
                teacher_embeddings(texts, self.run, self._ctx),
                core=len(self._texts.core),
                seed=seed,
                number=number,
            )
        if stage.train == "projections":
            views, kept = self._views(stage)
            return ProjectionTask(
                self.model,
                stage,
                _part(self._lesson, kept),
                views[:, kept],
                self._states(self._lesson.texts()),
                self._teacher_head,
                seed=seed,
                number=number,
            )
        return self._whole(stage, number)

    def _whole(self, stage: AlignStage, number: int) -> WholeTask:
        augment = AugmentSettings(**stage.augment.model_dump())
        fit = self._fit()

        def read(picture: int, step: int) -> NDArray[np.uint8] | None:
            seed = (self._recipe.seed, number, picture)
            return read_view(self._rows[picture], fit, view=step + 1, seed=seed, augment=augment)

        return WholeTask(
            self.model,
            self._tokenizer(),
            stage,
            self._lesson,
            read,
            mean=self._recipe.preprocessing.mean,
            std=self._recipe.preprocessing.std,
            seed=self._recipe.seed,
            number=number,
        )

    def _fit(self) -> Any:
        shape = self._recipe.preprocessing

        def fit(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return fit_picture(pixels, shape)

        return fit

    def _views(self, stage: AlignStage) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        shape = self._recipe.preprocessing
        store = ViewFeatures(
            self.run.folder,
            self._rows,
            trunk_sha256=trunk_sha256(self.model.visual.trunk),
            fit_settings=shape.model_dump(),
            augment=AugmentSettings(**stage.augment.model_dump()),
            seed=self._recipe.seed,
        )
        features = trunk_features(
            self.model.visual.trunk,
            input_px=shape.input_px,
            mean=shape.mean,
            std=shape.std,
            threads=self._recipe.threads,
        )
        views = np.stack([store.view(view, self._fit(), features, self._ctx) for view in range(stage.views)])
        kept: NDArray[np.bool_] = ~np.asarray(np.isnan(views).any(axis=(0, 2)))
        self.run.record.unreadable_pictures = int((~kept).sum())
        return views, kept

    def _states(self, texts: list[str]) -> dict[str, NDArray[np.float32]]:
        import torch

        body, tokenizer = TextBody(self.model), self._tokenizer()
        states: dict[str, NDArray[np.float32]] = {}
        with torch.inference_mode():
            for start in range(0, len(texts), 64):
                tokens = tokenizer(texts[start : start + 64])
                found = body(torch.from_numpy(tokens.ids), tokens.used).numpy().copy()
                states.update(zip(texts[start : start + 64], found, strict=True))
        return states

    def export(self) -> Path:
        """Write the model's folder and return it."""
        return export_model(self.model, self._recipe, self._architecture, self._merges, self.run.folder / "model")


def train_contrastive(
    recipe: Recipe, manifest: Path, run_dir: Path, ctx: JobContext | None = None, *, recipe_folder: Path
) -> Path:
    """Train ``recipe`` on ``manifest`` in ``run_dir``; returns the folder of the finished model.

    Called again after a kill it goes on from the last checkpoint, to the same losses and the same weights bit for bit
    (same machine, same number of threads). ``recipe_folder``: what paths in the recipe are relative to.

    Raises:
        TrainingProblem: the folder holds another run, or something the recipe needs is missing.
        ManifestProblem: the manifest cannot be used.
        Cancelled, Paused: asked to stop; the last checkpoint stands.
    """
    import torch

    torch.set_num_threads(recipe.threads)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        training = ContrastiveRun(recipe, recipe_folder, manifest, run_dir, ctx or QuietContext())
        training.stages()
        return training.export()
    finally:
        torch.use_deterministic_algorithms(before)


def _teacher_head(model: Any, seed: int) -> torch.nn.Linear:
    import torch

    torch.manual_seed(seed)
    return torch.nn.Linear(TextBody(model).width, SentenceTeacher.dim)


def _with_vocabulary(architecture: dict[str, Any], size: int) -> dict[str, Any]:
    return {**architecture, "text_cfg": {**architecture["text_cfg"], "vocab_size": size}}


def _part(lesson: Lesson, kept: NDArray[np.bool_]) -> Lesson:
    places = np.flatnonzero(kept)
    return Lesson(
        tags=lesson.tags,
        weights=lesson.weights[places],
        captions=tuple(lesson.captions[place] for place in places),
        phrases=lesson.phrases,
        groups=lesson.groups[places],
    )
