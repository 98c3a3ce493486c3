"""Collections and slides on the left of the window."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QLineEdit,
    QListView,
    QMenu,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from plipdesk.desktop import words
from plipdesk.desktop.jobs.controller import JobsController
from plipdesk.desktop.library.controller import LibraryController
from plipdesk.desktop.library.model import LibraryDelegate, LibraryModel
from plipdesk.desktop.pictures import PictureStore
from plipdesk.desktop.state.channels import remedy_lacks_channels
from plipdesk.desktop.state.jobs import found_no_tissue, reason_text
from plipdesk.desktop.state.library import Entry
from plipdesk.desktop.state.mpp import reason_lacks_mpp
from plipdesk.desktop.theme import Theme
from plipdesk.engine import messages as m


class LibraryPanel(QWidget):
    """The slide list. Signals carry the :class:`~plipdesk.desktop.state.library.Entry` they are about."""

    opened = Signal(object)
    similar_wanted = Signal(object)
    only_wanted = Signal(object)
    retry_wanted = Signal(object)
    answer_wanted = Signal(object)
    whole_wanted = Signal(object)
    """Index all of a slide on which no tissue was found."""
    remove_wanted = Signal(object)
    add_wanted = Signal()
    collection_chosen = Signal(object)

    def __init__(
        self,
        controller: LibraryController,
        jobs: JobsController,
        store: PictureStore,
        theme: Theme,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._controller = controller
        self._theme = theme
        self._current_key: str | None = None
        self.collections = QComboBox()
        self.collections.setAccessibleName(self.tr("Collection"))
        self.collections.setToolTip(self.tr("Show, and search in, one collection or all slides"))
        self.collections.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.collections.activated.connect(self._choose_collection)
        self.more = QToolButton()
        self.more.setAutoRaise(True)
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.more.setAccessibleName(self.tr("Collection menu"))
        self.more.setToolTip(self.tr("Make or delete a collection"))
        menu = QMenu(self.more)
        menu.addAction(self.tr("New collection…"), self.new_collection)
        self._delete = menu.addAction(self.tr("Delete this collection (its slides stay)"), self._delete_collection)
        self.more.setMenu(menu)
        self.add = QToolButton()
        self.add.setAutoRaise(True)
        self.add.setAccessibleName(self.tr("Add slides"))
        self.add.setToolTip(self.tr("Add slides (Ctrl+O), or drop them anywhere"))
        self.add.clicked.connect(self.add_wanted)
        self.names = QLineEdit()
        self.names.setObjectName("filterLine")
        self.names.setPlaceholderText(self.tr("Filter by name"))
        self.names.setAccessibleName(self.tr("Filter slides by name"))
        self.names.setClearButtonEnabled(True)
        self.names.textChanged.connect(controller.name_like)
        self.model = LibraryModel(self)
        self.view = QListView()
        self.view.setModel(self.model)
        self.view.setItemDelegate(LibraryDelegate(self.model, store, theme, self.view))
        self.view.setUniformItemSizes(True)
        self.view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.view.setDragEnabled(True)
        self.view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.view.setAccessibleName(self.tr("Slides"))
        self.view.activated.connect(lambda index: self._activate(self.model.entries[index.row()]))
        self.view.customContextMenuRequested.connect(self._show_menu)
        self.view.selectionModel().currentChanged.connect(lambda *_: self._show_trouble())
        self.count = QLabel("")
        self.count.setObjectName("muted")
        self.count.setContentsMargins(10, 2, 10, 4)
        self._make_trouble()
        top = QHBoxLayout()
        top.setContentsMargins(8, 6, 4, 2)
        top.setSpacing(2)
        top.addWidget(self.collections, 1)
        top.addWidget(self.more)
        top.addWidget(self.add)
        filter_row = QHBoxLayout()
        filter_row.setContentsMargins(8, 2, 8, 4)
        filter_row.addWidget(self.names)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(top)
        column.addLayout(filter_row)
        column.addWidget(self.view, 1)
        column.addWidget(self.trouble)
        column.addWidget(self.count)
        controller.changed.connect(self._show)
        controller.collections_changed.connect(self._show_collections)
        jobs.progressed.connect(lambda job_id: self.model.show_share(job_id, jobs.state.views[job_id].share))
        store.arrived.connect(self._thumbnail_arrived)
        theme.changed.connect(self._dress)
        self._dress()
        self._show_collections()
        self._show()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Wide enough for most names."""
        return QSize(self.fontMetrics().averageCharWidth() * 40, 400)

    def current(self) -> Entry | None:
        """The line chosen."""
        index = self.view.currentIndex()
        return self.model.entries[index.row()] if index.isValid() else None

    def new_collection(self, slide_id: str | None = None) -> None:
        """Ask for a name and make a collection, with one slide in it if one is given."""
        name, chosen = QInputDialog.getText(self, self.tr("New collection"), self.tr("Name of the collection:"))
        if chosen and name.strip():
            self._controller.edit(m.EditCollection("create", name.strip()))
            if slide_id is not None:
                self._controller.edit(m.EditCollection("add", name.strip(), (slide_id,)))

    def menu_of(self, entry: Entry) -> QMenu:
        """What can be done with a line."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        slide = entry.slide
        if slide is not None:
            menu.addAction(self.tr("Open in the viewer"), lambda: self.opened.emit(entry))
        if slide is not None and entry.patches:
            menu.addAction(self.tr("Find similar slides"), lambda: self.similar_wanted.emit(entry))
            menu.addAction(self.tr("Search only in this slide"), lambda: self.only_wanted.emit(entry))
        if entry.state in ("failed", "skipped", "known"):
            menu.addAction(self.tr("Try again"), lambda: self.retry_wanted.emit(entry))
        if reason_lacks_mpp(entry.reason, entry.remedy):
            menu.addAction(self.tr("Tell µm per pixel…"), lambda: self.answer_wanted.emit(entry))
        if remedy_lacks_channels(entry.remedy):
            menu.addAction(self.tr("Choose channels…"), lambda: self.answer_wanted.emit(entry))
        if slide is not None:
            slide_id = slide.slide_id
            put = menu.addMenu(self.tr("Add to collection"))
            for row in self._controller.collections:
                edit = m.EditCollection("add", row.name, (slide_id,))
                put.addAction(row.name, partial(self._controller.edit, edit))
            put.addAction(self.tr("New collection…"), lambda: self.new_collection(slide_id))
            inside = self._controller.collection
            if inside is not None:
                menu.addAction(
                    self.tr("Take out of {name}").format(name=inside),
                    lambda: self._controller.edit(m.EditCollection("remove", inside, (slide_id,))),
                )
            menu.addSeparator()
            menu.addAction(self.tr("Remove from the workspace…"), lambda: self.remove_wanted.emit(entry))
        return menu

    def _make_trouble(self) -> None:
        self.trouble = QFrame()
        self.trouble.setObjectName("notice")
        self.trouble.setProperty("level", "error")
        self._reason = QLabel("")
        self._reason.setWordWrap(True)
        self._reason.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._reason.setTextFormat(Qt.TextFormat.PlainText)
        self.retry = QPushButton(self.tr("Retry"))
        self.retry.setAccessibleName(self.tr("Index this slide again"))
        self.retry.setToolTip(self.tr("Index this slide again"))
        self.tell_mpp = QPushButton(self.tr("Tell µm per pixel…"))
        self.tell_mpp.setAccessibleName(self.tell_mpp.text())
        self.take_all = QPushButton(self.tr("Index all of it"))
        self.take_all.setAccessibleName(self.tr("Index the whole slide, as if all of it were tissue"))
        self.take_all.setToolTip(self.take_all.accessibleName())
        self.take_all.clicked.connect(lambda: self._emit_current(self.whole_wanted))
        self.retry.clicked.connect(lambda: self._emit_current(self.retry_wanted))
        self.tell_mpp.clicked.connect(lambda: self._emit_current(self.answer_wanted))
        self.choose_channels = QPushButton(self.tr("Choose channels…"))
        self.choose_channels.setAccessibleName(self.choose_channels.text())
        self.choose_channels.clicked.connect(lambda: self._emit_current(self.answer_wanted))
        buttons = QHBoxLayout()
        buttons.addWidget(self.tell_mpp)
        buttons.addWidget(self.choose_channels)
        buttons.addWidget(self.take_all)
        buttons.addWidget(self.retry)
        buttons.addStretch(1)
        column = QVBoxLayout(self.trouble)
        column.setContentsMargins(10, 8, 10, 8)
        column.addWidget(self._reason)
        column.addLayout(buttons)
        self.trouble.hide()

    def _emit_current(self, signal: object) -> None:
        entry = self.current()
        if entry is not None:
            signal.emit(entry)  # type: ignore[attr-defined]

    def _show(self) -> None:
        current = self.current()
        key = current.key if current is not None else self._current_key
        scrolled = self.view.verticalScrollBar().value()
        self.model.show(self._controller.entries())
        row = -1 if key is None else self.model.row_of(key)
        if row >= 0 and self.view.currentIndex().row() != row:
            self.view.setCurrentIndex(self.model.index(row))
        self.view.verticalScrollBar().setValue(scrolled)
        self._current_key = key if row >= 0 else None
        self.count.setText(words.slides(sum(1 for entry in self.model.entries if entry.slide is not None)))
        self._show_trouble()

    def _thumbnail_arrived(self, request: object) -> None:
        """Draw again the one line that the thumbnail is of."""
        if isinstance(request, m.ReadThumbnail):
            row = self.model.row_at(request.path)
            if row >= 0:
                self.view.update(self.model.index(row))

    def _show_trouble(self) -> None:
        entry = self.current()
        in_trouble = entry is not None and entry.state in ("failed", "skipped")
        self.trouble.setVisible(in_trouble)
        if entry is not None and in_trouble:
            self._reason.setText(reason_text(entry.reason, entry.remedy))
            self.tell_mpp.setVisible(reason_lacks_mpp(entry.reason, entry.remedy))
            self.choose_channels.setVisible(remedy_lacks_channels(entry.remedy))
            self.take_all.setVisible(found_no_tissue(entry.reason))

    def _show_collections(self) -> None:
        self.collections.clear()
        self.collections.addItem(self.tr("All slides"), None)
        for row in self._controller.collections:
            self.collections.addItem(f"{row.name} ({words.count(row.slides)})", row.name)
        self.collections.setCurrentIndex(max(0, self.collections.findData(self._controller.collection)))
        self._delete.setEnabled(self._controller.collection is not None)

    def _choose_collection(self) -> None:
        name: str | None = self.collections.currentData()
        self._controller.look_at(name)
        self._delete.setEnabled(name is not None)
        self.collection_chosen.emit(name)

    def _delete_collection(self) -> None:
        if self._controller.collection is not None:
            self._controller.edit(m.EditCollection("delete", self._controller.collection))
            self.collection_chosen.emit(None)

    def _activate(self, entry: Entry) -> None:
        if entry.slide is not None:
            self.opened.emit(entry)

    def _show_menu(self, at: QPoint) -> None:
        index = self.view.indexAt(at)
        if index.isValid():
            menu = self.menu_of(self.model.entries[index.row()])
            if not menu.isEmpty():
                menu.popup(self.view.viewport().mapToGlobal(at))

    def _dress(self) -> None:
        self.more.setIcon(self._theme.icon("more"))
        self.add.setIcon(self._theme.icon("add"))
        self.view.viewport().update()
