"""Asks once which channels of a file to look at, where it is no 8-bit colour picture."""

from __future__ import annotations

from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QLabel,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from plipdesk.desktop.state.channels import ChannelAnswer
from plipdesk.desktop.state.jobs import short_name


class ChannelDialog(QDialog):
    """One question about one file; :meth:`answer` is valid once the dialog was accepted."""

    def __init__(self, path: str, channels: tuple[str, ...], parent: QWidget | None = None) -> None:
        """Offer ``channels``, in words, by their number."""
        super().__init__(parent)
        self.path = path
        self.setWindowTitle(self.tr("Channels"))
        question = QLabel(
            self.tr(
                "The file {name} is no 8-bit colour picture. Which of its channels do you want to look at and search?"
            ).format(name=short_name(path))
        )
        question.setWordWrap(True)
        self.grey = QRadioButton(self.tr("One, in grey"))
        self.colour = QRadioButton(self.tr("Three, in colours"))
        self.one = _choice(channels, 0, self.tr("Channel shown in grey"))
        names = (self.tr("Red"), self.tr("Green"), self.tr("Blue"))
        self.three = [_choice(channels, number, name) for number, name in enumerate(names)]
        grid = QGridLayout()
        grid.setColumnStretch(2, 1)
        grid.addWidget(self.grey, 0, 0, 1, 2)
        grid.addWidget(self.one, 0, 2)
        grid.addWidget(self.colour, 1, 0, 1, 3)
        for row, (name, box) in enumerate(zip(names, self.three, strict=True), start=2):
            label = QLabel(name)
            label.setBuddy(box)
            grid.addWidget(label, row, 1)
            grid.addWidget(box, row, 2)
        for box in self.three:
            box.activated.connect(lambda _: self.colour.setChecked(True))
        self.one.activated.connect(lambda _: self.grey.setChecked(True))
        self.colour.setEnabled(len(channels) >= len(names))
        for box in self.three:
            box.setEnabled(len(channels) >= len(names))
        (self.colour if len(channels) >= len(names) else self.grey).setChecked(True)
        self.folder = QCheckBox(self.tr("Use them for all such files in this folder"))
        self.folder.setToolTip(self.tr("Also for files that are added from this folder later in this session"))
        buttons = QDialogButtonBox()
        use = buttons.addButton(self.tr("Index these channels"), QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.addButton(self.tr("Not now"), QDialogButtonBox.ButtonRole.RejectRole)
        use.setDefault(True)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setSpacing(10)
        column.addWidget(question)
        column.addLayout(grid)
        column.addWidget(self.folder)
        column.addWidget(buttons)
        self.setMinimumWidth(self.fontMetrics().averageCharWidth() * 60)

    def answer(self) -> ChannelAnswer:
        """The channels chosen, and whether they hold for the folder."""
        boxes = self.three if self.colour.isChecked() else [self.one]
        return ChannelAnswer(tuple(box.currentIndex() for box in boxes), self.folder.isChecked())


def _choice(channels: tuple[str, ...], first: int, name: str) -> QComboBox:
    box = QComboBox()
    box.addItems(list(channels))
    box.setCurrentIndex(min(first, len(channels) - 1))
    box.setAccessibleName(name)
    return box
