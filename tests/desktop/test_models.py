"""The model manager as a person uses it: real Qt events on a fake engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QComboBox, QDialog, QLineEdit, QMessageBox, QTreeWidget, QWidget

from plipdesk.base.progress import Progress
from plipdesk.catalogue.rows import CollectionRow
from plipdesk.desktop.models import wording
from plipdesk.desktop.models.compare_dialog import CompareDialog
from plipdesk.desktop.models.import_dialog import ImportDialog
from plipdesk.desktop.models.licence_dialog import LicenceDialog
from plipdesk.desktop.models.manager import ModelManager
from plipdesk.desktop.models.use_dialog import UseDialog
from plipdesk.desktop.state.models import ModelsState, needs_architecture
from plipdesk.desktop.window import MainWindow
from plipdesk.encoders.known import known_models
from plipdesk.encoders.null import null_card
from plipdesk.engine import messages as m
from plipdesk.engine.model_desk import _known
from plipdesk.search.comparing import Overlap, compare_answers
from plipdesk.search.query import RegionPart
from tests.desktop.fakes import FakeEngine, hits, result, slide
from tests.desktop.test_window import drop, files


def installed(model_id: str, name: str, **changes: Any) -> m.ModelEntry:
    card = null_card().model_dump(mode="json") | {"id": model_id, "name": name}
    entry = m.ModelEntry(model_id, name, True, False, "MIT", card, fingerprint="f" * 32, model_bytes=605_000_000)
    return m.ModelEntry(**{**{field: getattr(entry, field) for field in entry.__struct_fields__}, **changes})


class ModelEngine(FakeEngine):
    """Two encoders, those that plipdesk knows, and a cost."""

    def __init__(self) -> None:
        super().__init__()
        self.models = [
            installed("plipdesk-mini", "plipdesk mini", embedded=True, patches=120, slides=1),
            installed("quilt", "QuiltNet", patches=31_000, slides=4, vectors_bytes=40_000_000),
            *(_known(model) for model in known_models()),
        ]
        self.collections = [CollectionRow(1, "teaching", 4, ""), CollectionRow(2, "tumours", 2, "", "quilt")]
        jobs = ({"paths": ["/slides/a.svs"], "encoder": "quilt", "tissue": "auto", "overlap": 0.0},)
        self.cost = m.Cost(4, 31_000, 20.7, False, 1500.0, jobs)

    def answer(self, message: m.Message) -> m.Message | None:
        if type(message) in self.refuse:
            return self.refuse[type(message)]
        match message:
            case m.ListModels():
                return m.ModelList(tuple(self.models), "plipdesk-mini")
            case m.GetCost():
                return self.cost
            case m.RemoveModel(model_id):
                self.models = [entry for entry in self.models if entry.id != model_id]
                return m.Removed(31_000, 4, 645_000_000)
            case m.Compare(query, encoders):
                first = replace(result(query, hits(4)), encoder=encoders[0])
                second = replace(result(query, tuple(reversed(hits(4)))), encoder=encoders[1])
                second = replace(
                    second, hits=tuple(replace(hit, rank=rank) for rank, hit in enumerate(second.hits, start=1))
                )
                return m.Compared(compare_answers(first, second))
            case _:
                return super().answer(message)


@pytest.fixture
def engine() -> ModelEngine:
    return ModelEngine()


@pytest.fixture
def manager(window: MainWindow, qtbot: Any) -> ModelManager:
    """The manager, opened by its key."""
    QTest.keyClick(window, Qt.Key.Key_E, Qt.KeyboardModifier.ControlModifier)
    assert window.manager is not None
    manager = window.manager
    qtbot.waitUntil(lambda: bool(window.models.state.entries))
    return manager


def asked(manager: ModelManager, kind: type[QDialog]) -> Any:
    assert isinstance(manager.dialog, kind)
    return manager.dialog


def press(widget: QWidget) -> None:
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton)


def card(manager: ModelManager) -> dict[str, str]:
    return dict(manager.card.rows)


def told(manager: ModelManager) -> list[str]:
    return manager.notices.texts()


# --- looking ---


def test_encoders_are_listed_with_their_cards(manager: ModelManager) -> None:
    assert manager.list.current_id() == "plipdesk-mini", "the one in use is looked at first"
    assert not manager.buttons["remove"].isEnabled()
    QTest.keyClick(manager.list, Qt.Key.Key_Down)
    assert manager.list.current_id() == "quilt"
    shown = card(manager)
    assert shown["Licence"] == "MIT"
    assert shown["Chosen by"] == "tumours"
    assert "605 MB" in shown["Disk"]
    assert "40 MB" in shown["Disk"]
    assert "4 slides" in shown["Encoded"]
    assert shown["File none"].startswith("SHA-256 ")
    assert all(manager.buttons[action].isEnabled() for action in ("use", "compare", "export", "remove"))
    assert not manager.buttons["download"].isVisible()


def test_known_ones_say_what_they_score_and_why_they_cannot_be_used(manager: ModelManager) -> None:
    manager.look_at("plip")
    assert "zero-shot weighted F1, Kather colon: 0.565" in card(manager)["Scores"]
    assert "Ask the authors" in card(manager)["Licence"]
    assert manager.buttons["download"].isEnabled()
    assert not manager.buttons["use"].isVisible()
    manager.look_at("conch")
    assert "code of its own" in card(manager)["Not usable yet"]
    assert not manager.buttons["download"].isEnabled()


def test_everything_has_a_name_to_be_read_aloud(manager: ModelManager) -> None:
    manager.look_at("quilt")
    manager.ask_use()
    manager.open_comparison()
    for kind in (QAbstractButton, QLineEdit, QComboBox, QTreeWidget):
        for widget in manager.findChildren(kind):
            if widget.isVisible():
                named = widget.accessibleName() or (widget.text() if isinstance(widget, QAbstractButton) else "")
                assert named, widget


# --- bringing ---


def test_a_download_shows_its_licence_first(manager: ModelManager, engine: ModelEngine, qtbot: Any) -> None:
    manager.look_at("plip")
    QTest.keyClick(manager.list, Qt.Key.Key_Return)
    dialog = asked(manager, LicenceDialog)
    assert "state no licence" in dialog.text.text()
    assert "605 MB" in dialog.text.text()
    press(dialog.download)
    assert not dialog.download.isEnabled()
    assert engine.submitted == []
    QTest.keyClick(dialog.accepted_box, Qt.Key.Key_Space)
    press(dialog.download)
    qtbot.waitUntil(lambda: len(engine.submitted) == 1)
    submitted = engine.submitted[0]
    assert (submitted.kind, submitted.priority) == ("download-model", 1)
    assert submitted.params == {"id": "plip", "accepted_licence": "not stated"}


def test_a_token_goes_into_the_keyring_before_the_download(
    manager: ModelManager, engine: ModelEngine, qtbot: Any
) -> None:
    manager.look_at("plip")
    manager.ask_download()
    assert not asked(manager, LicenceDialog).token.isVisible()
    manager.dialog.reject()  # type: ignore[union-attr]
    manager.look_at("pathgen-clip")
    manager.ask_download()
    dialog = asked(manager, LicenceDialog)
    QTest.keyClicks(dialog.token, "hf_abc")
    assert "hf_abc" not in dialog.token.displayText()
    dialog.accepted_box.click()
    engine.refuse[m.KeepToken] = m.Failed("keyring", "This system has no keyring.", None, "Set HF_TOKEN.", 3)
    press(dialog.download)
    qtbot.waitUntil(lambda: told(manager) == ["This system has no keyring. Set HF_TOKEN."])
    assert engine.submitted == []
    del engine.refuse[m.KeepToken]
    manager.ask_download()
    dialog = asked(manager, LicenceDialog)
    QTest.keyClicks(dialog.token, "hf_abc")
    dialog.accepted_box.click()
    press(dialog.download)
    qtbot.waitUntil(lambda: len(engine.submitted) == 1)
    assert engine.line.of(m.KeepToken)[-1] == m.KeepToken("hf_abc")
    assert "hf_abc" not in str(engine.submitted[0].params)


def test_a_download_tells_how_far_it_is_and_can_be_stopped(
    manager: ModelManager, engine: ModelEngine, qtbot: Any
) -> None:
    manager.look_at("plip")
    manager.ask_download()
    dialog = asked(manager, LicenceDialog)
    dialog.accepted_box.click()
    press(dialog.download)
    qtbot.waitUntil(lambda: manager.progress.isVisible())
    (row,) = engine.jobs.values()
    running = replace(row, state="running")
    engine.line.tell(m.JobChanged(running, Progress(121, 605, "MB", "Downloading pytorch_model.bin", 8.0, 60.5)))
    line = manager.progress.line(row.job_id)
    assert line is not None
    qtbot.waitUntil(lambda: "121 of 605 MB" in line.text.text())
    assert "about 60 s left" in line.text.text()
    assert line.bar.value() == 200
    press(line.stop)
    qtbot.waitUntil(lambda: [order.action for order in engine.controlled] == ["cancel"])
    qtbot.waitUntil(lambda: not manager.progress.isVisible())
    assert any("what came is kept" in text for text in told(manager))


def test_what_came_of_a_job_is_told(manager: ModelManager, engine: ModelEngine, qtbot: Any) -> None:
    manager.import_path("/stick/plip.plipdesk-model")
    qtbot.waitUntil(lambda: len(engine.submitted) == 1)
    (row,) = engine.jobs.values()
    engine.models = [installed("plip", "PLIP"), *(entry for entry in engine.models if entry.id != "plip")]
    engine.line.tell(m.JobChanged(replace(row, state="done", result={"id": "plip", "name": "PLIP"}), None))
    engine.line.tell(m.ModelsChanged())
    qtbot.waitUntil(lambda: told(manager) == ["PLIP is installed."])
    manager.look_at("plip")
    qtbot.waitUntil(lambda: manager.entry is not None and manager.entry.installed)
    assert manager.buttons["use"].isEnabled()

    manager.import_path("/stick/bad.plipdesk-model")
    qtbot.waitUntil(lambda: len(engine.submitted) == 2)
    error = {"kind": "encoder", "message": "It is damaged.", "path": "/stick/bad", "remedy": "Copy it again."}
    failed = replace(engine.jobs[2], state="failed", reason="x", result={"error": error, "exit_code": 3})
    engine.line.tell(m.JobChanged(failed, None))
    qtbot.waitUntil(lambda: "It is damaged. (/stick/bad) Copy it again." in told(manager))


def test_a_dropped_folder_is_imported_once_its_form_is_filled(
    manager: ModelManager, engine: ModelEngine, qtbot: Any
) -> None:
    assert drop(manager, files("/models/plip"))
    dialog = asked(manager, ImportDialog)
    assert not dialog.architecture.isVisible(), "a folder says itself what it is"
    QTest.keyClicks(dialog.id, "plip")
    dialog.mpp.setValue(0.25)
    QTest.keyClick(dialog.id, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: len(engine.submitted) == 1)
    assert engine.submitted[0].params == {"path": "/models/plip", "id": "plip", "mpp_um": 0.25}
    assert drop(manager, files("/models/pathclip-base.pt"))
    dialog = asked(manager, ImportDialog)
    QTest.keyClicks(dialog.architecture, "ViT-B-16")
    press(dialog.start)
    qtbot.waitUntil(lambda: len(engine.submitted) == 2)
    assert engine.submitted[1].params == {"path": "/models/pathclip-base.pt", "architecture": "ViT-B-16"}
    assert not drop(manager, files("/one", "/two"))


def test_an_exported_encoder_needs_no_form(manager: ModelManager, engine: ModelEngine, qtbot: Any) -> None:
    assert drop(manager, files("/stick/plip.plipdesk-model"))
    qtbot.waitUntil(lambda: len(engine.submitted) == 1)
    assert engine.submitted[0].params == {"path": "/stick/plip.plipdesk-model"}
    assert manager.dialog is None


def test_an_exported_encoder_dropped_among_slides_is_no_slide(
    window: MainWindow, engine: ModelEngine, qtbot: Any
) -> None:
    assert drop(window, files("/stick/plip.plipdesk-model", "/slides/a.svs"))
    qtbot.waitUntil(lambda: len(engine.submitted) == 2)
    assert {job.kind: job.params.get("path") for job in engine.submitted} == {
        "import-model": "/stick/plip.plipdesk-model",
        "index": None,
    }
    assert window.manager is not None
    assert window.manager.isVisible()


# --- using ---


def test_the_cost_is_shown_before_anything_changes(manager: ModelManager, engine: ModelEngine, qtbot: Any) -> None:
    manager.look_at("quilt")
    engine.line.hold(m.GetCost)
    press(manager.buttons["use"])
    dialog = asked(manager, UseDialog)
    assert "Looking" in dialog.told.text()
    assert not dialog.encode.isEnabled()
    qtbot.waitUntil(lambda: len(engine.line.held[m.GetCost]) == 1)
    engine.line.release(kind=m.GetCost)
    qtbot.waitUntil(lambda: dialog.cost is not None)
    assert dialog.told.text().replace(",", "") == "4 slides 31000 patches to encode about 25 min on this machine."
    engine.line.holding.clear()
    QTest.keyClick(dialog.scope, Qt.Key.Key_Down)
    assert dialog.collection == "teaching"
    qtbot.waitUntil(lambda: dialog.cost is not None)
    assert [message.collection for message in engine.line.of(m.GetCost)] == [None, "teaching"]  # type: ignore[attr-defined]
    assert engine.line.of(m.UseEncoder) == []
    press(dialog.apply)
    qtbot.waitUntil(lambda: len(engine.submitted) == 1)
    assert engine.line.of(m.UseEncoder) == [m.UseEncoder("quilt", "teaching")]
    assert (engine.submitted[0].kind, engine.submitted[0].params["encoder"]) == ("index", "quilt")


def test_using_without_encoding(manager: ModelManager, engine: ModelEngine, qtbot: Any) -> None:
    manager.look_at("quilt")
    manager.ask_use()
    dialog = asked(manager, UseDialog)
    qtbot.waitUntil(lambda: dialog.cost is not None)
    QTest.keyClick(dialog.encode, Qt.Key.Key_Space)
    press(dialog.apply)
    qtbot.waitUntil(lambda: engine.line.of(m.UseEncoder) == [m.UseEncoder("quilt", None)])
    assert engine.submitted == []


def test_a_cost_that_cannot_be_told_says_why(manager: ModelManager, engine: ModelEngine, qtbot: Any) -> None:
    engine.refuse[m.GetCost] = m.Failed("encoder", "The weights are gone.", None, "Import it again.", 3)
    manager.look_at("quilt")
    manager.ask_use()
    dialog = asked(manager, UseDialog)
    qtbot.waitUntil(lambda: dialog.told.text() == "The weights are gone. Import it again.")


# --- removing ---


def test_removing_says_what_goes(manager: ModelManager, engine: ModelEngine, qtbot: Any) -> None:
    manager.look_at("quilt")
    QTest.keyClick(manager.list, Qt.Key.Key_Delete)
    box = asked(manager, QMessageBox)
    assert "31000 patches of 4 slides" in box.informativeText().replace(",", "")
    assert "645 MB" in box.informativeText()
    remove = next(button for button in box.buttons() if button.text() == "Remove")
    press(remove)
    qtbot.waitUntil(lambda: engine.line.of(m.RemoveModel) == [m.RemoveModel("quilt")])
    qtbot.waitUntil(lambda: told(manager) == ["QuiltNet is removed; 645 MB are free again."])
    manager.look_at("plipdesk-mini")
    QTest.keyClick(manager.list, Qt.Key.Key_Delete)
    assert manager.dialog is None, "the one that is part of plipdesk stays"


# --- comparing ---


def test_two_encoders_answer_side_by_side(
    manager: ModelManager, window: MainWindow, engine: ModelEngine, qtbot: Any
) -> None:
    engine.add(slide())
    window.search.change(window.search.draft.like(RegionPart("a", (0, 0, 1, 1)), "slide-1.svs"))
    manager.look_at("quilt")
    press(manager.buttons["compare"])
    dialog = asked(manager, CompareDialog)
    assert (dialog.first.model_id, dialog.second.model_id) == ("quilt", "plipdesk-mini")
    QTest.keyClicks(dialog.line, "glands")
    QTest.keyClick(dialog.line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: dialog.first.hits.count() == 4)
    (question,) = engine.line.of(m.Compare)
    assert question.encoders == ("quilt", "plipdesk-mini")  # type: ignore[attr-defined]
    assert question.query.texts[0].text == "glands"  # type: ignore[attr-defined]
    assert question.query.regions, "the example of the search goes along"  # type: ignore[attr-defined]
    assert "4 of 4 places (100 %)" in dialog.told.text()
    assert "agrees to -1.00" in dialog.told.text()
    assert "also place 4 of the other" in dialog.first.hits.item(0).text()
    qtbot.waitUntil(lambda: not dialog.first.hits.item(0).icon().isNull())
    dialog.first.hits.setCurrentRow(0)
    QTest.keyClick(dialog.first.hits, Qt.Key.Key_Return)
    qtbot.waitUntil(window.viewer.isVisible)


def test_one_encoder_is_not_compared_with_itself(manager: ModelManager, window: MainWindow) -> None:
    manager.look_at("quilt")
    manager.open_comparison()
    dialog = asked(manager, CompareDialog)
    dialog.second.choose("quilt")
    dialog.second.encoder.activated.emit(dialog.second.encoder.currentIndex())
    assert dialog.second.model_id == "plipdesk-mini"


# --- words ---


def test_words_for_numbers() -> None:
    assert wording.size(0) == "0 MB"
    assert wording.size(300) == "1 MB"
    assert wording.size(1_700_000_000) == "1.7 GB"
    assert [wording.duration(seconds) for seconds in (0.2, 89, 90, 1500, 12_240)] == [
        "1 s",
        "89 s",
        "2 min",
        "25 min",
        "3.4 h",
    ]
    assert wording.cost(m.Cost(0, 0, 0.0, False, 0.0, ())).startswith("Nothing is left")
    assert "Their order" not in wording.overlap(Overlap(5, (), 0.0, None), "a", "b")


def test_what_can_be_done_with_each() -> None:
    mini = installed("plipdesk-mini", "mini", embedded=True)
    conch = next(_known(model) for model in known_models() if model.id == "conch")
    alone = ModelsState((mini, conch), "plipdesk-mini")
    assert alone.allowed(mini) == {"use"}
    assert alone.allowed(conch) == frozenset()
    assert alone.entry("nothing") is None
    assert [needs_architecture(path) for path in ("/a/b.PT", "/a/plip")] == [True, False]


def test_a_lost_engine_does_not_lose_the_list(
    manager: ModelManager, engine: ModelEngine, qtbot: Any, tmp_path: Path
) -> None:
    engine.models = [engine.models[0]]
    engine.line.die()
    qtbot.waitUntil(lambda: len(manager._controller.state.entries) == 1)
