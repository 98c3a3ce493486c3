"""Patches of a class in a grid, to be corrected by keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QKeyEvent, QPixmap
from PySide6.QtWidgets import QAbstractItemView, QListView, QListWidget, QListWidgetItem, QWidget

from plipdesk.desktop.pictures import PictureStore
from plipdesk.desktop.theme import Theme
from plipdesk.engine import messages as m

SIDE_PX = 96


@dataclass(frozen=True)
class PatchShown:
    """A patch by its number, where it lies, and the words below it; ``spoken`` is read aloud."""

    patch: int
    request: m.ReadRegion
    words: str
    spoken: str


def patch_request(path: str, x0_px: int, y0_px: int, size0_px: float, ratio: float) -> m.ReadRegion:
    """What draws a patch's picture."""
    pixels = max(1, round(SIDE_PX * ratio))
    return m.ReadRegion(path, x0_px, y0_px, size0_px, size0_px, pixels, pixels)


class PatchGrid(QListWidget):
    """At most a few dozen patches of one slide. 1 to 9 name a class, 0 none of them, Backspace takes back."""

    opened = Signal(int)
    digit_pressed = Signal(list, int)
    taken_back = Signal(list)

    def __init__(self, store: PictureStore, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._store = store
        self._theme = theme
        self._shown: list[PatchShown] = []
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setMovement(QListView.Movement.Static)
        self.setUniformItemSizes(True)
        self.setWordWrap(True)
        self.setIconSize(QSize(SIDE_PX, SIDE_PX))
        self.setGridSize(QSize(SIDE_PX + 14, SIDE_PX + 2 * self.fontMetrics().height() + 12))
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setAccessibleName(self.tr("Patches to look at"))
        self.setToolTip(self.tr("1 to 9: the patch is of that class; 0: none of these; Backspace: take it back"))
        self.itemActivated.connect(lambda item: self.opened.emit(self._shown[self.row(item)].patch))
        store.arrived.connect(self._picture_arrived)

    def show_patches(self, shown: Sequence[PatchShown]) -> None:
        """Other patches, or the same ones with other words; then what is chosen stays."""
        if [one.patch for one in shown] == [one.patch for one in self._shown]:
            self._shown = list(shown)
            for row, one in enumerate(shown):
                item = self.item(row)
                item.setText(one.words)
                item.setData(Qt.ItemDataRole.AccessibleTextRole, one.spoken)
            return
        self.clear()
        self._shown = list(shown)
        for one in shown:
            item = QListWidgetItem(self._icon(one), one.words)
            item.setTextAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
            item.setData(Qt.ItemDataRole.AccessibleTextRole, one.spoken)
            self.addItem(item)
        if shown:
            self.setCurrentRow(0)
            self.scrollToTop()

    def chosen(self) -> list[int]:
        """The patches that are selected, or else the current one."""
        rows = sorted(index.row() for index in self.selectedIndexes()) or [self.currentRow()]
        return [self._shown[row].patch for row in rows if row >= 0]

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Digits correct what is chosen and go on to the next; all else is the list's."""
        chosen = self.chosen()
        if event.text().isdecimal() and chosen:
            last = max((index.row() for index in self.selectedIndexes()), default=self.currentRow())
            self.digit_pressed.emit(chosen, int(event.text()))
            if last + 1 < self.count():
                self.setCurrentRow(last + 1)
        elif event.key() in (Qt.Key.Key_Backspace, Qt.Key.Key_Delete) and chosen:
            self.taken_back.emit(chosen)
        else:
            super().keyPressEvent(event)

    def _icon(self, one: PatchShown) -> QIcon:
        pixmap = self._store.picture(one.request)
        if pixmap is None:
            pixmap = QPixmap(SIDE_PX, SIDE_PX)
            pixmap.fill(QColor(self._theme.colours.placeholder))
        return QIcon(pixmap)

    def _picture_arrived(self, request: object) -> None:
        for row, one in enumerate(self._shown):
            if one.request == request:
                self.item(row).setIcon(self._icon(one))
