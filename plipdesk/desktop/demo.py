"""Draws the very same window to files, for machines without a screen."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QEventLoop, QObject, QTimer

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.desktop.window import MainWindow
from plipdesk.engine import messages as m


class NotDrawn(EnvironmentProblem):
    """The window did not come to rest."""

    kind = "not-drawn"


def render(window: MainWindow, query_text: str, out_folder: Path, *, timeout_s: float) -> list[Path]:
    """Search by words, open the best hit, find what is similar to it; one picture of each, and close the window.

    Raises:
        EnvironmentProblem: why the engine cannot be started, or that the window did not come to rest in time.
    """
    out_folder.mkdir(parents=True, exist_ok=True)
    failures: list[m.Failed] = []
    window.link.start_failed.connect(failures.append)
    window.search.failed.connect(failures.append)
    waiter = _Waiter(failures, time.monotonic() + timeout_s)
    written = []
    try:
        window.show()
        waiter.wait(lambda: window.link.is_connected and bool(window.library.state.slides))
        window.search_for(query_text)
        waiter.wait(lambda: not window.search.busy and window.search.result is not None and window.store.idle)
        written.append(_save(window, out_folder / "1-search-by-words.png"))
        hits = window.search.result.hits if window.search.result is not None else ()
        if hits:
            canvas = window.viewer.canvas
            window.open_hit(hits[0])
            waiter.wait(lambda: canvas.at_rest() and window.store.idle)
            written.append(_save(window, out_folder / "2-viewer-at-the-best-hit.png"))
            canvas.box_in_the_middle()
            window.viewer.similar_action.trigger()
            waiter.wait(lambda: not window.search.busy and window.store.idle and canvas.at_rest())
            written.append(_save(window, out_folder / "3-find-similar.png"))
    finally:
        window.closing.close_now()
    return written


class _Waiter(QObject):
    """Lets the event loop run until something holds."""

    def __init__(self, failures: list[m.Failed], deadline_s: float) -> None:
        super().__init__()
        self._failures = failures
        self._deadline_s = deadline_s

    def wait(self, holds: Callable[[], bool]) -> None:
        loop = QEventLoop()
        timer = QTimer()
        timer.setInterval(30)
        # It has to hold twice in a row: what is seen for the first time asks for its picture only while it is drawn.
        held = 0

        def look() -> None:
            nonlocal held
            held = held + 1 if holds() else 0
            if held >= 3 or self._failures or time.monotonic() > self._deadline_s:
                loop.quit()

        timer.timeout.connect(look)
        timer.start()
        loop.exec()
        timer.stop()
        if self._failures:
            failure = self._failures[0]
            raise NotDrawn(failure.message, path=failure.path, remedy=failure.remedy)
        if held < 3:
            raise NotDrawn(
                "The window did not come to rest in time.", remedy="Try again when the machine is less busy."
            )


def _save(window: MainWindow, path: Path) -> Path:
    QCoreApplication.processEvents()
    window.grab().save(str(path))
    return path
