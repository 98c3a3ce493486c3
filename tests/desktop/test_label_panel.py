"""Labels in the window: a slide is labelled, looked at, corrected by keys, and taken elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from plipdesk.desktop.labelling.set_dialog import LabelSetDialog
from plipdesk.desktop.state.label_view import LabelView
from plipdesk.desktop.state.labels import LabelledPatches, heat_range, keyed_classes, label_colours, legend
from plipdesk.desktop.viewer.overlay_kinds import PictureOverlay
from plipdesk.desktop.window import MainWindow
from plipdesk.engine import messages as m
from plipdesk.labelling.label_sets import read_label_set
from tests.desktop.fakes import FakeEngine, label_set, labelled, slide

SET = label_set("tissues", "fat", "muscle", "nerve").document


def found() -> LabelledPatches:
    return LabelledPatches.of(labelled(slide().slide_id, SET, []))


@pytest.fixture
def labelling(make_window: Callable[[], MainWindow], engine: FakeEngine, qtbot: Any) -> MainWindow:
    """A window whose slide has been labelled."""
    engine.add(slide())
    window = make_window()
    window.labels_dock.show()
    qtbot.waitUntil(lambda: window.label_panel.sets.list.count() == 1 and bool(window.library_panel.model.entries))
    window.open_entry(window.library_panel.model.entries[0])
    qtbot.waitUntil(lambda: window.label_panel.run.isEnabled())
    QTest.mouseClick(window.label_panel.run, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.labels.found is not None)
    return window


# --- without Qt ---


def test_the_threshold_hides_and_a_correction_is_shown() -> None:
    labels = found()
    colours = label_colours(labels, 0.65)
    assert (colours[:, 3] > 0).tolist() == [sure >= 0.65 for sure in labels.probability]
    labels.corrected[0] = 2
    assert label_colours(labels, 0)[0, :3].tolist() == [0, 158, 115]
    assert legend(labels)[0][:2] == (2, "nerve")
    assert heat_range(labels, 0)[1] == pytest.approx(0.9, abs=1e-3)


def test_the_patch_under_the_cursor_and_the_surest_ones() -> None:
    labels = found()
    assert (labels.at(230, 5), labels.at(230, 500)) == (1, None)
    assert labels.best_classes(1)[0][0] == "muscle"
    assert labels.examples(0) == [0, 3, 6, 9]
    assert keyed_classes(labels) == (0, 1, 2)


def test_of_many_classes_the_keys_name_the_most_frequent() -> None:
    names = [f"class {number}" for number in range(11)]
    shares = np.zeros((3, 11), np.float16)
    none = np.zeros(3, np.int32)
    label = np.array([10, 10, 7], np.int32)
    labels = LabelledPatches(
        "s", "l", (*names, "none of these", "unsure"), ("#000000",) * 13, 224.0, none, none, label, label,
        np.ones(3, np.float32), shares, none - 1, (),
    )  # fmt: skip
    assert keyed_classes(labels)[:3] == (10, 7, 0)
    assert len(keyed_classes(labels)) == 9


# --- in the window ---


def test_a_slide_is_labelled_and_the_map_lies_over_it(labelling: MainWindow, engine: FakeEngine) -> None:
    panel = labelling.label_panel
    (asked,) = engine.line.of(m.LabelSlide)
    assert isinstance(asked, m.LabelSlide)
    assert (asked.slide_id, asked.settings["choice"]) == (slide().slide_id, "single")
    layer = labelling.viewer.overlays.get("labels")
    assert isinstance(layer, PictureOverlay)
    assert layer.on_overview
    rows = [panel.table.topLevelItem(row) for row in range(panel.table.topLevelItemCount())]
    assert [row.text(0) for row in rows if row] == ["To look at next", "1  fat", "2  muscle", "3  nerve"]
    assert "Not for diagnosis" in panel.notice.text()


def test_sliders_and_heat_maps_change_the_layer(labelling: MainWindow) -> None:
    panel = labelling.label_panel
    panel.opacity.setValue(30)
    layer = labelling.viewer.overlays.get("labels")
    assert layer is not None
    assert layer.opacity == 0.3
    panel.shown.setCurrentIndex(2)
    panel.threshold.setValue(50)
    panel.smooth.setChecked(True)
    assert panel.view == LabelView("heat", 1, 0.5, 0.3, True)
    assert panel.scale.isVisible()
    panel.show_under((230.0, 5.0))
    assert panel.under.text().startswith("muscle 0.8")
    panel.show_under(None)
    assert panel.under.text() == ""


def test_digits_correct_and_the_slide_is_labelled_again(labelling: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    panel = labelling.label_panel
    assert panel.grid.count() == 2
    panel.grid.setFocus()
    QTest.keyClick(panel.grid, Qt.Key.Key_3)
    qtbot.waitUntil(lambda: len(engine.corrections) == 1)
    assert (engine.corrections[0].x0_px, engine.corrections[0].class_name) == (11 * 224, "nerve")
    assert panel.grid.item(0).text() == "✓ nerve"
    assert panel.grid.currentRow() == 1
    QTest.keyClick(panel.grid, Qt.Key.Key_0)
    qtbot.waitUntil(lambda: len(engine.corrections) == 2)
    assert engine.corrections[1].class_name == "none of these"
    QTest.keyClick(panel.grid, Qt.Key.Key_9)
    qtbot.waitUntil(lambda: len(engine.line.of(m.LabelSlide)) == 2, timeout=8000)
    qtbot.waitUntil(lambda: panel.state.text() == "2 corrections")
    panel.grid.setCurrentRow(0)
    QTest.keyClick(panel.grid, Qt.Key.Key_Backspace)
    qtbot.waitUntil(lambda: len(engine.corrections) == 1)


def test_a_class_shows_its_patches_and_enter_opens_one(labelling: MainWindow, qtbot: Any) -> None:
    panel = labelling.label_panel
    panel.table.setCurrentItem(panel.table.topLevelItem(2))
    assert panel.grid.count() == 4
    assert panel.grid_title.text().startswith("muscle")
    with qtbot.waitSignal(panel.patch_wanted) as wanted:
        QTest.keyClick(panel.grid, Qt.Key.Key_Return)
    assert wanted.args == [1]


def test_results_are_written_by_a_job(labelling: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    labelling.label_panel.save.export({"geojson": "/tmp/x.geojson"})
    qtbot.waitUntil(lambda: len(engine.submitted) == 1)
    assert (engine.submitted[0].kind, engine.submitted[0].params["out"]) == ("label", {"geojson": "/tmp/x.geojson"})
    assert engine.submitted[0].params["slides"] == [slide().slide_id]


def test_another_slide_takes_the_labels_away(labelling: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    labelling.viewer.views.active.end()
    labelling.viewer.views.activated.emit()
    assert labelling.labels.found is None
    assert labelling.viewer.overlays.get("labels") is None
    assert not labelling.label_panel.run.isEnabled()


def test_a_refusal_is_said_in_the_panel(labelling: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    engine.refuse[m.LabelSlide] = m.Failed("encoder", "It has no words.", None, "Choose another.", 3)
    labelling.label_panel.label()
    qtbot.waitUntil(lambda: "It has no words." in labelling.label_panel.state.text())
    assert labelling.label_panel.run.isEnabled()


def test_label_sets_come_from_files_and_go_to_files(
    labelling: MainWindow, engine: FakeEngine, qtbot: Any, tmp_path: Path
) -> None:
    panel = labelling.label_panel
    panel.sets.export_set(tmp_path / "out.yaml")
    assert read_label_set(tmp_path / "out.yaml").names == ("fat", "muscle", "nerve")
    panel.sets.import_set(tmp_path / "out.yaml")
    qtbot.waitUntil(lambda: len(engine.line.of(m.KeepLabelSet)) == 1)
    (tmp_path / "wrong.yaml").write_text("classes: []", encoding="utf-8")
    panel.sets.import_set(tmp_path / "wrong.yaml")
    assert "not right" in panel.state.text()


def test_a_label_set_is_built_and_kept(labelling: MainWindow, engine: FakeEngine, qtbot: Any) -> None:
    panel = labelling.label_panel
    panel.sets.edit_set()
    dialog = panel.findChild(LabelSetDialog)
    assert isinstance(dialog, LabelSetDialog)
    dialog.name.setText("mine")
    dialog.table.item(0, 0).setText("adipose tissue")  # type: ignore[union-attr]
    dialog.table.item(0, 2).setText("fat; lipid")  # type: ignore[union-attr]
    dialog.none.setChecked(True)
    document = dialog.document()
    assert document["classes"][0]["synonyms"] == ["fat", "lipid"]
    assert document["none_of_these"] is True
    dialog.accept()
    qtbot.waitUntil(lambda: panel.sets.document is not None and panel.sets.document["name"] == "mine")
    kept = engine.line.of(m.KeepLabelSet)
    assert len(kept) == 1
