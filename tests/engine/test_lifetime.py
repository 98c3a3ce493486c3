"""When an engine may end."""

from __future__ import annotations

from plipdesk.engine.lifetime import UNCLAIMED_S, Lifetime


class World:
    def __init__(self) -> None:
        self.now_s = 0.0
        self.busy = False

    def lifetime(self, opened_by: str, linger_s: float = 0.0) -> Lifetime:
        return Lifetime(
            opened_by=opened_by,  # type: ignore[arg-type]
            linger_s=linger_s,
            busy=lambda: self.busy,
            clock=lambda: self.now_s,
        )


def test_an_engine_started_by_a_command_ends_with_it_even_amid_a_job() -> None:
    world = World()
    world.busy = True
    lifetime = world.lifetime("command")
    lifetime.came("command")
    assert lifetime.remaining_s() is None
    lifetime.left("command")
    assert lifetime.remaining_s() == 0.0


def test_it_lingers_when_told_to() -> None:
    world = World()
    lifetime = world.lifetime("command", linger_s=30)
    lifetime.came("command")
    world.now_s = 100
    lifetime.left("command")
    assert lifetime.remaining_s() == 30
    world.now_s = 120
    assert lifetime.remaining_s() == 10
    lifetime.came("command")
    assert lifetime.remaining_s() is None
    lifetime.left("command")
    assert lifetime.remaining_s() == 30


def test_one_started_by_a_window_lives_as_long_as_a_window_or_a_job() -> None:
    world = World()
    lifetime = world.lifetime("window")
    lifetime.came("window")
    lifetime.came("window")
    lifetime.left("window")
    assert lifetime.remaining_s() is None
    world.busy = True
    lifetime.left("window")
    assert lifetime.remaining_s() is None
    world.busy = False
    assert lifetime.remaining_s() == 0.0


def test_a_window_that_attaches_to_a_commands_engine_keeps_its_jobs_going() -> None:
    world = World()
    world.busy = True
    lifetime = world.lifetime("command")
    lifetime.came("command")
    lifetime.came("window")
    lifetime.left("window")
    lifetime.left("command")
    assert lifetime.remaining_s() is None


def test_workers_and_readers_keep_no_engine_alive() -> None:
    world = World()
    lifetime = world.lifetime("command")
    lifetime.came("command")
    lifetime.came("worker")
    lifetime.came("reader")
    lifetime.left("command")
    assert lifetime.remaining_s() == 0.0


def test_an_engine_to_which_nobody_comes_ends_though_work_waits() -> None:
    world = World()
    world.busy = True
    lifetime = world.lifetime("window")
    assert lifetime.remaining_s() == UNCLAIMED_S
    world.now_s = UNCLAIMED_S + 1
    assert lifetime.remaining_s() == 0.0
