"""The root of every error that plipdesk raises.

::

    PlipdeskError
    ├── EnvironmentProblem      the person, or whoever keeps the machine, can do something about it
    │   ├── UsageProblem        the command or request itself is wrong (exit code 2)
    │   └── …                   one branch per room: SlideProblem, EncoderProblem, …
    ├── Bug                     plipdesk is wrong: report it
    ├── Cancelled               a person asked to stop
    └── Paused                  a person asked to wait; the work goes on later

An error is met as three things: what happened (``message``), to which file (``path``), what to do next (``remedy``).
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar


class PlipdeskError(Exception):
    """What happened, to which file, and what to do next, each in one plain sentence."""

    kind: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, *, path: Path | str | None = None, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = None if path is None else str(path)
        self.remedy = remedy

    def document(self) -> dict[str, str | None]:
        """The error as the command line's ``--json`` shows it: kind, message, path and remedy."""
        return {"kind": self.kind, "message": self.message, "path": self.path, "remedy": self.remedy}

    def __str__(self) -> str:
        text = self.message
        if self.path and self.path not in text:
            text = f"{text} ({self.path})"
        return f"{text} {self.remedy}" if self.remedy else text


class EnvironmentProblem(PlipdeskError):
    """Something outside plipdesk is not as it must be: a file, a disk, a setting, a request."""

    kind = "environment"


class UsageProblem(EnvironmentProblem):
    """The command or request itself is wrong."""

    kind = "usage"
    exit_code = 2


class NotFound(EnvironmentProblem):
    """A file, slide, encoder, collection or job that was named does not exist."""

    kind = "not-found"


class Bug(PlipdeskError):
    """plipdesk did something that it never should."""

    kind = "bug"


class Cancelled(PlipdeskError):
    """A person asked to stop; committed work is kept."""

    kind = "cancelled"
    exit_code = 130

    def __init__(self, message: str = "Stopped on request; finished work is kept.") -> None:
        super().__init__(message)


class Paused(PlipdeskError):
    """A person asked the job to wait; it goes on later from what is committed."""

    kind = "paused"

    def __init__(self, message: str = "Paused on request; finished work is kept.") -> None:
        super().__init__(message)
