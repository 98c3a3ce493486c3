"""The card of one encoder: its name, one sentence, and everything else as lines of words."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFormLayout, QFrame, QLabel, QScrollArea, QVBoxLayout, QWidget

from plipdesk.catalogue.rows import CollectionRow
from plipdesk.desktop.models import wording
from plipdesk.engine.messages import ModelEntry

_SELECTABLE = Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard


class CardView(QScrollArea):
    """Shows one encoder at a time; every value can be selected and copied."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName(self.tr("Card of the encoder"))
        self.rows: list[wording.Row] = []
        """What is shown, line by line."""

    def show_entry(self, entry: ModelEntry | None, collections: tuple[CollectionRow, ...]) -> None:
        """Show an encoder, or nothing."""
        self.rows = [] if entry is None else wording.card_rows(entry, collections)
        place = self.verticalScrollBar().value()
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(8)
        if entry is not None:
            title = QLabel(entry.name)
            title.setObjectName("panelTitle")
            font = title.font()
            font.setPointSizeF(font.pointSizeF() * 1.4)
            font.setBold(True)
            title.setFont(font)
            title.setTextFormat(Qt.TextFormat.PlainText)
            title.setWordWrap(True)
            column.addWidget(title)
            about = wording.summary(entry)
            if about:
                column.addWidget(_value(about))
            column.addLayout(self._form())
        column.addStretch(1)
        self.setWidget(page)
        self.verticalScrollBar().setValue(place)

    def _form(self) -> QFormLayout:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        form.setHorizontalSpacing(16)
        form.setVerticalSpacing(7)
        for name, text in self.rows:
            label = QLabel(name)
            label.setObjectName("muted")
            label.setWordWrap(True)
            label.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
            label.setFixedWidth(self.fontMetrics().averageCharWidth() * 20)
            value = _value(text)
            value.setAccessibleName(f"{name}: {text}")
            form.addRow(label, value)
        return form


def _value(text: str) -> QLabel:
    # A word that is longer than the card, such as a checksum, may break anywhere.
    label = QLabel(_breakable(text))
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(_SELECTABLE)
    return label


def _breakable(text: str) -> str:
    """With places where long words may break; they are not seen, and copied as nothing that matters."""
    return " ".join(
        "\u200b".join(word[start : start + 16] for start in range(0, len(word), 16)) if len(word) > 40 else word
        for word in text.split(" ")
    )
