"""What a person may know of a model that its files do not say."""

from __future__ import annotations

from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from plipdesk.base.progress import Json
from plipdesk.desktop.state.jobs import short_name
from plipdesk.desktop.state.models import needs_architecture


class ImportDialog(QDialog):
    """One form; everything in it may be left as it is, but for bare weights, which need their architecture."""

    def __init__(self, path: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.path = path
        self.setWindowTitle(self.tr("Import an encoder"))
        about = QLabel(
            self.tr("{name} becomes an encoder of this workspace. Its files are read and not touched.").format(
                name=short_name(path)
            )
        )
        about.setWordWrap(True)
        self.id = QLineEdit()
        self.id.setPlaceholderText(self.tr("made from the file's name"))
        self.id.setAccessibleName(self.tr("Id of the encoder"))
        self.architecture = QLineEdit()
        self.architecture.setPlaceholderText(self.tr("such as ViT-B-16"))
        self.architecture.setAccessibleName(self.tr("Architecture of the weights"))
        self.mpp = QDoubleSpinBox()
        self.mpp.setRange(0.0, 100.0)
        self.mpp.setDecimals(4)
        self.mpp.setSingleStep(0.05)
        self.mpp.setSpecialValueText(self.tr("as its files say, else 0.5"))
        self.mpp.setSuffix(self.tr(" µm per pixel"))
        self.mpp.setAccessibleName(self.tr("µm per pixel it was trained at"))
        form = QFormLayout()
        form.addRow(self.tr("Id"), self.id)
        self._bare = needs_architecture(path)
        if self._bare:
            form.addRow(self.tr("Architecture"), self.architecture)
        form.addRow(self.tr("Resolution"), self.mpp)
        buttons = QDialogButtonBox()
        self.start = buttons.addButton(self.tr("Import"), QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        self.start.setDefault(True)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setSpacing(12)
        column.addWidget(about)
        if self._bare:
            hint = QLabel(
                self.tr("Bare weights do not say what network they are for: name it as open_clip or timm does.")
            )
            hint.setObjectName("muted")
            hint.setWordWrap(True)
            column.addWidget(hint)
        column.addLayout(form)
        column.addWidget(buttons)
        self.setMinimumWidth(self.fontMetrics().averageCharWidth() * 60)

    def given(self) -> dict[str, Json]:
        """What was filled in."""
        return {
            "id": self.id.text().strip() or None,
            "architecture": (self.architecture.text().strip() or None) if self._bare else None,
            "mpp_um": self.mpp.value() or None,
        }
