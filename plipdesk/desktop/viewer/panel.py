"""The viewer with its tools, its status line and what it says while a slide opens or cannot be opened."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QMenu,
    QStackedLayout,
    QToolBar,
    QVBoxLayout,
    QWidget,
)

from plipdesk.desktop import words
from plipdesk.desktop.elided import ElidedLabel
from plipdesk.desktop.empty import EmptyState
from plipdesk.desktop.link import Link
from plipdesk.desktop.notices import failure_text
from plipdesk.desktop.state.query_draft import Turn
from plipdesk.desktop.theme import Theme
from plipdesk.desktop.viewer.camera import Rect
from plipdesk.desktop.viewer.canvas import SlideCanvas, Tool
from plipdesk.desktop.viewer.moving import KEY_ZOOM
from plipdesk.desktop.viewer.scale import length_label
from plipdesk.engine import messages as m

OBJECTIVE_KEYS = (("1", 1.0), ("5", 5.0), ("2", 20.0), ("4", 40.0))


@dataclass(frozen=True)
class SlideToShow:
    """What the viewer is asked to open; ``slide_id`` is None for a file that is not in the workspace."""

    path: str
    name: str
    slide_id: str | None = None
    given_mpp_um: float | None = None
    """µm per pixel that a person gave; None: as the file says."""


class ViewerPanel(QWidget):
    """Opens slides by the reader process; ``similar_wanted`` carries (SlideToShow, Rect in level-0 pixels)."""

    similar_wanted = Signal(object, object)
    close_wanted = Signal()

    def __init__(self, link: Link, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._link = link
        self._theme = theme
        self._turn = Turn()
        self._shown: SlideToShow | None = None
        self.setAccessibleName(self.tr("Viewer"))
        self.canvas = SlideCanvas(link, theme, self)
        self._title = ElidedLabel("", Qt.TextElideMode.ElideMiddle)
        self._title.setObjectName("panelTitle")
        self._message = EmptyState(theme, "slide")
        self._status = ElidedLabel("")
        self._status.setObjectName("muted")
        self._scale = QLabel("")
        self._scale.setObjectName("muted")
        self._make_actions()
        self._tools = QToolBar(self.tr("Viewer tools"))
        self._tools.setIconSize(QSize(20, 20))
        for action in (self.box_action, self.similar_action, None, self.fit_action, self.zoom_in_action):
            self._tools.addSeparator() if action is None else self._tools.addAction(action)
        for action in (self.zoom_out_action, self.overview_action, self.close_action):
            self._tools.addAction(action)
        head = QHBoxLayout()
        head.setContentsMargins(10, 2, 2, 2)
        head.addWidget(self._title, 1)
        head.addWidget(self._tools)
        foot = QHBoxLayout()
        foot.setContentsMargins(10, 2, 10, 4)
        foot.addWidget(self._status, 1)
        foot.addWidget(self._scale)
        self._stack = QStackedLayout()
        self._stack.addWidget(self._message)
        self._stack.addWidget(self.canvas)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addLayout(self._stack, 1)
        column.addLayout(foot)
        self.canvas.camera_changed.connect(self._show_scale)
        self.canvas.cursor_moved.connect(self._show_cursor)
        self.canvas.box_changed.connect(lambda box: self.similar_action.setEnabled(box is not None))
        self.canvas.tool_changed.connect(lambda tool: self.box_action.setChecked(tool == "box"))
        self.canvas.similar_wanted.connect(self._find_similar)
        self.canvas.menu_wanted.connect(self._show_menu)
        theme.changed.connect(self._dress)
        self._dress()

    @property
    def shown(self) -> SlideToShow | None:
        """The slide that is open, or being opened."""
        return self._shown

    def show_slide(self, slide: SlideToShow, *, patch: Rect | None = None) -> None:
        """Open a slide, whole or at a patch; one that is open already is not opened again."""
        turn = self._turn.next()
        already = self.canvas.slide
        if already is not None and self._shown == slide:
            if patch is not None:
                self.canvas.show_patch(patch)
            return
        self._shown = slide
        self._title.setText(slide.name)
        self.canvas.close_slide()
        self._set_slide_actions(False)
        self._message.say(self.tr("Opening the slide…"), slide.name)
        self._stack.setCurrentWidget(self._message)

        def opened(reply: m.Message) -> None:
            if self._turn.is_latest(turn) and isinstance(reply, m.SlideOpened):
                self._stack.setCurrentWidget(self.canvas)
                self.canvas.open(reply, patch=patch)
                self._set_slide_actions(True)
                self._show_cursor(None)
                self.canvas.setFocus()

        def refused(failure: m.Failed) -> None:
            if self._turn.is_latest(turn):
                again = self.tr("Try again")
                self._message.say(
                    self.tr("This slide cannot be opened."),
                    failure_text(failure),
                    (again, lambda: self._again(slide, patch)),
                )

        self._link.ask(m.OpenSlide(slide.path, slide.given_mpp_um), opened, refused, channel="viewer")

    def _again(self, slide: SlideToShow, patch: Rect | None) -> None:
        self._shown = None
        self.show_slide(slide, patch=patch)

    def _make_actions(self) -> None:
        self.box_action = self._action(self.tr("Draw a box"), "B", lambda: self.canvas.set_tool(self._other_tool()))
        self.box_action.setCheckable(True)
        self.box_action.setToolTip(
            self.tr("Draw a box (B, or Shift and drag); Enter places one in the middle of the view")
        )
        self.similar_action = self._action(self.tr("Find similar to the box"), "S", self._find_similar)
        self.similar_action.setEnabled(False)
        self.fit_action = self._action(self.tr("Fit the whole slide"), "0", self.canvas.fit)
        self.zoom_in_action = self._action(self.tr("Zoom in"), "+", lambda: self.canvas.zoom_by(KEY_ZOOM))
        self.zoom_in_action.setShortcuts([QKeySequence("+"), QKeySequence("=")])
        self.zoom_out_action = self._action(self.tr("Zoom out"), "-", lambda: self.canvas.zoom_by(1 / KEY_ZOOM))
        self.overview_action = self._action(self.tr("Overview"), "O", lambda: None)
        self.overview_action.setCheckable(True)
        self.overview_action.setChecked(True)
        self.overview_action.toggled.connect(self.canvas.set_overview)
        self.clear_action = self._action(self.tr("Clear the box"), "Esc", self._clear)
        self.close_action = self._action(self.tr("Close the viewer"), "Ctrl+W", self.close_wanted.emit)
        self.objective_actions = [
            self._action(
                self.tr("Magnification {n}×").format(n=f"{power:g}"),
                key,
                lambda power=power: self.canvas.to_objective(power),
            )
            for key, power in OBJECTIVE_KEYS
        ]
        self._set_slide_actions(False)

    def _action(self, text: str, key: str, do: object) -> QAction:
        action = QAction(text, self)
        action.setShortcut(QKeySequence(key))
        action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        action.setToolTip(f"{text} ({key})")
        action.triggered.connect(lambda *_: do())  # type: ignore[operator]
        self.addAction(action)
        return action

    def _set_slide_actions(self, opened: bool) -> None:
        for action in (self.box_action, self.clear_action, self.fit_action, self.zoom_in_action, self.zoom_out_action):
            action.setEnabled(opened)
        slide = self.canvas.slide
        for action in self.objective_actions:
            action.setEnabled(opened and slide is not None and slide.mpp_um is not None)
        if not opened:
            self._status.setText("")
            self._scale.setText("")

    def _other_tool(self) -> Tool:
        return "pan" if self.canvas.tool == "box" else "box"

    def _clear(self) -> None:
        self.canvas.set_tool("pan")
        self.canvas.set_box(None)

    def _find_similar(self) -> None:
        if self.canvas.box is not None and self._shown is not None:
            self.similar_wanted.emit(self._shown, self.canvas.box)

    def _show_menu(self, at: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addActions([self.similar_action, self.box_action, self.clear_action])
        menu.addSeparator()
        menu.addActions([self.fit_action, *self.objective_actions])
        menu.popup(at)

    def _show_scale(self) -> None:
        slide, camera = self.canvas.slide, self.canvas.camera
        if slide is None or camera is None:
            return
        if slide.mpp_um is None:
            self._scale.setText(self.tr("µm per pixel not known"))
            return
        view = self.canvas.view
        mpp_um = slide.mpp_um / (camera.zoom * view.device_ratio)
        power = words.magnification(camera.magnification(slide.mpp_um, view))
        guess = " " + self.tr("(estimated)") if slide.mpp_source == "guessed" else ""
        self._scale.setText(
            self.tr("{power} · {mpp} µm/px{guess}").format(power=power, mpp=f"{mpp_um:.3g}", guess=guess)
        )

    def _show_cursor(self, at: tuple[float, float] | None) -> None:
        slide = self.canvas.slide
        if slide is None:
            return
        size = self.tr("{w} × {h} px").format(w=words.count(slide.width_px), h=words.count(slide.height_px))
        if at is None:
            self._status.setText(size)
            return
        place = self.tr("x {x}, y {y} px").format(x=words.count(round(at[0])), y=words.count(round(at[1])))
        if slide.mpp_um is not None:
            lengths = [length_label(max(0.0, part * slide.mpp_um)) for part in at]
            place += f" ({lengths[0]}, {lengths[1]})"
        self._status.setText(place)

    def _dress(self) -> None:
        for action, name in (
            (self.box_action, "box"),
            (self.similar_action, "similar"),
            (self.fit_action, "fit"),
            (self.zoom_in_action, "zoom-in"),
            (self.zoom_out_action, "zoom-out"),
            (self.overview_action, "overview"),
            (self.close_action, "close"),
        ):
            action.setIcon(self._theme.icon(name))
        self.canvas.update()
