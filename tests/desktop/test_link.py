"""The line to the engine: nothing waits, nothing is lost, and what is stale stays away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from PySide6.QtWidgets import QApplication

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.desktop.link import LOST_KIND, Link
from plipdesk.engine import messages as m
from plipdesk.engine.transport import ConnectionLost
from tests.desktop.fakes import FakeEngine, FakeReader


@pytest.fixture
def link(qapp: QApplication, engine: FakeEngine, reader: FakeReader) -> Iterator[Link]:
    link = Link(engine.open, reader.open)
    yield link
    link.close()
    link.deleteLater()


def connect(link: Link, qtbot: Any) -> None:
    with qtbot.waitSignal(link.connected):
        link.start()


def test_the_link_knows_a_lost_line_as_the_client_names_it() -> None:
    assert ConnectionLost.kind == LOST_KIND


def test_what_is_asked_before_the_engine_runs_is_answered_later(link: Link, qtbot: Any) -> None:
    answers: list[m.Message] = []
    link.ask(m.GetStatus(), answers.append)
    connect(link, qtbot)
    qtbot.waitUntil(lambda: len(answers) == 1)
    assert isinstance(answers[0], m.Status)


def test_answers_and_events_arrive_on_the_windows_thread(link: Link, engine: FakeEngine, qtbot: Any) -> None:
    threads: list[str] = []
    connect(link, qtbot)
    link.ask(m.GetStatus(), lambda _: threads.append(threading.current_thread().name))
    link.event_arrived.connect(lambda _: threads.append(threading.current_thread().name))
    telling = threading.Thread(target=lambda: engine.line.tell(m.SlidesChanged(())))
    telling.start()
    telling.join()
    qtbot.waitUntil(lambda: len(threads) == 2)
    assert threads == ["MainThread", "MainThread"]


def test_a_refusal_without_a_handler_is_a_problem(link: Link, engine: FakeEngine, qtbot: Any) -> None:
    engine.refuse[m.GetStatus] = m.Failed("environment", "No.", None, None, 3)
    connect(link, qtbot)
    with qtbot.waitSignal(link.problem) as caught:
        link.ask(m.GetStatus(), lambda _: None)
    assert caught.args[0].message == "No."


def test_a_forgotten_request_is_not_answered(link: Link, engine: FakeEngine, qtbot: Any) -> None:
    answers: list[m.Message] = []
    connect(link, qtbot)
    engine.line.hold(m.GetStatus)
    ticket = link.ask(m.GetStatus(), answers.append)
    qtbot.waitUntil(lambda: len(engine.line.of(m.GetStatus)) == 1)
    link.forget(ticket)
    engine.line.release(kind=m.GetStatus)
    later: list[m.Message] = []
    link.ask(m.ListJobs(), later.append)
    qtbot.waitUntil(lambda: len(later) == 1)
    assert answers == []


def test_open_requests_survive_the_engines_death(link: Link, engine: FakeEngine, qtbot: Any) -> None:
    answers: list[m.Message] = []
    connect(link, qtbot)
    engine.line.hold(m.GetStatus)
    link.ask(m.GetStatus(), answers.append)
    qtbot.waitUntil(lambda: len(engine.line.of(m.GetStatus)) == 1)
    first = engine.line
    with qtbot.waitSignals([link.lost, link.connected]):
        first.release(kind=m.GetStatus, reply=m.Failed(LOST_KIND, "gone", None, None, 3))
        first.die()
    qtbot.waitUntil(lambda: len(answers) == 1)
    assert isinstance(answers[0], m.Status)
    assert engine.line is not first


def test_an_engine_that_cannot_start_says_why_and_can_be_started_again(
    link: Link, engine: FakeEngine, qtbot: Any
) -> None:
    engine.fail_to_start = [EnvironmentProblem("The disk is full.", remedy="Free some space.")]
    with qtbot.waitSignal(link.start_failed) as caught:
        link.start()
    assert caught.args[0].message == "The disk is full."
    assert caught.args[0].remedy == "Free some space."
    connect(link, qtbot)
    assert link.is_connected


def test_an_engine_that_dies_again_and_again_is_not_started_for_ever(
    link: Link, engine: FakeEngine, qtbot: Any
) -> None:
    connect(link, qtbot)
    for _ in range(3):
        with qtbot.waitSignal(link.connected):
            engine.line.die()
    with qtbot.waitSignal(link.start_failed) as caught:
        engine.line.die()
    assert "several times" in caught.args[0].message
    connect(link, qtbot)


def test_the_reader_is_found_again_after_a_crash(
    link: Link, engine: FakeEngine, reader: FakeReader, qtbot: Any
) -> None:
    pictures: list[m.Message] = []
    connect(link, qtbot)
    qtbot.waitUntil(lambda: len(reader.lines) == 2)
    for line in list(reader.lines):
        line.die()
    link.ask(m.ReadThumbnail("/a.svs", 8), pictures.append, channel="pictures")
    qtbot.waitUntil(lambda: len(pictures) == 1)
    assert isinstance(pictures[0], m.Pixels)
    assert len(engine.line.of(m.GetReader)) >= 2


def test_a_picture_that_kills_the_reader_twice_is_given_up(link: Link, reader: FakeReader, qtbot: Any) -> None:
    refused: list[m.Failed] = []
    pictures: list[m.Message] = []
    connect(link, qtbot)
    qtbot.waitUntil(lambda: len(reader.lines) == 2)

    def latest() -> Any:
        return reader.lines[-1]

    latest().hold(m.ReadThumbnail)
    link.ask(m.ReadThumbnail("/deadly.svs", 8), pictures.append, refused.append, channel="pictures")
    qtbot.waitUntil(lambda: len(latest().of(m.ReadThumbnail)) == 1)
    real_open = reader.open

    def open_holding(address: str) -> Any:
        line = real_open(address)
        line.hold(m.ReadThumbnail)
        return line

    link._open_reader = open_holding
    latest().die()
    qtbot.waitUntil(lambda: len(reader.lines) == 3 and len(latest().of(m.ReadThumbnail)) == 1)
    latest().die()
    qtbot.waitUntil(lambda: len(refused) == 1)
    assert refused[0].path == "/deadly.svs"
    assert "damaged" in (refused[0].remedy or "")
    assert pictures == []


def test_without_a_reader_whoever_waits_is_told_and_the_next_asks_anew(
    link: Link, engine: FakeEngine, qtbot: Any
) -> None:
    refused: list[m.Failed] = []
    pictures: list[m.Message] = []
    engine.refuse[m.GetReader] = m.Failed(
        "no-reader", "The process that reads slides cannot be started.", None, None, 3
    )
    link.ask(m.ReadThumbnail("/a.svs", 8), pictures.append, refused.append, channel="pictures")
    connect(link, qtbot)
    qtbot.waitUntil(lambda: len(refused) == 1)
    engine.refuse.clear()
    link.ask(m.ReadThumbnail("/a.svs", 8), pictures.append, refused.append, channel="pictures")
    qtbot.waitUntil(lambda: len(pictures) == 1)
    assert len(refused) == 1


def test_closing_leaves_nothing_that_arrives(link: Link, engine: FakeEngine, qtbot: Any) -> None:
    connect(link, qtbot)
    events: list[m.Message] = []
    link.event_arrived.connect(events.append)
    line = engine.line
    link.close()
    line.tell(m.SlidesChanged(("x",)))
    line.die()
    QApplication.processEvents()
    assert line.closed
    assert events == []
    assert len(engine.lines) == 1
