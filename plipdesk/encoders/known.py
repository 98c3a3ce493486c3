"""The catalogue of encoders that plipdesk knows of: what they are, what they may be used for, and how to get them."""

from __future__ import annotations

import functools
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from plipdesk.base.errors import NotFound
from plipdesk.base.resources import resource_path
from plipdesk.encoders.card import Sha256

_RESOURCE = "models/known.yaml"
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9*][A-Za-z0-9._*-]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KnownFile(_Strict):
    """A file to fetch: by its name, or the first of ``one_of`` that is there (``*`` stands for any letters)."""

    name: FileName | None = None
    one_of: tuple[FileName, ...] = ()
    optional: bool = False
    size_bytes: Annotated[int | None, Field(alias="bytes", ge=1)] = None
    sha256: Sha256 | None = None

    @model_validator(mode="after")
    def _is_named(self) -> KnownFile:
        if (self.name is None) == (not self.one_of):
            raise ValueError("a file has either a name or alternatives")
        if self.one_of and (self.sha256 or self.size_bytes):
            raise ValueError("only a file with one name has a known size and checksum")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The names it may have, the one to prefer first."""
        return (self.name,) if self.name is not None else self.one_of


class KnownModel(_Strict):
    """An encoder as publications and its own page describe it; what they do not say is None."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    name: str
    summary: str
    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    """Owner and name on the Hugging Face hub."""
    revision: Annotated[str | None, Field(pattern=r"^[0-9a-f]{40}$")] = None
    layout: Literal["huggingface", "open_clip", "checkpoint", "own"]
    checkpoint_architecture: str | None = None
    """open_clip's name of the architecture, for a bare checkpoint."""
    architecture: str
    dim: int | None = None
    input_px: int | None = None
    mpp_um: float | None = None
    context_length: int | None = None
    languages: tuple[str, ...] = ()
    licence: str
    licence_note: str | None = None
    gated: bool = False
    """Whether the authors let people in one by one, so that a token is needed."""
    obstacle: str | None = None
    """Why it cannot be downloaded and used; None where it can."""
    download_bytes: int | None = None
    files: tuple[KnownFile, ...] = ()
    paper: str | None = None
    scores: dict[str, float] = {}
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _can_be_fetched_or_says_why_not(self) -> KnownModel:
        if bool(self.files) == bool(self.obstacle):
            raise ValueError("a model has files to fetch or an obstacle")
        if (self.layout == "checkpoint") != (self.checkpoint_architecture is not None):
            raise ValueError("a bare checkpoint needs its architecture, nothing else does")
        return self


class _Catalogue(_Strict):
    schema_version: Literal[1]
    models: tuple[KnownModel, ...]

    @model_validator(mode="after")
    def _ids_are_unique(self) -> _Catalogue:
        if len({model.id for model in self.models}) != len(self.models):
            raise ValueError("two models have the same id")
        return self


@functools.lru_cache(maxsize=1)
def known_models() -> tuple[KnownModel, ...]:
    """Every encoder in the shipped catalogue, in its order."""
    import yaml

    return _Catalogue.model_validate(yaml.safe_load(resource_path(_RESOURCE).read_text(encoding="utf-8"))).models


def known_model(model_id: str) -> KnownModel:
    """The catalogue's entry of this id.

    Raises:
        NotFound: there is none.
    """
    for model in known_models():
        if model.id == model_id:
            return model
    raise NotFound(
        f"plipdesk knows of no encoder called {model_id!r}.",
        remedy="See 'plipdesk models list --known' for those it does.",
    )
