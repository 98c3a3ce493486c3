"""The menus: every action with its key, made in one place."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMenu

from plipdesk.desktop.theme import Choice

if TYPE_CHECKING:
    from plipdesk.desktop.window import MainWindow


def _tr(text: str) -> str:
    return QCoreApplication.translate("menus", text)


def fill_menus(window: MainWindow) -> None:
    """Put every action into the window's menu bar."""
    bar = window.menuBar()
    file = bar.addMenu(_tr("&File"))
    _add(window, file, _tr("&Open slides…"), "Ctrl+O", window.choose_files)
    _add(window, file, _tr("Open a &folder…"), "Ctrl+Shift+O", window.choose_folder)
    file.addSeparator()
    _add(window, file, _tr("&Quit"), "Ctrl+Q", window.close)
    edit = bar.addMenu(_tr("&Search"))
    _add(window, edit, _tr("&Words"), "Ctrl+F", window.focus_search)
    _add(window, edit, _tr("&Paste a picture to search with"), "Ctrl+V", window.examples.with_clipboard)
    _add(window, edit, _tr("Search &again"), "F5", window.search.search)
    _add(window, edit, _tr("&Clear"), "Ctrl+L", window.clear_search)
    encoder = bar.addMenu(_tr("&Encoder"))
    _add(window, encoder, _tr("&Manage encoders…"), "Ctrl+E", window.manage_encoders)
    view = bar.addMenu(_tr("&View"))
    for dock, key in ((window.library_dock, "F9"), (window.jobs_dock, "F10"), (window.labels_dock, "F7")):
        toggle = dock.toggleViewAction()
        toggle.setShortcut(QKeySequence(key))
        view.addAction(toggle)
    window.viewer_action = _add(window, view, _tr("&Viewer"), "F8", window.toggle_viewer)
    window.viewer_action.setCheckable(True)
    _add(window, view, _tr("&Full screen"), "F11", window.toggle_full_screen)
    view.addSeparator()
    _add_themes(window, view)
    viewer = bar.addMenu(_tr("&Slide"))
    for group in window.viewer.menu_groups():
        viewer.addActions(group)
        viewer.addSeparator()
    help_menu = bar.addMenu(_tr("&Help"))
    _add(window, help_menu, _tr("&Keys"), "F1", window.show_keys)
    _add(window, help_menu, _tr("&About plipdesk"), "", window.show_about)


def _add(window: MainWindow, menu: QMenu, text: str, key: str, do: Callable[[], object]) -> QAction:
    action = QAction(text, window)
    if key:
        action.setShortcut(QKeySequence(key))
    action.triggered.connect(lambda: do())
    menu.addAction(action)
    return action


def _add_themes(window: MainWindow, menu: QMenu) -> None:
    group = QActionGroup(window)
    choices: tuple[tuple[Choice, str], ...] = (
        ("system", _tr("Colours of the &system")),
        ("light", _tr("&Light")),
        ("dark", _tr("&Dark")),
    )
    for choice, text in choices:
        action = _add(window, menu, text, "", partial(window.choose_theme, choice))
        action.setCheckable(True)
        action.setChecked(window.theme.choice == choice)
        group.addAction(action)


def keys(window: MainWindow) -> list[tuple[str, str]]:
    """Every key of the menus and of the viewer, with what it does."""
    lines = []
    for entry in window.menuBar().actions():
        menu = entry.menu()
        if not isinstance(menu, QMenu):
            continue
        for action in menu.actions():
            pressed = [key.toString(QKeySequence.SequenceFormat.NativeText) for key in action.shortcuts()]
            if pressed:
                lines.append(("  ".join(pressed), action.text().replace("&", "").rstrip("…")))
    lines.append((_tr("Arrows"), _tr("Move over the slide (with Shift: by a whole view)")))
    lines.append((_tr("Enter"), _tr("Open the chosen hit or slide")))
    return lines
