"""Log files of a workspace's processes: rotating, readable by a person, and without a word about patients.

Slides' file names may hold names of patients, so what an error says is cut down before it is written: everything in
quotes and everything that looks like a path is left out, and tracebacks hold lines of code only.
"""

from __future__ import annotations

import faulthandler
import logging
import re
import sys
import threading
import traceback
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Any

from plipdesk.base.errors import Bug
from plipdesk.base.files import disk_problems_in_words
from plipdesk.base.paths import Workspace

LOGGER = logging.getLogger("plipdesk")
_MAX_BYTES = 1_000_000
_KEPT = 3
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|‘[^’]*’")
_PATH = re.compile(r"(?:[A-Za-z]:\\|\\\\|/)\S+")


def without_names(text: str) -> str:
    """``text`` without what is quoted and without paths, since either may name a patient."""
    return _PATH.sub("…", _QUOTED.sub("…", text))


class _PrivateFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(processName)s %(threadName)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the name that logging calls
        record.message = without_names(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802  the name that logging calls
        kind, error, trace = ei
        return _described(kind, error, trace)


def _described(kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> str:
    lines = [
        f'  File "{Path(frame.filename).name}", line {frame.lineno}, in {frame.name}'
        for frame in traceback.extract_tb(trace)
    ]
    name = kind.__name__ if kind is not None else "Error"
    cause = error.__cause__ if error is not None else None
    text = "\n".join([*lines, f"{name}: {without_names(str(error))}"])
    return f"{_described(type(cause), cause, cause.__traceback__)}\ncaused\n{text}" if cause is not None else text


class ProcessLog:
    """The log of this process; from its start on, no error ends on the screen."""

    def __init__(self, workspace: Workspace, process: str) -> None:
        self.path = workspace.logs / f"{process}.log"
        with disk_problems_in_words(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handler = RotatingFileHandler(self.path, maxBytes=_MAX_BYTES, backupCount=_KEPT, encoding="utf-8")
            self._crashes = self.path.with_suffix(".crash.log").open("ab", buffering=0)
        handler.setFormatter(_PrivateFormatter())
        logging.getLogger().addHandler(handler)
        LOGGER.setLevel(logging.INFO)
        logging.captureWarnings(True)
        logging.raiseExceptions = False
        # What native code does at its end can only be written by C code: function names and lines, no values.
        faulthandler.enable(self._crashes)
        sys.excepthook = self._uncaught
        threading.excepthook = self._uncaught_in_thread

    def bug(self, error: BaseException) -> Bug:
        """Write down an error that nobody foresaw; returns what a person is told of it."""
        LOGGER.error("Not foreseen", exc_info=error)
        return Bug(
            "Something went wrong inside plipdesk that never should.",
            path=self.path,
            remedy="Please report it, with this log file; it names no patient.",
        )

    def _uncaught(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        LOGGER.critical("Uncaught", exc_info=(kind, error, trace))

    def _uncaught_in_thread(self, hook: threading.ExceptHookArgs) -> None:
        if hook.exc_value is not None:
            LOGGER.critical("Uncaught", exc_info=(hook.exc_type, hook.exc_value, hook.exc_traceback))
