"""Events to subscribers, throttled where they arise: each subject ten times a second at most, the last one always."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable

from plipdesk.engine.messages import Message, SlidesChanged

INTERVAL_S = 0.1


class EventHub:
    """Takes events from any thread; hands them to ``deliver``, those of one subject no faster than ``interval_s``.

    Of two events of a subject within one interval the later is delivered; of :class:`SlidesChanged` the union.
    ``unforeseen`` is told of what goes wrong while an event is made or delivered.
    """

    def __init__(
        self,
        deliver: Callable[[Message], None],
        *,
        interval_s: float = INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
        unforeseen: Callable[[BaseException], object] = lambda _: None,
    ) -> None:
        self._deliver = deliver
        self._unforeseen = unforeseen
        self._interval_s = interval_s
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: dict[Hashable, Message | Callable[[], Message]] = {}
        self._last_s: dict[Hashable, float] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def post(self, subject: Hashable, event: Message) -> None:
        """Deliver ``event`` now or as soon as its subject may speak again."""
        with self._changed:
            earlier = self._waiting.get(subject)
            if isinstance(event, SlidesChanged) and isinstance(earlier, SlidesChanged):
                event = SlidesChanged(tuple(dict.fromkeys(earlier.slide_ids + event.slide_ids)))
            self._waiting[subject] = event
            self._changed.notify()

    def post_late(self, subject: Hashable, make: Callable[[], Message]) -> None:
        """Like :meth:`post` for an event that is dear to make: it is made when it is delivered."""
        with self._changed:
            self._waiting[subject] = make
            self._changed.notify()

    def post_each(self, event: Message) -> None:
        """Deliver ``event`` at once; for events that are few and each of which matters."""
        self._deliver(event)

    def close(self) -> None:
        """Deliver what waits, then stop."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while True:
            with self._changed:
                due = self._due()
                while not due:
                    if self._closed:
                        return
                    self._changed.wait(self._pause_s())
                    due = self._due()
            for event in due:
                try:
                    self._deliver(event if isinstance(event, Message) else event())
                except Exception as error:  # noqa: BLE001  one event that cannot be made must not end all others
                    self._unforeseen(error)

    def _due(self) -> list[Message | Callable[[], Message]]:
        now = self._clock()
        subjects = [
            subject
            for subject in self._waiting
            if self._closed or now - self._last_s.get(subject, float("-inf")) >= self._interval_s
        ]
        for subject in subjects:
            self._last_s[subject] = now
        return [self._waiting.pop(subject) for subject in subjects]

    def _pause_s(self) -> float | None:
        if not self._waiting:
            return None
        first = min(self._last_s[subject] for subject in self._waiting)
        return max(0.0, first + self._interval_s - self._clock())
