"""The viewer with a fake reader: tiles, movements, boxes, words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QImage, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QWidget

from plipdesk.desktop.viewer.camera import Rect
from plipdesk.desktop.viewer.canvas import SlideCanvas
from plipdesk.desktop.viewer.panel import SlideToShow, ViewerPanel
from plipdesk.desktop.window import MainWindow
from plipdesk.engine import messages as m
from tests.desktop.fakes import FakeEngine, FakeReader, hits, pixels, slide

SLIDE = SlideToShow(slide(1).path, slide(1).name, slide(1).slide_id)


@pytest.fixture
def window(make_window: Callable[[], MainWindow], reader: FakeReader, engine: FakeEngine, qtbot: Any) -> MainWindow:
    """A window whose reader is connected."""
    engine.add(slide(1))
    window = make_window()
    qtbot.waitUntil(lambda: len(reader.lines) == 2)
    return window


@pytest.fixture
def panel(window: MainWindow, qtbot: Any) -> ViewerPanel:
    """The viewer with a slide at rest."""
    window._open(SLIDE, None)
    qtbot.waitUntil(window.viewer.canvas.at_rest)
    qtbot.waitUntil(lambda: quiet(window.viewer.canvas))
    return window.viewer


def viewer_line(reader: FakeReader) -> Any:
    return next(line for line in reader.lines if line.of(m.OpenSlide))


def quiet(canvas: SlideCanvas) -> bool:
    """Whether nothing is being fetched, not even ahead."""
    return canvas.at_rest() and canvas.tiles.idle


def colour_at(canvas: SlideCanvas, x: int, y: int) -> QColor:
    image: QImage = canvas.grab().toImage()
    return image.pixelColor(x, y)


def test_a_slide_opens_whole_with_its_size_and_scale(panel: ViewerPanel) -> None:
    canvas = panel.canvas
    assert canvas.camera is not None
    assert canvas.camera.x0_px == 10_000
    seen = canvas.camera.seen(canvas.view)
    assert seen.width >= 20_000 or seen.height >= 15_000
    texts = [label.text() for label in panel.findChildren(QLabel)]
    assert any("µm/px" in text for text in texts)
    assert canvas.overview.isVisible()


def test_the_first_request_is_the_whole_slide_and_coarse_comes_before_sharp(
    panel: ViewerPanel, reader: FakeReader, qtbot: Any
) -> None:
    line = viewer_line(reader)
    first = line.of(m.ReadRegion)[0]
    assert (first.x0_px, first.y0_px, first.width0_px, first.height0_px) == (0, 0, 20_000, 15_000)
    line.sent.clear()
    panel.canvas.show_patch(Rect(9_000, 7_000, 224, 224))
    qtbot.waitUntil(panel.canvas.at_rest)
    shrinks = [request.width0_px / request.width_px for request in line.of(m.ReadRegion)]
    assert shrinks.index(4.0) < shrinks.index(1.0)


def test_at_rest_no_part_of_the_slide_is_blank(panel: ViewerPanel, qtbot: Any) -> None:
    canvas = panel.canvas
    canvas.show_patch(Rect(9_000, 7_000, 224, 224))
    canvas.overview.hide()
    qtbot.waitUntil(canvas.at_rest)
    for x in range(10, canvas.width() - 10, 57):
        assert colour_at(canvas, x, 20).name() == "#d278aa"


def test_a_coarse_view_is_drawn_while_sharp_tiles_are_missing(
    panel: ViewerPanel, reader: FakeReader, qtbot: Any
) -> None:
    canvas, line = panel.canvas, viewer_line(reader)
    line.hold(m.ReadRegion)
    canvas.show_patch(Rect(2_000, 2_000, 224, 224))
    assert not canvas.at_rest()
    assert colour_at(canvas, 30, 30).name() == "#d278aa"


def test_a_movement_raises_the_generation_and_dropped_tiles_are_asked_again(
    panel: ViewerPanel, reader: FakeReader, qtbot: Any
) -> None:
    canvas, line = panel.canvas, viewer_line(reader)
    line.hold(m.ReadRegion)
    line.sent.clear()
    canvas.show_patch(Rect(2_000, 2_000, 224, 224))
    qtbot.waitUntil(lambda: len(line.held[m.ReadRegion]) == 6)
    before = {request.generation for request, _ in line.held[m.ReadRegion]}
    canvas.show_patch(Rect(16_000, 12_000, 224, 224))
    while line.held[m.ReadRegion] and line.held[m.ReadRegion][0][0].generation in before:
        line.release(kind=m.ReadRegion, reply=m.Pixels(0, 0, b""))
    qtbot.waitUntil(lambda: len(line.held[m.ReadRegion]) == 6)
    assert {request.generation for request, _ in line.held[m.ReadRegion]} == {max(before) + 1}
    assert all(request.x0_px > 10_000 for request, _ in line.held[m.ReadRegion])
    line.holding.clear()
    while line.held[m.ReadRegion]:
        line.release(kind=m.ReadRegion)
    qtbot.waitUntil(canvas.at_rest)


def test_tiles_of_a_slide_that_was_left_are_not_drawn(
    panel: ViewerPanel, window: MainWindow, reader: FakeReader, qtbot: Any
) -> None:
    canvas, line = panel.canvas, viewer_line(reader)
    line.hold(m.ReadRegion)
    canvas.show_patch(Rect(2_000, 2_000, 224, 224))
    qtbot.waitUntil(lambda: len(line.held[m.ReadRegion]) == 6)
    stale = list(line.held[m.ReadRegion])
    line.held[m.ReadRegion].clear()
    line.holding.clear()
    window._open(SlideToShow("/slides/other.svs", "other.svs"), None)
    qtbot.waitUntil(lambda: canvas.slide is not None and canvas.slide.path == "/slides/other.svs" and canvas.at_rest())
    for request, on_reply in stale:
        on_reply(pixels(request.width_px, request.height_px, (0, 255, 0)))
    later: list[m.Message] = []
    window.link.ask(m.GetStatus(), later.append)
    qtbot.waitUntil(lambda: len(later) == 1)
    assert colour_at(canvas, canvas.width() // 2, canvas.height() // 2).name() == "#d278aa"


def test_an_unreadable_part_is_marked_and_the_rest_is_shown(panel: ViewerPanel, reader: FakeReader, qtbot: Any) -> None:
    canvas = panel.canvas
    reader.broken[SLIDE.path] = m.Failed("slide", "The file is damaged here.", SLIDE.path, None, 3)
    canvas.show_patch(Rect(2_000, 2_000, 224, 224))
    qtbot.waitUntil(canvas.at_rest)
    reader.broken.clear()
    canvas.fit()
    qtbot.waitUntil(canvas.at_rest)
    assert colour_at(canvas, canvas.width() // 2, canvas.height() // 2).name() == "#d278aa"


def test_tiles_are_fetched_at_device_pixels(
    panel: ViewerPanel, monkeypatch: pytest.MonkeyPatch, reader: FakeReader
) -> None:
    canvas, line = panel.canvas, viewer_line(reader)
    canvas.to_objective(10)
    at_one = canvas.tiles.scheduler.visible[0].level  # type: ignore[union-attr]
    monkeypatch.setattr(canvas, "devicePixelRatioF", lambda: 2.0)
    canvas._look()
    assert canvas.tiles.scheduler.visible[0].level == at_one - 1  # type: ignore[union-attr]
    assert line.of(m.ReadRegion)


def test_the_wheel_zooms_about_the_cursor(panel: ViewerPanel) -> None:
    canvas = panel.canvas
    assert canvas.camera is not None
    at = QPointF(40, 60)
    before, zoom = canvas.camera.to_slide(40, 60, canvas.view), canvas.camera.zoom
    event = QWheelEvent(
        at, at, QPoint(), QPoint(0, 240), Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(canvas, event)
    assert canvas.camera.zoom == pytest.approx(2 * zoom)
    assert canvas.camera.to_slide(40, 60, canvas.view) == pytest.approx(before)


def test_dragging_moves_the_slide_with_the_mouse(panel: ViewerPanel) -> None:
    canvas = panel.canvas
    canvas.show_patch(Rect(9_000, 7_000, 224, 224))
    assert canvas.camera is not None
    grabbed = canvas.camera.to_slide(100, 100, canvas.view)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=QPoint(100, 100))
    QTest.mouseMove(canvas, QPoint(160, 130))
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=QPoint(160, 130))
    assert canvas.camera.to_slide(160, 130, canvas.view) == pytest.approx(grabbed)


@pytest.mark.parametrize(("key", "power"), [("1", 1), ("5", 5), ("2", 20), ("4", 40)])
def test_objectives_have_keys(panel: ViewerPanel, key: str, power: float) -> None:
    canvas = panel.canvas
    canvas.setFocus()
    QTest.keyClick(canvas, key)
    assert canvas.camera is not None
    assert canvas.camera.magnification(0.5, canvas.view) == pytest.approx(power)


def test_moving_zooming_and_fitting_have_keys(panel: ViewerPanel) -> None:
    canvas = panel.canvas
    canvas.setFocus()
    assert canvas.camera is not None
    QTest.keyClick(canvas, "2")
    start = canvas.camera
    QTest.keyClick(canvas, Qt.Key.Key_Right)
    assert canvas.camera.x0_px > start.x0_px
    QTest.keyClick(canvas, Qt.Key.Key_Up, Qt.KeyboardModifier.ShiftModifier)
    assert canvas.camera.y0_px < start.y0_px
    QTest.keyClick(canvas, "+")
    assert canvas.camera.zoom > start.zoom
    QTest.keyClick(canvas, "-")
    assert canvas.camera.zoom == pytest.approx(start.zoom)
    QTest.keyClick(canvas, "0")
    assert canvas.camera.zoom == pytest.approx(canvas.camera.fit_zoom(canvas.view))


def test_without_mpp_there_is_no_scale_and_no_objective(window: MainWindow, reader: FakeReader, qtbot: Any) -> None:
    reader.mpp_um = None
    window._open(SLIDE, None)
    qtbot.waitUntil(window.viewer.canvas.at_rest)
    assert not any(action.isEnabled() for action in window.viewer.objective_actions)
    assert any(label.text() == "µm per pixel not known" for label in window.viewer.findChildren(QLabel))


def test_a_box_is_drawn_by_shift_and_drag_and_searched_with(panel: ViewerPanel, engine: FakeEngine, qtbot: Any) -> None:
    canvas = panel.canvas
    shift = Qt.KeyboardModifier.ShiftModifier
    assert canvas.camera is not None
    expected = canvas.camera.to_slide(100, 120, canvas.view)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, shift, QPoint(100, 120))
    QTest.mouseMove(canvas, QPoint(180, 200))
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, shift, QPoint(180, 200))
    assert canvas.box is not None
    assert (canvas.box.x, canvas.box.y) == pytest.approx(expected)
    assert canvas.similar_button.isVisible()
    QTest.mouseClick(canvas.similar_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(engine.line.of(m.Search)) == 1)
    (region,) = engine.line.of(m.Search)[0].query.regions  # type: ignore[attr-defined]
    assert region.slide == SLIDE.slide_id
    assert region.box == pytest.approx((canvas.box.x, canvas.box.y, canvas.box.width, canvas.box.height))


def test_a_box_needs_no_mouse(panel: ViewerPanel, engine: FakeEngine, qtbot: Any) -> None:
    canvas = panel.canvas
    canvas.setFocus()
    QTest.keyClick(canvas, "b")
    assert panel.box_action.isChecked()
    QTest.keyClick(canvas, Qt.Key.Key_Return)
    assert canvas.box is not None
    assert not panel.box_action.isChecked()
    QTest.keyClick(canvas, "s")
    qtbot.waitUntil(lambda: len(engine.line.of(m.Search)) == 1)
    canvas.setFocus()
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    assert canvas.box is None
    assert not canvas.similar_button.isVisible()


def test_asking_with_a_box_leaves_the_keyboard_where_it_is(
    panel: ViewerPanel, window: MainWindow, engine: FakeEngine, qtbot: Any
) -> None:
    class Windows(QObject):
        def __init__(self) -> None:
            super().__init__()
            self.shown: list[QObject] = []

        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            if event.type() == QEvent.Type.Show and isinstance(watched, QWidget) and watched.isWindow():
                self.shown.append(watched)
            return False

    windows = Windows()
    QApplication.instance().installEventFilter(windows)  # type: ignore[union-attr]
    panel.canvas.setFocus()
    QTest.keyClick(panel.canvas, "b")
    QTest.keyClick(panel.canvas, Qt.Key.Key_Return)
    QTest.keyClick(panel.canvas, "s")
    qtbot.waitUntil(lambda: window.results.model.rowCount() > 0)
    QApplication.instance().removeEventFilter(windows)  # type: ignore[union-attr]
    assert windows.shown == []
    assert panel.canvas.hasFocus()


def test_a_click_with_the_box_tool_draws_nothing(panel: ViewerPanel) -> None:
    panel.canvas.set_tool("box")
    QTest.mouseClick(panel.canvas, Qt.MouseButton.LeftButton, pos=QPoint(100, 100))
    assert panel.canvas.box is None


def test_the_overview_moves_the_view(panel: ViewerPanel) -> None:
    canvas = panel.canvas
    QTest.keyClick(canvas, "2")
    assert canvas.camera is not None
    QTest.mouseClick(canvas.overview, Qt.MouseButton.LeftButton, pos=QPoint(15, 15))
    assert canvas.camera.x0_px == pytest.approx(20_000 * 15 / canvas.overview.width())
    panel.overview_action.trigger()
    assert not canvas.overview.isVisible()


def test_the_status_line_tells_where_the_cursor_is(panel: ViewerPanel) -> None:
    canvas = panel.canvas
    QTest.mouseMove(canvas, QPoint(canvas.width() // 2, canvas.height() // 2))
    assert "5 mm" in panel._status.text()
    assert "3.7" in panel._status.text()


def test_a_slide_that_cannot_be_opened_says_why_and_can_be_tried_again(
    window: MainWindow, reader: FakeReader, qtbot: Any
) -> None:
    reader.broken[SLIDE.path] = m.Failed("slide", "The file is damaged.", SLIDE.path, "Copy it again.", 3)
    window._open(SLIDE, None)
    message = window.viewer._message
    qtbot.waitUntil(lambda: message.title.text() == "This slide cannot be opened.")
    assert message.text.text() == f"The file is damaged. ({SLIDE.path}) Copy it again."
    reader.broken.clear()
    QTest.mouseClick(message.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(window.viewer.canvas.at_rest)


def test_another_hit_on_the_same_slide_only_moves(
    panel: ViewerPanel, window: MainWindow, reader: FakeReader, qtbot: Any
) -> None:
    line = viewer_line(reader)
    window.open_hit(hits()[2])
    assert panel.canvas.patch == Rect(672, 448, 224, 224)
    qtbot.waitUntil(panel.canvas.at_rest)
    assert len(line.of(m.OpenSlide)) == 1


def test_resizing_keeps_a_whole_slide_whole(panel: ViewerPanel, window: MainWindow, qtbot: Any) -> None:
    window.resize(1500, 900)
    canvas = panel.canvas
    qtbot.waitUntil(lambda: canvas.width() > 400)
    assert canvas.camera is not None
    assert canvas.camera.zoom == pytest.approx(canvas.camera.fit_zoom(canvas.view))


def test_closing_the_viewer_gives_its_place_to_the_hits(panel: ViewerPanel, window: MainWindow) -> None:
    panel.canvas.setFocus()
    QTest.keyClick(panel.canvas, Qt.Key.Key_W, Qt.KeyboardModifier.ControlModifier)
    assert not panel.isVisible()
    window.toggle_viewer()
    assert panel.isVisible()
