"""The list of layers with their switches and opacities, and the sliders of the look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QCheckBox, QFrame, QGridLayout, QLabel, QPushButton, QSlider, QVBoxLayout, QWidget

from plipdesk.desktop.viewer.look import GAMMAS, Look
from plipdesk.desktop.viewer.overlays import Overlay, OverlayStack

SLIDER_PX = 130


class Popup(QFrame):
    """A frame beside a button that closes when something else is clicked, or by Escape."""

    def __init__(self, title: str, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setObjectName("popup")
        self.setAccessibleName(title)
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(14, 12, 14, 12)
        heading = QLabel(title)
        heading.setObjectName("panelTitle")
        self.column.addWidget(heading)
        self.rows = QGridLayout()
        self.rows.setHorizontalSpacing(12)
        self.column.addLayout(self.rows)

    def open_below(self, button: QWidget) -> None:
        """Show it under a button, as far to the left as the window needs."""
        self.adjustSize()
        corner = button.mapToGlobal(QPoint(0, button.height() + 2))
        around = button.window().frameGeometry()
        self.move(max(around.left() + 4, min(corner.x(), around.right() - self.width() - 8)), corner.y())
        self.show()
        self.setFocus()
        self.focusNextChild()


class LayersPopup(Popup):
    """One row for each layer of a view."""

    def __init__(self, stack: OverlayStack, parent: QWidget) -> None:
        super().__init__("", parent)
        title = self.tr("Layers over the slide")
        self.setAccessibleName(title)
        heading = self.findChild(QLabel)
        assert isinstance(heading, QLabel)
        heading.setText(title)
        self._stack = stack
        self.switches: dict[str, QCheckBox] = {}
        self.sliders: dict[str, QSlider] = {}
        layers = list(reversed(stack.layers()))
        for row, layer in enumerate(layers):
            self._add(row, layer)
        if not layers:
            nothing = QLabel(self.tr("Nothing lies over this slide."))
            nothing.setObjectName("muted")
            self.rows.addWidget(nothing, 0, 0)

    def _add(self, row: int, layer: Overlay) -> None:
        key = layer.key
        switch = QCheckBox(layer.title)
        switch.setChecked(layer.visible)
        switch.toggled.connect(lambda on: self._stack.choose(key, visible=on))
        slider = _slider(0, 100, round(100 * layer.opacity), self.tr("Opacity of {layer}").format(layer=layer.title))
        slider.valueChanged.connect(lambda value: self._stack.choose(key, opacity=value / 100))
        percent = QLabel(f"{slider.value()} %")
        percent.setMinimumWidth(percent.fontMetrics().horizontalAdvance("100 %"))
        slider.valueChanged.connect(lambda value: percent.setText(f"{value} %"))
        self.switches[key], self.sliders[key] = switch, slider
        for column, widget in enumerate((switch, slider, percent)):
            self.rows.addWidget(widget, row, column)


class LookPopup(Popup):
    """Brightness, contrast, gamma and the ICC profile of the view."""

    def __init__(self, look: Look, *, has_icc: bool, chosen: Callable[[Look], None], parent: QWidget) -> None:
        super().__init__("", parent)
        title = self.tr("Look of the slide")
        self.setAccessibleName(title)
        heading = self.findChild(QLabel)
        assert isinstance(heading, QLabel)
        heading.setText(title)
        self._look = look
        self._chosen = chosen
        self.brightness = self._row(0, self.tr("Brightness"), -100, 100, look.brightness)
        self.contrast = self._row(1, self.tr("Contrast"), -100, 100, look.contrast)
        self.gamma = self._row(
            2, self.tr("Gamma"), round(100 * GAMMAS[0]), round(100 * GAMMAS[1]), round(100 * look.gamma), 100
        )
        self.icc = QCheckBox(self.tr("Colours by the slide's ICC profile"))
        self.icc.setChecked(look.icc and has_icc)
        self.icc.setEnabled(has_icc)
        if not has_icc:
            self.icc.setToolTip(self.tr("This slide comes without an ICC profile."))
        self.icc.toggled.connect(self._tell)
        self.column.addWidget(self.icc)
        note = QLabel(self.tr("For the eye only: searches and models see the slide as it is."))
        note.setObjectName("muted")
        note.setWordWrap(True)
        self.column.addWidget(note)
        self.reset = QPushButton(self.tr("Reset"))
        self.reset.clicked.connect(self._reset)
        self.column.addWidget(self.reset, 0, Qt.AlignmentFlag.AlignRight)

    def _row(self, row: int, name: str, low: int, high: int, value: int, per: int = 1) -> QSlider:
        slider = _slider(low, high, value, name)
        shown = QLabel()
        shown.setMinimumWidth(shown.fontMetrics().horizontalAdvance("−100"))

        def show(number: int) -> None:
            shown.setText(f"{number / per:.2f}" if per > 1 else f"{number:+d}" if number else "0")

        show(value)
        slider.valueChanged.connect(show)
        slider.valueChanged.connect(self._tell)
        self.rows.addWidget(QLabel(name), row, 0)
        self.rows.addWidget(slider, row, 1)
        self.rows.addWidget(shown, row, 2)
        return slider

    def _tell(self) -> None:
        icc = self.icc.isChecked() if self.icc.isEnabled() else self._look.icc
        gamma = self.gamma.value() / 100
        self._look = replace(
            self._look, brightness=self.brightness.value(), contrast=self.contrast.value(), gamma=gamma, icc=icc
        )
        self._chosen(self._look)

    def _reset(self) -> None:
        self.brightness.setValue(0)
        self.contrast.setValue(0)
        self.gamma.setValue(100)
        if self.icc.isEnabled():
            self.icc.setChecked(True)


def _slider(low: int, high: int, value: int, name: str) -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setRange(low, high)
    slider.setValue(value)
    slider.setPageStep(max(1, (high - low) // 10))
    slider.setFixedWidth(SLIDER_PX)
    slider.setAccessibleName(name)
    return slider
