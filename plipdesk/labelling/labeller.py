"""One labelling: classes as vectors, what random words reach, corrections; applied to any number of slides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plipdesk.labelling.background import Background
from plipdesk.labelling.deciding import Decision, decide
from plipdesk.labelling.label_sets import LabelProblem, LabelSet
from plipdesk.labelling.prompts import ClassPrompts
from plipdesk.labelling.scoring import cosines
from plipdesk.labelling.settings import LabelSettings
from plipdesk.labelling.smoothing import smoothed
from plipdesk.probes.calibration import Calibration
from plipdesk.probes.linear import LinearProbe

Float32s = NDArray[np.float32]

_UNKNOWN_LOGIT = -30.0
"""Of a class that a probe has no example of."""


@dataclass(frozen=True, eq=False)
class PatchScores:
    """Scores of n patches: ``similarity`` (n, c) cosines (or a probe's logits), ``limit`` (n,) or None."""

    similarity: Float32s
    limit: Float32s | None


@dataclass(frozen=True, eq=False)
class Labeller:
    """Labels patches of one encoder. ``probe`` replaces the prompts where there is one."""

    labels: LabelSet
    settings: LabelSettings
    prompts: ClassPrompts
    logit_scale: float
    background: Background | None = None
    calibration: Calibration | None = None
    probe: LinearProbe | None = None

    def __post_init__(self) -> None:
        needed = self.settings.none_of_these or self.settings.choice == "multi"
        if needed and self.background is None:
            raise LabelProblem("“None of these” and several labels a patch need background words.")

    def score(self, embeddings: NDArray[np.floating]) -> PatchScores:
        """Scores of stored vectors (n, d)."""
        if self.probe is not None:
            logits = np.full((len(embeddings), len(self.labels.names)), _UNKNOWN_LOGIT, dtype=np.float32)
            own = [self.labels.names.index(name) for name in self.probe.classes]
            logits[:, own] = self.probe.logits(embeddings)
            similarity = logits
        else:
            similarity = cosines(embeddings, self.prompts.vectors)
        return PatchScores(similarity, None if self.background is None else self.background.limits(embeddings))

    def smooth(
        self, scores: PatchScores, x0_px: NDArray[np.integer], y0_px: NDArray[np.integer], size0_px: float
    ) -> PatchScores:
        """Scores averaged over neighbours, as the settings say."""
        radius = self.settings.smooth
        if not radius:
            return scores
        limit = scores.limit
        if limit is not None:
            limit = smoothed(limit[:, None], x0_px, y0_px, size0_px, radius)[:, 0]
        return PatchScores(smoothed(scores.similarity, x0_px, y0_px, size0_px, radius), limit)

    def logits(self, scores: PatchScores) -> tuple[Float32s, Float32s | None]:
        """Logits (n, c) of the classes and their limits, calibrated."""
        scale = np.float32(1.0 if self.probe is not None else self.logit_scale)
        logits = scores.similarity * scale
        limits = None
        if self.background is not None and scores.limit is not None:
            if self.probe is not None:
                # A probe's logits have no limit in words: as much as an even bet among its classes.
                even = np.log(np.exp(logits - logits.max(axis=1, keepdims=True)).mean(axis=1)) + logits.max(axis=1)
                limits = np.repeat(even[:, None], logits.shape[1], axis=1)
            else:
                limits = self.background.class_limits(scores.limit) * scale
        if self.calibration is not None and self.probe is None:
            logits = self.calibration.apply(logits)
            limits = None if limits is None else self.calibration.apply(limits)
        return logits, limits

    def decide(self, scores: PatchScores) -> Decision:
        """Labels of scored patches."""
        logits, limits = self.logits(scores)
        return decide(self.labels, self.settings, logits, limits)

    def shown_score(self, scores: PatchScores, decision: Decision) -> Float32s:
        """Of each patch (n) the score that the settings choose, of its likeliest class."""
        if self.settings.score == "probability":
            return decision.probability
        if self.settings.score == "margin":
            return decision.margin
        count = scores.similarity.shape[1]
        rows, best = np.arange(len(decision.best)), np.minimum(decision.best, count - 1)
        own = scores.similarity[rows, best]
        # What is none of these is told by its nearest class.
        nearest = scores.similarity.max(axis=1)
        return np.asarray(np.where(decision.best < count, own, nearest), dtype=np.float32)

    def class_scores(self, scores: PatchScores, decision: Decision) -> Float32s:
        """Scores (n, c) of all classes, for heat maps: cosines, or else probabilities."""
        return scores.similarity if self.settings.score == "cosine" else decision.shares
