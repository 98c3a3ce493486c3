"""The grid of hits with what there is to say about the answer."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QLabel,
    QListView,
    QMenu,
    QPushButton,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from plipdesk.desktop import words
from plipdesk.desktop.elided import ElidedLabel
from plipdesk.desktop.empty import EmptyState
from plipdesk.desktop.pictures import PictureStore
from plipdesk.desktop.search.controller import SearchController
from plipdesk.desktop.search.hits import HitDelegate, HitModel
from plipdesk.desktop.theme import Theme
from plipdesk.engine import messages as m
from plipdesk.search.query import Hit, RegionPart, SearchResult

USUAL_SIDE_PX, LEAST_SIDE_PX = 150, 120
"""Of a picture; the least only so that two fit side by side into a narrow window."""


class HitView(QListView):
    """A grid whose columns always fill its width."""

    def __init__(self, delegate: HitDelegate, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._delegate = delegate
        self.setItemDelegate(delegate)
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setMovement(QListView.Movement.Static)
        self.setUniformItemSizes(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.setAccessibleName(self.tr("Hits"))

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Choose the size of the pictures."""
        width = self.viewport().width() - 2
        letter = self.fontMetrics().averageCharWidth()
        usual, least = max(USUAL_SIDE_PX, 22 * letter), max(LEAST_SIDE_PX, 16 * letter)
        columns = max(1, width // (usual + 12), min(2, width // (least + 12)))
        self._delegate.side_px = max(60, width // columns - 12)
        self.setGridSize(QSize(width // columns, self._delegate.cell_size(self.font()).height()))
        super().resizeEvent(event)
        if self.currentIndex().isValid():
            self.scrollTo(self.currentIndex())


class ResultsPanel(QWidget):
    """Shows the controller's answer. Signals carry the :class:`~plipdesk.search.query.Hit` they are about."""

    hit_opened = Signal(object)
    compare_wanted = Signal(object)
    open_wanted = Signal()
    """The person wants to choose files to add."""

    def __init__(
        self, controller: SearchController, store: PictureStore, theme: Theme, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._controller = controller
        self._store = store
        self._slides = 0
        self._indexing = False
        self._connected = False
        self._index: m.IndexPhase = "ready"
        self.model = HitModel(self)
        self.delegate = HitDelegate(store, theme, self)
        self.view = HitView(self.delegate)
        self.view.setModel(self.model)
        self.view.activated.connect(self._activated)
        self.view.customContextMenuRequested.connect(self._show_menu)
        self.banner = QFrame()
        self.banner.setObjectName("notice")
        self.banner.setProperty("level", "warning")
        banner_text = QLabel(
            self.tr("Nothing here looks like this. The closest patches are shown below, but none stands out.")
        )
        banner_text.setWordWrap(True)
        banner_row = QHBoxLayout(self.banner)
        banner_row.setContentsMargins(12, 8, 12, 8)
        banner_row.addWidget(banner_text, 1)
        self.summary = ElidedLabel("")
        self.summary.setObjectName("muted")
        self.again = QPushButton(self.tr("New slides were indexed: search again"))
        self.again.setObjectName("chipButton")
        self.again.setAccessibleName(self.again.text())
        self.again.setToolTip(self.tr("Ask the same question again, with the slides that came since"))
        self.again.clicked.connect(controller.search)
        head = QHBoxLayout()
        head.setContentsMargins(10, 4, 8, 4)
        head.addWidget(self.summary, 1)
        head.addWidget(self.again)
        self.notes = QLabel("")
        self.notes.setObjectName("muted")
        self.notes.setWordWrap(True)
        self.notes.setContentsMargins(10, 0, 10, 4)
        self.empty = EmptyState(theme, "search")
        self._stack = QStackedLayout()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.view)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.banner)
        column.addLayout(head)
        column.addWidget(self.notes)
        column.addLayout(self._stack, 1)
        store.arrived.connect(self._picture_arrived)
        theme.changed.connect(lambda: self.view.viewport().update())
        controller.started.connect(self._show)
        controller.answered.connect(self._answered)
        controller.failed.connect(lambda _: self._show())
        controller.outdated.connect(lambda: self.again.show())
        self._show()

    def set_library(self, slides: int, *, indexing: bool, connected: bool) -> None:
        """What the empty state speaks of: how many slides there are, and whether more are coming."""
        if (slides, indexing, connected) != (self._slides, self._indexing, self._connected):
            self._slides, self._indexing, self._connected = slides, indexing, connected
            self._show()

    def set_index(self, phase: m.IndexPhase) -> None:
        """Whether the index is there yet: a question waits for it, and says so."""
        if phase != self._index:
            self._index = phase
            self._show_waiting()

    def _picture_arrived(self, request: object) -> None:
        """Draw again the one hit that the picture is of."""
        if isinstance(request, m.ReadRegion):
            for row in self.model.rows_at(request.path, request.x0_px, request.y0_px):
                self.view.update(self.model.index(row))

    def _answered(self) -> None:
        result = self._controller.result
        self.model.show(() if result is None else result.hits)
        if self.model.rowCount():
            self.view.scrollToTop()
            self.view.setCurrentIndex(self.model.index(0))
        self._show()

    def _show(self) -> None:
        result, busy = self._controller.result, self._controller.busy
        self.again.hide()
        self.banner.setVisible(result is not None and bool(result.hits) and not result.stands_out and not busy)
        self.delegate.dimmed = result is not None and (not result.stands_out or busy)
        self.notes.setText("" if result is None or busy else "\n".join(result.notes))
        self.notes.setVisible(bool(self.notes.text()))
        self.summary.setText("" if busy else self._summary(result))
        self._show_waiting()
        if self.model.rowCount():
            self._stack.setCurrentWidget(self.view)
            self.view.viewport().update()
        else:
            self._say_empty(result, busy)
            self._stack.setCurrentWidget(self.empty)

    def _show_waiting(self) -> None:
        if not self._controller.busy:
            return
        if self._index in ("loading", "building"):
            self.summary.setText(self.tr("The index is being loaded; the answer comes by itself…"))
        else:
            self.summary.setText(self.tr("Searching…"))

    def _summary(self, result: SearchResult | None) -> str:
        if result is None or not result.hits:
            return ""
        time_ms = round(result.timing_ms.total)
        return self.tr("{hits} · searched {patches} of {slides} in {ms} ms").format(
            hits=words.hits(len(result.hits)),
            patches=words.patches(result.searched.patches),
            slides=words.slides(result.searched.slides),
            ms=words.count(time_ms),
        )

    def _say_empty(self, result: SearchResult | None, busy: bool) -> None:
        open_files = (self.tr("Open slides…"), self.open_wanted.emit)
        if busy:
            self.empty.say(self.tr("Searching…"))
        elif not self._connected:
            self.empty.say(self.tr("Starting…"), self.tr("The engine that reads and searches slides is starting."))
        elif result is not None and self._slides and not result.searched.patches and result.notes:
            self.empty.say(
                self.tr("Nothing could be searched"),
                self.tr("No slide that was asked for is indexed with {encoder}.").format(encoder=result.encoder),
            )
        elif result is not None and self._slides:
            self.empty.say(
                self.tr("No hits"),
                self.tr("No indexed patch fits the filters. Remove a filter above, or add more slides."),
            )
        elif self._slides:
            self.empty.say(
                self.tr("Search {n}").format(n=words.slides(self._slides)),
                self.tr(
                    "Type what you are looking for above, such as “adipose tissue”. Or drop a picture on the search"
                    " bar, or open a slide and draw a box around a region."
                ),
            )
        elif self._indexing:
            self.empty.say(
                self.tr("The first slides are being indexed"),
                self.tr("Each slide can be searched the moment it is done."),
            )
        else:
            self.empty.say(
                self.tr("Drop slides here"),
                self.tr(
                    "Whole-slide images, ordinary pictures, or folders of them. They are read where they lie and"
                    " never changed; nothing leaves this machine."
                ),
                open_files,
            )

    def _activated(self, index: object) -> None:
        hit = self.model.hit(index)  # type: ignore[arg-type]
        if hit is not None:
            self.hit_opened.emit(hit)

    def _show_menu(self, at: QPoint) -> None:
        hit = self.model.hit(self.view.indexAt(at))
        if hit is not None:
            self.menu_of(hit).popup(self.view.viewport().mapToGlobal(at))

    def menu_of(self, hit: Hit) -> QMenu:
        """What can be done with a hit."""
        ask, draft = self._controller.ask, self._controller.draft
        box = (float(hit.x0_px), float(hit.y0_px), hit.size0_px, hit.size0_px)
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(self.tr("Open in the viewer"), lambda: self.hit_opened.emit(hit))
        menu.addAction(self.tr("Find similar"), lambda: ask(draft.like(RegionPart(hit.slide_id, box), hit.name)))
        menu.addAction(self.tr("Compare with the query"), lambda: self.compare_wanted.emit(hit))
        menu.addSeparator()
        menu.addAction(
            self.tr("Search only in this slide"), lambda: ask(replace(draft, only_slide=(hit.slide_id, hit.name)))
        )
        menu.addAction(self.tr("Leave out this slide"), lambda: ask(draft.leaving_out_slide(hit.slide_id, hit.name)))
        case = hit.case
        if case is not None:
            menu.addAction(
                self.tr("Leave out the case {name}").format(name=case), lambda: ask(draft.leaving_out_case(case))
            )
        return menu
