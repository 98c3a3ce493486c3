"""The legend and the table of a labelled slide in one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor, QIcon, QPixmap
from PySide6.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from plipdesk.base.progress import Json
from plipdesk.desktop import words

if TYPE_CHECKING:
    from plipdesk.desktop.state.labels import LabelledPatches

NUMBER_ROLE = Qt.ItemDataRole.UserRole
CLASS, PATCHES, AREA, SHARE = range(4)
SWATCH_PX = 12
ASK_NEXT = -1
"""Stands for the patches whose correction teaches most."""


class LegendTable(QTreeWidget):
    """A row for each class with its colour, key, patches, area and share; the largest first."""

    chosen = Signal(object)
    """The number of a class, :data:`ASK_NEXT`, or None."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._number: int | None = None
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setHeaderLabels([self.tr("Class"), self.tr("Patches"), self.tr("mm²"), self.tr("Share")])
        self.header().setStretchLastSection(False)
        self.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.header().setSectionResizeMode(CLASS, QHeaderView.ResizeMode.Stretch)
        self.setAccessibleName(self.tr("Legend and table of the classes"))
        self.currentItemChanged.connect(lambda item, _: self._choose(item))

    def show_rows(self, found: LabelledPatches | None, table: dict[str, Json], keys: Sequence[int]) -> None:
        """Other labels; the class that was chosen stays so, if it is still there."""
        current, self._number = self._number, None
        self.blockSignals(True)
        self.clear()
        chosen: QTreeWidgetItem | None = None
        if found is not None:
            rows = {row["name"]: row for row in table.get("classes", ())}
            chosen = QTreeWidgetItem([self.tr("To look at next")])
            chosen.setData(CLASS, NUMBER_ROLE, ASK_NEXT)
            chosen.setToolTip(CLASS, self.tr("Patches whose correction teaches most: unsure, and unlike each other"))
            self.addTopLevelItem(chosen)
            order = sorted(enumerate(found.names), key=lambda pair: -(rows.get(pair[1], {}).get("area_mm2") or 0.0))
            for number, name in order:
                row = rows.get(name)
                if row is not None and (row["patches"] or number < len(found.classes)):
                    item = self._row(number, row, found, keys)
                    self.addTopLevelItem(item)
                    chosen = item if number == current else chosen
        self.blockSignals(False)
        if chosen is not None:
            self.setCurrentItem(chosen)
        self._choose(chosen)

    def _row(self, number: int, row: dict[str, Json], found: LabelledPatches, keys: Sequence[int]) -> QTreeWidgetItem:
        share = "" if row["share"] is None else f"{100 * row['share']:.1f} %"
        key = f"{keys.index(number) + 1}  " if number in keys else ""
        item = QTreeWidgetItem([f"{key}{row['name']}", words.count(row["patches"]), f"{row['area_mm2']:.2f}", share])
        swatch = QPixmap(SWATCH_PX, SWATCH_PX)
        swatch.fill(QColor(found.colours[number]))
        item.setIcon(CLASS, QIcon(swatch))
        item.setData(CLASS, NUMBER_ROLE, number)
        item.setToolTip(CLASS, str(row["name"]))
        for column in (PATCHES, AREA, SHARE):
            item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if row["share_low"] is not None:
            low, high = f"{100 * row['share_low']:.1f}", f"{100 * row['share_high']:.1f}"
            item.setToolTip(SHARE, self.tr("{low} to {high} % (95 % interval over patches)").format(low=low, high=high))
        return item

    def _choose(self, item: QTreeWidgetItem | None) -> None:
        number = None if item is None else item.data(CLASS, NUMBER_ROLE)
        self._number = number
        self.chosen.emit(number)
