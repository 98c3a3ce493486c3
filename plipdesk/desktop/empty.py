"""What an empty place says: why it is empty, and what to do."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from plipdesk.desktop.theme import Theme

ICON_PX = 56


class EmptyState(QWidget):
    """An icon, a sentence, a smaller one, and at most one button."""

    def __init__(self, theme: Theme, icon: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._icon_name = icon
        self._act: Callable[[], None] | None = None
        self._icon = QLabel()
        self._icon.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.title = QLabel()
        self.title.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.title.setWordWrap(True)
        self.title.setObjectName("panelTitle")
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self.text = QLabel()
        self.text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.text.setWordWrap(True)
        self.text.setObjectName("muted")
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.button = QPushButton()
        self.button.setObjectName("primaryButton")
        self.button.clicked.connect(lambda: self._act() if self._act is not None else None)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 24, 24, 24)
        column.setSpacing(10)
        column.addStretch(1)
        column.addWidget(self._icon)
        column.addWidget(self.title)
        column.addWidget(self.text)
        column.addWidget(self.button, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(2)
        theme.changed.connect(self._dress)
        self._dress()

    def say(self, title: str, text: str = "", action: tuple[str, Callable[[], None]] | None = None) -> None:
        """Show another text."""
        self.title.setText(title)
        self.text.setText(text)
        self.text.setVisible(bool(text))
        self.button.setVisible(action is not None)
        self._act = None if action is None else action[1]
        if action is not None:
            self.button.setText(action[0])
            self.button.setAccessibleName(action[0])

    def _dress(self) -> None:
        ratio = self.devicePixelRatioF()
        pixmap = self._theme.picture(self._icon_name, round(ICON_PX * ratio), self._theme.colours.muted)
        pixmap.setDevicePixelRatio(ratio)
        self._icon.setPixmap(pixmap)
