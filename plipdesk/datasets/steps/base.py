"""What every step of the flow has in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from plipdesk.datasets.counts import StepCount
from plipdesk.datasets.pair import Family, Pair

Verdict = str | None
"""Why a pair goes, in a few plain words that are counted; None: it stays."""
ThreadJudge = Callable[[Sequence[Pair]], Sequence[Verdict]]
Noting = Callable[[str], None]
"""Told, in the words that are counted, what was changed in a pair that stays."""


class Step(BaseModel):
    """A step's settings; what they are called in a flow file is what the fields are called here.

    ``families`` are the kinds of sources that the step judges; pairs of others pass it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: ClassVar[str]
    families: tuple[Family, ...] = ("social", "web", "local")


class TextStep(Step):
    """A step that needs no picture. It sees the pairs of one post (its own text and its replies) together."""

    def begin(self, note: Noting) -> ThreadJudge:
        """A judge for one stretch of the flow; may load what it needs. Judges may write a pair's caption."""
        judge = self.pair_judge(note)
        families = frozenset(self.families)

        def judge_all(pairs: Sequence[Pair]) -> Sequence[Verdict]:
            return [judge(pair) if pair.family in families else None for pair in pairs]

        return judge_all

    def pair_judge(self, note: Noting) -> Callable[[Pair], Verdict]:
        """A judge of single pairs, for steps that need no more."""
        raise NotImplementedError


def sift(pairs: Sequence[Pair], verdicts: Sequence[Verdict], count: StepCount) -> list[Pair]:
    """Count ``verdicts`` and return the pairs that stay."""
    count.taken += len(pairs)
    kept = []
    for pair, why in zip(pairs, verdicts, strict=True):
        if why is None:
            kept.append(pair)
        else:
            count.reasons[why] += 1
    count.kept += len(kept)
    return kept
