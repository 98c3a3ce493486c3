"""Asks once how many µm a pixel of a slide covers, where nothing tells."""

from __future__ import annotations

from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from plipdesk.desktop.state.jobs import short_name
from plipdesk.desktop.state.mpp import LEAST_MPP_UM, MOST_MPP_UM, OBJECTIVES, MppAnswer, objective_mpp_um


class MppDialog(QDialog):
    """One question about one file; :meth:`answer` is valid once the dialog was accepted."""

    def __init__(self, path: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.path = path
        self.setWindowTitle(self.tr("µm per pixel"))
        question = QLabel(
            self.tr(
                "The file {name} does not say how large its pixels are. With which objective was it scanned, or how"
                " many µm does a pixel cover at full resolution?"
            ).format(name=short_name(path))
        )
        question.setWordWrap(True)
        self._group = QButtonGroup(self)
        choices = QVBoxLayout()
        self.objectives: dict[int, QRadioButton] = {}
        for power in OBJECTIVES:
            button = QRadioButton(
                self.tr("{power}× objective ({mpp} µm per pixel)").format(
                    power=power, mpp=f"{objective_mpp_um(power):g}"
                )
            )
            self.objectives[power] = button
            self._group.addButton(button)
            choices.addWidget(button)
        self.objectives[20].setChecked(True)
        self.other = QRadioButton(self.tr("Another value:"))
        self.other.setAccessibleName(self.tr("Another value in µm per pixel"))
        self._group.addButton(self.other)
        self.value = QDoubleSpinBox()
        self.value.setDecimals(4)
        self.value.setRange(LEAST_MPP_UM, MOST_MPP_UM)
        self.value.setSingleStep(0.05)
        self.value.setValue(0.5)
        self.value.setSuffix(self.tr(" µm per pixel"))
        self.value.setAccessibleName(self.tr("µm per pixel"))
        self.value.valueChanged.connect(lambda _: self.other.setChecked(True))
        row = QHBoxLayout()
        row.addWidget(self.other)
        row.addWidget(self.value)
        row.addStretch(1)
        choices.addLayout(row)
        self.folder = QCheckBox(self.tr("Use it for all such files in this folder"))
        self.folder.setToolTip(self.tr("Also for files that are added from this folder later in this session"))
        buttons = QDialogButtonBox()
        use = buttons.addButton(self.tr("Index with this value"), QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.addButton(self.tr("Not now"), QDialogButtonBox.ButtonRole.RejectRole)
        use.setDefault(True)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setSpacing(10)
        column.addWidget(question)
        column.addLayout(choices)
        column.addWidget(self.folder)
        column.addWidget(buttons)
        self.setMinimumWidth(self.fontMetrics().averageCharWidth() * 60)

    def answer(self) -> MppAnswer:
        """The value chosen, and whether it holds for the folder."""
        chosen = next((power for power, button in self.objectives.items() if button.isChecked()), None)
        mpp_um = self.value.value() if chosen is None else objective_mpp_um(chosen)
        return MppAnswer(mpp_um, self.folder.isChecked())
