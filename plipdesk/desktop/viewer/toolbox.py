"""The drawing tools as actions with keys, and the bar that shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from PySide6.QtCore import QObject, QSize, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QToolBar, QWidget

from plipdesk.desktop.state import shapes
from plipdesk.desktop.state.annotations import AnnotationBook
from plipdesk.desktop.state.sketch import KINDS, Kind
from plipdesk.desktop.theme import Theme
from plipdesk.desktop.viewer.annotation_dialog import AnnotationDialog
from plipdesk.desktop.viewer.drawing_touch import Brush, DrawTouch, SelectTouch
from plipdesk.desktop.viewer.pane import SlidePane
from plipdesk.desktop.viewer.touching import Touch
from plipdesk.desktop.viewer.viewer_actions import make_action

HAND, SELECT = "hand", "select"


class Toolbox(QObject):
    """One tool is chosen for all views; ``active`` tells the view that keys and buttons mean."""

    tissue_corrected = Signal(object, bool, object)
    """The chosen area is (True) or is not (False) tissue: SlideToShow, bool, the area as a GeoJSON geometry."""

    def __init__(self, owner: QWidget, theme: Theme, active: Callable[[], SlidePane]) -> None:
        super().__init__(owner)
        self._owner = owner
        self._theme = theme
        self._active = active
        self._brush = Brush()
        self.name = HAND
        self._handed = HAND
        self.actions_by_name: dict[str, QAction] = {}
        for name, text, key in (
            (HAND, self.tr("Move the slide"), "H"),
            (SELECT, self.tr("Choose and change annotations"), "V"),
            ("rectangle", self.tr("Rectangle"), "R"),
            ("ellipse", self.tr("Ellipse"), "E"),
            ("polygon", self.tr("Polygon"), "P"),
            ("freehand", self.tr("Freehand"), "F"),
            ("brush", self.tr("Brush: adds to the chosen area"), "U"),
            ("eraser", self.tr("Eraser: takes from the chosen area"), "X"),
            ("point", self.tr("Point"), "."),
            ("ruler", self.tr("Ruler"), "L"),
        ):
            self.actions_by_name[name] = make_action(owner, text, key, partial(self.choose, name), switch=True)
        self.undo_action = make_action(owner, self.tr("Undo"), "Ctrl+Z", lambda: self._book().undo())
        self.redo_action = make_action(owner, self.tr("Redo"), "Ctrl+Shift+Z  Ctrl+Y", lambda: self._book().redo())
        self.next_action = make_action(owner, self.tr("Next annotation"), "N", lambda: self._show_next(1))
        self.back_action = make_action(owner, self.tr("Annotation before"), "Shift+N", lambda: self._show_next(-1))
        self.edit_action = make_action(owner, self.tr("Name, class and colour…"), "T", self.edit)
        self.delete_action = make_action(owner, self.tr("Delete the annotation"), "Del", self.delete)
        self.tissue_actions = [
            make_action(owner, text, key, partial(self._correct_tissue, add))
            for text, key, add in (
                (self.tr("Add the chosen area to the tissue"), "M", True),
                (self.tr("Take the chosen area from the tissue"), "Shift+M", False),
            )
        ]
        self.bar = QToolBar(self.tr("Drawing tools"))
        self.bar.setOrientation(Qt.Orientation.Vertical)
        self.bar.setIconSize(QSize(18, 18))
        self.bar.addActions(list(self.actions_by_name.values()))
        self.bar.addSeparator()
        self.bar.addActions([self.undo_action, self.redo_action, self.edit_action, self.delete_action])
        theme.changed.connect(self._dress)
        self._dress()

    def groups(self) -> list[list[QAction]]:
        """The actions as a menu shows them."""
        return [
            list(self.actions_by_name.values()),
            [self.undo_action, self.redo_action],
            [self.next_action, self.back_action, self.edit_action, self.delete_action],
            self.tissue_actions,
        ]

    def choose(self, name: str) -> None:
        """Take a tool; the one that is in hand already is laid down."""
        self.name = HAND if name == self.name else name
        self.hand_over()
        self._active().canvas.setFocus()

    def hand_over(self) -> None:
        """Give the tool in hand to the active view."""
        canvas = self._active().canvas
        if self.name == HAND:
            if canvas.tool == "other":
                canvas.set_tool("pan")
        elif canvas.tool != "other" or self._handed != self.name:
            self._handed = self.name
            canvas.set_tool("other", self._touch(self._active()))
        self.show()

    def laid_down(self) -> None:
        """The view has taken another tool by itself, such as the box."""
        self.name = HAND
        self.show()

    def cancel(self) -> bool:
        """Drop what is unfinished, else lay the tool down; False where there is nothing of the kind."""
        canvas = self._active().canvas
        touch = canvas.touch
        if isinstance(touch, DrawTouch) and touch.sketch.begun:
            touch.leave()
            canvas.update()
            return True
        if self.name != HAND:
            self.choose(HAND)
            return True
        if self._book().selected is not None:
            self._book().select(None)
            return True
        return False

    def edit(self) -> None:
        """Ask for name, class and colour of the chosen annotation."""
        pane = self._active()
        book, row = pane.annotator.book, pane.annotator.book.chosen
        if row is None:
            return
        slide = pane.canvas.slide
        dialog = AnnotationDialog(row, book.classes(), None if slide is None else slide.mpp_um, self._owner)

        def accepted() -> None:
            wanted, now = dialog.row(), book.rows.get(row.annotation_id)
            if now is not None:
                book.class_name = wanted.class_name
                book.change({row.annotation_id: replace(wanted, geometry=now.geometry)})

        dialog.accepted.connect(accepted)
        dialog.open()

    def delete(self) -> None:
        """Take the chosen annotation away, unless it is locked."""
        chosen = self._book().selected
        if chosen is not None:
            self._book().remove(chosen)

    def show(self) -> None:
        """Check and enable what fits the active view."""
        pane = self._active()
        book, opened = pane.annotator.book, pane.canvas.slide is not None
        for name, action in self.actions_by_name.items():
            action.setEnabled(opened)
            action.setChecked(name == self.name and pane.canvas.tool != "box")
        chosen = book.chosen
        self.undo_action.setEnabled(book.can_undo)
        self.redo_action.setEnabled(book.can_redo)
        self.next_action.setEnabled(bool(book.rows))
        self.back_action.setEnabled(bool(book.rows))
        self.edit_action.setEnabled(chosen is not None)
        area = chosen is not None and bool(shapes.polygons_of(chosen.geometry))
        for action in self.tissue_actions:
            action.setEnabled(area and pane.shown is not None and pane.shown.slide_id is not None)
        self.delete_action.setEnabled(chosen is not None and not chosen.locked)

    def _correct_tissue(self, add: bool) -> None:
        pane, row = self._active(), self._book().chosen
        if row is not None and pane.shown is not None and shapes.polygons_of(row.geometry):
            self.tissue_corrected.emit(pane.shown, add, row.geometry)
            # It was drawn for this; undo brings it back.
            self._book().remove(row.annotation_id)

    def _show_next(self, step: int) -> None:
        self._book().select_next(step)
        self._active().show_chosen()

    def _book(self) -> AnnotationBook:
        return self._active().annotator.book

    def _touch(self, pane: SlidePane) -> Touch:
        canvas = pane.canvas

        def zoom() -> float:
            return 1.0 if canvas.camera is None else canvas.camera.zoom

        kind: Kind | None = next((kind for kind in KINDS if kind == self.name), None)
        if kind is None:
            return SelectTouch(pane.annotator.book, zoom, self.edit)
        return DrawTouch(pane.annotator.book, kind, self._brush, zoom)

    def _dress(self) -> None:
        for name, action in self.actions_by_name.items():
            action.setIcon(self._theme.icon(name))
        for action, name in (
            (self.undo_action, "undo"),
            (self.redo_action, "redo"),
            (self.edit_action, "more"),
            (self.delete_action, "close"),
        ):
            action.setIcon(self._theme.icon(name))
