"""The slide list as an item model, and how a line is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import (
    QAbstractListModel,
    QMimeData,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPointF,
    QRect,
    QRectF,
    QSize,
    Qt,
    QUrl,
)
from PySide6.QtGui import QColor, QFont, QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from plipdesk.desktop import words
from plipdesk.desktop.pictures import PictureStore
from plipdesk.desktop.state.jobs import reason_text
from plipdesk.desktop.state.library import Entry
from plipdesk.desktop.theme import Theme
from plipdesk.engine import messages as m

ENTRY_ROLE = Qt.ItemDataRole.UserRole
THUMBNAIL_PX = 52
PAD_PX = 6
Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()


class LibraryModel(QAbstractListModel):
    """Lines by key; a change of one line is told as such, so that selection and scrolling stay."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.entries: list[Entry] = []

    def show(self, entries: Sequence[Entry]) -> None:
        """Another list; the same lines in the same order are only redrawn where they differ."""
        if [entry.key for entry in entries] != [entry.key for entry in self.entries]:
            self.beginResetModel()
            self.entries = list(entries)
            self.endResetModel()
            return
        for row, (old, new) in enumerate(zip(self.entries, entries, strict=True)):
            if old != new:
                self._replace(row, new)

    def show_share(self, job_id: int, share: float | None) -> None:
        """The one file or folder that a job works on has come further."""
        for row, entry in enumerate(self.entries):
            if entry.job_id == job_id and entry.share is not None and entry.share != share:
                self._replace(row, replace(entry, share=share))

    def row_of(self, key: str) -> int:
        """The row of a key, or -1."""
        return next((row for row, entry in enumerate(self.entries) if entry.key == key), -1)

    def row_at(self, path: str) -> int:
        """The row of a path, or -1."""
        return next((row for row, entry in enumerate(self.entries) if entry.path == path), -1)

    def rowCount(self, parent: Index = _ROOT) -> int:  # noqa: N802
        """How many lines."""
        return 0 if parent.isValid() else len(self.entries)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """The entry, its name, and what is read aloud."""
        if not index.isValid():
            return None
        entry = self.entries[index.row()]
        if role == ENTRY_ROLE:
            return entry
        if role == Qt.ItemDataRole.DisplayRole:
            return entry.name
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{entry.name}, {self.state_text(entry)}"
        if role == Qt.ItemDataRole.ToolTipRole:
            reason = reason_text(entry.reason, entry.remedy)
            return "\n".join(part for part in (entry.path, self.state_text(entry), reason) if part)
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Lines can be dragged onto the search bar."""
        return super().flags(index) | Qt.ItemFlag.ItemIsDragEnabled

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:  # noqa: N802
        """The files of the lines."""
        mime = QMimeData()
        mime.setUrls([QUrl.fromLocalFile(self.entries[index.row()].path) for index in indexes])
        return mime

    def state_text(self, entry: Entry) -> str:
        """What has become of a slide, in words."""
        if entry.state == "indexing":
            if entry.share is None:
                return self.tr("Indexing…")
            return self.tr("Indexing, {n} %").format(n=round(100 * entry.share))
        if entry.state == "indexed":
            return words.patches(entry.patches)
        return {
            "queued": self.tr("Waiting to be indexed"),
            "paused": self.tr("Paused"),
            "failed": self.tr("Failed"),
            "skipped": self.tr("Skipped"),
            "known": self.tr("Not indexed"),
        }[entry.state]

    def _replace(self, row: int, entry: Entry) -> None:
        self.entries[row] = entry
        index = self.index(row)
        self.dataChanged.emit(index, index)


class LibraryDelegate(QStyledItemDelegate):
    """Draws a line: thumbnail, name, what has become of it."""

    def __init__(self, model: LibraryModel, store: PictureStore, theme: Theme, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self._store = store
        self._theme = theme

    def sizeHint(self, option: QStyleOptionViewItem, _index: Index) -> QSize:  # noqa: N802
        """The same for all lines."""
        height = max(THUMBNAIL_PX, option.fontMetrics.height() * 2 + 4) + 2 * PAD_PX
        return QSize(THUMBNAIL_PX * 3, height)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw one line; asks the store for its thumbnail."""
        entry = index.data(ENTRY_ROLE)
        if not isinstance(entry, Entry):
            return
        colours, rect = self._theme.colours, option.rect
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colours.accent_soft))
            painter.drawRoundedRect(QRectF(rect).adjusted(3, 1, -3, -1), 6, 6)
            painter.setBrush(QColor(colours.accent))
            painter.drawRoundedRect(QRectF(rect.left() + 3, rect.top() + 8, 3, rect.height() - 16), 1.5, 1.5)
        frame = QRect(rect.left() + 10, rect.top() + (rect.height() - THUMBNAIL_PX) // 2, THUMBNAIL_PX, THUMBNAIL_PX)
        self._draw_thumbnail(painter, frame, entry)
        left = frame.right() + 1 + 10
        width = rect.right() - 8 - left
        metrics = painter.fontMetrics()
        top = rect.top() + (rect.height() - 2 * metrics.height() - 2) // 2
        bold = QFont(painter.font())
        bold.setWeight(QFont.Weight.DemiBold)
        normal = painter.font()
        painter.setFont(bold)
        painter.setPen(QColor(colours.text))
        name = painter.fontMetrics().elidedText(entry.name, Qt.TextElideMode.ElideMiddle, width)
        painter.drawText(QPointF(left, top + metrics.ascent()), name)
        painter.setFont(normal)
        painter.setPen(QColor(colours.error_text if entry.state in ("failed", "skipped") else colours.muted))
        state = self._model.state_text(entry)
        if entry.state in ("failed", "skipped") and entry.reason:
            state = f"{state}: {entry.reason}"
        baseline = top + metrics.height() + 2 + metrics.ascent()
        painter.drawText(QPointF(left, baseline), metrics.elidedText(state, Qt.TextElideMode.ElideRight, width))
        if entry.share is not None:
            bar = QRectF(left, rect.bottom() - 5, width, 3)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colours.border))
            painter.drawRoundedRect(bar, 1.5, 1.5)
            painter.setBrush(QColor(colours.accent))
            bar.setWidth(width * entry.share)
            painter.drawRoundedRect(bar, 1.5, 1.5)
        painter.restore()

    def _draw_thumbnail(self, painter: QPainter, frame: QRect, entry: Entry) -> None:
        ratio = painter.device().devicePixelRatio()
        pixmap = None
        if entry.state != "failed":
            pixmap = self._store.picture(m.ReadThumbnail(entry.path, round(THUMBNAIL_PX * ratio)))
        if pixmap is None:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(self._theme.colours.placeholder))
            painter.drawRoundedRect(frame, 4, 4)
            name = "warning" if entry.state in ("failed", "skipped") else "slide"
            icon = self._theme.icon(name).pixmap(24, 24)
            painter.setOpacity(0.6)
            painter.drawPixmap(frame.center().x() - 11, frame.center().y() - 11, 24, 24, icon)
            painter.setOpacity(1.0)
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        scale = frame.width() / max(pixmap.width(), pixmap.height())
        size = QSize(max(1, round(pixmap.width() * scale)), max(1, round(pixmap.height() * scale)))
        target = QRect(0, 0, size.width(), size.height())
        target.moveCenter(frame.center())
        painter.drawPixmap(target, pixmap)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QColor(self._theme.colours.border))
        painter.drawRect(QRectF(target).adjusted(-0.5, -0.5, 0.5, 0.5))
