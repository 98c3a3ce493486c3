"""The same question to two encoders, side by side: pictures of the hits, and which places both have."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QBrush, QColor, QIcon
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from plipdesk.desktop.models import wording
from plipdesk.desktop.models.controller import ModelsController
from plipdesk.desktop.notices import failure_text
from plipdesk.desktop.pictures import PictureStore
from plipdesk.desktop.search.hits import score_text
from plipdesk.desktop.state.query_draft import QueryDraft
from plipdesk.desktop.theme import Theme
from plipdesk.engine import messages as m
from plipdesk.search.query import Hit, SearchResult

SIDE_PX = 96
HITS = 20


class CompareDialog(QDialog):
    """Two encoders, one question. The question of the search bar is taken over, example and filters included."""

    hit_opened = Signal(object)
    """A hit is to be shown in the viewer (a Hit)."""

    def __init__(
        self,
        controller: ModelsController,
        store: PictureStore,
        theme: Theme,
        draft: QueryDraft,
        first: str,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._controller = controller
        self._store = store
        self._theme = theme
        self._draft = draft
        self._ticket = 0
        self.setWindowTitle(self.tr("Compare two encoders"))
        self.resize(940, 640)
        self.line = QLineEdit(draft.words)
        self.line.setObjectName("searchLine")
        self.line.setPlaceholderText(self.tr("What the tissue looks like, such as “glands with goblet cells”"))
        self.line.setAccessibleName(self.tr("Words to ask both encoders"))
        self.button = QPushButton(self.tr("Ask both"))
        self.button.setObjectName("primaryButton")
        self.button.setDefault(True)
        self.button.clicked.connect(self.ask)
        top = QHBoxLayout()
        top.addWidget(self.line, 1)
        top.addWidget(self.button)
        self.told = QLabel("")
        self.told.setWordWrap(True)
        self.told.setAccessibleName(self.tr("What both have in common"))
        self.first, self.second = _Side(self.tr("First encoder")), _Side(self.tr("Second encoder"))
        for side in (self.first, self.second):
            side.hits.itemActivated.connect(lambda item: self.hit_opened.emit(item.data(Qt.ItemDataRole.UserRole)))
        halves = QHBoxLayout()
        halves.setSpacing(12)
        halves.addWidget(self.first, 1)
        halves.addWidget(self.second, 1)
        column = QVBoxLayout(self)
        column.setSpacing(8)
        column.addLayout(top)
        example = self._example()
        if example:
            label = QLabel(example)
            label.setObjectName("muted")
            column.addWidget(label)
        column.addWidget(self.told)
        column.addLayout(halves, 1)
        store.arrived.connect(self._on_picture)
        controller.changed.connect(self._show_encoders)
        self.finished.connect(lambda _: controller.forget(self._ticket))
        self._show_encoders()
        self.first.choose(first)
        self._apart()
        for side in (self.first, self.second):
            side.encoder.activated.connect(lambda _: self._apart())
        self.line.setFocus()

    def ask(self) -> None:
        """Ask both."""
        draft = replace(self._draft, words=self.line.text(), k=HITS)
        if draft.empty or not self.button.isEnabled():
            return
        self._controller.forget(self._ticket)
        self.told.setText(self.tr("Both are looking …"))
        encoders = (self.first.model_id, self.second.model_id)
        self._ticket = self._controller.compare(draft.query(), encoders, self._on_answer, self._on_failed)

    def _example(self) -> str:
        parts = []
        if self._draft.example is not None:
            parts.append(
                self.tr("together with the example of the search, {name}").format(name=self._draft.example_name)
            )
        if self._draft.collection is not None:
            parts.append(self.tr("in the collection {name}").format(name=self._draft.collection))
        return ", ".join(parts)

    def _show_encoders(self) -> None:
        for side in (self.first, self.second):
            side.show_entries(self._controller.state.installed)
        self._apart()

    def _apart(self) -> None:
        """Two encoders must not be the same one."""
        if self.first.model_id == self.second.model_id:
            others = self._controller.state.others(self.first.model_id)
            if others:
                self.second.choose(others[0].id)
        self.button.setEnabled(self.first.model_id != self.second.model_id)

    def _on_answer(self, reply: m.Compared) -> None:
        found = reply.comparison
        names = (self.first.encoder.currentText(), self.second.encoder.currentText())
        self.told.setText("\n".join([wording.overlap(found.overlap, *names), *found.notes]))
        pairs = found.overlap.pairs
        self.first.show_answer(found.first, dict(pairs), self._theme)
        self.second.show_answer(found.second, {other: one for one, other in pairs}, self._theme)
        for side in (self.first, self.second):
            side.show_pictures(self._store)

    def _on_failed(self, failure: m.Failed) -> None:
        self.told.setText(failure_text(failure))

    def _on_picture(self, request: object) -> None:
        for side in (self.first, self.second):
            if request in side.requests:
                side.show_pictures(self._store)


class _Side(QWidget):
    """One encoder and its hits."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.requests: dict[m.ReadRegion, int] = {}
        self.encoder = QComboBox()
        self.encoder.setAccessibleName(name)
        self.hits = QListWidget()
        self.hits.setAccessibleName(self.tr("Hits of the {name}").format(name=name.lower()))
        self.hits.setIconSize(QSize(SIDE_PX, SIDE_PX))
        self.hits.setUniformItemSizes(True)
        self.hits.setSpacing(2)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.encoder)
        column.addWidget(self.hits, 1)

    @property
    def model_id(self) -> str:
        """The encoder chosen."""
        return str(self.encoder.currentData() or "")

    def choose(self, model_id: str) -> None:
        """Choose an encoder, if it is there."""
        place = self.encoder.findData(model_id)
        if place >= 0:
            self.encoder.setCurrentIndex(place)

    def show_entries(self, entries: tuple[m.ModelEntry, ...]) -> None:
        """The encoders to choose from."""
        before = self.model_id
        self.encoder.clear()
        for entry in entries:
            self.encoder.addItem(entry.name, entry.id)
        self.choose(before)

    def show_answer(self, answer: SearchResult, partners: dict[int, int], theme: Theme) -> None:
        """Show the hits; those that the other encoder has too are coloured and say where."""
        self.hits.clear()
        self.requests = {}
        for hit in answer.hits:
            partner = partners.get(hit.rank)
            text = self.tr("{rank}. {name}\nscore {score}").format(
                rank=hit.rank, name=hit.name, score=score_text(hit.score)
            )
            if partner is not None:
                text += "\n" + self.tr("also place {rank} of the other").format(rank=partner)
            item = QListWidgetItem(text)
            item.setData(Qt.ItemDataRole.UserRole, hit)
            item.setSizeHint(QSize(0, SIDE_PX + 8))
            if partner is not None:
                item.setBackground(QBrush(QColor(theme.colours.accent_soft)))
            self.hits.addItem(item)
            self.requests[_request(hit, self.devicePixelRatioF())] = self.hits.count() - 1
        if not answer.hits:
            self.hits.addItem(QListWidgetItem(self.tr("Nothing: it has encoded no slide that was asked for.")))

    def show_pictures(self, store: PictureStore) -> None:
        """Show what pictures there are, and ask for the others."""
        for request, place in self.requests.items():
            picture = store.picture(request)
            item = self.hits.item(place)
            if picture is not None and item is not None and item.icon().isNull():
                item.setIcon(QIcon(picture))


def _request(hit: Hit, ratio: float) -> m.ReadRegion:
    pixels = round(SIDE_PX * ratio)
    return m.ReadRegion(hit.path, hit.x0_px, hit.y0_px, hit.size0_px, hit.size0_px, pixels, pixels)
