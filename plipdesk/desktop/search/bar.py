"""The search bar: words, an example as a chip, filters as chips, and how many hits to show by what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import Signal
from PySide6.QtGui import (
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QPixmap,
)
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from plipdesk.desktop.dropping import dropped_image, local_paths
from plipdesk.desktop.pictures import PictureStore
from plipdesk.desktop.search.chip import Chip
from plipdesk.desktop.search.controller import SearchController
from plipdesk.desktop.state.query_draft import HITS_CHOICES, QueryDraft
from plipdesk.desktop.theme import Theme
from plipdesk.engine import messages as m
from plipdesk.search.query import Group, PicturePart, RegionPart, SlidePart

EXAMPLE_PX = 96


class SearchLine(QLineEdit):
    """A line for words; a picture pasted into it is an example, not text."""

    image_pasted = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Take a pasted picture; everything else is text."""
        if event.matches(QKeySequence.StandardKey.Paste):
            mime = QGuiApplication.clipboard().mimeData()
            if mime is not None and not mime.hasText() and mime.hasImage():
                self.image_pasted.emit()
                return
        super().keyPressEvent(event)


class SearchBar(QWidget):
    """Shows and edits the controller's draft."""

    files_dropped = Signal(list)
    image_dropped = Signal(object)
    image_pasted = Signal()

    def __init__(
        self, controller: SearchController, store: PictureStore, theme: Theme, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._controller = controller
        self._store = store
        self._theme = theme
        self._example_request: m.ReadRegion | m.ReadThumbnail | None = None
        self._example_chip: Chip | None = None
        self.path_of_slide: Callable[[str], str | None] = lambda slide: slide
        """Where a slide lies, by its id or path."""
        self.setAcceptDrops(True)
        self.setAccessibleName(self.tr("Search"))
        self.line = SearchLine()
        self.line.setObjectName("searchLine")
        self.line.setClearButtonEnabled(True)
        self.line.setPlaceholderText(self.tr("Describe tissue, or drop a picture or slide here…"))
        self.line.setAccessibleName(self.tr("Words to search for"))
        self.line.setToolTip(self.tr("Words such as “adipose tissue”; Enter searches (Ctrl+F comes here)"))
        larger = self.line.font()
        larger.setPointSizeF(larger.pointSizeF() * 1.25)
        self.line.setFont(larger)
        self.line.textEdited.connect(lambda text: controller.change(replace(controller.draft, words=text)))
        self.line.returnPressed.connect(controller.search)
        self.line.image_pasted.connect(self.image_pasted)
        # The line's own drops would paste a file's name as words.
        self.line.setAcceptDrops(False)
        self.button = QPushButton(self.tr("Search"))
        self.button.setObjectName("searchButton")
        self.button.setAccessibleName(self.tr("Search"))
        self.button.setToolTip(self.tr("Search all indexed slides (Enter)"))
        self.button.clicked.connect(controller.search)
        self.count = QComboBox()
        for number in HITS_CHOICES:
            self.count.addItem(self.tr("{n} hits").format(n=number), number)
        self.count.setAccessibleName(self.tr("How many hits to show"))
        self.count.setToolTip(self.tr("How many hits to show"))
        self.group = QComboBox()
        for words, key in (
            (self.tr("every patch"), "patch"),
            (self.tr("best per slide"), "slide"),
            (self.tr("best per case"), "case"),
        ):
            self.group.addItem(words, key)
        self.group.setAccessibleName(self.tr("What a hit stands for"))
        self.group.setToolTip(self.tr("Show every patch that answers, or only the best of each slide or case"))
        self.count.activated.connect(self._choose)
        self.group.activated.connect(self._choose)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.line, 1)
        row.addWidget(self.button)
        row.addWidget(self.count)
        row.addWidget(self.group)
        self._chips = QWidget()
        self._chip_row = QHBoxLayout(self._chips)
        self._chip_row.setContentsMargins(0, 0, 0, 0)
        self._chip_row.setSpacing(6)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 8, 10, 8)
        column.setSpacing(6)
        column.addLayout(row)
        column.addWidget(self._chips)
        controller.draft_changed.connect(self._show)
        store.arrived.connect(self._example_arrived)
        theme.changed.connect(self._show)
        self._show()

    def _choose(self) -> None:
        group: Group = self.group.currentData()
        draft = replace(self._controller.draft, k=self.count.currentData(), group=group)
        if draft == self._controller.draft:
            return
        self._controller.change(draft)
        if self._controller.asked is not None:
            self._controller.search()

    def _show(self) -> None:
        draft = self._controller.draft
        if self.line.text() != draft.words:
            self.line.setText(draft.words)
        self.count.setCurrentIndex(self.count.findData(draft.k))
        self.group.setCurrentIndex(self.group.findData(draft.group))
        self._empty_chips()
        if draft.example is not None:
            self._add_example(draft.example, draft.example_name)
        if draft.collection is not None:
            self._add_chip(
                self.tr("in the collection {name}").format(name=draft.collection), replace(draft, collection=None)
            )
        if draft.only_slide is not None:
            self._add_chip(self.tr("only in {name}").format(name=draft.only_slide[1]), replace(draft, only_slide=None))
        for pair in draft.without_slides:
            rest = tuple(other for other in draft.without_slides if other != pair)
            self._add_chip(self.tr("not in {name}").format(name=pair[1]), replace(draft, without_slides=rest))
        for case in draft.without_cases:
            others = tuple(other for other in draft.without_cases if other != case)
            self._add_chip(self.tr("not case {name}").format(name=case), replace(draft, without_cases=others))
        self._chip_row.addStretch(1)
        self._chips.setVisible(self._chip_row.count() > 1)
        self.button.setEnabled(not draft.empty)

    def _empty_chips(self) -> None:
        self._example_chip = self._example_request = None
        while (item := self._chip_row.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()

    def _add_chip(self, text: str, without: QueryDraft) -> None:
        chip = Chip(text, self._theme)
        chip.removed.connect(lambda: self._remove(without))
        self._chip_row.addWidget(chip)

    def _remove(self, without: QueryDraft) -> None:
        asked = self._controller.asked is not None
        self._controller.change(without)
        if asked:
            self._controller.search()

    def _add_example(self, example: RegionPart | PicturePart | SlidePart, name: str) -> None:
        if isinstance(example, RegionPart):
            text = self.tr("like a region of {name}").format(name=name)
        elif isinstance(example, SlidePart):
            text = self.tr("slides like {name}").format(name=name)
        else:
            text = self.tr("like the picture {name}").format(name=name)
        chip = Chip(text, self._theme, picture=True)
        chip.removed.connect(lambda: self._remove(replace(self._controller.draft, example=None, example_name="")))
        self._chip_row.addWidget(chip)
        self._example_chip = chip
        if isinstance(example, PicturePart):
            pixmap = QPixmap()
            if example.content is not None:
                pixmap.loadFromData(example.content)
            if not pixmap.isNull():
                chip.set_picture(pixmap)
            elif example.path is not None:
                self._want(m.ReadThumbnail(example.path, EXAMPLE_PX))
            return
        path = self.path_of_slide(example.slide)
        if path is None:
            return
        if isinstance(example, RegionPart) and example.box is not None:
            x0_px, y0_px, width0_px, height0_px = example.box
            shrink = EXAMPLE_PX / max(width0_px, height0_px)
            size = max(1, round(width0_px * shrink)), max(1, round(height0_px * shrink))
            self._want(m.ReadRegion(path, x0_px, y0_px, width0_px, height0_px, *size))
        else:
            self._want(m.ReadThumbnail(path, EXAMPLE_PX))

    def _want(self, request: m.ReadRegion | m.ReadThumbnail) -> None:
        self._example_request = request
        self._example_arrived(request)

    def _example_arrived(self, request: object) -> None:
        if request == self._example_request and self._example_request is not None and self._example_chip is not None:
            pixmap = self._store.picture(self._example_request)
            if pixmap is not None:
                self._example_chip.set_picture(pixmap)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Files and pictures can be searched with."""
        if local_paths(event.mimeData()) or dropped_image(event.mimeData()) is not None:
            event.acceptProposedAction()
            self._mark_drop(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:  # noqa: N802
        """The drag went elsewhere."""
        self._mark_drop(False)
        super().dragLeaveEvent(event)

    def _mark_drop(self, here: bool) -> None:
        self.line.setProperty("dropping", here)
        self.line.style().polish(self.line)

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Search with what was dropped."""
        self._mark_drop(False)
        paths, image = local_paths(event.mimeData()), dropped_image(event.mimeData())
        if paths:
            event.acceptProposedAction()
            self.files_dropped.emit(paths)
        elif image is not None:
            event.acceptProposedAction()
            self.image_dropped.emit(image)
