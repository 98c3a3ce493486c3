"""The way into the desktop application."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QSettings, QTimer
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication

from plipdesk import __version__
from plipdesk.base.paths import Workspace, workspace_at
from plipdesk.base.resources import resource_path
from plipdesk.desktop.crash import CrashReporter
from plipdesk.desktop.link import Line, Link
from plipdesk.desktop.theme import CHOICES, Choice, Theme
from plipdesk.desktop.window import MainWindow


@dataclass(frozen=True)
class Desk:
    """A window with what lives as long as it does."""

    application: QApplication
    window: MainWindow
    crashes: CrashReporter


def run(argv: Sequence[str] | None = None, *, workspace: Workspace | None = None) -> int:
    """Open the window and stay until it is closed; returns the exit code.

    ``argv`` begins with the program's name, as ``sys.argv`` does. ``workspace`` goes before ``--workspace``.
    """
    arguments = _parse(list(sys.argv if argv is None else argv))
    place = workspace or workspace_at(arguments.workspace)
    application = application_object(arguments.program)
    desk = open_desk(application, place, theme=arguments.theme)
    desk.crashes.install()
    window = desk.window
    if arguments.paths:
        paths = [str(Path(path).absolute()) for path in arguments.paths]
        window.painted.connect(lambda: window.add_paths(paths))
    if arguments.search:
        window.search_for(arguments.search)
    window.show()
    try:
        return application.exec()
    finally:
        desk.crashes.uninstall()


def open_desk(
    application: QApplication,
    workspace: Workspace,
    *,
    theme: Choice | None = None,
    open_engine: Callable[[], Line] | None = None,
    open_reader: Callable[[str], Line] | None = None,
) -> Desk:
    """Make the window; it connects to the engine (or to what ``open_engine`` gives) after its first paint."""
    settings = QSettings(str(workspace.root / "window.ini"), QSettings.Format.IniFormat)
    colours = Theme(application, theme or _stored_theme(settings))
    link = Link(open_engine or (lambda: _engine(workspace)), open_reader or _reader)
    window = MainWindow(link, colours, settings)
    link.setParent(window)
    colours.setParent(window)
    crashes = CrashReporter(workspace, window)
    crashes.happened.connect(lambda text: window.notices.say("crash", "error", text))
    window.painted.connect(link.start)
    return Desk(application, window, crashes)


def render_demo(
    workspace: Workspace,
    query_text: str,
    out_folder: Path,
    *,
    width_px: int = 1280,
    height_px: int = 800,
    theme: Choice = "light",
    timeout_s: float = 120.0,
) -> list[Path]:
    """Draw the window without a screen: hits by words, the viewer at the best hit, and hits like a region.

    Returns the pictures written. The workspace must hold indexed slides.

    Raises:
        EnvironmentProblem: the engine cannot be started, or the window did not come to rest within ``timeout_s``.
    """
    import os

    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from plipdesk.desktop.demo import render

    application = application_object("plipdesk")
    desk = open_desk(application, workspace, theme=theme)
    desk.window.resize(width_px, height_px)
    return render(desk.window, query_text, out_folder, timeout_s=timeout_s)


def _stored_theme(settings: QSettings) -> Choice:
    stored = settings.value("theme")
    for known in CHOICES:
        if known == stored:
            return known
    return "system"


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="plipdesk-desktop", description="Find tissue in whole-slide images.")
    parser.add_argument("--workspace", metavar="DIR", help="the folder that holds everything")
    parser.add_argument("--search", metavar="WORDS", help="search for these words at once")
    parser.add_argument("--theme", choices=CHOICES, help="colours, whatever was chosen before")
    parser.add_argument("--version", action="version", version=f"plipdesk {__version__}")
    parser.add_argument("paths", nargs="*", metavar="PATH", help="slides or folders to add")
    arguments = parser.parse_args(argv[1:])
    arguments.program = argv[0] if argv else "plipdesk"
    return arguments


def application_object(program: str) -> QApplication:
    """The one application object of this process."""
    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        return existing
    QApplication.setStyle("Fusion")
    application = QApplication([program])
    application.setApplicationName("plipdesk")
    application.setApplicationDisplayName("plipdesk")
    application.setDesktopFileName("plipdesk")
    application.setWindowIcon(QIcon(str(resource_path("icons/app.svg"))))
    _let_ctrl_c_through(application)
    return application


def _let_ctrl_c_through(application: QApplication) -> None:
    """Ctrl-C in the terminal closes the window: Python sees the signal only when its own code runs."""
    import signal

    def quit_now(*_: object) -> None:
        application.quit()

    signal.signal(signal.SIGINT, quit_now)
    timer = QTimer(application)
    timer.timeout.connect(lambda: None)
    timer.start(500)


def _engine(workspace: Workspace) -> Line:
    from plipdesk.engine.client import EngineClient

    return EngineClient.connect(workspace, role="window")


def _reader(address: str) -> Line:
    from plipdesk.engine.client import ReaderClient

    return ReaderClient.connect(address)


if __name__ == "__main__":
    sys.exit(run())
