"""The panel of labels: choose a label set, label the slide that is shown, look, correct, take it elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QSpinBox,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from plipdesk.base.progress import Json
from plipdesk.desktop.jobs.controller import JobsController
from plipdesk.desktop.labelling.controller import LabelController
from plipdesk.desktop.labelling.grid import PatchGrid, PatchShown, patch_request
from plipdesk.desktop.labelling.heat_scale import HeatScale
from plipdesk.desktop.labelling.legend_table import ASK_NEXT, LegendTable
from plipdesk.desktop.labelling.saving import SaveButton, Wish
from plipdesk.desktop.labelling.set_chooser import SetChooser
from plipdesk.desktop.notices import failure_text
from plipdesk.desktop.pictures import PictureStore
from plipdesk.desktop.state.label_view import LabelView, Shown
from plipdesk.desktop.theme import Theme
from plipdesk.engine import messages as m

if TYPE_CHECKING:
    from plipdesk.desktop.state.labels import LabelledPatches


class LabelPanel(QWidget):
    """Its view of the labels (``view``) is drawn over the slide by whoever listens to :attr:`view_changed`."""

    view_changed = Signal()
    """The labels, or how they are shown, have changed."""
    patch_wanted = Signal(int)
    """Show this patch of the labelled slide in the viewer."""

    def __init__(
        self,
        controller: LabelController,
        jobs: JobsController,
        store: PictureStore,
        theme: Theme,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._controller = controller
        self._theme = theme
        self._slide: tuple[str, str, str] | None = None
        self._number: int | None = None
        self._keys: tuple[int, ...] = ()
        self._keys_of: tuple[str, str] | None = None
        self.view = LabelView()
        self.sets = SetChooser(controller)
        self.choice = QComboBox()
        for text, key in (
            (self.tr("One class a patch"), "single"),
            (self.tr("Any number of classes"), "multi"),
            (self.tr("From groups to classes"), "hierarchical"),
        ):
            self.choice.addItem(text, key)
        self.none = QCheckBox(self.tr("Allow “none of these”"))
        self.none.setToolTip(self.tr("Where random words fit a patch better than every class"))
        self.radius = QSpinBox()
        self.radius.setRange(0, 20)
        self.radius.setSpecialValueText(self.tr("off"))
        self.radius.setToolTip(self.tr("Average scores over neighbours up to so many patches away"))
        self.run = QPushButton(self.tr("Label this slide"))
        self.run.setObjectName("primaryButton")
        self.save = SaveButton(jobs, self._wish)
        self.state = QLabel("")
        self.state.setWordWrap(True)
        self.state.setObjectName("muted")
        self.shown = QComboBox()
        self.shown.setAccessibleName(self.tr("What is shown over the slide"))
        self.opacity = self._slider(60, self.tr("Opacity"))
        self.threshold = self._slider(0, self.tr("Hide patches that are less sure"))
        self.smooth = QCheckBox(self.tr("Smooth between patches"))
        self.scale = HeatScale()
        self.table = LegendTable()
        self.under = QLabel("")
        self.under.setMinimumHeight(self.under.fontMetrics().height())
        self.grid = PatchGrid(store, theme)
        self.grid_title = QLabel("")
        self.grid_title.setObjectName("panelTitle")
        self.grid_title.setWordWrap(True)
        self.notice = QLabel(self.tr("For research use only. Not for diagnosis."))
        self.notice.setObjectName("muted")
        self._lay_out()
        self._connect()
        self._show()

    # --- putting together ---

    def _slider(self, value: int, name: str) -> QSlider:
        slider = QSlider(Qt.Orientation.Horizontal)
        slider.setRange(0, 100)
        slider.setValue(value)
        slider.setAccessibleName(name)
        slider.setToolTip(name)
        return slider

    def _lay_out(self) -> None:
        second = QHBoxLayout()
        second.addWidget(self.choice, 1)
        second.addWidget(QLabel(self.tr("Neighbours")))
        second.addWidget(self.radius)
        third = QHBoxLayout()
        third.addWidget(self.run, 1)
        third.addWidget(self.save)
        looks = QFormLayout()
        looks.addRow(self.tr("Shown"), self.shown)
        looks.addRow(self.tr("Opacity"), self.opacity)
        looks.addRow(self.tr("Hide below"), self.threshold)
        looks.addRow("", self.smooth)
        looks.addRow("", self.scale)
        upper = QWidget()
        column = QVBoxLayout(upper)
        column.setContentsMargins(10, 6, 10, 4)
        column.addWidget(self.sets)
        column.addLayout(second)
        column.addWidget(self.none)
        column.addLayout(third)
        column.addWidget(self.state)
        column.addLayout(looks)
        column.addWidget(self.table, 1)
        column.addWidget(self.under)
        lower = QWidget()
        below = QVBoxLayout(lower)
        below.setContentsMargins(10, 2, 10, 4)
        below.addWidget(self.grid_title)
        below.addWidget(self.grid, 1)
        below.addWidget(self.notice)
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.addWidget(upper)
        splitter.addWidget(lower)
        splitter.setChildrenCollapsible(False)
        splitter.setStretchFactor(0, 3)
        splitter.setStretchFactor(1, 2)
        self.smooth.hide()
        self.scale.hide()
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(splitter)
        self.setMinimumWidth(300)

    def _connect(self) -> None:
        controller = self._controller
        self.sets.chosen.connect(self._show)
        self.sets.failed.connect(self._failed)
        controller.started.connect(self._show)
        controller.answered.connect(self._answered)
        controller.corrected.connect(self._corrected)
        controller.failed.connect(self._failed)
        self.run.clicked.connect(self.label)
        for widget in (self.opacity, self.threshold):
            widget.valueChanged.connect(lambda _: self._look())
        self.smooth.toggled.connect(lambda _: self._look())
        self.shown.currentIndexChanged.connect(lambda _: self._look())
        self.table.chosen.connect(self._choose)
        self.grid.digit_pressed.connect(self._on_digit)
        self.grid.taken_back.connect(lambda patches: controller.correct(patches, None))
        self.grid.opened.connect(self.patch_wanted)

    # --- labelling ---

    def set_slide(self, slide_id: str | None, path: str, name: str) -> None:
        """The slide that is shown; None where it is not in the workspace."""
        slide = None if slide_id is None else (slide_id, path, name)
        if slide == self._slide:
            return
        self._slide = slide
        self._controller.forget()
        self._show()

    def settings(self) -> dict[str, Json]:
        """What is chosen, as the engine takes it."""
        return {
            "choice": self.choice.currentData(), "none_of_these": self.none.isChecked(), "smooth": self.radius.value(),
        }  # fmt: skip

    def label(self) -> None:
        """Label the slide that is shown."""
        document = self.sets.document
        if self._slide is not None and document is not None:
            self._controller.label(self._slide[0], document, self.settings())

    def _failed(self, failure: m.Failed) -> None:
        self._show()
        self.state.setText(failure_text(failure))

    def _answered(self) -> None:
        found = self._controller.found
        before = self.shown.currentData()
        self.shown.blockSignals(True)
        self.shown.clear()
        if found is not None:
            self._set_keys(found)
            self.shown.addItem(self.tr("All labels"), ("labels", 0))
            for number, name in enumerate(found.classes):
                self.shown.addItem(self.tr("Heat map: {name}").format(name=name), ("heat", number))
            places = [place for place in range(self.shown.count()) if self.shown.itemData(place) == before]
            self.shown.setCurrentIndex(places[0] if places else 0)
        self.shown.blockSignals(False)
        self._show()
        self._look()

    def _set_keys(self, found: LabelledPatches) -> None:
        """Which classes the digits name; they stay while the same slide is labelled with the same set."""
        from plipdesk.desktop.state.labels import keyed_classes

        of = (found.slide_id, f"{found.label_set} {found.classes}")
        if of != self._keys_of:
            self._keys, self._keys_of = keyed_classes(found), of

    def _show(self) -> None:
        found, busy = self._controller.found, self._controller.busy
        self.run.setEnabled(self._slide is not None and self.sets.document is not None and not busy)
        self.run.setText(self.tr("Labelling…") if busy else self.tr("Label this slide"))
        for widget in (self.shown, self.opacity, self.threshold, self.smooth, self.table, self.save):
            widget.setEnabled(found is not None)
        if busy:
            self.state.setText("")
        elif self._slide is None:
            self.state.setText(self.tr("Open a slide of the workspace to label it."))
        elif found is None:
            self.state.setText(self.tr("Every patch gets the class whose words it looks like most."))
        else:
            self.state.setText("\n".join(self._controller.notes))
        self.state.setVisible(bool(self.state.text()))
        self._show_table()

    # --- legend and table ---

    def _show_table(self) -> None:
        self.table.show_rows(self._controller.found, self._controller.table, self._keys)

    def _choose(self, number: int | None) -> None:
        self._number = number
        self._show_grid()

    # --- patches to correct ---

    def _show_grid(self) -> None:
        found, number = self._controller.found, self._number
        if found is None or number is None or self._slide is None:
            self.grid_title.setText("")
            self.grid.show_patches(())
            return
        patches = list(found.ask_next) if number == ASK_NEXT else found.examples(number, self.view.threshold)
        if number == ASK_NEXT:
            self.grid_title.setText(self.tr("Least sure and most unlike each other: press 1 to 9 to say what they are"))
        else:
            self.grid_title.setText(self.tr("{name}: the surest, then the least sure").format(name=found.names[number]))
        self.grid.show_patches([self._patch(patch, found) for patch in patches])

    def _patch(self, patch: int, found: LabelledPatches) -> PatchShown:
        assert self._slide is not None
        corrected = int(found.corrected[patch])
        best = found.names[int(found.best[patch])]
        text = f"{best}\n{float(found.probability[patch]):.2f}"
        if corrected >= 0:
            text = f"✓ {found.names[corrected]}"
        x0_px, y0_px = int(found.x0_px[patch]), int(found.y0_px[patch])
        request = patch_request(self._slide[1], x0_px, y0_px, found.size0_px, self.devicePixelRatioF())
        return PatchShown(patch, request, text, self.tr("Patch: {words}").format(words=text.replace("\n", ", ")))

    def _on_digit(self, patches: list[int], digit: int) -> None:
        found = self._controller.found
        if found is not None and digit == 0:
            self._controller.correct(patches, len(found.classes))
        elif found is not None and digit <= len(self._keys):
            self._controller.correct(patches, self._keys[digit - 1])

    def _corrected(self) -> None:
        self._show_grid()
        self.view_changed.emit()

    # --- how it looks ---

    def _look(self) -> None:
        chosen: tuple[Shown, int] = self.shown.currentData() or ("labels", 0)
        shown, number = chosen
        view = LabelView(
            shown, number, self.threshold.value() / 100, self.opacity.value() / 100, self.smooth.isChecked()
        )
        threshold_moved = view.threshold != self.view.threshold
        self.view = view
        self.smooth.setVisible(shown == "heat")
        self._show_scale()
        if threshold_moved:
            self._show_grid()
        self.view_changed.emit()

    def _show_scale(self) -> None:
        found = self._controller.found
        self.scale.setVisible(self.view.shown == "heat" and found is not None)
        if found is not None and self.view.shown == "heat":
            from plipdesk.desktop.state.labels import heat_range

            self.scale.show_range(*heat_range(found, self.view.number))

    def show_under(self, place: tuple[float, float] | None) -> None:
        """What lies under the cursor (level-0 pixels)."""
        found = self._controller.found
        patch = None if found is None or place is None else found.at(*place)
        if found is None or patch is None:
            self.under.setText("")
            return
        text = " · ".join(f"{name} {share:.2f}" for name, share in found.best_classes(patch))
        if found.corrected[patch] >= 0:
            text = f"✓ {found.names[int(found.corrected[patch])]} ({text})"
        self.under.setText(text)

    # --- taking it elsewhere ---

    def _wish(self) -> Wish | None:
        document = self.sets.document
        return None if self._slide is None or document is None else Wish(self._slide, document, self.settings())
