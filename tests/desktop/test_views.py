"""Views side by side, layers and looks, with a fake reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel

from plipdesk.desktop.viewer.camera import Camera, Rect
from plipdesk.desktop.viewer.layers_popup import LayersPopup, LookPopup
from plipdesk.desktop.viewer.linking import aligned, followed, grid_place
from plipdesk.desktop.viewer.look import Look
from plipdesk.desktop.viewer.panel import SlideToShow, ViewerPanel
from plipdesk.desktop.window import MainWindow
from plipdesk.engine import messages as m
from tests.desktop.fakes import FakeEngine, FakeReader, hits, slide

SLIDE = SlideToShow(slide(1).path, slide(1).name, slide(1).slide_id)
OTHER = SlideToShow(slide(2).path, slide(2).name, slide(2).slide_id)


@pytest.fixture
def window(make_window: Callable[[], MainWindow], reader: FakeReader, engine: FakeEngine, qtbot: Any) -> MainWindow:
    engine.add(slide(1), slide(2))
    window = make_window()
    qtbot.waitUntil(lambda: len(reader.lines) == 2)
    return window


@pytest.fixture
def panel(window: MainWindow, qtbot: Any) -> ViewerPanel:
    window._open(SLIDE, None)
    qtbot.waitUntil(lambda: window.viewer.canvas.at_rest() and window.viewer.canvas.tiles.idle)
    return window.viewer


# --- linking without Qt ---


def test_linked_views_have_equal_um_per_pixel_and_go_the_same_way() -> None:
    before = Camera(20_000, 15_000, 10_000, 7_500, 0.5)
    after = before.panned(100, 40)
    other = Camera(40_000, 30_000, 20_000, 15_000, 0.1)
    moved = followed(before, after, other, 0.5, 0.25)
    assert moved.zoom == pytest.approx(0.25)
    # 100 screen pixels at 1 µm per pixel are 100 µm: 400 pixels of 0.25 µm.
    assert (moved.x0_px, moved.y0_px) == pytest.approx((20_400, 15_160))
    assert aligned(after, other, None, 0.25) == other


def test_linked_views_turn_together_each_on_its_own_tissue() -> None:
    before = Camera(20_000, 15_000, 10_000, 7_500, 0.5)
    other = Camera(20_000, 15_000, 5_000, 5_000, 0.5).turned(90)
    assert followed(before, before.turned(30), other, 0.5, 0.5).rotation_deg == 120
    moved = followed(before, before.panned(100, 0), other, 0.5, 0.5)
    assert (moved.x0_px, moved.y0_px) == pytest.approx((5_000, 4_800))


def test_without_an_mpp_the_scales_keep_their_ratio() -> None:
    before = Camera(20_000, 15_000, 10_000, 7_500, 0.5)
    other = replace(before, zoom=0.1)
    assert followed(before, replace(before, zoom=1.0), other, None, 0.5).zoom == pytest.approx(0.2)


def test_views_fill_the_place_evenly() -> None:
    assert [grid_place(number, 2) for number in range(2)] == [(0, 0, 1), (0, 1, 1)]
    assert [grid_place(number, 3) for number in range(3)] == [(0, 0, 1), (0, 1, 1), (1, 0, 2)]
    assert grid_place(3, 4) == (1, 1, 1)


# --- in the window ---


def test_up_to_four_views_open_beside_each_other(panel: ViewerPanel, qtbot: Any) -> None:
    panel.canvas.to_objective(20)
    place = panel.canvas.camera
    panel.canvas.setFocus()
    for count in (2, 3, 4):
        QTest.keyClick(panel.canvas, "d")
        assert len(panel.views.panes) == count
        qtbot.waitUntil(panel.canvas.at_rest)
    assert panel.canvas.camera == place
    assert not panel.beside_action.isEnabled()
    QTest.keyClick(panel.canvas, Qt.Key.Key_W, Qt.KeyboardModifier.ControlModifier)
    assert len(panel.views.panes) == 3
    assert panel.isVisible()
    active = panel.views.active
    QTest.keyClick(panel.canvas, Qt.Key.Key_F6)
    assert panel.views.active is not active
    assert panel.canvas.hasFocus()


def test_a_click_makes_a_view_the_active_one(panel: ViewerPanel, window: MainWindow, qtbot: Any) -> None:
    panel.open_beside()
    qtbot.waitUntil(panel.canvas.at_rest)
    left, right = panel.views.panes
    assert panel.views.active is right
    QTest.mouseClick(left.canvas, Qt.MouseButton.LeftButton, pos=QPoint(30, 30))
    assert panel.views.active is left
    window._open(OTHER, None)
    qtbot.waitUntil(lambda: left.canvas.slide is not None and left.canvas.slide.path == OTHER.path)
    assert right.shown == SLIDE


def test_linked_views_move_and_zoom_together(panel: ViewerPanel, qtbot: Any) -> None:
    panel.open_beside()
    qtbot.waitUntil(panel.canvas.at_rest)
    left, right = (pane.canvas for pane in panel.views.panes)
    QTest.keyClick(right, "2")
    QTest.keyClick(right, "k")
    assert panel.views.linked
    assert left.camera is not None
    assert right.camera is not None
    assert left.camera.zoom == right.camera.zoom
    QTest.keyClick(right, Qt.Key.Key_Right)
    assert left.camera.x0_px == pytest.approx(right.camera.x0_px)
    left.setFocus()
    panel.views.activate(panel.views.panes[0])
    QTest.keyClick(left, "+")
    assert right.camera.zoom == pytest.approx(left.camera.zoom)


def test_a_hit_is_compared_with_the_region_searched_with(
    panel: ViewerPanel, window: MainWindow, engine: FakeEngine, qtbot: Any
) -> None:
    engine.found = hits(3, slide(2))
    panel.canvas.set_box(Rect(4_000, 4_000, 1_000, 1_000))
    panel.similar_action.trigger()
    qtbot.waitUntil(lambda: window.results.model.rowCount() == 3)
    menu = window.results.menu_of(engine.found[1])
    next(action for action in menu.actions() if action.text() == "Compare with the query").trigger()
    qtbot.waitUntil(lambda: panel.views.linked)
    left, right = panel.views.panes
    assert left.shown is not None
    assert right.shown is not None
    assert (left.shown.path, right.shown.path) == (slide(1).path, slide(2).path)
    assert left.canvas.patch == Rect(4_000, 4_000, 1_000, 1_000)
    assert right.canvas.patch == Rect(448, 448, 224, 224)
    assert left.canvas.camera is not None
    assert right.canvas.camera is not None
    assert left.canvas.camera.zoom == pytest.approx(right.canvas.camera.zoom)


def test_layers_are_listed_fetched_when_switched_on_and_drawn(
    panel: ViewerPanel, reader: FakeReader, engine: FakeEngine, qtbot: Any
) -> None:
    canvas = panel.canvas
    assert not engine.line.of(m.GetPatches)
    popup = panel.show_layers()
    assert isinstance(popup, LayersPopup)
    assert set(popup.switches) == {"tissue", "patches", "annotations"}
    popup.switches["tissue"].setChecked(True)
    popup.switches["patches"].setChecked(True)
    qtbot.waitUntil(lambda: canvas.overlays.get("patches").title == "Patches (12)")  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: type(canvas.overlays.get("tissue")).__name__ == "PictureOverlay")
    canvas.overview.hide()
    image = canvas.grab().toImage()
    assert image.pixelColor(canvas.width() // 4, canvas.height() // 2).name() != "#d278aa"
    assert image.pixelColor(canvas.width() * 3 // 4, canvas.height() // 2).name() == "#d278aa"
    popup.sliders["tissue"].setValue(0)
    assert canvas.grab().toImage().pixelColor(canvas.width() // 4, canvas.height() // 2).name() == "#d278aa"
    popup.close()


def test_hits_of_the_search_are_outlined_on_their_slide(
    panel: ViewerPanel, window: MainWindow, engine: FakeEngine, qtbot: Any
) -> None:
    window.search_for("gland")
    qtbot.waitUntil(lambda: panel.overlays.get("hits") is not None)
    assert panel.overlays.get("hits").title == "Hits (5)"  # type: ignore[union-attr]
    engine.found = hits(2, slide(2))
    window.search_for("vessel")
    qtbot.waitUntil(lambda: panel.overlays.get("hits") is None)


def test_the_look_changes_what_is_seen_and_nothing_else(panel: ViewerPanel, reader: FakeReader) -> None:
    canvas = panel.canvas
    line = next(line for line in reader.lines if line.of(m.OpenSlide))
    asked = len(line.of(m.ReadRegion))
    popup = panel.show_look()
    assert isinstance(popup, LookPopup)
    assert not popup.icc.isEnabled()
    popup.brightness.setValue(100)
    canvas.overview.hide()
    colour = canvas.grab().toImage().pixelColor(canvas.width() // 2, canvas.height() // 2)
    assert (colour.red(), colour.green(), colour.blue()) == tuple(Look(brightness=100).applied(bytes((210, 120, 170))))
    popup.reset.click()
    assert panel.views.look == Look()
    assert canvas.grab().toImage().pixelColor(canvas.width() // 2, canvas.height() // 2).name() == "#d278aa"
    assert len(line.of(m.ReadRegion)) == asked
    popup.close()


def test_the_profile_is_asked_of_the_reader_where_there_is_one(
    panel: ViewerPanel, window: MainWindow, reader: FakeReader, qtbot: Any
) -> None:
    reader.has_icc = True
    window._open(OTHER, None)
    canvas = panel.canvas
    qtbot.waitUntil(lambda: canvas.slide is not None and canvas.slide.path == OTHER.path and canvas.at_rest())
    line = next(line for line in reader.lines if line.of(m.OpenSlide))
    mine = [request for request in line.of(m.ReadRegion) if request.path == OTHER.path]  # type: ignore[attr-defined]
    assert all(request.icc for request in mine)  # type: ignore[attr-defined]
    line.sent.clear()
    popup = panel.show_look()
    assert isinstance(popup, LookPopup)
    popup.icc.setChecked(False)
    qtbot.waitUntil(canvas.at_rest)
    # Neighbours that were fetched ahead while nothing moved may have been asked for just before the switch.
    with_profile = [request.icc for request in line.of(m.ReadRegion)]  # type: ignore[attr-defined]
    assert False in with_profile
    assert True not in with_profile[with_profile.index(False) :]
    popup.close()


def test_turning_has_keys_and_a_turned_slide_shows_no_gap(panel: ViewerPanel, qtbot: Any) -> None:
    canvas = panel.canvas
    canvas.setFocus()
    QTest.keyClick(canvas, "]")
    assert canvas.camera is not None
    assert canvas.camera.rotation_deg == 90
    QTest.keyClick(canvas, "}")
    assert canvas.camera.rotation_deg == 95
    canvas.show_patch(Rect(9_000, 7_000, 224, 224))
    canvas.overview.hide()
    qtbot.waitUntil(canvas.at_rest)
    image = canvas.grab().toImage()
    colours = {image.pixelColor(x, 25).name() for x in range(10, canvas.width() - 10)}
    assert colours == {"#d278aa"}
    assert any("95°" in label.text() for label in panel.findChildren(QLabel))
    QTest.keyClick(canvas, "\\")
    assert canvas.camera.rotation_deg == 0


def test_objectives_step_by_keys(panel: ViewerPanel) -> None:
    canvas = panel.canvas
    canvas.setFocus()
    QTest.keyClick(canvas, "5")
    QTest.keyClick(canvas, Qt.Key.Key_PageUp)
    assert canvas.camera is not None
    assert canvas.camera.magnification(0.5, canvas.view) == pytest.approx(10)
    QTest.keyClick(canvas, Qt.Key.Key_PageDown)
    assert canvas.camera.magnification(0.5, canvas.view) == pytest.approx(5)


def test_a_thrown_slide_glides_on(panel: ViewerPanel, qtbot: Any) -> None:
    canvas = panel.canvas
    canvas.to_objective(40)
    now = [0.0]
    canvas._clock = lambda: now[0]
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=QPoint(200, 100))
    for step in range(1, 4):
        now[0] = 0.01 * step
        QTest.mouseMove(canvas, QPoint(200 - 20 * step, 100))
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=QPoint(140, 100))
    assert canvas.gliding
    assert canvas.camera is not None
    released = canvas.camera.x0_px
    now[0] = 60.0
    qtbot.waitUntil(lambda: not canvas.gliding)
    assert canvas.camera.x0_px > released + 100
    assert canvas.camera.y0_px == pytest.approx(7_500)


def test_the_colour_under_the_cursor_is_told(panel: ViewerPanel) -> None:
    QTest.mouseMove(panel.canvas, QPoint(panel.canvas.width() // 3, panel.canvas.height() // 2))
    assert "RGB 210 120 170" in panel._status.text()
