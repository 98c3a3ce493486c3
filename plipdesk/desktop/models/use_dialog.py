"""Where an encoder is to be used, and what that costs, shown before anything is changed."""

from __future__ import annotations

from PySide6.QtWidgets import QCheckBox, QComboBox, QDialog, QDialogButtonBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from plipdesk.catalogue.rows import CollectionRow
from plipdesk.desktop import words
from plipdesk.desktop.models import wording
from plipdesk.desktop.models.controller import ModelsController
from plipdesk.desktop.notices import failure_text
from plipdesk.engine import messages as m


class UseDialog(QDialog):
    """Everything, or one collection; its slides are encoded at once if the person wants it."""

    def __init__(
        self,
        controller: ModelsController,
        entry: m.ModelEntry,
        collections: tuple[CollectionRow, ...],
        collection: str | None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._controller = controller
        self.entry = entry
        self.cost: m.Cost | None = None
        self._ticket = 0
        self.setWindowTitle(self.tr("Use {name}").format(name=entry.name))
        self.scope = QComboBox()
        self.scope.addItem(self.tr("everything in this workspace"), None)
        for row in collections:
            self.scope.addItem(
                self.tr("the collection {name} ({slides})").format(name=row.name, slides=words.slides(row.slides)),
                row.name,
            )
        self.scope.setCurrentIndex(max(0, self.scope.findData(collection)))
        self.scope.setAccessibleName(self.tr("Where it is used"))
        self.told = QLabel()
        self.told.setWordWrap(True)
        self.told.setAccessibleName(self.tr("What it costs"))
        self.encode = QCheckBox(self.tr("Encode these slides now, in the background"))
        self.encode.setChecked(True)
        hint = QLabel(self.tr("New slides and searches use it from now on. What other encoders have encoded is kept."))
        hint.setObjectName("muted")
        hint.setWordWrap(True)
        form = QFormLayout()
        form.addRow(self.tr("Use it for"), self.scope)
        buttons = QDialogButtonBox()
        self.apply = buttons.addButton(self.tr("Use it"), QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        self.apply.setDefault(True)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setSpacing(12)
        column.addLayout(form)
        column.addWidget(self.told)
        column.addWidget(self.encode)
        column.addWidget(hint)
        column.addWidget(buttons)
        self.setMinimumWidth(self.fontMetrics().averageCharWidth() * 64)
        self.scope.currentIndexChanged.connect(lambda _: self._ask())
        self.finished.connect(lambda _: controller.forget(self._ticket))
        self._ask()

    @property
    def collection(self) -> str | None:
        """The collection chosen; None: everything."""
        chosen: str | None = self.scope.currentData()
        return chosen

    @property
    def work(self) -> m.Cost | None:
        """What is to be encoded now; None: nothing."""
        return self.cost if self.encode.isChecked() and self.cost is not None and self.cost.jobs else None

    def _ask(self) -> None:
        self._controller.forget(self._ticket)
        self.cost = None
        self.told.setText(self.tr("Looking at what there is to encode …"))
        self.encode.setEnabled(False)
        self._ticket = self._controller.cost(self.entry.id, self.collection, self._on_cost, self._on_failed)

    def _on_cost(self, cost: m.Cost) -> None:
        self.cost = cost
        self.told.setText("\n".join([wording.cost(cost), *cost.notes]))
        self.encode.setEnabled(bool(cost.jobs))

    def _on_failed(self, failure: m.Failed) -> None:
        self.told.setText(failure_text(failure))
