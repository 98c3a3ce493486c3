"""Throttled events."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from plipdesk.engine.events import EventHub
from plipdesk.engine.messages import Done, GetJob, Message, SlidesChanged, Subscribe


class Ear:
    """Keeps what it hears, and lets a test wait for a number of events."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self._came = threading.Condition()

    def __call__(self, event: Message) -> None:
        with self._came:
            self.heard.append(event)
            self._came.notify_all()

    def wait_for(self, count: int) -> list[Message]:
        with self._came:
            assert self._came.wait_for(lambda: len(self.heard) >= count, timeout=10)
            return list(self.heard)


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def hub(ear: Ear) -> Iterator[EventHub]:
    hub = EventHub(ear, interval_s=0.1)
    yield hub
    hub.close()


def test_a_flood_is_thinned_and_its_last_event_arrives(hub: EventHub, ear: Ear) -> None:
    for number in range(1000):
        hub.post("job", GetJob(number))
    hub.close()
    assert ear.heard[-1] == GetJob(999)
    assert len(ear.heard) < 100


def test_events_of_one_subject_keep_their_distance() -> None:
    now = 0.0
    ear = Ear()
    hub = EventHub(ear, interval_s=0.1, clock=lambda: now)
    hub.post("job", GetJob(1))
    assert ear.wait_for(1) == [GetJob(1)]
    hub.post("job", GetJob(2))
    hub.post("job", GetJob(3))
    hub.post("other", Done())
    assert ear.wait_for(2) == [GetJob(1), Done()]
    now = 0.2
    hub.post("third", Subscribe())
    heard = ear.wait_for(4)
    assert set(heard[2:]) == {GetJob(3), Subscribe()}
    hub.close()


def test_changed_slides_are_gathered() -> None:
    ear = Ear()
    hub = EventHub(ear, interval_s=0.1, clock=lambda: 5.0)
    hub.post("slides", SlidesChanged(("a",)))
    ear.wait_for(1)
    hub.post("slides", SlidesChanged(("b", "c")))
    hub.post("slides", SlidesChanged(("c", "d")))
    hub.close()
    assert ear.heard == [SlidesChanged(("a",)), SlidesChanged(("b", "c", "d"))]


def test_an_event_that_is_dear_is_made_once_and_late() -> None:
    ear = Ear()
    made: list[int] = []

    def make() -> Message:
        made.append(1)
        return Done()

    hub = EventHub(ear, interval_s=0.1, clock=lambda: 5.0)
    hub.post_late("status", make)
    ear.wait_for(1)
    for _ in range(100):
        hub.post_late("status", make)
    hub.close()
    assert len(ear.heard) == len(made) == 2
