"""The edge of the window's process: what nobody foresaw goes into a report that the person can read."""

from __future__ import annotations

import platform
import sys
import threading
import traceback
from datetime import datetime
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QObject, Signal, qVersion

from plipdesk import __version__
from plipdesk.base.paths import Workspace

MOST_REPORTS = 20
"""An error in a loop must not fill the disk."""


class CrashReporter(QObject):
    """Writes a report into the workspace's logs and tells in one sentence; nothing is ever sent."""

    happened = Signal(str)
    """One sentence for the person, on the window's thread."""

    def __init__(self, workspace: Workspace, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._written = 0
        self._before = (sys.excepthook, threading.excepthook)

    def install(self) -> None:
        """Catch what escapes any thread of this process."""
        sys.excepthook = self.report
        threading.excepthook = lambda args: self.report(args.exc_type, args.exc_value, args.exc_traceback)

    def uninstall(self) -> None:
        """As it was before."""
        sys.excepthook, threading.excepthook = self._before

    def report(self, kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        """Write a report about an error and tell the person."""
        if issubclass(kind, KeyboardInterrupt):
            self._before[0](kind, error or kind(), trace)
            return
        path = self._write("".join(traceback.format_exception(kind, error, trace)))
        if path is None:
            self.happened.emit(self.tr("Something went wrong inside plipdesk. Your slides and index are safe."))
            return
        self.happened.emit(
            self.tr(
                "Something went wrong inside plipdesk. Your slides and index are safe; a report lies in {path}."
            ).format(path=path)
        )

    def _write(self, text: str) -> Path | None:
        self._written += 1
        if self._written > MOST_REPORTS:
            return None
        now = datetime.now().astimezone()
        path = self._workspace.logs / f"crash-{now:%Y%m%d-%H%M%S}-{self._written}.txt"
        about = f"plipdesk {__version__}, Qt {qVersion()}, Python {platform.python_version()}, {platform.platform()}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{now.isoformat()}\n{about}\n\n{text}", encoding="utf-8")
        except OSError:
            return None
        return path
