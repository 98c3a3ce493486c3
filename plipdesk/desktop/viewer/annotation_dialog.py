"""Name, class, colour and lock of an annotation, and how large it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QIcon, QPixmap
from PySide6.QtWidgets import (
    QCheckBox,
    QColorDialog,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QWidget,
)

from plipdesk.catalogue.rows import AnnotationRow
from plipdesk.desktop.state import shapes
from plipdesk.desktop.state.annotations import colour_of
from plipdesk.desktop.viewer.scale import length_label

SWATCH_PX = 16


class AnnotationDialog(QDialog):
    """Asks; :meth:`row` is the annotation with the answers."""

    def __init__(
        self, row: AnnotationRow, classes: Sequence[str], mpp_um: float | None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._row = row
        self._colour = row.colour
        self.setWindowTitle(self.tr("Annotation"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.name = QLineEdit(row.name)
        self.name.setMaxLength(1000)
        self.name.setAccessibleName(self.tr("Name"))
        self.class_box = QComboBox()
        self.class_box.setEditable(True)
        self.class_box.addItem("")
        self.class_box.addItems(list(classes))
        self.class_box.setCurrentText(row.class_name or "")
        self.class_box.setAccessibleName(self.tr("Class"))
        self.class_box.setToolTip(self.tr("Choose a class, or type a new one"))
        self.class_box.currentTextChanged.connect(self._show_colour)
        self.colour_button = QPushButton()
        self.colour_button.clicked.connect(self._choose_colour)
        self.lock = QCheckBox(self.tr("Locked: it can be neither changed nor deleted"))
        self.lock.setChecked(row.locked)
        self._buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        self._buttons.accepted.connect(self.accept)
        self._buttons.rejected.connect(self.reject)
        form = QFormLayout(self)
        form.addRow(self.tr("&Name"), self.name)
        form.addRow(self.tr("&Class"), self.class_box)
        form.addRow(self.tr("C&olour"), self.colour_button)
        form.addRow("", self.lock)
        size = QLabel(_size(row, mpp_um, self.tr("Area {area}, perimeter {length}"), self.tr("Length {length}")))
        size.setObjectName("muted")
        size.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        if size.text():
            form.addRow("", size)
        form.addRow(self._buttons)
        self._show_colour()
        self.name.selectAll()

    def row(self) -> AnnotationRow:
        """The annotation as the person wants it."""
        return replace(
            self._row,
            name=self.name.text().strip(),
            class_name=self.class_box.currentText().strip() or None,
            colour=self._colour,
            locked=self.lock.isChecked(),
        )

    def _choose_colour(self) -> None:
        dialog = QColorDialog(QColor(colour_of(self.row())), self)
        dialog.setOption(QColorDialog.ColorDialogOption.DontUseNativeDialog)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.colorSelected.connect(self.set_colour)
        dialog.open()

    def set_colour(self, colour: QColor) -> None:
        """A colour of its own instead of its class's."""
        self._colour = colour.name()
        self._show_colour()

    def _show_colour(self) -> None:
        swatch = QPixmap(SWATCH_PX, SWATCH_PX)
        swatch.fill(QColor(colour_of(self.row())))
        self.colour_button.setIcon(QIcon(swatch))
        own = self._colour is not None
        self.colour_button.setText(self.tr("Its own colour…") if own else self.tr("Colour of its class…"))
        self.colour_button.setAccessibleName(self.colour_button.text())


def _size(row: AnnotationRow, mpp_um: float | None, area_words: str, line_words: str) -> str:
    if row.geometry["type"] == "Point":
        return ""
    length_px, area_px2 = shapes.length_px(row.geometry), shapes.area_px2(row.geometry)
    if mpp_um is None:
        length, area = f"{length_px:,.0f} px", f"{area_px2:,.0f} px²"
    else:
        length = length_label(length_px * mpp_um)
        area_um2 = area_px2 * mpp_um**2
        area = f"{area_um2 / 1e6:.4g} mm²" if area_um2 >= 10_000 else f"{area_um2:.4g} µm²"
    return line_words.format(length=length) if area_px2 == 0 else area_words.format(area=area, length=length)
