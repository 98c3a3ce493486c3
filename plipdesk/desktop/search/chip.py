"""A removable part of the question: an example, or a filter."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QToolButton, QWidget

from plipdesk.desktop.elided import ElidedLabel
from plipdesk.desktop.theme import Theme

PICTURE_PX = 32


class Chip(QFrame):
    """A picture, some words, and a button that takes it off."""

    removed = Signal()

    def __init__(self, text: str, theme: Theme, *, picture: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("chip")
        self.text = text
        # With a parent from the start: shown without one it is a window for an instant, and takes the keyboard away.
        self._picture = QLabel(self)
        self._picture.setFixedSize(PICTURE_PX, PICTURE_PX)
        self._picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._picture.setVisible(picture)
        if picture:
            self._picture.setPixmap(theme.icon("image").pixmap(20, 20))
        label = ElidedLabel(text, Qt.TextElideMode.ElideMiddle)
        self.remove_button = QToolButton()
        self.remove_button.setAutoRaise(True)
        self.remove_button.setIcon(theme.icon("close"))
        self.remove_button.setToolTip(self.tr("Remove “{what}”").format(what=text))
        self.remove_button.setAccessibleName(self.tr("Remove “{what}”").format(what=text))
        self.remove_button.clicked.connect(self.removed)
        row = QHBoxLayout(self)
        row.setContentsMargins(4 if picture else 10, 3, 3, 3)
        row.setSpacing(6)
        row.addWidget(self._picture)
        row.addWidget(label)
        row.addWidget(self.remove_button)

    def set_picture(self, pixmap: QPixmap) -> None:
        """Show what the example looks like."""
        ratio = self.devicePixelRatioF()
        side = round(PICTURE_PX * ratio)
        scaled = pixmap.scaled(
            side,
            side,
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
        scaled.setDevicePixelRatio(ratio)
        self._picture.setPixmap(scaled)
