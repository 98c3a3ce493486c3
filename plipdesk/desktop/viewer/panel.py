"""The viewer: views side by side, their tools, and a status line."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QHBoxLayout, QLabel, QMenu, QToolBar, QVBoxLayout, QWidget

from plipdesk.desktop.elided import ElidedLabel
from plipdesk.desktop.empty import EmptyState
from plipdesk.desktop.link import Link
from plipdesk.desktop.state import shapes
from plipdesk.desktop.theme import Theme
from plipdesk.desktop.viewer.camera import Rect
from plipdesk.desktop.viewer.canvas import SlideCanvas, Tool
from plipdesk.desktop.viewer.layers_popup import LayersPopup, LookPopup, Popup
from plipdesk.desktop.viewer.moving import KEY_ZOOM
from plipdesk.desktop.viewer.overlays import OverlayStack
from plipdesk.desktop.viewer.pane import SlidePane, SlideToShow
from plipdesk.desktop.viewer.place_line import place_text, scale_text
from plipdesk.desktop.viewer.slide_layers import TISSUE
from plipdesk.desktop.viewer.toolbox import Toolbox
from plipdesk.desktop.viewer.viewer_actions import (
    FINE_TURN_DEG,
    OBJECTIVE_KEYS,
    TURN_DEG,
    make_action,
    objective_text,
)
from plipdesk.desktop.viewer.views import SlideViews
from plipdesk.engine import messages as m
from plipdesk.search.query import Hit

__all__ = ["SlideToShow", "ViewerPanel"]


class ViewerPanel(QWidget):
    """Shows slides; ``similar_wanted`` carries (SlideToShow, Rect in level-0 pixels)."""

    similar_wanted = Signal(object, object)
    close_wanted = Signal()
    not_saved = Signal(object)
    """What was drawn cannot be saved for now (a Failed)."""
    tissue_corrected = Signal(str)
    """The tissue of a slide (its name) was corrected; it is being cut anew."""
    unkept = Signal()
    """Something was drawn on a slide that is not in the workspace."""

    def __init__(self, link: Link, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._hits: tuple[Hit, ...] = ()
        self.setAccessibleName(self.tr("Viewer"))
        self.views = SlideViews(link, theme, self)
        self._title = ElidedLabel("", Qt.TextElideMode.ElideMiddle)
        self._title.setObjectName("panelTitle")
        self._status = ElidedLabel("")
        self._status.setObjectName("muted")
        self._scale = QLabel("")
        self._scale.setObjectName("muted")
        self.toolbox = Toolbox(self, theme, lambda: self.views.active)
        self._make_actions()
        self._bar = QToolBar(self.tr("Viewer tools"))
        self._bar.setIconSize(QSize(20, 20))
        for action in (
            *(self.box_action, self.similar_action, None),
            *(self.fit_action, self.zoom_in_action, self.zoom_out_action, self.turn_action, None),
            *(self.layers_action, self.look_action, self.overview_action, None),
            *(self.beside_action, self.link_action, self.close_action),
        ):
            self._bar.addSeparator() if action is None else self._bar.addAction(action)
        head = QHBoxLayout()
        head.setContentsMargins(10, 2, 2, 2)
        head.addWidget(self._title, 1)
        head.addWidget(self._bar)
        foot = QHBoxLayout()
        foot.setContentsMargins(10, 2, 10, 4)
        foot.addWidget(self._status, 1)
        foot.addWidget(self._scale)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        middle = QHBoxLayout()
        middle.setSpacing(0)
        middle.addWidget(self.toolbox.bar)
        middle.addWidget(self.views, 1)
        column.addLayout(middle, 1)
        column.addLayout(foot)
        self.views.activated.connect(self._show_active)
        self.views.added.connect(self._watch)
        self.views.linked_changed.connect(self.link_action.setChecked)
        self.toolbox.tissue_corrected.connect(partial(self._correct_tissue, link))
        link.event_arrived.connect(self._on_event)
        self._watch(self.views.active)
        theme.changed.connect(self._dress)
        self._dress()
        self._show_active()

    # --- what is shown ---

    @property
    def canvas(self) -> SlideCanvas:
        """The canvas of the active view."""
        return self.views.active.canvas

    @property
    def shown(self) -> SlideToShow | None:
        """The slide in the active view that is open, or being opened."""
        return self.views.active.shown

    @property
    def overlays(self) -> OverlayStack:
        """The layers of the active view; they go with the slide, so ask again when another is opened."""
        return self.canvas.overlays

    @property
    def _message(self) -> EmptyState:
        return self.views.active.message

    def show_slide(self, slide: SlideToShow, *, patch: Rect | None = None) -> None:
        """Open a slide in the active view, whole or at a patch; one that is open already is not opened again."""
        pane = self.views.active
        again = pane.canvas.slide is not None and pane.shown == slide
        pane.show_slide(slide, patch=patch, then=None if again else lambda: self._focus(pane))

    def compare(self, query: tuple[SlideToShow, Rect | None], hit: tuple[SlideToShow, Rect | None]) -> None:
        """Two places side by side, linked, at equal µm per pixel."""
        self.views.compare(query, hit)

    def set_hits(self, hits: tuple[Hit, ...]) -> None:
        """The answer of the present search: its hits are outlined on the slides that are shown."""
        self._hits = hits
        for pane in self.views.panes:
            pane.layers.set_hits(hits)

    def _focus(self, pane: SlidePane) -> None:
        if pane is self.views.active:
            pane.canvas.setFocus()

    def _watch(self, pane: SlidePane) -> None:
        canvas = pane.canvas

        def if_active(do: object) -> object:
            return lambda *given: do(*given) if pane is self.views.active else None  # type: ignore[operator]

        canvas.camera_changed.connect(if_active(self._show_scale))
        canvas.cursor_moved.connect(partial(self._show_cursor, canvas))
        canvas.box_changed.connect(if_active(lambda box: self.similar_action.setEnabled(box is not None)))
        canvas.tool_changed.connect(if_active(self._show_tool))
        pane.annotator.changed.connect(if_active(self.toolbox.show))
        pane.annotator.failed.connect(self.not_saved)
        pane.annotator.unkept.connect(self.unkept)
        canvas.similar_wanted.connect(self._find_similar)
        canvas.menu_wanted.connect(self._show_menu)
        pane.layers.set_hits(self._hits)

    def _on_event(self, event: m.Message) -> None:
        if isinstance(event, m.SlidesChanged):
            for pane in self.views.panes:
                if pane.shown is not None and pane.shown.slide_id in event.slide_ids:
                    pane.layers.patches_changed()

    def _correct_tissue(self, link: Link, slide: SlideToShow, add: bool, area: shapes.Geometry) -> None:
        if slide.slide_id is None:
            return
        asked = m.CorrectTissue(slide.slide_id, add, tuple(shapes.polygons_of(area)))
        link.ask(asked, lambda _: self.tissue_corrected.emit(slide.name))
        self.overlays.choose(TISSUE, visible=True)

    def save(self) -> None:
        """Save at once what was drawn."""
        for pane in self.views.panes:
            pane.annotator.save()

    # --- actions ---

    def _make_actions(self) -> None:
        views = self.views

        def action(text: str, keys: str, do: object, *, switch: bool = False) -> QAction:
            return make_action(self, text, keys, do, switch=switch)  # type: ignore[arg-type]

        self.box_action: QAction = action(
            self.tr("Draw a box"), "B", lambda: self.canvas.set_tool(self._other_tool()), switch=True
        )
        self.box_action.setToolTip(
            self.tr("Draw a box (B, or Shift and drag); Enter places one in the middle of the view")
        )
        self.similar_action: QAction = action(self.tr("Find similar to the box"), "S", self._find_similar)
        self.similar_action.setEnabled(False)
        self.clear_action: QAction = action(self.tr("Clear the box"), "Esc", self._clear)
        self.fit_action: QAction = action(self.tr("Fit the whole slide"), "0", lambda: self.canvas.fit())
        self.zoom_in_action: QAction = action(self.tr("Zoom in"), "+  =", lambda: self.canvas.zoom_by(KEY_ZOOM))
        self.zoom_out_action: QAction = action(self.tr("Zoom out"), "-", lambda: self.canvas.zoom_by(1 / KEY_ZOOM))
        self.step_actions = [
            action(self.tr("Next larger objective"), "PgUp", lambda: self.canvas.step_objective(1)),
            action(self.tr("Next smaller objective"), "PgDown", lambda: self.canvas.step_objective(-1)),
        ]
        self.objective_actions = [
            action(objective_text(power), key, lambda power=power: self.canvas.to_objective(power))
            for key, power in OBJECTIVE_KEYS
        ]
        self.turn_action: QAction = action(self.tr("Turn right by 90°"), "]", lambda: self.canvas.turn_by(TURN_DEG))
        self.turn_actions = [
            self.turn_action,
            action(self.tr("Turn left by 90°"), "[", lambda: self.canvas.turn_by(-TURN_DEG)),
            action(self.tr("Turn right by 5°"), "Shift+]  }", lambda: self.canvas.turn_by(FINE_TURN_DEG)),
            action(self.tr("Turn left by 5°"), "Shift+[  {", lambda: self.canvas.turn_by(-FINE_TURN_DEG)),
            action(self.tr("Upright again"), "\\", self._upright),
        ]
        self.overview_action: QAction = action(
            self.tr("Overview"), "O", lambda: views.set_overview(self.overview_action.isChecked()), switch=True
        )
        self.overview_action.setChecked(True)
        self.layers_action: QAction = action(self.tr("Layers over the slide"), "Y", self.show_layers)
        self.look_action: QAction = action(self.tr("Brightness, contrast and colours"), "I", self.show_look)
        self.beside_action: QAction = action(self.tr("One more view beside"), "D", self.open_beside)
        self.link_action: QAction = action(
            self.tr("Move the views together"),
            "K",
            lambda: views.set_linked(self.link_action.isChecked()),
            switch=True,
        )
        self.next_view_action: QAction = action(self.tr("Next view"), "F6", views.activate_next)
        self.close_action: QAction = action(self.tr("Close the viewer"), "Ctrl+W", self.close_view)

    def menu_groups(self) -> list[list[QAction]]:
        """The actions as the menu shows them, group by group."""
        return [
            [self.box_action, self.similar_action, self.clear_action],
            *self.toolbox.groups(),
            [self.fit_action, self.zoom_in_action, self.zoom_out_action, *self.objective_actions, *self.step_actions],
            self.turn_actions,
            [self.layers_action, self.look_action, self.overview_action],
            [self.beside_action, self.link_action, self.next_view_action, self.close_action],
        ]

    def open_beside(self) -> None:
        """One more view, at first of the same slide at the same place; the next slide is opened in it."""
        before = self.views.active
        pane = self.views.add()
        if pane is None or before.shown is None:
            return
        camera = before.canvas.camera

        def there() -> None:
            if camera is not None:
                pane.canvas.go_to(camera)
            pane.canvas.setFocus()

        pane.show_slide(before.shown, then=there)

    def close_view(self) -> None:
        """Close the active view; the last one closes the viewer."""
        if len(self.views.panes) > 1:
            self.views.close_pane(self.views.active)
            self.canvas.setFocus()
        else:
            self.close_wanted.emit()

    def show_layers(self) -> Popup:
        """The layers of the active view with their switches."""
        return self._pop_up(LayersPopup(self.canvas.overlays, self), self.layers_action)

    def show_look(self) -> Popup:
        """Brightness, contrast, gamma, profile."""
        slide = self.canvas.slide
        popup = LookPopup(
            self.views.look,
            has_icc=slide is not None and slide.has_icc,
            chosen=self.views.set_look,
            parent=self,
        )
        return self._pop_up(popup, self.look_action)

    def _pop_up(self, popup: Popup, action: QAction) -> Popup:
        button = self._bar.widgetForAction(action)
        popup.open_below(button if button is not None and button.isVisible() else self._bar)
        return popup

    def _other_tool(self) -> Tool:
        return "pan" if self.canvas.tool == "box" else "box"

    def _show_tool(self, tool: Tool) -> None:
        self.box_action.setChecked(tool == "box")
        if tool != "other":
            self.toolbox.laid_down()

    def _clear(self) -> None:
        if self.toolbox.cancel():
            return
        self.canvas.set_tool("pan")
        self.canvas.set_box(None)

    def _upright(self) -> None:
        camera = self.canvas.camera
        if camera is not None:
            self.canvas.turn_by(-camera.rotation_deg)

    def _find_similar(self) -> None:
        if self.canvas.box is not None and self.shown is not None:
            self.similar_wanted.emit(self.shown, self.canvas.box)

    def _show_menu(self, at: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for group in self.menu_groups():
            menu.addActions(group)
            menu.addSeparator()
        menu.popup(at)

    # --- words ---

    def _show_active(self) -> None:
        pane, canvas = self.views.active, self.canvas
        opened = canvas.slide is not None
        several = len(self.views.panes) > 1
        name = "" if pane.shown is None else pane.shown.name
        self._title.setText(self.tr("{n} views").format(n=len(self.views.panes)) if several else name)
        needing = (
            self.box_action,
            self.clear_action,
            *(self.fit_action, self.zoom_in_action, self.zoom_out_action, *self.turn_actions),
            *(self.layers_action, self.look_action),
        )
        for action in needing:
            action.setEnabled(opened)
        self.toolbox.hand_over()
        self.similar_action.setEnabled(canvas.box is not None)
        self.box_action.setChecked(canvas.tool == "box")
        for action in (*self.objective_actions, *self.step_actions):
            action.setEnabled(opened and canvas.slide is not None and canvas.slide.mpp_um is not None)
        self.beside_action.setEnabled(opened and self.views.can_add)
        self.link_action.setEnabled(several)
        self.next_view_action.setEnabled(several)
        self.close_action.setText(self.tr("Close this view") if several else self.tr("Close the viewer"))
        self._show_cursor(canvas, None)
        self._show_scale()

    def _show_scale(self) -> None:
        self._scale.setText(scale_text(self.canvas.slide, self.canvas.camera, self.canvas.view))

    def _show_cursor(self, canvas: SlideCanvas, at: tuple[float, float] | None) -> None:
        colour = None if at is None else canvas.tiles.colour_at(*at)
        self._status.setText(place_text(canvas.slide, at, colour))

    def _dress(self) -> None:
        for action, name in (
            (self.box_action, "box"),
            (self.similar_action, "similar"),
            (self.fit_action, "fit"),
            (self.zoom_in_action, "zoom-in"),
            (self.zoom_out_action, "zoom-out"),
            (self.turn_action, "turn"),
            (self.layers_action, "layers"),
            (self.look_action, "look"),
            (self.overview_action, "overview"),
            (self.beside_action, "beside"),
            (self.link_action, "link"),
            (self.close_action, "close"),
        ):
            action.setIcon(self._theme.icon(name))
