"""Drawing pictures and words together: the contrastive stages.

Two kinds share one loss. ``ProjectionTask``: both towers stand still; features of cached views and of all texts are
mapped into the common space by one linear layer each, which are folded into the model at the end. ``WholeTask``:
everything learns, pictures are read and augmented in each step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plipdesk.encoders.tokenizer import ClipTokenizer
from plipdesk.training.batches import BatchPlan, Lesson, picture_chances, plan_batch
from plipdesk.training.loop import ParameterGroup, step_seed
from plipdesk.training.losses import MOST_LOGIT_SCALE, caption_targets, clip_loss
from plipdesk.training.model import TextBody, image_projection, set_linear
from plipdesk.training.recipe import AlignStage, TrainingProblem

if TYPE_CHECKING:
    import torch

_AUGMENT_NOISE = 2.0
"""How much what augmentation changes counts against a direction, beside its plain variance."""
_FEATURE_FLOOR = 1e-3


class AlignLoss:
    """The loss of a batch from embedded pictures and texts; holds the temperature."""

    def __init__(self, stage: AlignStage, lesson: Lesson) -> None:
        import torch

        self.log_scale = torch.nn.Parameter(torch.tensor(float(np.log(stage.logit_scale))))
        self._stage, self._weights = stage, torch.from_numpy(lesson.weights)

    def __call__(
        self,
        images: torch.Tensor,
        pictures: NDArray[np.int64],
        tags: torch.Tensor,
        captions: torch.Tensor,
        captioned: NDArray[np.bool_],
    ) -> torch.Tensor:
        """``images`` (n, d) of ``pictures`` (n); ``tags`` (t, d); ``captions`` (c, d) of the ``captioned`` pictures."""
        stage = self._stage
        weights = self._weights[pictures]
        scale = self.log_scale.exp()
        loss = images.sum() * 0.0
        if stage.tag_weight and len(tags):
            loss = loss + stage.tag_weight * clip_loss(images, tags, weights, scale)
        if stage.caption_weight and captioned.any():
            targets = caption_targets(weights[captioned], stage.caption_neighbour)
            loss = loss + stage.caption_weight * clip_loss(images[captioned], captions, targets, scale)
        return loss

    def groups(self) -> list[ParameterGroup]:
        """The temperature, where it learns; never decayed."""
        return [ParameterGroup((self.log_scale,), decay=0.0)] if self._stage.learn_logit_scale else []


def whitening(
    views: NDArray[np.float32], shrinkage: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Mean (d), scale (d) and rotation (d, d) that decorrelate features of ``views`` (v, n, d).

    The covariance is that of all views plus what differs between views of one picture (twice): directions in which mere
    augmentation moves a picture are shrunk, as within-class covariance normalisation does (Hatch et al. 2006).
    ``shrinkage`` is added to each variance, so that weak directions are not blown up.
    """
    flat = views.reshape(-1, views.shape[2]).astype(np.float64)
    mean, scale = flat.mean(axis=0), flat.std(axis=0) + _FEATURE_FLOOR
    normal = (flat - mean) / scale
    spread = normal.T @ normal / len(normal)
    apart = normal.reshape(views.shape) - normal.reshape(views.shape).mean(axis=0)
    apart = apart.reshape(-1, views.shape[2])
    spread += _AUGMENT_NOISE * apart.T @ apart / len(apart)
    variance, axes = np.linalg.eigh(spread)
    rotation = axes / np.sqrt(np.maximum(variance, 0) + shrinkage)
    return mean.astype(np.float32), scale.astype(np.float32), rotation.astype(np.float32)


class _Planned:
    def __init__(self, stage: AlignStage, lesson: Lesson, views: int, *, seed: int, number: int) -> None:
        if len(lesson.groups) < 2:
            raise TrainingProblem(
                "There are fewer than two pictures to learn from.", remedy="Check manifest and splits."
            )
        self._stage, self._lesson, self._views = stage, lesson, views
        self._seed, self._number = seed, number
        self._chances = picture_chances(lesson.groups, stage.case_balance)

    def plan(self, step: int) -> BatchPlan:
        """What meets in ``step``."""
        return plan_batch(
            self._lesson,
            seed=step_seed(self._seed, self._number, step),
            size=min(self._stage.batch, len(self._chances)),
            views=self._views,
            chances=self._chances,
            phrase_share=self._stage.phrase_share,
        )


class ProjectionTask(_Planned):
    """Only the two projections learn. ``views`` float32 (v, n, d): trunk features; ``texts``: text → body state (w)."""

    def __init__(
        self,
        model: Any,
        stage: AlignStage,
        lesson: Lesson,
        views: NDArray[np.float32],
        texts: dict[str, NDArray[np.float32]],
        teacher_head: torch.nn.Linear | None,
        *,
        seed: int,
        number: int,
    ) -> None:
        import torch

        super().__init__(stage, lesson, len(views), seed=seed, number=number)
        self._model, self._texts_of = model, texts
        image, text = image_projection(model), model.text.text_projection
        dim = image.out_features
        if stage.whitening is None:
            width = views.shape[2]
            self._mean, self._scale, self._rotation = torch.zeros(width), torch.ones(width), torch.eye(width)
        else:
            whitened = whitening(views, stage.whitening)
            self._mean, self._scale, self._rotation = (torch.from_numpy(part) for part in whitened)
        self._views_in = ((torch.from_numpy(views) - self._mean) / self._scale) @ self._rotation
        # Text states as the teacher would see them, around the middle of the tags.
        states = torch.from_numpy(np.stack([texts[tag] for tag in lesson.tags])) if lesson.tags else None
        width = text.in_features
        self._before = torch.eye(width) if teacher_head is None else teacher_head.weight.detach().clone()
        shift = torch.zeros(len(self._before)) if teacher_head is None else teacher_head.bias.detach().clone()
        middle = (states @ self._before.T + shift).mean(dim=0) if states is not None else torch.zeros_like(shift)
        self._shift = shift - middle
        generator = torch.Generator().manual_seed(seed)
        first = torch.randn(dim, views.shape[2], generator=generator) / views.shape[2] ** 0.5
        self.image = torch.nn.Parameter(first)
        self.text = torch.nn.Parameter(torch.empty(dim, len(self._before)))
        torch.nn.init.orthogonal_(self.text, generator=generator)
        self.lossing = AlignLoss(stage, lesson)

    def _text_states(self, texts: Sequence[str]) -> torch.Tensor:
        import torch

        if not texts:
            return torch.zeros(0, len(self.text))
        states = torch.from_numpy(np.stack([self._texts_of[text] for text in texts]))
        inputs = states @ self._before.T + self._shift
        return torch.nn.functional.normalize(inputs @ self.text.T, dim=1)

    def groups(self) -> list[ParameterGroup]:
        """Both projections, and the temperature where it learns; the text side is held back less."""
        return [ParameterGroup((self.image,)), ParameterGroup((self.text,), decay=0.2), *self.lossing.groups()]

    def loss(self, step: int) -> torch.Tensor:
        """The contrastive loss of cached features."""
        import torch

        plan = self.plan(step)
        inputs = self._views_in[torch.from_numpy(plan.views), torch.from_numpy(plan.pictures)]
        inputs = torch.nn.functional.dropout(inputs, self._stage.dropout)
        images = torch.nn.functional.normalize(inputs @ self.image.T, dim=1)
        captions = [self._lesson.captions[picture] for picture in plan.pictures]
        captioned = np.array([caption is not None for caption in captions])
        return self.lossing(
            images,
            plan.pictures,
            self._text_states(plan.words),
            self._text_states([caption for caption in captions if caption is not None]),
            captioned,
        )

    def state(self) -> dict[str, torch.Tensor]:
        """The two projections and the temperature."""
        return {"image": self.image.data, "text": self.text.data, "log_scale": self.lossing.log_scale.data}

    def finish(self) -> None:
        """Fold standardisation and whitening into the image projection, teacher head and centring into the text's."""
        weight = (self.image.data @ self._rotation.T) / self._scale
        set_linear(image_projection(self._model), weight, -weight @ self._mean)
        set_linear(self._model.text.text_projection, self.text.data @ self._before, self.text.data @ self._shift)
        self._model.logit_scale.data.copy_(self.lossing.log_scale.data)


class WholeTask(_Planned):
    """Both towers learn, from pictures read in each step.

    ``read(picture, step)`` returns uint8 (input_px, input_px, 3), or None for one that cannot be read: it is left out
    and counted in ``unreadable``.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: ClipTokenizer,
        stage: AlignStage,
        lesson: Lesson,
        read: Callable[[int, int], NDArray[np.uint8] | None],
        *,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        seed: int,
        number: int,
    ) -> None:
        import torch

        super().__init__(stage, lesson, 1, seed=seed, number=number)
        self._model, self._tokenizer, self._read = model, tokenizer, read
        self._body = TextBody(model)
        self._shift = torch.tensor(mean).view(1, 3, 1, 1)
        self._spread = torch.tensor(std).view(1, 3, 1, 1)
        self.lossing = AlignLoss(stage, lesson)
        self.unreadable = torch.zeros((), dtype=torch.int64)

    def groups(self) -> list[ParameterGroup]:
        """Text tower and image projection at the full rate, the trunk slower, its early stages slower still."""
        settings = self._stage.optimiser
        visual = self._model.visual
        trunk = getattr(visual, "trunk", None)
        known: set[int] = set()
        groups: list[ParameterGroup] = []
        if trunk is not None:
            stages = [*getattr(trunk, "blocks", [])]
            parts = [(stage, len(stages) - place) for place, stage in enumerate(stages)]
            for part, depth in [*parts, (trunk, len(stages) + 1)]:
                fresh = [value for value in part.parameters() if id(value) not in known]
                known.update(map(id, fresh))
                groups += _decayed(fresh, settings.trunk_rate * settings.layer_decay ** (depth - 1))
        rest = [*visual.parameters(), *self._model.text.parameters()]
        groups += _decayed([value for value in rest if id(value) not in known], 1.0)
        return [group for group in groups if group.parameters and group.rate > 0] + self.lossing.groups()

    def loss(self, step: int) -> torch.Tensor:
        """The contrastive loss of freshly read pictures; batch normalisation keeps its statistics."""
        import torch

        plan = self.plan(step)
        pixels = [self._read(int(picture), step) for picture in plan.pictures]
        self.unreadable += sum(one is None for one in pixels)
        pictures = np.array(
            [picture for picture, one in zip(plan.pictures, pixels, strict=True) if one is not None], dtype=np.int64
        )
        if not len(pictures):
            return self.lossing.log_scale * float("nan")
        stacked = torch.from_numpy(np.stack([one for one in pixels if one is not None]))
        inputs = (stacked.permute(0, 3, 1, 2).to(torch.float32) / 255.0 - self._shift) / self._spread
        self._model.eval()
        images = torch.nn.functional.normalize(self._model.visual(inputs), dim=1)
        captions = [self._lesson.captions[picture] for picture in pictures]
        captioned = np.array([caption is not None for caption in captions])
        shown = [*plan.words, *(caption for caption in captions if caption is not None)]
        tokens = self._tokenizer(shown)
        states = self._body(torch.from_numpy(tokens.ids), tokens.used)
        texts = torch.nn.functional.normalize(self._model.text.text_projection(states), dim=1)
        words = len(plan.words)
        return self.lossing(images, pictures, texts[:words], texts[words:], captioned)

    def state(self) -> dict[str, torch.Tensor]:
        """The whole model, the temperature, and how often a picture could not be read."""
        state: dict[str, torch.Tensor] = self._model.state_dict()
        return {**state, "log_scale": self.lossing.log_scale.data, "unreadable": self.unreadable}

    def finish(self) -> None:
        """Keep the temperature; the towers themselves were trained."""
        scale = self.lossing.log_scale.data.clamp(max=float(np.log(MOST_LOGIT_SCALE)))
        self._model.logit_scale.data.copy_(scale)


def _decayed(parameters: list[Any], rate: float) -> list[ParameterGroup]:
    """Matrices and kernels decay, biases and gains do not."""
    return [
        ParameterGroup(tuple(value for value in parameters if value.ndim > 1), rate=rate),
        ParameterGroup(tuple(value for value in parameters if value.ndim <= 1), rate=rate, decay=0.0),
    ]
