"""Which pictures and which words meet in a step. Pure functions of seed and step, so a resumed run draws the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plipdesk.datasets.manifest import ManifestRow
from plipdesk.training.losses import tag_weights


@dataclass(frozen=True)
class Lesson:
    """What there is to learn: pictures' tags and captions.

    ``weights`` float32 (pictures, tags): prominence; ``captions``: None where none may be shown; ``phrases``: for each
    tag the words that may stand for it, the tag itself first; ``groups`` (pictures) numbers cases.
    """

    tags: tuple[str, ...]
    weights: NDArray[np.float32]
    captions: tuple[str | None, ...]
    phrases: tuple[tuple[str, ...], ...]
    groups: NDArray[np.int64]

    def texts(self) -> list[str]:
        """Every text that may be shown, once."""
        words = [word for phrases in self.phrases for word in phrases]
        return list(dict.fromkeys([*words, *(caption for caption in self.captions if caption is not None)]))


@dataclass(frozen=True)
class BatchPlan:
    """One step: picture numbers, the number of the view of each, and one word for each tag."""

    pictures: NDArray[np.int64]
    views: NDArray[np.int64]
    words: tuple[str, ...]


def make_lesson(
    rows: Sequence[ManifestRow],
    *,
    phrases: dict[str, tuple[str, ...]],
    kept_words: Sequence[str],
    least_per_tag: int,
) -> Lesson:
    """The lesson of ``rows``: tags of at least ``least_per_tag`` pictures; captions with a kept word are hidden."""
    counts = Counter(tag for row in rows for tag in set(row.tags))
    tags = sorted(tag for tag, count in counts.items() if count >= least_per_tag)
    kept = [word.lower() for word in kept_words]
    captions = tuple(
        row.caption if row.caption and not any(word in row.caption.lower() for word in kept) else None for row in rows
    )
    groups = {group: number for number, group in enumerate(sorted({row.group for row in rows}))}
    return Lesson(
        tags=tuple(tags),
        weights=tag_weights([row.tags for row in rows], tags),
        captions=captions,
        phrases=tuple((tag, *phrases.get(tag, ())) for tag in tags),
        groups=np.array([groups[row.group] for row in rows], dtype=np.int64),
    )


def picture_chances(groups: NDArray[np.int64], balance: float) -> NDArray[np.float64]:
    """How likely each picture is drawn: 0 all alike, 1 all groups alike, between by the power of the group's size."""
    _, place, counts = np.unique(groups, return_inverse=True, return_counts=True)
    chances = (1.0 / counts[place]) ** balance
    return np.asarray(chances / chances.sum(), dtype=np.float64)


def plan_batch(
    lesson: Lesson,
    *,
    seed: Sequence[int],
    size: int,
    views: int,
    chances: NDArray[np.float64],
    phrase_share: float,
) -> BatchPlan:
    """The batch of the step that ``seed`` names; with ``views`` > 1 any of them, with 1 a view number of its own."""
    rng = np.random.default_rng(list(seed))
    pictures = rng.choice(len(chances), size, replace=False, p=chances) if size < len(chances) else np.arange(size)
    shown = rng.integers(views, size=size)
    words = tuple(
        phrases[int(rng.integers(1, len(phrases)))] if len(phrases) > 1 and rng.random() < phrase_share else phrases[0]
        for phrases in lesson.phrases
    )
    return BatchPlan(pictures.astype(np.int64), shown.astype(np.int64), words)
