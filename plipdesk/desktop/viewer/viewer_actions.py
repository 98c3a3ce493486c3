"""What can be done in the viewer, each with its key: one set of actions for menu, tool bar and keyboard."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QWidget

OBJECTIVE_KEYS = (("1", 1.0), ("5", 5.0), ("2", 20.0), ("4", 40.0))
TURN_DEG, FINE_TURN_DEG = 90.0, 5.0


def _tr(text: str) -> str:
    return QCoreApplication.translate("viewer", text)


def make_action(owner: QWidget, text: str, keys: str, do: Callable[[], object], *, switch: bool = False) -> QAction:
    """An action of ``owner`` and what lies in it; ``keys`` are separated by two blanks.

    ``switch``: it can be checked; ``do`` is then called by the person's clicks and keys only.
    """
    action = QAction(text, owner)
    action.setCheckable(switch)
    action.setShortcuts([QKeySequence(key) for key in keys.split("  ") if key])
    action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
    shown = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
    action.setToolTip(f"{text} ({shown})" if shown else text)
    action.triggered.connect(lambda *_: do())
    owner.addAction(action)
    return action


def objective_text(power: float) -> str:
    """What the action of an objective is called."""
    return _tr("Magnification {n}×").format(n=f"{power:g}")
