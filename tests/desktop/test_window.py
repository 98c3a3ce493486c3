"""The window as a person uses it: real Qt events on a fake engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QColor, QDragEnterEvent, QDropEvent, QGuiApplication, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QMessageBox,
    QWidget,
)

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.base.progress import Progress
from plipdesk.desktop.channel_dialog import ChannelDialog
from plipdesk.desktop.mpp_dialog import MppDialog
from plipdesk.desktop.window import MainWindow
from plipdesk.engine import messages as m
from plipdesk.search.query import PicturePart, RegionPart, Searched, SlidePart
from tests.desktop.fakes import STATUS, FakeEngine, FakeReader, hits, item, job, slide

MakeWindow = Callable[[], MainWindow]
MPP_UNKNOWN = "The file does not say how many micrometres a pixel is wide."


def drop(widget: QWidget, mime: QMimeData) -> bool:
    """Drag and drop onto a widget; returns whether it was taken."""
    middle = QPoint(widget.width() // 2, widget.height() // 2)
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(middle, Qt.DropAction.CopyAction, mime, buttons, keys)
    enter.setAccepted(False)
    QApplication.sendEvent(widget, enter)
    if not enter.isAccepted():
        return False
    event = QDropEvent(QPointF(middle), Qt.DropAction.CopyAction, mime, buttons, keys)
    QApplication.sendEvent(widget, event)
    return event.isAccepted()


def files(*paths: str) -> QMimeData:
    """What a file manager drags."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(path) for path in paths])
    return mime


def search(window: MainWindow, words: str) -> None:
    """Type words and press Enter."""
    window.focus_search()
    QTest.keyClicks(window.search_bar.line, words)
    QTest.keyClick(window.search_bar.line, Qt.Key.Key_Return)


def wait_for_hits(window: MainWindow, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: window.search.result is not None and not window.search.busy)


def queries(engine: FakeEngine) -> list[Any]:
    return [message.query for message in engine.line.of(m.Search)]  # type: ignore[attr-defined]


# --- adding ---


def test_an_empty_window_says_what_to_do(window: MainWindow) -> None:
    assert window.results.empty.title.text() == "Drop slides here"
    assert window.results.empty.button.isVisible()
    assert "Not for diagnosis" in window.footer.text()
    assert "for trying the application" in window.footer.text()


def test_files_dropped_anywhere_are_indexed(window: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    assert drop(window, files("/slides/a.svs", "/folder"))
    qtbot.waitUntil(lambda: len(engine.submitted) == 1)
    submitted = engine.submitted[0]
    assert submitted.kind == "index"
    assert submitted.params["paths"] == ["/slides/a.svs", "/folder"]
    assert submitted.params["recursive"] is True
    qtbot.waitUntil(lambda: len(window.library_panel.model.entries) == 2)
    assert window.jobs_dock.isVisible()
    assert {entry.state for entry in window.library_panel.model.entries} == {"queued"}


def test_a_drop_goes_into_the_collection_that_is_looked_at(
    make_window: MakeWindow, engine: FakeEngine, qtbot: Any
) -> None:
    engine.add(slide(1), slide(2))
    engine.answer(m.EditCollection("create", "teaching"))
    engine.answer(m.EditCollection("add", "teaching", (slide(2).slide_id,)))
    window = make_window()
    qtbot.waitUntil(lambda: window.library_panel.collections.count() == 2)
    QTest.keyClick(window.library_panel.collections, Qt.Key.Key_Down)
    qtbot.waitUntil(lambda: [entry.name for entry in window.library_panel.model.entries] == ["slide-2.svs"])
    drop(window, files("/slides/a.svs"))
    qtbot.waitUntil(lambda: len(engine.submitted) == 1)
    assert engine.submitted[0].params["collection"] == "teaching"
    search(window, "fat")
    wait_for_hits(window, qtbot)
    assert queries(engine)[0].filters.collections == ("teaching",)


def test_slides_show_their_patches_and_thumbnails_when_seen(
    make_window: MakeWindow, engine: FakeEngine, reader: FakeReader, qtbot: Any
) -> None:
    engine.add(*(slide(number) for number in range(1, 400)))
    window = make_window()
    qtbot.waitUntil(lambda: window.library_panel.model.rowCount() == 399)
    model = window.library_panel.model
    assert model.state_text(model.entries[0]) == "120 patches"
    qtbot.waitUntil(lambda: bool(reader.lines) and any(line.of(m.ReadThumbnail) for line in reader.lines))
    qtbot.waitUntil(lambda: window.store.idle)
    asked = sum(len(line.of(m.ReadThumbnail)) for line in reader.lines)
    assert 0 < asked < 40


def test_a_failed_slide_tells_why_and_can_be_tried_again(
    make_window: MakeWindow, engine: FakeEngine, qtbot: Any
) -> None:
    engine.jobs = {1: job(1, "done", params={"paths": ["/slides/broken.svs"], "collection": "c", "mpp_um": None})}
    engine.items = {1: (item("/slides/broken.svs"),)}
    window = make_window()
    panel = window.library_panel
    qtbot.waitUntil(lambda: len(panel.model.entries) == 1)
    panel.view.setCurrentIndex(panel.model.index(0))
    assert panel.trouble.isVisible()
    assert "damaged" in panel.trouble.findChildren(QLabel)[0].text()
    QTest.mouseClick(panel.retry, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(engine.submitted) == 1)
    assert engine.submitted[0].params["paths"] == ["/slides/broken.svs"]
    assert engine.submitted[0].params["collection"] == "c"


def test_unknown_mpp_is_asked_once_for_a_whole_folder(window: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    engine.jobs[1] = job(1, "running", params={"paths": ["/in"], "collection": "c", "recursive": True})
    engine.line.tell(m.JobChanged(engine.jobs[1], None))
    for name in ("a.tif", "b.tif"):
        skipped = item(f"/in/{name}", "skipped", reason=MPP_UNKNOWN)
        engine.line.tell(m.JobItemDone(skipped))
    qtbot.waitUntil(lambda: window.adding.dialog is not None and len(window.library_panel.model.entries) == 3)
    dialog = window.adding.dialog
    assert isinstance(dialog, MppDialog)
    dialog.objectives[40].setChecked(True)
    dialog.folder.setChecked(True)
    dialog.accept()
    qtbot.waitUntil(lambda: len(engine.submitted) == 1)
    params = engine.submitted[0].params
    assert params["paths"] == ["/in/a.tif", "/in/b.tif"]
    assert params["mpp_um"] == 0.25
    assert params["collection"] == "c"
    assert window.adding.dialog is None


def test_channels_are_asked_once_for_a_whole_folder(window: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    engine.jobs[1] = job(1, "running", params={"paths": ["/in"], "collection": "c", "recursive": True})
    engine.line.tell(m.JobChanged(engine.jobs[1], None))
    remedy = "Choose one or three of its 4 channels (0 DAPI, 1 FITC, 2 Cy3, 3 Cy5) with --channels 0,1,2; or export it."
    for name in ("a.tif", "b.tif"):
        skipped = item(f"/in/{name}", "skipped", reason="The file holds 4 channels.")
        engine.line.tell(m.JobItemDone(dataclasses.replace(skipped, remedy=remedy)))
    qtbot.waitUntil(lambda: window.adding.dialog is not None and len(window.library_panel.model.entries) == 3)
    dialog = window.adding.dialog
    assert isinstance(dialog, ChannelDialog)
    assert dialog.colour.isChecked()
    dialog.three[0].setCurrentIndex(3)
    dialog.folder.setChecked(True)
    dialog.accept()
    qtbot.waitUntil(lambda: len(engine.submitted) == 1)
    params = engine.submitted[0].params
    assert params["paths"] == ["/in/a.tif", "/in/b.tif"]
    assert params["channels"] == [3, 1, 2]
    assert params["collection"] == "c"
    assert window.adding.dialog is None


def test_what_was_skipped_before_is_not_asked_at_every_start(
    make_window: MakeWindow, engine: FakeEngine, qtbot: Any
) -> None:
    engine.jobs = {1: job(1, "done")}
    engine.items = {1: (item("/in/a.tif", "skipped", reason=MPP_UNKNOWN),)}
    window = make_window()
    panel = window.library_panel
    qtbot.waitUntil(lambda: len(panel.model.entries) == 1)
    assert window.adding.dialog is None
    panel.view.setCurrentIndex(panel.model.index(0))
    assert panel.tell_mpp.isVisible()


def test_another_mpp_value_can_be_typed_or_the_question_put_off(
    window: MainWindow, engine: FakeEngine, qtbot: Any
) -> None:
    engine.line.tell(m.JobChanged(job(1), None))
    engine.line.tell(m.JobItemDone(item("/in/a.tif", "skipped", reason=MPP_UNKNOWN)))
    qtbot.waitUntil(lambda: window.adding.dialog is not None)
    assert window.adding.dialog is not None
    window.adding.dialog.reject()
    assert engine.submitted == []
    panel = window.library_panel
    qtbot.waitUntil(lambda: any(entry.path == "/in/a.tif" for entry in panel.model.entries))
    panel.view.setCurrentIndex(panel.model.index(panel.model.row_of("/in/a.tif")))
    QTest.mouseClick(panel.tell_mpp, Qt.MouseButton.LeftButton)
    dialog = window.adding.dialog
    assert isinstance(dialog, MppDialog)
    dialog.value.setValue(0.44)
    dialog.accept()
    qtbot.waitUntil(lambda: len(engine.submitted) == 1)
    assert engine.submitted[0].params["mpp_um"] == pytest.approx(0.44)


def test_slides_appear_when_they_are_committed(window: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    engine.add(slide(7))
    engine.line.tell(m.SlidesChanged((slide(7).slide_id,)))
    qtbot.waitUntil(lambda: [entry.name for entry in window.library_panel.model.entries] == ["slide-7.svs"])
    assert window.results.empty.title.text() == "Search 1 slide"


def test_removing_a_slide_asks_first(make_window: MakeWindow, engine: FakeEngine, qtbot: Any) -> None:
    engine.add(slide(1))
    window = make_window()
    qtbot.waitUntil(lambda: len(window.library_panel.model.entries) == 1)
    window.library_panel.remove_wanted.emit(window.library_panel.model.entries[0])
    box = window.findChild(QMessageBox)
    assert "not touched" in box.informativeText()
    assert engine.line.of(m.RemoveSlide) == []
    remove = next(button for button in box.buttons() if button.text() == "Remove")
    QTest.mouseClick(remove, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.library_panel.model.entries == [])


# --- jobs ---


def test_a_job_shows_progress_and_takes_orders(window: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    engine.jobs[1] = job(1)
    engine.line.tell(m.JobChanged(engine.jobs[1], Progress(1200, 5000, "patches", "1 of 3 slides", 42.0, 340.0)))
    tree = window.job_panel.tree
    qtbot.waitUntil(lambda: tree.topLevelItemCount() == 1)
    row = tree.topLevelItem(0)
    assert row is not None
    assert "1 of 3 slides" in row.text(0)
    assert row.text(3) == "42 patches/s"
    assert row.text(4) == "about 6 min left"
    assert "24 %" in window.status_line.jobs.text()
    panel = window.job_panel
    assert panel.action("pause").isEnabled()
    assert not panel.action("resume").isEnabled()
    panel.action("pause").trigger()
    qtbot.waitUntil(lambda: row.text(1) == "Paused")
    assert panel.action("resume").isEnabled()
    panel.action("resume").trigger()
    qtbot.waitUntil(lambda: row.text(1) == "Waiting")
    assert [order.action for order in engine.controlled] == ["pause", "resume"]


def test_a_jobs_failures_are_listed_with_their_reasons(window: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    engine.line.tell(m.JobChanged(job(1), None))
    engine.line.tell(m.JobItemDone(item("/in/a.svs")))
    tree = window.job_panel.tree
    qtbot.waitUntil(lambda: tree.topLevelItemCount() == 1 and tree.topLevelItem(0).childCount() == 1)
    child = tree.topLevelItem(0).child(0)
    assert child.text(0) == "a.svs: The file is damaged. Copy it again from its source."
    engine.line.tell(m.JobChanged(job(1, "done"), None))
    qtbot.waitUntil(lambda: window.job_panel.action("retry").isEnabled())


# --- searching ---


@pytest.fixture
def stocked(make_window: MakeWindow, engine: FakeEngine, qtbot: Any) -> MainWindow:
    """A window with three slides."""
    engine.add(slide(1), slide(2), slide(3))
    window = make_window()
    qtbot.waitUntil(lambda: len(window.library_panel.model.entries) == 3)
    return window


def test_words_bring_hits_with_their_pictures(
    stocked: MainWindow, engine: FakeEngine, reader: FakeReader, qtbot: Any
) -> None:
    search(stocked, "adipose tissue")
    wait_for_hits(stocked, qtbot)
    assert queries(engine)[0].texts[0].text == "adipose tissue"
    assert stocked.results.model.rowCount() == 5
    assert stocked.results.summary.text().startswith("5 hits")
    assert not stocked.results.banner.isVisible()
    qtbot.waitUntil(lambda: sum(len(line.of(m.ReadRegion)) for line in reader.lines) == 5)
    qtbot.waitUntil(lambda: stocked.store.idle)
    request = stocked.results.delegate.request_of(hits()[0], 1.0)
    assert stocked.store.picture(request) is not None


def test_only_pictures_that_are_seen_are_fetched(
    stocked: MainWindow, engine: FakeEngine, reader: FakeReader, qtbot: Any
) -> None:
    engine.found = hits(500)
    stocked.search_bar.count.setCurrentIndex(stocked.search_bar.count.findData(500))
    stocked.search_bar.count.activated.emit(stocked.search_bar.count.currentIndex())
    search(stocked, "x")
    wait_for_hits(stocked, qtbot)
    assert stocked.results.model.rowCount() == 500
    qtbot.waitUntil(lambda: stocked.store.idle and any(line.of(m.ReadRegion) for line in reader.lines))
    assert sum(len(line.of(m.ReadRegion)) for line in reader.lines) < 60


def test_a_stale_answer_is_dropped(stocked: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    engine.line.hold(m.Search)
    search(stocked, "first")
    stocked.search_bar.line.clear()
    search(stocked, "second")
    qtbot.waitUntil(lambda: len(engine.line.of(m.Search)) == 2)
    engine.line.release(1, kind=m.Search)
    wait_for_hits(stocked, qtbot)
    engine.line.release(0, kind=m.Search)
    later: list[m.Message] = []
    stocked.link.ask(m.GetStatus(), later.append)
    qtbot.waitUntil(lambda: len(later) == 1)
    assert stocked.search.result is not None
    assert stocked.search.result.query.texts[0].text == "second"


def test_a_question_says_that_it_waits_for_the_index(stocked: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    engine.line.hold(m.Search)
    engine.line.tell(m.StatusChanged(m.Status(3, 360, "plipdesk-mini", "onnx", "loading", 0, 0)))
    search(stocked, "x")
    qtbot.waitUntil(lambda: "index is being loaded" in stocked.results.summary.text())
    engine.line.tell(m.StatusChanged(m.Status(3, 360, "plipdesk-mini", "onnx", "ready", 0, 0)))
    qtbot.waitUntil(lambda: stocked.results.summary.text() == "Searching…")
    engine.line.release(kind=m.Search)
    wait_for_hits(stocked, qtbot)
    assert stocked.results.summary.text().startswith("5 hits")


def test_nothing_stands_out_is_said_and_dimmed(stocked: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    engine.stands_out = False
    engine.notes = ("The text was cut after 77 words.",)
    search(stocked, "steam engine")
    wait_for_hits(stocked, qtbot)
    assert stocked.results.banner.isVisible()
    assert "Nothing here looks like this" in stocked.results.banner.findChildren(QLabel)[0].text()
    assert stocked.results.delegate.dimmed
    assert stocked.results.notes.text() == "The text was cut after 77 words."


def test_no_hits_is_said(stocked: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    engine.found = ()
    search(stocked, "x")
    wait_for_hits(stocked, qtbot)
    assert stocked.results.empty.title.text() == "No hits"


def test_slides_of_other_encoders_are_told_where_nothing_could_be_searched(
    stocked: MainWindow, engine: FakeEngine, qtbot: Any
) -> None:
    engine.found, engine.searched = (), Searched(0, 0)
    engine.notes = ("3 slides are indexed with plip, not with plipdesk-mini, and not searched.",)
    search(stocked, "x")
    wait_for_hits(stocked, qtbot)
    assert stocked.results.empty.title.text() == "Nothing could be searched"
    assert stocked.results.empty.text.text() == "No slide that was asked for is indexed with plipdesk-mini."
    assert stocked.results.notes.text() == engine.notes[0]


def test_a_refused_search_says_why(stocked: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    engine.refuse[m.Search] = m.Failed("encoder", "This encoder has no words.", None, "Search by region instead.", 3)
    search(stocked, "x")
    qtbot.waitUntil(lambda: stocked.notices.texts() == ["This encoder has no words. Search by region instead."])
    assert not stocked.search.busy


def test_how_many_and_by_what_are_part_of_the_question(stocked: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    search(stocked, "x")
    wait_for_hits(stocked, qtbot)
    group = stocked.search_bar.group
    group.setFocus()
    QTest.keyClick(group, Qt.Key.Key_Down)
    qtbot.waitUntil(lambda: len(queries(engine)) == 2)
    assert queries(engine)[1].group == "slide"


def test_new_slides_offer_to_search_again(stocked: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    engine.line.tell(m.StatusChanged(STATUS))
    search(stocked, "x")
    wait_for_hits(stocked, qtbot)
    assert not stocked.results.again.isVisible()
    engine.patches = 1300
    engine.line.tell(m.StatusChanged(m.Status(2, 1300, "plipdesk-mini", "onnx", "ready", 1, 0)))
    qtbot.waitUntil(lambda: stocked.results.again.isVisible())
    assert len(queries(engine)) == 1
    QTest.mouseClick(stocked.results.again, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(queries(engine)) == 2)
    wait_for_hits(stocked, qtbot)
    assert not stocked.results.again.isVisible()


def test_a_picture_file_dropped_on_the_search_bar_is_searched_with(
    stocked: MainWindow, engine: FakeEngine, qtbot: Any
) -> None:
    assert drop(stocked.search_bar, files("/pictures/fat.png"))
    qtbot.waitUntil(lambda: len(queries(engine)) == 1)
    assert queries(engine)[0].pictures == (PicturePart(path="/pictures/fat.png"),)
    assert engine.submitted == []
    assert stocked.search.draft.words == ""


def test_a_slide_dropped_on_the_search_bar_is_searched_with(
    stocked: MainWindow, engine: FakeEngine, qtbot: Any
) -> None:
    drop(stocked.search_bar, files(slide(2).path))
    qtbot.waitUntil(lambda: len(queries(engine)) == 1)
    assert queries(engine)[0].slides == (SlidePart(slide(2).slide_id),)


def test_a_slide_that_is_not_indexed_can_be_added_from_the_search_bar(
    stocked: MainWindow, engine: FakeEngine, qtbot: Any
) -> None:
    drop(stocked.search_bar, files("/slides/unknown.svs"))
    (text,) = stocked.notices.texts()
    assert "not indexed yet" in text
    button = next(one for one in stocked.notices.findChildren(QAbstractButton) if one.text() == "Add it")
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(engine.submitted) == 1)
    assert stocked.notices.texts() == []


def test_a_pasted_picture_is_searched_with(stocked: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    image = QImage(8, 6, QImage.Format.Format_RGB32)
    image.fill(QColor("#c06090"))
    QGuiApplication.clipboard().setImage(image)
    stocked.focus_search()
    QTest.keyClick(stocked.search_bar.line, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: len(queries(engine)) == 1)
    content = queries(engine)[0].pictures[0].content
    back = QImage.fromData(content)
    assert (back.width(), back.height()) == (8, 6)
    assert back.pixelColor(3, 3).name() == "#c06090"


def test_pasted_text_stays_text(stocked: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    QGuiApplication.clipboard().setText("fibrosis")
    stocked.focus_search()
    QTest.keyClick(stocked.search_bar.line, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    assert stocked.search.draft.words == "fibrosis"
    assert queries(engine) == []


def test_an_example_shows_as_a_chip_that_can_be_removed(stocked: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    stocked.results.menu_of(hits()[0]).actions()[1].trigger()
    qtbot.waitUntil(lambda: len(queries(engine)) == 1)
    assert queries(engine)[0].regions == (RegionPart(slide(1).slide_id, (224.0, 448.0, 224.0, 224.0)),)
    chip = stocked.search_bar._example_chip
    assert chip is not None
    assert chip.text == "like a region of slide-1.svs"
    QTest.mouseClick(chip.remove_button, Qt.MouseButton.LeftButton)
    assert stocked.search.draft.example is None
    assert stocked.search.result is None


def test_slides_and_cases_can_be_left_out(stocked: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    search(stocked, "x")
    wait_for_hits(stocked, qtbot)
    actions = {action.text(): action for action in stocked.results.menu_of(hits()[0]).actions()}
    actions["Leave out the case case-1"].trigger()
    qtbot.waitUntil(lambda: len(queries(engine)) == 2)
    assert queries(engine)[1].filters.not_cases == ("case-1",)
    assert queries(engine)[1].texts[0].text == "x"


# --- keyboard, names, errors ---


def test_hits_are_chosen_and_opened_by_keys(stocked: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    search(stocked, "x")
    wait_for_hits(stocked, qtbot)
    view = stocked.results.view
    view.setFocus()
    QTest.keyClick(view, Qt.Key.Key_Right)
    assert view.currentIndex().row() == 1
    QTest.keyClick(view, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: stocked.viewer.canvas.slide is not None)
    assert stocked.viewer.isVisible()
    patch = stocked.viewer.canvas.patch
    assert patch is not None
    assert (patch.x, patch.y, patch.width) == (448, 448, 224)


def test_every_control_has_a_name(stocked: MainWindow) -> None:
    nameless = [
        widget
        for kind in (QAbstractButton, QComboBox, QLineEdit, QAbstractItemView)
        for widget in stocked.findChildren(kind)
        if widget.isVisibleTo(stocked)
        and not widget.objectName().startswith("qt_")
        and not (widget.accessibleName() or getattr(widget, "text", str)() or widget.toolTip())
        and widget.parent() is not None
        and not isinstance(widget.parent(), QAbstractItemView | QComboBox | QLineEdit)
    ]
    assert [widget.metaObject().className() for widget in nameless] == []


def test_tab_leads_through_the_window(stocked: MainWindow) -> None:
    stocked.activateWindow()
    stocked.focus_search()
    reached = []
    for _ in range(14):
        QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        reached.append(QApplication.focusWidget())
    assert stocked.search_bar.count in reached
    assert stocked.library_panel.collections in reached
    assert stocked.library_panel.view in reached


def test_a_lost_engine_is_told_and_started_again(stocked: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    search(stocked, "x")
    wait_for_hits(stocked, qtbot)
    told: list[str] = []
    stocked.link.lost.connect(lambda: told.extend(stocked.notices.texts()))
    with qtbot.waitSignal(stocked.link.connected):
        engine.line.die()
    assert told == ["The engine stopped. It is being started again; nothing is lost."]
    assert stocked.notices.texts() == []
    assert stocked.results.model.rowCount() == 5
    qtbot.waitUntil(lambda: len(stocked.library_panel.model.entries) == 3)


def test_an_engine_that_cannot_start_says_why(make_window: Any, engine: FakeEngine, qtbot: Any) -> None:
    engine.fail_to_start = [
        EnvironmentProblem("The workspace lies on a network share.", path="/net/w", remedy="Choose a local folder.")
    ]
    window = make_window(connected=False)
    qtbot.waitUntil(lambda: bool(window.notices.texts()))
    assert window.notices.texts() == ["The workspace lies on a network share. (/net/w) Choose a local folder."]
    again = next(one for one in window.notices.findChildren(QAbstractButton) if one.text() == "Start again")
    QTest.mouseClick(again, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.link.is_connected)
    assert window.notices.texts() == []


def test_closing_asks_what_becomes_of_running_jobs(window: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    engine.jobs[1] = job(1)
    engine.line.tell(m.JobChanged(engine.jobs[1], None))
    qtbot.waitUntil(lambda: bool(window.jobs.state.active()))
    assert not window.close()
    box = window.findChild(QMessageBox, "closeQuestion")
    stop = next(button for button in box.buttons() if button.text() == "Stop now")
    QTest.mouseClick(stop, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not window.isVisible())
    assert [order.action for order in engine.controlled] == ["pause"]


def test_jobs_can_be_kept_running(window: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    engine.jobs[1] = job(1)
    engine.line.tell(m.JobChanged(engine.jobs[1], None))
    qtbot.waitUntil(lambda: bool(window.jobs.state.active()))
    window.close()
    box = window.findChild(QMessageBox, "closeQuestion")
    keep = next(button for button in box.buttons() if button.text().startswith("Keep indexing"))
    QTest.mouseClick(keep, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not window.isVisible())
    assert engine.controlled == []


def test_the_layout_is_remembered_in_the_workspace(make_window: Any, tmp_path: Path, qtbot: Any) -> None:
    window = make_window(width=1000, height=700)
    window.jobs_dock.show()
    window.choose_theme("dark")
    window.close()
    assert (tmp_path / "workspace" / "window.ini").exists()
    again = make_window()
    assert again.jobs_dock.isVisible()
    again.choose_theme("light")


def test_the_themes_can_be_read() -> None:
    from plipdesk.desktop.theme import load_colours

    for name in ("light", "dark"):
        colours = load_colours(name)  # type: ignore[arg-type]
        pairs = [
            (colours.text, colours.window),
            (colours.text, colours.base),
            (colours.muted, colours.window),
            (colours.muted, colours.base),
            (colours.accent_text, colours.accent),
            (colours.text, colours.accent_soft),
            (colours.muted, colours.accent_soft),
            (colours.info_text, colours.info),
            (colours.warning_text, colours.warning),
            (colours.error_text, colours.error),
            (colours.error_text, colours.base),
            (colours.muted, colours.placeholder),
        ]
        for ink, paper in pairs:
            assert contrast(ink, paper) >= 4.5, (name, ink, paper)


def contrast(ink: str, paper: str) -> float:
    """Contrast ratio of WCAG 2.1."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(ink), luminance(paper)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_what_nobody_foresaw_becomes_a_report_and_one_sentence(qapp: QApplication, tmp_path: Path, qtbot: Any) -> None:
    from plipdesk.base.paths import Workspace
    from plipdesk.desktop.crash import CrashReporter

    reporter = CrashReporter(Workspace(tmp_path))
    said: list[str] = []
    reporter.happened.connect(said.append)
    try:
        raise ValueError("a secret thing")
    except ValueError as error:
        reporter.report(ValueError, error, error.__traceback__)
    (report,) = (tmp_path / "logs").glob("crash-*.txt")
    assert "a secret thing" in report.read_text(encoding="utf-8")
    assert str(report) in said[0]
    assert "Traceback" not in said[0]


def test_search_again_is_offered_only_for_what_was_not_searched(
    window: MainWindow, engine: FakeEngine, qtbot: Any
) -> None:
    # The status comes late, as with --search: the engine knows of more than the window, and a filter searches less.
    window._on_status(msgspec.structs.replace(STATUS, patches=0))
    engine.patches = 5000
    search(window, "fat")
    wait_for_hits(window, qtbot)
    assert window.search.result is not None
    assert window.search.result.searched.patches < engine.patches
    window._on_status(msgspec.structs.replace(STATUS, patches=5000))
    assert not window.results.again.isVisible()
    # Another encoder has more patches of the same slides.
    window._on_status(msgspec.structs.replace(STATUS, encoder="other", patches=9000))
    assert not window.results.again.isVisible()
    window._on_status(msgspec.structs.replace(STATUS, patches=5001))
    assert window.results.again.isVisible()
