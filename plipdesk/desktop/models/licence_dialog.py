"""Shows the licence of a known model; nothing is downloaded before it is accepted."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QDialog, QDialogButtonBox, QLabel, QLineEdit, QVBoxLayout, QWidget

from plipdesk.engine.messages import ModelEntry


class LicenceDialog(QDialog):
    """One page: what is fetched, from where, and on which terms."""

    def __init__(self, entry: ModelEntry, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.entry = entry
        self.setWindowTitle(self.tr("Download {name}").format(name=entry.name))
        column = QVBoxLayout(self)
        column.setSpacing(12)
        self.text = QLabel("\n\n".join(self._paragraphs()))
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column.addWidget(self.text)
        self.accepted_box = QCheckBox(self.tr("I have read this and accept it"))
        column.addWidget(self.accepted_box)
        self.token = QLineEdit()
        self.token.setEchoMode(QLineEdit.EchoMode.Password)
        self.token.setPlaceholderText(self.tr("Token of your account at the hub"))
        self.token.setAccessibleName(self.tr("Token of your account at the hub"))
        self.token.setVisible(bool(entry.card.get("gated")))
        column.addWidget(self.token)
        buttons = QDialogButtonBox()
        self.download = buttons.addButton(self.tr("Download"), QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.addButton(self.tr("Not now"), QDialogButtonBox.ButtonRole.RejectRole)
        self.download.setEnabled(False)
        self.accepted_box.toggled.connect(self.download.setEnabled)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column.addWidget(buttons)
        width = self.fontMetrics().averageCharWidth() * 72
        self.setMinimumWidth(width)
        self.resize(width, column.heightForWidth(width))
        self.accepted_box.setFocus()

    def _paragraphs(self) -> list[str]:
        card = self.entry.card
        lines = [str(card.get("licence_text", self.entry.licence))]
        if card.get("paper"):
            lines.append(self.tr("Publication: {paper}.").format(paper=card["paper"]))
        if card.get("gated"):
            lines.append(
                self.tr(
                    "A token of your account at the hub is needed. It is kept in this computer's keyring and sent to"
                    " the hub alone; leave the line empty if it was kept before."
                )
            )
        lines.append(
            self.tr(
                "This is the only time plipdesk uses the network: the model's files are fetched from its page at the"
                " hub (or the mirror that HF_ENDPOINT names). Nothing of your slides or searches is sent."
            )
        )
        return lines
