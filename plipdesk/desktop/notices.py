"""Messages that do not get in the way: a bar with what happened, to which file, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from plipdesk.desktop.theme import Theme
from plipdesk.engine import messages as m

Level = Literal["info", "warning", "error"]
MOST_AT_ONCE = 3


class Notice(QFrame):
    """One message. ``key`` names what it is about: a new one about the same takes its place."""

    def __init__(self, key: str, level: Level, text: str, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.key = key
        self.text = text
        self.setObjectName("notice")
        self.setProperty("level", level)
        self.setAccessibleName(text)
        label = QLabel(text)
        label.setWordWrap(True)
        label.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        label.setTextFormat(Qt.TextFormat.PlainText)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(12, 6, 6, 6)
        self._row.addWidget(label, 1)
        self.close_button = QToolButton()
        self.close_button.setAutoRaise(True)
        self.close_button.setIcon(theme.icon("close"))
        self.close_button.setToolTip(self.tr("Dismiss this message"))
        self.close_button.setAccessibleName(self.tr("Dismiss this message"))
        self._row.addWidget(self.close_button, 0, Qt.AlignmentFlag.AlignTop)

    def add_action(self, text: str, action: Callable[[], None]) -> QPushButton:
        """A button beside the message."""
        button = QPushButton(text)
        button.clicked.connect(lambda: action())
        self._row.insertWidget(self._row.count() - 1, button)
        return button


class NoticeBar(QWidget):
    """A stack of messages above the content; the oldest go when there are too many."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._notices: dict[str, Notice] = {}
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(1)
        self.hide()

    def say(
        self,
        key: str,
        level: Level,
        text: str,
        *,
        action: tuple[str, Callable[[], None]] | None = None,
        closable: bool = True,
    ) -> Notice:
        """Show a message; one with the same key is replaced. Its action takes the message away."""
        self.take_back(key)
        while len(self._notices) >= MOST_AT_ONCE:
            self.take_back(next(iter(self._notices)))
        notice = Notice(key, level, text, self._theme, self)
        notice.close_button.setVisible(closable)
        notice.close_button.clicked.connect(lambda: self.take_back(key))
        if action is not None:
            words, do = action

            def act() -> None:
                self.take_back(key)
                do()

            notice.add_action(words, act)
        self._notices[key] = notice
        self._column.addWidget(notice)
        self.show()
        return notice

    def failure(self, failure: m.Failed, *, key: str | None = None) -> Notice:
        """Show what a refusal says: message, file and remedy."""
        level: Level = "warning" if failure.kind in ("usage", "not-found") else "error"
        return self.say(key or f"failure:{failure.message}", level, failure_text(failure))

    def take_back(self, key: str) -> None:
        """Remove the message with this key, if it is there."""
        notice = self._notices.pop(key, None)
        if notice is not None:
            self._column.removeWidget(notice)
            notice.hide()
            notice.deleteLater()
        self.setVisible(bool(self._notices))

    def texts(self) -> list[str]:
        """What is shown now."""
        return [notice.text for notice in self._notices.values()]


def failure_text(failure: m.Failed) -> str:
    """What happened, to which file, and what to do next."""
    text = failure.message
    if failure.path and failure.path not in text:
        text = f"{text} ({failure.path})"
    return f"{text} {failure.remedy}" if failure.remedy else text
