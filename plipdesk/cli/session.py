"""What every command shares: the workspace, how to speak, and how to reach the engine."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from plipdesk.base.paths import Workspace, workspace_at
from plipdesk.base.progress import Json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from plipdesk.catalogue.catalogue import Catalogue
    from plipdesk.engine.client import EngineClient


@dataclass(frozen=True)
class Session:
    """The settings of one call of the command line."""

    workspace: Workspace
    as_json: bool
    quiet: bool
    linger_s: float | None

    @classmethod
    def of(cls, workspace: Path | None, as_json: bool, quiet: bool, linger_s: float | None) -> Session:
        """A session from the global options."""
        return cls(workspace_at(workspace), as_json, quiet, linger_s)

    def answer(self, document: Mapping[str, Json]) -> None:
        """Print the answer as one JSON document on stdout."""
        sys.stdout.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
        sys.stdout.flush()

    def say(self, text: str) -> None:
        """Print a line of the answer as a person reads it."""
        sys.stdout.write(text + "\n")

    def remark(self, text: str) -> None:
        """Print a line beside the answer; on stderr where stdout carries JSON, nowhere with ``--quiet``."""
        if not self.quiet:
            (sys.stderr if self.as_json else sys.stdout).write(text + "\n")

    def _console(self) -> Console:
        """Where progress is drawn: always stderr, silent with ``--quiet``."""
        from rich.console import Console

        return Console(stderr=True, quiet=self.quiet)

    def progress_bar(self) -> Progress:
        """A bar on stderr with a field ``unit``, gone when it is done."""
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"), TimeRemainingColumn(),
        )  # fmt: skip
        return Progress(*columns, console=self._console(), transient=True)

    def table(self) -> Console:
        """Where tables for people are drawn: stdout."""
        from rich.console import Console

        # A pipe has no width; a wrapped table cannot be searched with grep.
        return Console() if sys.stdout.isatty() else Console(width=1000)

    def engine(self) -> EngineClient:
        """A connection to the workspace's engine, which is started where none runs."""
        from plipdesk.engine.client import EngineClient

        return EngineClient.connect(self.workspace, role="command", start=True, linger_s=self.linger_s)

    def catalogue(self) -> Catalogue | None:
        """The catalogue for reading, or None where there is no workspace yet."""
        from plipdesk.catalogue.catalogue import Catalogue

        if not self.workspace.catalogue.exists():
            return None
        return Catalogue.open(self.workspace, readonly=True)
