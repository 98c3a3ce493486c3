"""The flow: which steps a data set's pairs go through, in which order, with which settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.base.ids import settings_id
from plipdesk.base.resources import resource_path
from plipdesk.datasets.counts import StepCount
from plipdesk.datasets.pair import Pair
from plipdesk.datasets.steps.base import Step, TextStep, sift
from plipdesk.datasets.steps.pictures import Files, NearDuplicates, PictureStep, Quality, Size
from plipdesk.datasets.steps.privacy import Privacy
from plipdesk.datasets.steps.showing import Alike, BurntIn, Pathology
from plipdesk.datasets.steps.text import (
    Cleaning,
    Dates,
    Hashtags,
    Language,
    Links,
    Questions,
    Replies,
    Retweets,
    Rights,
    Sensitive,
)

STEPS: dict[str, type[Step]] = {
    step.name: step
    for step in (
        Dates, Hashtags, Language, Retweets, Sensitive, Replies, Questions, Cleaning, Links, Privacy, Rights,
        Files, Size, Quality, Pathology, Alike, BurntIn, NearDuplicates,
    )
}  # fmt: skip


class FlowProblem(EnvironmentProblem):
    """A flow file cannot be used."""

    kind = "flow"


class SplitRule(BaseModel):
    """How the finished pairs are divided: whole groups (``author``) or whole sources, by shares and a seed."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    by: Literal["author", "source", "given"] = "author"
    seed: int = 0
    shares: dict[str, float] = {"train": 0.8, "validation": 0.1, "test": 0.1}

    @field_validator("shares")
    @classmethod
    def _sums_to_one(cls, shares: dict[str, float]) -> dict[str, float]:
        if not shares or any(share <= 0 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
            raise ValueError("shares must be positive and add up to 1")
        return shares


class Flow(BaseModel):
    """The steps in their order, and how the result is divided."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)
    steps: tuple[Step, ...]
    split: SplitRule = SplitRule()

    @property
    def text_steps(self) -> tuple[TextStep, ...]:
        """Those that need no picture; they come first."""
        return tuple(step for step in self.steps if isinstance(step, TextStep))

    @property
    def picture_steps(self) -> tuple[PictureStep, ...]:
        """Those that need pictures."""
        return tuple(step for step in self.steps if isinstance(step, PictureStep))

    def document(self) -> dict[str, Any]:
        """The flow as its file would have it, with every setting written out."""
        steps = [{step.name: step.model_dump(mode="json")} for step in self.steps]
        return {"steps": steps, "split": self.split.model_dump(mode="json")}

    def fingerprint(self) -> str:
        """32 hex digits over all settings of the steps."""
        return settings_id({"steps": self.document()["steps"]})


def read_flow(path: Path | None = None) -> Flow:
    """The flow of a YAML file, or (None) the paper's.

    Raises:
        FlowProblem: unreadable, an unknown step or setting, a step twice, or a text step after one that needs pictures.
    """
    import yaml

    place = path or resource_path("datasets/flow.yaml")
    try:
        document = yaml.safe_load(place.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FlowProblem(
            f"The flow cannot be read: {error}", path=place, remedy="Give a YAML file with steps:."
        ) from error
    return flow_of(document, place)


def flow_of(document: Any, place: Path | None = None) -> Flow:
    """The flow that a document says.

    Raises:
        FlowProblem: as :func:`read_flow`.
    """
    if (
        not isinstance(document, dict)
        or not isinstance(document.get("steps"), list)
        or set(document) - {"steps", "split"}
    ):
        raise FlowProblem("A flow has steps: and may have split:.", path=place, remedy="See docs/datasets.md.")
    steps: list[Step] = []
    for entry in document["steps"]:
        name, settings = _named(entry, place)
        if name in (step.name for step in steps):
            raise FlowProblem(f"The step {name} comes twice.", path=place)
        try:
            steps.append(STEPS[name].model_validate(settings))
        except ValidationError as error:
            raise FlowProblem(f"The step {name} cannot be set so: {_words(error)}.", path=place) from error
        if isinstance(steps[-1], TextStep) and any(isinstance(step, PictureStep) for step in steps):
            raise FlowProblem(
                f"The step {name} needs no pictures and must come before those that do.", path=place,
                remedy="Move it up.",
            )  # fmt: skip
    try:
        return Flow(steps=tuple(steps), split=SplitRule.model_validate(document.get("split") or {}))
    except ValidationError as error:
        raise FlowProblem(f"The split cannot be made so: {_words(error)}.", path=place) from error


def _named(entry: Any, place: Path | None) -> tuple[str, dict[str, Any]]:
    if isinstance(entry, str):
        return _named({entry: None}, place)
    if isinstance(entry, dict) and len(entry) == 1:
        ((name, settings),) = entry.items()
    else:
        raise FlowProblem(f"{entry!r} is no step.", path=place, remedy="Write a step as '- name: {setting: value}'.")
    if name not in STEPS:
        raise FlowProblem(f"There is no step called {name}.", path=place, remedy=f"The steps are {', '.join(STEPS)}.")
    return name, settings or {}


def _words(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors())


class TextFlow:
    """The text steps at work on thread after thread."""

    def __init__(self, flow: Flow) -> None:
        self.counts = [StepCount(step.name) for step in flow.text_steps]
        self.dropped: list[tuple[str, str, str, str]] = []
        """Pair, source, step and reason of each pair that went."""
        self.formed = 0
        self._judges = [
            step.begin(lambda words, count=count: count.notes.update((words,)))  # type: ignore[misc]
            for step, count in zip(flow.text_steps, self.counts, strict=True)
        ]

    def run(self, pairs: list[Pair]) -> list[Pair]:
        """The pairs of one thread that pass every step."""
        self.formed += len(pairs)
        for judge, count in zip(self._judges, self.counts, strict=True):
            if not pairs:
                break
            verdicts = judge(pairs)
            for pair, why in zip(pairs, verdicts, strict=True):
                if why is not None:
                    self.dropped.append((pair.id, pair.source, count.name, why))
            pairs = sift(pairs, verdicts, count)
        return pairs
