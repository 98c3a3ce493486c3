"""Encoders as the window knows them: which there are, which are at work, and what belongs to a job that brings one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from plipdesk.base.progress import Json
from plipdesk.catalogue.rows import CollectionRow, JobRow
from plipdesk.engine.messages import ModelEntry

MODEL_KINDS = ("import-model", "download-model", "export-model")
Action = Literal["use", "compare", "export", "remove", "download"]


@dataclass
class ModelsState:
    """The encoders: installed ones first, then those that are only known."""

    entries: tuple[ModelEntry, ...] = ()
    current: str = ""

    @property
    def installed(self) -> tuple[ModelEntry, ...]:
        """Those that can be used."""
        return tuple(entry for entry in self.entries if entry.installed)

    @property
    def known(self) -> tuple[ModelEntry, ...]:
        """Those that could be fetched, or not yet."""
        return tuple(entry for entry in self.entries if not entry.installed)

    def entry(self, model_id: str) -> ModelEntry | None:
        """The encoder of this id."""
        return next((entry for entry in self.entries if entry.id == model_id), None)

    def allowed(self, entry: ModelEntry) -> frozenset[Action]:
        """What can be done with an encoder."""
        if not entry.installed:
            return frozenset() if entry.obstacle is not None else frozenset({"download"})
        actions: set[Action] = {"use"}
        if len(self.installed) > 1:
            actions.add("compare")
        if not entry.embedded:
            actions |= {"export", "remove"}
        return frozenset(actions)

    def others(self, model_id: str) -> tuple[ModelEntry, ...]:
        """The installed ones but this."""
        return tuple(entry for entry in self.installed if entry.id != model_id)


def users_of(entry: ModelEntry, collections: tuple[CollectionRow, ...]) -> tuple[str, ...]:
    """Names of the collections that have chosen an encoder."""
    return tuple(row.name for row in collections if row.encoder == entry.id)


def target_of(job: JobRow) -> str:
    """What a job that brings or carries an encoder is about: the file's name, or the encoder's id."""
    named: Json = job.params.get("path") if job.kind == "import-model" else job.params.get("id")
    return str(named or "")


def needs_architecture(path: str) -> bool:
    """Whether a file is bare weights, which do not say what network they are for."""
    return path.lower().endswith((".pt", ".pth", ".bin", ".ckpt", ".safetensors"))
