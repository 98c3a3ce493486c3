"""The list of encoders, in two groups: what is installed, and what is known."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from plipdesk.desktop.models import wording
from plipdesk.desktop.state.models import ModelsState
from plipdesk.engine.messages import ModelEntry

ID_ROLE = Qt.ItemDataRole.UserRole


class ModelList(QTreeWidget):
    """Encoders by group; the one chosen stays chosen when the list changes."""

    chosen = Signal(str)
    """Another encoder is looked at (its id)."""
    opened = Signal(str)
    """An encoder was double-clicked, or Enter was pressed on it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: list[QTreeWidgetItem] = []
        self.setColumnCount(2)
        self.setHeaderHidden(True)
        self.setRootIsDecorated(False)
        self.setIndentation(12)
        self.setUniformRowHeights(True)
        self.setAccessibleName(self.tr("Encoders"))
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.currentItemChanged.connect(lambda *_: self._tell())
        self.itemActivated.connect(lambda item, _: self._open(item))

    def current_id(self) -> str:
        """The encoder that is looked at; empty for none."""
        item = self.currentItem()
        return "" if item is None else str(item.data(0, ID_ROLE) or "")

    def show_state(self, state: ModelsState) -> None:
        """Show other encoders."""
        wanted = self.current_id() or state.current
        self.blockSignals(True)
        self.clear()
        self._rows = []
        for title, entries in ((self.tr("Installed"), state.installed), (self.tr("Known"), state.known)):
            if entries:
                group = QTreeWidgetItem([title])
                group.setFlags(Qt.ItemFlag.ItemIsEnabled)
                font = group.font(0)
                font.setBold(True)
                group.setFont(0, font)
                self.addTopLevelItem(group)
                rows = [self._row(entry, state.current) for entry in entries]
                group.addChildren(rows)
                self._rows += rows
                group.setExpanded(True)
        self.blockSignals(False)
        if not self.choose(wanted):
            self.choose(state.current)
        self._tell()

    def choose(self, model_id: str) -> bool:
        """Look at an encoder; returns whether it is there."""
        found = next((row for row in self._rows if row.data(0, ID_ROLE) == model_id), None)
        if found is not None:
            self.setCurrentItem(found)
        return found is not None

    def _row(self, entry: ModelEntry, current: str) -> QTreeWidgetItem:
        standing = wording.standing(entry, current)
        row = QTreeWidgetItem([entry.name, standing])
        row.setData(0, ID_ROLE, entry.id)
        row.setToolTip(0, entry.id)
        row.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        spoken = ", ".join(part for part in (entry.name, standing) if part)
        row.setData(0, Qt.ItemDataRole.AccessibleTextRole, spoken)
        row.setForeground(1, self.palette().placeholderText())
        return row

    def _tell(self) -> None:
        self.chosen.emit(self.current_id())

    def _open(self, item: QTreeWidgetItem) -> None:
        model_id = item.data(0, ID_ROLE)
        if model_id:
            self.opened.emit(str(model_id))
