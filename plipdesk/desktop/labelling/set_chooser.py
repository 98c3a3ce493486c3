"""Choosing a label set: those there are, changed in a dialog, from files and into files."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QMenu, QToolButton, QWidget

from plipdesk.base.errors import PlipdeskError
from plipdesk.base.files import atomic_write
from plipdesk.base.progress import Json
from plipdesk.desktop.labelling.controller import LabelController
from plipdesk.desktop.labelling.set_dialog import LabelSetDialog
from plipdesk.engine import messages as m


class SetChooser(QWidget):
    """A list of label sets and a button to change them."""

    chosen = Signal()
    """Another label set, or the first one."""
    failed = Signal(object)
    """A file could not be read or written (a Failed)."""

    def __init__(self, controller: LabelController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.list = QComboBox()
        self.list.setAccessibleName(self.tr("Label set"))
        self.edit = QToolButton()
        self.edit.setText(self.tr("Edit…"))
        self.edit.setToolTip(self.tr("Change this label set, or make your own of it"))
        self.edit.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        files = QMenu(self.edit)
        files.addAction(self.tr("Import a label set…")).triggered.connect(lambda: self._ask_import())
        files.addAction(self.tr("Export this label set…")).triggered.connect(lambda: self._ask_export())
        self.edit.setMenu(files)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.list, 1)
        row.addWidget(self.edit)
        self._wanted = ""
        self.edit.clicked.connect(self.edit_set)
        self.list.currentIndexChanged.connect(lambda _: self.chosen.emit())
        controller.sets_changed.connect(self._show)

    @property
    def document(self) -> dict[str, Json] | None:
        """The label set that is chosen."""
        found = self.list.currentData()
        return found if isinstance(found, dict) else None

    def _show(self) -> None:
        before = self.document
        wanted = self._wanted or (str(before["name"]) if before is not None else "tissues")
        self._wanted = ""
        self.list.blockSignals(True)
        self.list.clear()
        place = 0
        for row, one in enumerate(self._controller.sets):
            title = f"{one.name} {one.version}" if one.origin == "workspace" else one.title or one.name
            self.list.addItem(title, one.document)
            # The last of one name is the workspace's own.
            place = row if one.name == wanted else place
        self.list.setCurrentIndex(place)
        self.list.blockSignals(False)
        self.chosen.emit()

    def edit_set(self) -> None:
        """Change the label set that is chosen; it is kept in the workspace."""
        document = self.document
        if document is None:
            return
        dialog = LabelSetDialog(document, self)
        dialog.accepted.connect(lambda: self._keep(dialog.document()))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _keep(self, document: dict[str, Json]) -> None:
        self._wanted = str(document["name"])
        self._controller.keep_set(document)

    def _ask_import(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, self.tr("Import a label set"), "", "*.yaml *.yml *.json")
        if path:
            self.import_set(Path(path))

    def import_set(self, path: Path) -> None:
        """Keep the label set of a file in the workspace."""
        from plipdesk.labelling.label_sets import read_label_set

        try:
            self._keep(read_label_set(path).model_dump(mode="json"))
        except PlipdeskError as problem:
            self.failed.emit(m.failed(problem))

    def _ask_export(self) -> None:
        document = self.document
        if document is not None:
            suggested = str(Path.home() / f"{document['name']}.yaml")
            path, _ = QFileDialog.getSaveFileName(self, self.tr("Export the label set"), suggested, "*.yaml")
            if path:
                self.export_set(Path(path))

    def export_set(self, path: Path) -> None:
        """Write the label set that is chosen as YAML."""
        from plipdesk.labelling.label_sets import checked_label_set, label_set_yaml

        try:
            with atomic_write(path) as stream:
                stream.write(label_set_yaml(checked_label_set(self.document or {})).encode())
        except PlipdeskError as problem:
            self.failed.emit(m.failed(problem))
