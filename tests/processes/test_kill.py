"""Kill any process at any moment, or all at once: nothing committed is lost, nothing is there twice, the job goes on.

A run that is disturbed by ``kill -9`` at moments and on processes drawn from a seed must end with the same catalogue,
the same files byte for byte, and the same answers as a run that nobody disturbs.
"""

from __future__ import annotations

import os
import queue
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from plipdesk.engine import messages as m
from tests.processes.harness import Site, Watcher, answers, draw_slides, snapshot

TARGETS = ("engine", "worker", "reader", "all")
GONE_WITHIN_S = 5.0
SEED_VARIABLE = "PLIPDESK_KILL_SEED"


@dataclass(frozen=True)
class Undisturbed:
    """What a run comes to that nobody disturbs, and how long it takes.

    ``recut``: the run is one that cuts anew, at another MPP, what an earlier one (never disturbed) has cut.
    """

    slides: list[Path]
    recut: bool
    committed: dict[str, Any]
    answers: list[list[tuple[Any, ...]]]
    seconds: float


def _submit(watcher: Watcher, slides: list[Path], *, recut: bool) -> int:
    """The job that is disturbed; returns its number."""
    if not recut:
        return watcher.submit(slides[0].parent, collection="all")
    watcher.wait_for_end(watcher.submit(slides[0].parent), "done")
    return watcher.submit(slides[0].parent, collection="all", mpp_um=0.25)


def _undisturbed(root: Path, slides: list[Path], *, recut: bool = False) -> Undisturbed:
    site = Site(root)
    watcher = site.connect()
    began_s = time.monotonic()
    watcher.wait_for_end(_submit(watcher, slides, recut=recut), "done")
    seconds = time.monotonic() - began_s
    found = answers(watcher, slides)
    site.close()
    return Undisturbed(slides, recut, snapshot(site.workspace), found, seconds)


class Disturber:
    """Lets a job run on a workspace while it kills the processes that do it."""

    def __init__(self, site: Site, random_: random.Random, undisturbed: Undisturbed) -> None:
        self._site = site
        self._random = random_
        self._undisturbed = undisturbed
        self.killed: Counter[str] = Counter()
        self.log: list[str] = []

    def run(self, kills: int) -> Watcher:
        """Submit the job, kill up to ``kills`` times, wait for the job's end; returns a client of the last engine."""
        watcher = self._come_back()
        job = _submit(watcher, self._undisturbed.slides, recut=self._undisturbed.recut)
        while self.killed.total() < kills:
            if self._wait_for_moment(watcher, job):
                break
            target = self._random.choice(TARGETS)
            self._kill(target)
            if target in ("engine", "all"):
                watcher = self._come_back()
        done = watcher.wait_for_end(job)
        assert done.job.state == "done", done.job.reason
        return watcher

    def _come_back(self) -> Watcher:
        watcher = self._site.connect()
        # Its reply is not waited for: a reader may be killed while it starts, too.
        watcher.client.send(m.GetReader(), lambda _: None)
        return watcher

    def _wait_for_moment(self, watcher: Watcher, job: int) -> bool:
        """Wait for a moment drawn at random; True if the job has ended before it came."""
        kind = self._random.choice(("at once", "time", "progress", "slide"))
        share = self._random.random()
        self.log.append(f"{kind} {share:.3f}")
        if kind == "time":
            # Somewhere in a tenth of the undisturbed run, so that the kills spread over the whole of it.
            threading.Event().wait(share * self._undisturbed.seconds / 10)
        elif kind in ("progress", "slide"):
            wanted = m.JobChanged if kind == "progress" else m.JobItemDone
            left = 1 + int(share * 3)
            while left and watcher.job(job).job.state in ("queued", "running"):
                try:
                    event = watcher.next_event(timeout_s=1.0)
                except queue.Empty:
                    continue
                left -= isinstance(event, wanted)
        return watcher.job(job).job.state not in ("queued", "running")

    def _kill(self, target: str) -> None:
        kinds: list[str | None] = [None] if target == "all" else [target]
        victims = self._site.kill(*kinds)
        self.log[-1] += f": {target}, {len(victims)} processes"
        if not victims:
            return
        self.killed[target] += 1
        if target in ("engine", "all"):
            deadline_s = time.monotonic() + GONE_WITHIN_S
            # Again and again, since the engine may have started a process while it was being killed.
            while alive := self._site.processes():
                left_s = deadline_s - time.monotonic()
                assert left_s > 0, f"{GONE_WITHIN_S} s after the engine was killed these still run: {alive}"
                psutil.wait_procs(alive, timeout=left_s)


def _disturb(folder: Path, undisturbed: Undisturbed, seed: int, kills: int) -> Counter[str]:
    """Runs, each on a workspace of its own, until there were so many kills; each must end as if there were none."""
    random_ = random.Random(seed)
    killed: Counter[str] = Counter()
    number = 0
    while killed.total() < kills:
        number += 1
        site = Site(folder / f"run-{number}")
        disturber = Disturber(site, random_, undisturbed)
        try:
            watcher = disturber.run(kills - killed.total())
            found = answers(watcher, undisturbed.slides)
            site.close()
            committed = snapshot(site.workspace)
            for what, expected in undisturbed.committed.items():
                assert committed[what] == expected, what
            assert found == undisturbed.answers
        except BaseException:
            site.kill(None)
            print(f"seed {seed}, run {number}:", *disturber.log, sep="\n  ")  # noqa: T201  so that it can be done again
            raise
        killed += disturber.killed
    print(f"seed {seed}: {dict(killed)} in {number} runs")  # noqa: T201  so that it can be done again
    return killed


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, drawn: list[Path]) -> Undisturbed:
    return _undisturbed(tmp_path_factory.mktemp("undisturbed") / "workspace", drawn)


@pytest.mark.parametrize("part", range(3))
def test_kills_change_nothing(tmp_path: Path, undisturbed: Undisturbed, part: int) -> None:
    seed = int(os.environ.get(SEED_VARIABLE, "20260")) + part
    killed = _disturb(tmp_path, undisturbed, seed, kills=10)
    assert killed.total() >= 10


def test_kills_leave_neither_old_nor_new_patches_twice(tmp_path: Path, drawn: list[Path]) -> None:
    """Cutting anew: at each moment a slide has its old patches or its new ones, and in the end nothing of the old."""
    seed = int(os.environ.get(SEED_VARIABLE, "20260")) + 7
    undisturbed = _undisturbed(tmp_path / "undisturbed", drawn, recut=True)
    assert {row.size0_px for row in undisturbed.committed["embeddings"]} == {128.0}
    assert len(undisturbed.committed["files"]) == len(drawn)
    killed = _disturb(tmp_path, undisturbed, seed, kills=8)
    assert killed.total() >= 8


@pytest.mark.soak
def test_hundreds_of_kills_change_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get(SEED_VARIABLE, str(time.time_ns() % 1_000_000)))
    undisturbed = _undisturbed(tmp_path / "undisturbed", draw_slides(tmp_path / "slides", 60))
    killed = _disturb(tmp_path, undisturbed, seed, kills=300)
    assert set(killed) == set(TARGETS)
