"""Losses and a trainer's step against plain reference code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from plipdesk.training.align import AlignLoss, whitening
from plipdesk.training.batches import Lesson, make_lesson, picture_chances, plan_batch
from plipdesk.training.losses import caption_targets, clip_loss, soft_cross_entropy, tag_weights
from tests.training.drawn import recipe


def unit(rows: int, dim: int, seed: int) -> torch.Tensor:
    return functional.normalize(torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_with_one_right_answer_each_the_loss_is_that_of_clip() -> None:
    images, texts, scale = unit(6, 8, 0), unit(6, 8, 1), torch.tensor(12.0)
    logits = scale * images @ texts.T
    own = torch.arange(6)
    reference = (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2
    assert torch.allclose(clip_loss(images, texts, torch.eye(6), scale), reference, atol=1e-6)


def test_the_logit_scale_is_clamped_at_100() -> None:
    images, texts = unit(4, 8, 0), unit(4, 8, 1)
    at_100 = clip_loss(images, texts, torch.eye(4), torch.tensor(100.0))
    assert clip_loss(images, texts, torch.eye(4), torch.tensor(1e6)) == at_100


def test_two_right_answers_by_hand() -> None:
    # softmax of (0, 0, log 2) = (1/4, 1/4, 1/2); half the target on the first, half on the last.
    logits = torch.log(torch.tensor([[1.0, 1.0, 2.0], [1.0, 1.0, 1.0]]))
    targets = torch.tensor([[3.0, 0.0, 3.0], [0.0, 0.0, 0.0]])
    expected = -(np.log(1 / 4) + np.log(1 / 2)) / 2
    assert float(soft_cross_entropy(logits, targets)) == pytest.approx(expected, abs=1e-6)
    assert float(soft_cross_entropy(logits, torch.zeros(2, 3))) == 0.0


def test_prominence_and_captions_of_pictures_alike() -> None:
    weights = tag_weights([("a", "b", "c"), ("b",), ()], ["a", "b"])
    assert weights.tolist() == [[1.0, pytest.approx(0.6)], [0.0, 1.0], [0.0, 0.0]]
    targets = caption_targets(torch.from_numpy(weights), 0.5)
    cosine = 0.6 / np.hypot(1, 0.6)
    assert float(targets[0, 1]) == pytest.approx(0.5 * cosine**2)
    assert targets.diagonal().tolist() == [1, 1, 1]
    assert targets[2, :2].tolist() == [0, 0]


def test_a_step_agrees_with_plain_code_in_loss_and_gradients() -> None:
    """The batch loss of the trainer against loops over pictures and texts, to 1e-5."""
    stage = recipe(tag_weight=0.7, caption_weight=0.4, caption_neighbour=0.3, learn_logit_scale=True).stages[0]
    weights = np.array([[1, 0.6, 0], [0, 1, 0], [0, 0, 0], [0.6, 0, 1]], dtype=np.float32)
    lesson = Lesson(("a", "b", "c"), weights, ("x", None, "y", "z"), (("a",), ("b",), ("c",)), np.arange(4))
    loss_of = AlignLoss(stage, lesson)  # type: ignore[arg-type]
    pictures = np.array([3, 0, 1])
    raw = [torch.randn(rows, 5, generator=torch.Generator().manual_seed(s)) for s, rows in enumerate((3, 3, 2))]
    leaves = [value.clone().requires_grad_() for value in raw]
    captioned = np.array([True, True, False])
    loss_of(*[functional.normalize(leaves[0], dim=1), pictures], *_normal(leaves[1:]), captioned).backward()

    plain = [value.clone().double().requires_grad_() for value in raw]
    images, tags, captions = _normal(plain)
    scale = torch.tensor(loss_of.log_scale.item(), dtype=torch.float64).requires_grad_()
    w = torch.from_numpy(weights[pictures]).double()
    tag_loss = _plain(images, tags, w, scale.exp())
    own = torch.zeros(2, 2, dtype=torch.float64)
    for i in range(2):
        for j in range(2):
            cosine = (w[i] @ w[j]) / (w[i].norm() * w[j].norm())
            own[i, j] = 1.0 if i == j else 0.3 * cosine**2
    reference = 0.7 * tag_loss + 0.4 * _plain(images[:2], captions, own, scale.exp())
    reference.backward()
    again = loss_of(functional.normalize(leaves[0], dim=1), pictures, *_normal(leaves[1:]), captioned)
    assert again.item() == pytest.approx(reference.item(), abs=1e-5)
    for mine, theirs in zip([*leaves, loss_of.log_scale], [*plain, scale], strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        assert torch.allclose(mine.grad.double(), theirs.grad, atol=1e-5)


def _normal(values: list[torch.Tensor]) -> list[torch.Tensor]:
    return [functional.normalize(value, dim=1) for value in values]


def _plain(images: torch.Tensor, texts: torch.Tensor, targets: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    logits = scale * images @ texts.T
    sides = []
    for scores, wanted in ((logits, targets), (logits.T, targets.T)):
        rows = [
            -sum(
                wanted[r, c] / wanted[r].sum() * (scores[r, c] - torch.logsumexp(scores[r], 0))
                for c in range(scores.shape[1])
            )
            for r in range(len(scores))
            if wanted[r].sum() > 0
        ]
        sides.append(torch.stack(rows).mean())
    return (sides[0] + sides[1]) / 2


def test_whitening_decorrelates_and_shrinks_what_augmentation_moves() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.normal(size=(1, 400, 4))
    views = np.repeat(pictures, 3, axis=0)
    views[:, :, 3] += rng.normal(scale=3.0, size=(3, 400))
    mean, scale, rotation = whitening(views.astype(np.float32), 1e-3)
    found = ((views - mean) / scale) @ rotation
    covariance = np.cov(found.reshape(-1, 4).T)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 0.15
    # Three directions keep about unit variance; the one that augmentation moves is shrunk.
    spread = np.sort(np.diag(covariance))
    assert spread[0] < 0.5
    assert (spread[1:] > 0.9).all()


def test_captions_with_a_kept_word_are_never_shown() -> None:
    from pathlib import Path

    from plipdesk.datasets.manifest import ManifestRow

    rows = [
        ManifestRow(Path(f"{n}.png"), "0" * 64, caption, tags, "g", "s", "train")
        for n, (caption, tags) in enumerate(
            [("a clump of Liver Cells", ("hepatocytes",)), ("pink plates", ("hepatocytes", "rare")), ("", ())]
        )
    ]
    lesson = make_lesson(rows, phrases={"hepatocytes": ("liver",)}, kept_words=["liver cells"], least_per_tag=2)
    assert lesson.captions == (None, "pink plates", None)
    assert lesson.tags == ("hepatocytes",)
    assert lesson.texts() == ["hepatocytes", "liver", "pink plates"]


def test_batches_depend_on_seed_and_step_alone() -> None:
    lesson = Lesson(("a",), np.ones((9, 1), np.float32), (None,) * 9, (("a", "b"),), np.array([0] * 8 + [1]))
    chances = picture_chances(lesson.groups, 1.0)
    assert chances[8] == pytest.approx(0.5)
    plans = [
        plan_batch(lesson, seed=(1, 2, step), size=4, views=3, chances=chances, phrase_share=0.5) for step in (5, 5, 6)
    ]
    assert np.array_equal(plans[0].pictures, plans[1].pictures)
    assert np.array_equal(plans[0].views, plans[1].views)
    assert any(not np.array_equal(getattr(plans[0], name), getattr(plans[2], name)) for name in ("pictures", "views"))
    assert len(set(plans[0].pictures)) == 4
