"""The job panel: how far each job is, what became of its items, and what can be done about it."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QAction, QBrush, QColor, QPainter
from PySide6.QtWidgets import (
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolBar,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from plipdesk.catalogue.rows import JobItemRow
from plipdesk.desktop import words
from plipdesk.desktop.jobs.controller import JobsController
from plipdesk.desktop.state.jobs import Action, JobView, job_paths, reason_text, short_name
from plipdesk.desktop.state.models import MODEL_KINDS, target_of
from plipdesk.desktop.theme import Theme

JOB_ROLE = Qt.ItemDataRole.UserRole
SHARE_ROLE = Qt.ItemDataRole.UserRole + 1
NAME, STATE, PROGRESS, RATE, LEFT = range(5)
LINES = 11
"""Height of the panel when it first comes up, in lines of text."""
ITEMS_SHOWN = 500
"""More lines of trouble than anybody reads are counted, not listed."""


class _ProgressDelegate(QStyledItemDelegate):
    """A thin bar with the numbers beside it."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        share = index.data(SHARE_ROLE)
        super().paint(painter, option, index)
        if not isinstance(share, float):
            return
        rect: QRect = option.rect
        bar = QRect(rect.left() + 4, rect.bottom() - 4, rect.width() - 12, 3)
        painter.fillRect(bar, QColor(self._theme.colours.border))
        bar.setWidth(round(bar.width() * share))
        painter.fillRect(bar, QColor(self._theme.colours.accent))

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:  # noqa: N802
        size = super().sizeHint(option, index)
        return QSize(size.width(), option.fontMetrics.height() + 12)


class JobPanel(QWidget):
    """All jobs, newest first; below each, its items that failed or were skipped, with reason and remedy."""

    def __init__(self, controller: JobsController, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._theme = theme
        self._rows: dict[int, QTreeWidgetItem] = {}
        self._items_shown: dict[int, list[JobItemRow]] = {}
        self.tree = QTreeWidget()
        self.tree.setMinimumHeight(self.fontMetrics().height() * 4)
        self.tree.setHeaderLabels(
            [self.tr("Job"), self.tr("State"), self.tr("Progress"), self.tr("Speed"), self.tr("Time left")]
        )
        self.tree.setAccessibleName(self.tr("Jobs"))
        self.tree.setUniformRowHeights(True)
        self.tree.setItemDelegateForColumn(PROGRESS, _ProgressDelegate(theme, self.tree))
        header = self.tree.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        letter = self.fontMetrics().averageCharWidth()
        for column, letters in ((STATE, 14), (PROGRESS, 24), (RATE, 17), (LEFT, 20)):
            self.tree.setColumnWidth(column, letters * letter)
        self.tree.currentItemChanged.connect(lambda *_: self._show_actions())
        self._actions: dict[Action, QAction] = {}
        bar = QToolBar(self.tr("Job tools"))
        bar.setIconSize(QSize(18, 18))
        bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        for name, text, tip in (
            ("pause", self.tr("Pause"), self.tr("Pause the chosen job; finished slides are kept")),
            ("resume", self.tr("Resume"), self.tr("Go on with the chosen job")),
            ("cancel", self.tr("Cancel"), self.tr("Stop the chosen job for good; finished slides are kept")),
            ("retry", self.tr("Retry"), self.tr("Try again what failed in the chosen job")),
        ):
            self._add_action(bar, name, text, tip)  # type: ignore[arg-type]
        column_layout = QVBoxLayout(self)
        column_layout.setContentsMargins(0, 0, 0, 0)
        column_layout.setSpacing(0)
        column_layout.addWidget(bar)
        column_layout.addWidget(self.tree, 1)
        controller.changed.connect(self._show_job)
        controller.progressed.connect(self._show_progress)
        theme.changed.connect(self._dress)
        self._dress()
        self._show_actions()

    def sizeHint(self) -> QSize:  # noqa: N802
        """A few jobs: the hits need the room."""
        return QSize(600, self.fontMetrics().height() * LINES)

    def action(self, name: Action) -> QAction:
        """The action that orders the chosen job to do something."""
        return self._actions[name]

    def choose(self, job_id: int) -> None:
        """Bring a job into view and choose it."""
        row = self._rows.get(job_id)
        if row is not None:
            self.tree.setCurrentItem(row)

    def _add_action(self, bar: QToolBar, name: Action, text: str, tip: str) -> None:
        action = bar.addAction(text)
        action.setToolTip(tip)
        action.triggered.connect(lambda: self._order(name))
        self._actions[name] = action

    def _chosen(self) -> JobView | None:
        item = self.tree.currentItem()
        while item is not None and item.parent() is not None:
            item = item.parent()
        return None if item is None else self._controller.state.views.get(item.data(NAME, JOB_ROLE))

    def _order(self, name: Action) -> None:
        view = self._chosen()
        if view is not None and name in view.allowed():
            self._controller.control(view.job.job_id, name)

    def _show_actions(self) -> None:
        view = self._chosen()
        allowed = frozenset() if view is None else view.allowed()
        for name, action in self._actions.items():
            action.setEnabled(name in allowed)

    def _show_job(self, job_id: int) -> None:
        view = self._controller.state.views[job_id]
        row = self._rows.get(job_id)
        if row is None:
            row = QTreeWidgetItem()
            row.setData(NAME, JOB_ROLE, job_id)
            self._rows[job_id] = row
            newer = sum(1 for other in self._rows if other > job_id)
            self.tree.insertTopLevelItem(newer, row)
            if view.active or self.tree.currentItem() is None:
                self.tree.setCurrentItem(row)
        note = view.progress.note if view.progress is not None else ""
        row.setText(NAME, f"{self._title(view)} ({note})" if note else self._title(view))
        row.setToolTip(NAME, "\n".join(job_paths(view.job)[:20]))
        row.setText(STATE, words.job_state(view.job.state))
        row.setToolTip(STATE, view.job.reason or "")
        self._show_progress(job_id)
        self._show_items(row, view)
        self._show_actions()

    def _title(self, view: JobView) -> str:
        paths = job_paths(view.job)
        if view.job.kind in MODEL_KINDS:
            name = short_name(target_of(view.job))
            titles = {
                "import-model": self.tr("Import the encoder {name}"),
                "download-model": self.tr("Download {name}"),
                "export-model": self.tr("Export {name}"),
            }
            return titles[view.job.kind].format(name=name)
        if view.job.kind != "index":
            return view.job.kind
        first = short_name(paths[0]) if paths else ""
        if len(paths) <= 1:
            return self.tr("Index {name}").format(name=first)
        return self.tr("Index {name} and {n} more").format(name=first, n=words.count(len(paths) - 1))

    def _show_progress(self, job_id: int) -> None:
        view, row = self._controller.state.views[job_id], self._rows.get(job_id)
        if row is None:
            return
        unit = view.progress.unit if view.progress is not None else view.job.unit
        if view.total:
            text = self.tr("{done} of {total} {unit}").format(
                done=words.count(view.done), total=words.count(view.total), unit=words.unit(unit)
            )
        else:
            text = ""
        row.setText(PROGRESS, text)
        row.setData(PROGRESS, SHARE_ROLE, view.share)
        progress = view.progress
        running = progress is not None and view.job.state == "running"
        row.setText(RATE, words.rate(progress.rate_per_s, unit) if running and progress is not None else "")
        row.setText(LEFT, words.remaining(progress.remaining_s) if running and progress is not None else "")

    def _show_items(self, row: QTreeWidgetItem, view: JobView) -> None:
        troubled = view.troubled
        if self._items_shown.get(view.job.job_id) == troubled:
            return
        self._items_shown[view.job.job_id] = troubled
        row.takeChildren()
        for item in troubled[:ITEMS_SHOWN]:
            reason = reason_text(item.reason, item.remedy)
            child = QTreeWidgetItem([f"{short_name(item.path)}: {reason}", words.item_status(item.status)])
            child.setToolTip(NAME, f"{item.path}\n{reason}")
            child.setForeground(STATE, QBrush(QColor(self._theme.colours.error_text)))
            row.addChild(child)
        row.setExpanded(bool(troubled))

    def _dress(self) -> None:
        for name, icon in (("pause", "pause"), ("resume", "play"), ("cancel", "stop"), ("retry", "retry")):
            self._actions[name].setIcon(self._theme.icon(icon))  # type: ignore[index]
