"""Building a label set: a row for each class."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QCheckBox,
    QColorDialog,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from plipdesk.base.progress import Json

NAME, COLOUR, SYNONYMS, PROMPTS, PARENT = range(5)


class LabelSetDialog(QDialog):
    """Edits the document of a label set; what it does not show (ways of asking, thresholds) stays as it was."""

    def __init__(self, document: dict[str, Json], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Label set"))
        self._document = document
        self.name = QLineEdit(str(document.get("name", "")))
        self.templates = QLineEdit("; ".join(document.get("templates", ())))
        self.templates.setPlaceholderText(self.tr("{} stands for the class; several are parted by ;"))
        self.none = QCheckBox(self.tr("A patch may be none of these"))
        self.none.setChecked(bool(document.get("none_of_these")))
        form = QFormLayout()
        form.addRow(self.tr("Name"), self.name)
        form.addRow(self.tr("Templates"), self.templates)
        form.addRow("", self.none)
        self.table = QTableWidget(0, 5)
        self.table.setHorizontalHeaderLabels(
            [self.tr("Class"), self.tr("Colour"), self.tr("Other words"), self.tr("Prompts"), self.tr("Part of")]
        )
        self.table.setAccessibleName(self.tr("Classes"))
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSectionResizeMode(SYNONYMS, QHeaderView.ResizeMode.Stretch)
        self.table.horizontalHeader().setSectionResizeMode(PROMPTS, QHeaderView.ResizeMode.Stretch)
        self.table.cellDoubleClicked.connect(self._choose_colour)
        for one in document.get("classes", ()):
            self._add(one)
        self.table.resizeColumnToContents(NAME)
        add = QPushButton(self.tr("Add a class"))
        add.clicked.connect(lambda: self._add({"name": ""}, edit=True))
        remove = QPushButton(self.tr("Remove"))
        remove.clicked.connect(self._remove)
        buttons = QHBoxLayout()
        buttons.addWidget(add)
        buttons.addWidget(remove)
        buttons.addStretch(1)
        hint = QLabel(self.tr("A name suffices. Several words or prompts are parted by ;"))
        hint.setObjectName("muted")
        hint.setWordWrap(True)
        self.box = QDialogButtonBox(QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel)
        self.box.accepted.connect(self.accept)
        self.box.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addWidget(self.table, 1)
        column.addLayout(buttons)
        column.addWidget(hint)
        column.addWidget(self.box)
        self.resize(760, 520)
        self.name.textChanged.connect(self._check)
        self.table.itemChanged.connect(lambda _: self._check())
        self._check()

    def _add(self, one: dict[str, Any], *, edit: bool = False) -> None:
        row = self.table.rowCount()
        self.table.insertRow(row)
        texts = (
            one.get("name", ""), "", "; ".join(one.get("synonyms", ())), "; ".join(one.get("prompts", ())),
            one.get("parent") or "",
        )  # fmt: skip
        for place, text in enumerate(texts):
            self.table.setItem(row, place, QTableWidgetItem(str(text)))
        self._cell(row, NAME).setData(Qt.ItemDataRole.UserRole, one)
        swatch = self._cell(row, COLOUR)
        swatch.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
        swatch.setToolTip(self.tr("Double-click to choose a colour"))
        if one.get("colour"):
            swatch.setBackground(QColor(one["colour"]))
            swatch.setData(Qt.ItemDataRole.UserRole, one["colour"])
        if edit:
            self.table.setCurrentCell(row, NAME)
            self.table.editItem(self._cell(row, NAME))

    def _remove(self) -> None:
        for row in sorted({index.row() for index in self.table.selectedIndexes()}, reverse=True):
            self.table.removeRow(row)
        self._check()

    def _choose_colour(self, row: int, column: int) -> None:
        if column != COLOUR:
            return
        swatch = self._cell(row, COLOUR)
        before = QColor(swatch.data(Qt.ItemDataRole.UserRole) or "#808080")
        colour = QColorDialog.getColor(before, self, self.tr("Colour of the class"))
        if colour.isValid():
            swatch.setBackground(colour)
            swatch.setData(Qt.ItemDataRole.UserRole, colour.name())

    def _check(self) -> None:
        named = [self._text(row, NAME) for row in range(self.table.rowCount())]
        ready = (
            bool(self.name.text().strip())
            and any(named)
            and len({n.casefold() for n in named if n}) == len([n for n in named if n])
        )
        self.box.button(QDialogButtonBox.StandardButton.Save).setEnabled(ready)

    def _text(self, row: int, column: int) -> str:
        return self._cell(row, column).text().strip()

    def _cell(self, row: int, column: int) -> QTableWidgetItem:
        """The cell, which is made where it is missing."""
        item = self.table.item(row, column)
        if item is None:
            item = QTableWidgetItem("")
            self.table.setItem(row, column, item)
        return item

    def document(self) -> dict[str, Json]:
        """The label set as edited."""
        classes = []
        for row in range(self.table.rowCount()):
            if not self._text(row, NAME):
                continue
            before: dict[str, Any] = self._cell(row, NAME).data(Qt.ItemDataRole.UserRole) or {}
            classes.append(
                {
                    **before,
                    "name": self._text(row, NAME),
                    "colour": self._cell(row, COLOUR).data(Qt.ItemDataRole.UserRole),
                    "synonyms": _parts(self._text(row, SYNONYMS)),
                    "prompts": _parts(self._text(row, PROMPTS)),
                    "parent": self._text(row, PARENT) or None,
                }
            )
        return {
            **self._document, "name": self.name.text().strip(), "templates": _parts(self.templates.text()),
            "none_of_these": self.none.isChecked(), "classes": classes,
        }  # fmt: skip


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]
