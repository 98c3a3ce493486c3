"""Drawing on a slide with real events: tools, keys, dialog, saving by itself."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest

from plipdesk.catalogue.rows import AnnotationRow
from plipdesk.desktop.state import shapes
from plipdesk.desktop.state.annotations import AnnotationBook
from plipdesk.desktop.viewer.annotation_dialog import AnnotationDialog
from plipdesk.desktop.viewer.panel import SlideToShow, ViewerPanel
from plipdesk.desktop.window import MainWindow
from plipdesk.engine import messages as m
from tests.desktop.fakes import FakeEngine, FakeReader, slide

SLIDE = SlideToShow(slide(1).path, slide(1).name, slide(1).slide_id)
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def window(make_window: Callable[[], MainWindow], reader: FakeReader, engine: FakeEngine, qtbot: Any) -> MainWindow:
    engine.add(slide(1), slide(2))
    window = make_window()
    qtbot.waitUntil(lambda: len(reader.lines) == 2)
    return window


@pytest.fixture
def panel(window: MainWindow, qtbot: Any) -> ViewerPanel:
    window._open(SLIDE, None)
    canvas = window.viewer.canvas
    qtbot.waitUntil(lambda: canvas.at_rest() and canvas.tiles.idle)
    canvas.to_objective(20)
    qtbot.waitUntil(lambda: canvas.at_rest() and canvas.tiles.idle)
    canvas.overview.hide()
    canvas.setFocus()
    return window.viewer


def book_of(panel: ViewerPanel) -> AnnotationBook:
    return panel.views.active.annotator.book


def only(panel: ViewerPanel) -> AnnotationRow:
    (row,) = book_of(panel).rows.values()
    return row


def drag(panel: ViewerPanel, *way: tuple[int, int]) -> None:
    canvas = panel.canvas
    QTest.mousePress(canvas, LEFT, pos=QPoint(*way[0]))
    for at in way[1:]:
        QTest.mouseMove(canvas, QPoint(*at))
    QTest.mouseRelease(canvas, LEFT, pos=QPoint(*way[-1]))


def saved(engine: FakeEngine) -> list[AnnotationRow]:
    return list(engine.annotations[slide(1).slide_id].values())


@pytest.mark.parametrize(("key", "kind", "area"), [("r", "rectangle", 8000.0), ("e", "ellipse", 6275.0)])
def test_a_drag_draws_and_the_catalogue_is_told(
    panel: ViewerPanel, engine: FakeEngine, qtbot: Any, key: str, kind: str, area: float
) -> None:
    QTest.keyClick(panel.canvas, key)
    drag(panel, (100, 100), (150, 140), (200, 180))
    row = only(panel)
    assert row.kind == kind
    assert shapes.area_px2(row.geometry) == pytest.approx(area, rel=0.01)
    qtbot.waitUntil(lambda: saved(engine) == [row])
    qtbot.waitUntil(lambda: panel.views.active.annotator.saved)


def test_clicks_draw_a_polygon_and_a_double_click_ends_it(panel: ViewerPanel) -> None:
    QTest.keyClick(panel.canvas, "p")
    for at in ((100, 100), (200, 100), (200, 200)):
        QTest.mouseClick(panel.canvas, LEFT, pos=QPoint(*at))
    QTest.mouseDClick(panel.canvas, LEFT, pos=QPoint(200, 200))
    assert only(panel).kind == "polygon"
    assert shapes.area_px2(only(panel).geometry) == pytest.approx(5000)


def test_freehand_point_and_ruler(panel: ViewerPanel) -> None:
    QTest.keyClick(panel.canvas, "f")
    drag(panel, (100, 100), (200, 100), (200, 200), (100, 200))
    QTest.keyClick(panel.canvas, ".")
    QTest.mouseClick(panel.canvas, LEFT, pos=QPoint(50, 50))
    QTest.keyClick(panel.canvas, "l")
    drag(panel, (20, 30), (120, 30))
    free, dot, ruler = book_of(panel).rows.values()
    assert (free.kind, dot.kind, ruler.kind) == ("freehand", "point", "ruler")
    assert shapes.length_px(ruler.geometry) == pytest.approx(100)
    assert panel.canvas.camera is not None
    assert dot.geometry["coordinates"] == pytest.approx(panel.canvas.camera.to_slide(50, 50, panel.canvas.view))


def test_the_brush_adds_to_the_chosen_area_and_the_eraser_takes_from_it(panel: ViewerPanel) -> None:
    QTest.keyClick(panel.canvas, "u")
    drag(panel, (100, 150), (200, 150))
    first = shapes.area_px2(only(panel).geometry)
    drag(panel, (200, 150), (200, 250))
    assert shapes.area_px2(only(panel).geometry) > 1.5 * first
    QTest.keyClick(panel.canvas, "x")
    drag(panel, (200, 200), (200, 260))
    assert len(book_of(panel).rows) == 1
    QTest.keyClick(panel.canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClick(panel.canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert shapes.area_px2(only(panel).geometry) == pytest.approx(first)
    QTest.keyClick(panel.canvas, Qt.Key.Key_Y, Qt.KeyboardModifier.ControlModifier)
    assert shapes.area_px2(only(panel).geometry) > 1.5 * first


def test_box_point_and_polygon_need_no_mouse(panel: ViewerPanel) -> None:
    canvas = panel.canvas
    QTest.keyClick(canvas, "r")
    QTest.keyClick(canvas, Qt.Key.Key_Space)
    QTest.keyClick(canvas, Qt.Key.Key_Right)
    QTest.keyClick(canvas, Qt.Key.Key_Down)
    QTest.keyClick(canvas, Qt.Key.Key_Space)
    width, height = 0.2 * canvas.width(), 0.2 * canvas.height()
    assert shapes.area_px2(only(panel).geometry) == pytest.approx(width * height)
    QTest.keyClick(canvas, ".")
    QTest.keyClick(canvas, Qt.Key.Key_Return)
    QTest.keyClick(canvas, "p")
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Down, Qt.Key.Key_Left):
        QTest.keyClick(canvas, Qt.Key.Key_Space)
        QTest.keyClick(canvas, key)
    QTest.keyClick(canvas, Qt.Key.Key_Return)
    assert [row.kind for row in book_of(panel).rows.values()] == ["rectangle", "point", "polygon"]


def test_escape_first_drops_the_sketch_then_the_tool(panel: ViewerPanel) -> None:
    canvas = panel.canvas
    QTest.keyClick(canvas, "p")
    QTest.mouseClick(canvas, LEFT, pos=QPoint(100, 100))
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    assert panel.toolbox.name == "polygon"
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    assert panel.toolbox.name == "hand"
    assert canvas.touch is None
    assert book_of(panel).rows == {}


def test_what_is_drawn_is_chosen_moved_and_deleted(panel: ViewerPanel, engine: FakeEngine, qtbot: Any) -> None:
    QTest.keyClick(panel.canvas, "r")
    drag(panel, (100, 100), (200, 180))
    before = only(panel).geometry
    QTest.keyClick(panel.canvas, "v")
    drag(panel, (150, 140), (170, 150))
    assert only(panel).geometry == shapes.moved(before, 20, 10)
    drag(panel, (220, 190), (240, 210))
    assert shapes.area_px2(only(panel).geometry) == pytest.approx(120 * 100)
    QTest.keyClick(panel.canvas, Qt.Key.Key_Left, Qt.KeyboardModifier.AltModifier)
    assert shapes.bounds(only(panel).geometry)[0] == pytest.approx(shapes.bounds(before)[0] + 16)
    qtbot.waitUntil(lambda: len(saved(engine)) == 1)
    QTest.keyClick(panel.canvas, Qt.Key.Key_Delete)
    assert book_of(panel).rows == {}
    qtbot.waitUntil(lambda: saved(engine) == [])


def test_name_class_colour_and_lock_are_asked(panel: ViewerPanel, engine: FakeEngine, qtbot: Any) -> None:
    QTest.keyClick(panel.canvas, "r")
    drag(panel, (100, 100), (200, 180))
    QTest.keyClick(panel.canvas, "t")
    dialog = panel.findChild(AnnotationDialog)
    assert isinstance(dialog, AnnotationDialog)
    dialog.name.setText("gland 1")
    dialog.class_box.setCurrentText("Gland")
    dialog.set_colour(QColor("#112233"))
    dialog.lock.setChecked(True)
    dialog.accept()
    row = only(panel)
    assert (row.name, row.class_name, row.colour, row.locked) == ("gland 1", "Gland", "#112233", True)
    assert not panel.toolbox.delete_action.isEnabled()
    assert book_of(panel).class_name == "Gland"
    qtbot.waitUntil(lambda: saved(engine) == [row])


def test_annotations_come_back_with_their_slide(
    panel: ViewerPanel, window: MainWindow, engine: FakeEngine, qtbot: Any
) -> None:
    QTest.keyClick(panel.canvas, "r")
    drag(panel, (100, 100), (200, 180))
    row = only(panel)
    # At once: what is drawn must not wait for the timer when another slide is opened.
    window._open(SlideToShow(slide(2).path, slide(2).name, slide(2).slide_id), None)
    qtbot.waitUntil(lambda: saved(engine) == [row])
    window._open(SLIDE, None)
    qtbot.waitUntil(lambda: list(book_of(panel).rows.values()) == [row])


def test_what_another_window_draws_appears(panel: ViewerPanel, engine: FakeEngine, qtbot: Any) -> None:
    other = AnnotationRow(str(uuid.UUID(int=7)), slide(1).slide_id, "point", shapes.point((5_000, 5_000)), "theirs")
    engine.annotations[slide(1).slide_id][other.annotation_id] = other
    engine.line.tell(m.AnnotationsChanged(slide(1).slide_id, "another window"))
    qtbot.waitUntil(lambda: list(book_of(panel).rows.values()) == [other])
    QTest.keyClick(panel.canvas, "n")
    assert panel.canvas.camera is not None
    assert (panel.canvas.camera.x0_px, panel.canvas.camera.y0_px) == pytest.approx((5_000, 5_000))


def test_a_failed_save_is_said_and_tried_again(
    panel: ViewerPanel, window: MainWindow, engine: FakeEngine, qtbot: Any
) -> None:
    engine.refuse[m.EditAnnotations] = m.Failed("disk-full", "The disk is full.", None, None, 3)
    QTest.keyClick(panel.canvas, "r")
    drag(panel, (100, 100), (200, 180))
    qtbot.waitUntil(lambda: any("disk is full" in text for text in window.notices.texts()))
    engine.refuse.clear()
    panel.save()
    qtbot.waitUntil(lambda: saved(engine) == [only(panel)])


def test_a_slide_outside_of_the_workspace_is_drawn_on_with_a_warning(
    panel: ViewerPanel, window: MainWindow, engine: FakeEngine, qtbot: Any
) -> None:
    window._open(SlideToShow("/else/where.svs", "where.svs"), None)
    qtbot.waitUntil(lambda: panel.canvas.slide is not None and panel.canvas.slide.path == "/else/where.svs")
    panel.canvas.setFocus()
    QTest.keyClick(panel.canvas, "r")
    drag(panel, (100, 100), (200, 180))
    assert len(book_of(panel).rows) == 1
    assert any("not in the workspace" in text for text in window.notices.texts())
    assert not engine.line.of(m.EditAnnotations)


def test_thousands_of_annotations_stay_smooth(panel: ViewerPanel, engine: FakeEngine, qtbot: Any) -> None:
    book = book_of(panel)
    rows = []
    for number in range(5_000):
        x, y = 150.0 * (number % 120), 150.0 * (number // 120)
        ring = shapes.ellipse((x, y), (x + 90, y + 70))
        rows.append(AnnotationRow(str(uuid.UUID(int=number + 1)), book.slide_id, "polygon", ring))
    book.load(rows)
    panel.canvas.fit()
    overlay = panel.overlays.get("annotations")
    assert overlay is not None
    panel.canvas.grab()
    qtbot.waitUntil(lambda: not overlay.again.isActive(), timeout=20_000)  # type: ignore[attr-defined]
    began = time.perf_counter()
    for _ in range(5):
        panel.canvas._move(panel.canvas.camera.panned(3, 2))  # type: ignore[union-attr]
        image = panel.canvas.grab().toImage()
    # Drawn one by one, five frames take seconds.
    assert (time.perf_counter() - began) / 5 < 0.15
    at = panel.canvas.camera.to_screen(9_045, 3_035, panel.canvas.view)  # type: ignore[union-attr]
    assert image.pixelColor(round(at[0]), round(at[1])).name() != "#d278aa"
    # Another look of one of them reaches its tile.
    book.remove(rows[2_460].annotation_id)
    qtbot.waitUntil(lambda: not overlay.again.isActive())  # type: ignore[attr-defined]
    image = panel.canvas.grab().toImage()
    assert image.pixelColor(round(at[0]), round(at[1])).name() == "#d278aa"


def test_a_drawn_area_corrects_the_tissue(
    panel: ViewerPanel, window: MainWindow, engine: FakeEngine, qtbot: Any
) -> None:
    QTest.keyClick(panel.canvas, "r")
    drag(panel, (100, 100), (200, 180))
    area = only(panel).geometry
    QTest.keyClick(panel.canvas, "m", Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: len(engine.line.of(m.CorrectTissue)) == 1)
    (asked,) = engine.line.of(m.CorrectTissue)
    assert isinstance(asked, m.CorrectTissue)
    assert (asked.slide_id, asked.add) == (slide(1).slide_id, False)
    assert list(asked.polygons) == shapes.polygons_of(area)
    assert book_of(panel).rows == {}
    qtbot.waitUntil(lambda: any("corrected" in text for text in window.notices.texts()))
    assert panel.overlays.get("tissue").visible  # type: ignore[union-attr]
