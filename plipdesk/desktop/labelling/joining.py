"""Ties the panel of labels to the viewer: its slide, its layer, its cursor."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QObject

from plipdesk.desktop.labelling.controller import LabelController
from plipdesk.desktop.labelling.panel import LabelPanel
from plipdesk.desktop.link import Link
from plipdesk.desktop.viewer.camera import Rect
from plipdesk.desktop.viewer.pane import SlidePane
from plipdesk.desktop.viewer.panel import ViewerPanel

KEY = "labels"


class LabelJoint(QObject):
    """The active view's slide is the one that is labelled; the labels lie over every view of that slide."""

    def __init__(
        self, link: Link, controller: LabelController, panel: LabelPanel, viewer: ViewerPanel, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._controller = controller
        self._panel = panel
        self._viewer = viewer
        link.connected.connect(controller.list_sets)
        viewer.views.activated.connect(self._slide_changed)
        viewer.views.added.connect(self._watch)
        self._watch(viewer.views.active)
        panel.view_changed.connect(self._draw)
        panel.patch_wanted.connect(self._go_to)

    def _watch(self, pane: SlidePane) -> None:
        pane.canvas.cursor_moved.connect(partial(self._cursor, pane))
        pane.opened.connect(self._slide_changed)
        pane.closed.connect(self._slide_changed)

    def _cursor(self, pane: SlidePane, place: tuple[float, float] | None) -> None:
        found = self._controller.found
        if found is not None and pane.shown is not None and pane.shown.slide_id == found.slide_id:
            self._panel.show_under(place)

    def _slide_changed(self) -> None:
        pane = self._viewer.views.active
        shown = pane.shown if pane.canvas.slide is not None else None
        self._panel.set_slide(
            None if shown is None else shown.slide_id,
            "" if shown is None else shown.path,
            "" if shown is None else shown.name,
        )
        self._draw()

    def _draw(self) -> None:
        found = self._controller.found
        for pane in self._viewer.views.panes:
            stack = pane.canvas.overlays
            if found is None or pane.shown is None or pane.shown.slide_id != found.slide_id:
                stack.take(KEY)
                continue
            from plipdesk.desktop.labelling.overlay import label_overlay

            layer = label_overlay(found, self._panel.view, self.tr("Labels"))
            if layer is not None:
                stack.put(layer)
                stack.choose(KEY, opacity=self._panel.view.opacity)

    def _go_to(self, patch: int) -> None:
        found, shown = self._controller.found, self._viewer.shown
        if found is not None and shown is not None and shown.slide_id == found.slide_id:
            place = Rect(float(found.x0_px[patch]), float(found.y0_px[patch]), found.size0_px, found.size0_px)
            self._viewer.show_slide(shown, patch=place)
