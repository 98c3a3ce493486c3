"""Bookkeeping: what went into each step, what came out, and why the rest went; what does not add up is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.base.progress import Json


class CountProblem(EnvironmentProblem):
    """The counts of a data set contradict one another, so its selection cannot be trusted."""

    kind = "counts"


@dataclass
class StepCount:
    """One step's counts, in pairs. ``reasons`` says of each dropped pair why; its values add up to ``dropped``."""

    name: str
    taken: int = 0
    kept: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    """What was changed or noticed in pairs that stay, such as captions with a name taken out."""

    @property
    def dropped(self) -> int:
        """How many pairs went here."""
        return self.taken - self.kept

    def add(self, other: StepCount) -> None:
        """Count another part of the same step's pairs."""
        self.taken += other.taken
        self.kept += other.kept
        self.reasons.update(other.reasons)
        self.notes.update(other.notes)

    def document(self) -> dict[str, Json]:
        """As ``--json`` and ``dataset.json`` have it."""
        document: dict[str, Json] = {
            "name": self.name,
            "in": self.taken,
            "kept": self.kept,
            "dropped": self.dropped,
            "reasons": dict(sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))),
        }
        if self.notes:
            document["notes"] = dict(sorted(self.notes.items()))
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> StepCount:
        """Read back what :meth:`document` wrote.

        Raises:
            CountProblem: a field is missing or no number, or ``dropped`` is not ``in`` minus ``kept``.
        """
        try:
            step = cls(
                str(document["name"]),
                _number(document["in"]),
                _number(document["kept"]),
                Counter({str(why): _number(n) for why, n in document["reasons"].items()}),
                Counter({str(what): _number(n) for what, n in document.get("notes", {}).items()}),
            )
            dropped = _number(document["dropped"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CountProblem(
                f"A step's counts cannot be read: {error!r}.", remedy="Build the data set anew."
            ) from error
        if dropped != step.dropped:
            raise CountProblem(_does_not_add_up(step.name, f"{step.taken} − {step.kept} ≠ {dropped}"))
        return step


def check_counts(
    steps: Sequence[StepCount],
    *,
    formed: int,
    pairs: int,
    by_source: Mapping[str, int],
    by_hashtag: Mapping[str, int],
) -> None:
    """Hold all counts of a data set against one another.

    ``formed``: pairs before the first step; ``pairs``: those in the finished data set.

    Raises:
        CountProblem: the first sum that does not come out, named.
    """
    expected = formed
    for step in steps:
        if step.taken != expected:
            raise CountProblem(_does_not_add_up(step.name, f"{step.taken} came in, {expected} left the step before"))
        if not 0 <= step.kept <= step.taken:
            raise CountProblem(_does_not_add_up(step.name, f"{step.kept} of {step.taken} kept"))
        if sum(step.reasons.values()) != step.dropped or any(n <= 0 for n in step.reasons.values()):
            raise CountProblem(
                _does_not_add_up(step.name, f"{step.dropped} dropped, reasons for {sum(step.reasons.values())}")
            )
        expected = step.kept
    if pairs != expected:
        raise CountProblem(_does_not_add_up("the data set", f"{pairs} pairs, {expected} left the last step"))
    for what, counts in (("source", by_source), ("hashtag", by_hashtag)):
        if sum(counts.values()) != pairs:
            raise CountProblem(_does_not_add_up(f"the count by {what}", f"{sum(counts.values())} of {pairs} pairs"))


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    return value


def _does_not_add_up(where: str, sums: str) -> str:
    return f"The counts do not add up at {where}: {sums}."
