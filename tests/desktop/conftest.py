"""A window on a fake engine, with Qt's warnings as errors and no thread left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

from plipdesk.base.paths import Workspace
from plipdesk.desktop.main import Desk, open_desk
from plipdesk.desktop.window import MainWindow
from tests.desktop.fakes import FakeEngine, FakeReader


@pytest.fixture(scope="session")
def qapp_cls() -> type[QApplication]:
    """The style that the application uses."""
    QApplication.setStyle("Fusion")
    return QApplication


@pytest.fixture(autouse=True)
def qt_warnings_are_errors() -> Iterator[None]:
    """Whatever Qt complains about fails the test."""
    said: list[str] = []
    # The offscreen platform has no native sizes to propagate, no windows to raise and no keyboard, and says so.
    harmless = (
        "This plugin does not support propagateSizeHints()",
        "This plugin does not support raise()",
        "This plugin does not support grabbing the keyboard",
    )

    def note(_kind: Any, _context: Any, text: str) -> None:
        if text not in harmless:
            said.append(text)

    before = qInstallMessageHandler(note)
    yield
    qInstallMessageHandler(before)
    assert not said


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Closing a window ends its threads."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before and thread.is_alive()]
    assert not left


@pytest.fixture
def engine() -> FakeEngine:
    """A workspace without slides."""
    return FakeEngine()


@pytest.fixture
def reader() -> FakeReader:
    """A reader that can read everything."""
    return FakeReader()


@pytest.fixture
def make_window(
    qtbot: Any, qapp: QApplication, engine: FakeEngine, reader: FakeReader, tmp_path: Path
) -> Iterator[Callable[[], MainWindow]]:
    """Makes and shows a window on the workspace at ``tmp_path``, connected unless told otherwise."""
    desks: list[Desk] = []

    def make(*, connected: bool = True, width: int = 1280, height: int = 800) -> MainWindow:
        desk = open_desk(
            qapp, Workspace(tmp_path / "workspace"), theme="light", open_engine=engine.open, open_reader=reader.open
        )
        desks.append(desk)
        window = desk.window
        window.resize(width, height)
        window.show()
        qtbot.waitExposed(window)
        if connected:
            qtbot.waitUntil(lambda: window.link.is_connected and window.library.encoder is not None)
        return window

    yield make
    for desk in desks:
        close(desk.window)


@pytest.fixture
def window(make_window: Callable[[], MainWindow]) -> MainWindow:
    """A window without slides."""
    return make_window()


def close(window: MainWindow) -> None:
    """Close for good, whatever runs, and let Qt delete it."""
    window.closing.close_now()
    window.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
