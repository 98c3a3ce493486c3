"""Rates and remaining time from a clock that the test moves."""

from __future__ import annotations

import pytest

from plipdesk.base.progress import RateMeter


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_rate_and_remaining_time() -> None:
    clock = Clock()
    meter = RateMeter(clock=clock)
    first = meter.progress(0, 100, unit="patches")
    assert (first.rate_per_s, first.remaining_s) == (None, None)
    clock.now_s += 5
    second = meter.progress(20, 100, unit="patches", note="a.svs")
    assert second.rate_per_s == pytest.approx(4.0)
    assert second.remaining_s == pytest.approx(20.0)
    assert (second.done, second.total, second.unit, second.note) == (20, 100, "patches", "a.svs")


def test_the_rate_follows_the_window_not_the_whole_past() -> None:
    clock = Clock()
    meter = RateMeter(window_s=10, clock=clock)
    for done in (0, 100, 110, 120):
        progress = meter.progress(done, 1000, unit="patches")
        clock.now_s += 10
    assert progress.rate_per_s == pytest.approx(1.0)


def test_counting_down_starts_anew() -> None:
    clock = Clock()
    meter = RateMeter(clock=clock)
    meter.progress(50, 100, unit="patches")
    clock.now_s += 1
    assert meter.progress(0, 100, unit="patches").rate_per_s is None
