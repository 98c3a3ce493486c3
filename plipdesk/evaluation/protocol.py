"""Protocols: published evaluation procedures, each a versioned document in ``resources/protocols``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from plipdesk.base.errors import NotFound
from plipdesk.base.resources import resource_path
from plipdesk.evaluation.data import EvaluationProblem

Task = Literal["zero-shot", "linear-probe", "text-to-image", "image-to-image", "class-retrieval"]
TASK_WORDS: dict[Task, str] = {
    "zero-shot": "zero-shot classification",
    "linear-probe": "linear probing",
    "text-to-image": "text-to-image retrieval",
    "image-to-image": "image-to-image retrieval by post",
    "class-retrieval": "image-to-image retrieval by class",
}
ClassReader = Literal[
    "kather", "pannuke", "digestpath", "wsss4luad", "kimia", "mhist", "lc25000", "sicapv2", "pcam", "class-folders"
]
PairReader = Literal["captions", "pathpedia", "pubmed", "books", "twitter"]
_PAIR_TASKS = ("text-to-image", "image-to-image")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PaperFigure(_Strict):
    """A published figure: of which model, on how many pictures, with its 95 % interval where it was told."""

    model: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None


class Paper(_Strict):
    """What was published for this protocol."""

    source: str
    n: int | None = None
    figures: tuple[PaperFigure, ...] = ()


class Protocol(_Strict):
    """One evaluation procedure."""

    schema_version: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: str
    task: Task
    data: ClassReader | PairReader
    labels: str | None = None
    """The label set whose classes are asked for; None: the data set's own class names."""
    way: str | None = None
    """Which of the label set's published prompts; None: its first."""
    notes: tuple[str, ...] = ()
    paper: Paper | None = None

    @model_validator(mode="after")
    def _data_suits_the_task(self) -> Protocol:
        pairs = self.data in PairReader.__args__  # type: ignore[attr-defined]
        if pairs != (self.task in _PAIR_TASKS):
            raise ValueError(f"{self.task} cannot be done on {self.data}")
        return self


def read_protocol(path: Path) -> Protocol:
    """Read and check a protocol.

    Raises:
        EvaluationProblem: unreadable, or a field missing, unknown or out of range; the message names it.
    """
    try:
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Protocol.model_validate(document)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise EvaluationProblem("The protocol cannot be read.", path=path, remedy="Give a YAML protocol.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise EvaluationProblem(
            f"The protocol cannot be used: {place}: {first['msg']}.", path=path, remedy="Correct that field."
        ) from error


def shipped_protocols() -> list[Protocol]:
    """The protocols that come with plipdesk, by name."""
    return [read_protocol(path) for path in sorted(resource_path("protocols").glob("*.yaml"))]


def find_protocol(name: str) -> Protocol:
    """The shipped protocol called ``name``, or the one in a file of that path.

    Raises:
        NotFound: there is none.
        EvaluationProblem: it cannot be used.
    """
    if name.endswith((".yaml", ".yml")) and Path(name).is_file():
        return read_protocol(Path(name))
    path = resource_path("protocols") / f"{name}.yaml"
    if name != Path(name).name or not path.is_file():
        raise NotFound(f"There is no protocol called {name!r}.", remedy="See 'plipdesk evaluate list'.")
    return read_protocol(path)
