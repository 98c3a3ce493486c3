"""The window: time from the process's start to its first paint, and the event loop's heartbeat while indexing runs.

The heartbeat is a timer of 10 ms in the window's own event loop, while the real engine indexes real slides and a
scripted person searches, scrolls through the hits, opens them and moves over the slide. A beat is in time when it comes
within 50 ms of the one before. Drawn offscreen, so what a display server takes is not in it. ``own_work`` is the
processor time that the event loop's thread itself took between two beats: on a machine that is busy with other things,
what is late beyond it waited for a processor.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import machine, percentile, write_result

ROOT = Path(__file__).resolve().parent.parent
STARTS = 7
BEAT_MS = 10
IN_TIME_MS = 50.0
ACT_MS = 700
WORDS = ("adipose tissue", "blood vessel", "glands", "lymphocytes", "necrosis")


# Nothing but the product is loaded, so that only the product is timed.
_FIRST_PAINT = """
import os, sys, time
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
from pathlib import Path
from plipdesk.base.paths import Workspace
from plipdesk.desktop.main import application_object, open_desk
application = application_object("plipdesk")
window = open_desk(application, Workspace(Path(sys.argv[2]))).window
window.painted.disconnect()  # the engine is not what is timed here
def painted():
    print('{"wall_s": %f, "cpu_s": %f}' % (time.time() - float(sys.argv[1]), time.process_time()))
    application.quit()
window.painted.connect(painted)
window.show()
application.exec()
window.close()
"""


def first_paint(workspace: Path) -> dict[str, float]:
    """Open a window in a process of its own and end it after its first paint; wall and processor seconds until then."""
    return _answer_of([sys.executable, "-c", _FIRST_PAINT, str(time.time()), str(workspace)])


class Heartbeat:
    """Drives a window for a while and notes when its event loop came round."""

    def __init__(self, workspace: Path, slides: list[str], seconds: float) -> None:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        from PySide6.QtCore import Qt, QTimer

        from plipdesk.base.paths import Workspace
        from plipdesk.desktop.main import application_object, open_desk

        self._application = application_object("plipdesk")
        self._window = open_desk(self._application, Workspace(workspace)).window
        self._slides = slides
        self._seconds = seconds
        self._beats: list[float] = []
        self._work: list[float] = []
        self._indexing_beats = 0
        self._turn = 0
        self._searches = self._opened = 0
        self._beat = QTimer()
        self._beat.setTimerType(Qt.TimerType.PreciseTimer)
        self._beat.timeout.connect(self._note)
        self._act = QTimer()
        self._act.timeout.connect(self._do_something)
        self._window.library.encoder_changed.connect(self._begin)
        self._window.search.answered.connect(self._count)

    def run(self) -> dict[str, Any]:
        """Until the slides are indexed, or the time is over."""
        self._window.resize(1920, 1080)
        self._window.show()
        self._application.exec()
        gaps_ms = [1000 * (later - earlier) for earlier, later in zip(self._beats, self._beats[1:], strict=False)]
        works_ms = [1000 * (later - earlier) for earlier, later in zip(self._work, self._work[1:], strict=False)]
        late = sorted((gap for gap in gaps_ms if gap > IN_TIME_MS), reverse=True)
        return {
            "beats": len(gaps_ms),
            "within_50_ms_percent": round(100 * (1 - len(late) / len(gaps_ms)), 3),
            "median_gap_ms": round(statistics.median(gaps_ms), 2),
            "p99_9_gap_ms": round(percentile(gaps_ms, 0.999), 2),
            "longest_gap_ms": round(max(gaps_ms), 2),
            "latest_ms": [round(gap, 1) for gap in late[:6]],
            "own_work_within_50_ms_percent": round(100 * statistics.mean(work <= IN_TIME_MS for work in works_ms), 3),
            "own_work_longest_ms": round(max(works_ms), 2),
            "beats_while_indexing": self._indexing_beats,
            "searches_answered": self._searches,
            "slides_opened": self._opened,
            "seconds": round(self._beats[-1] - self._beats[0], 1),
        }

    def _begin(self) -> None:
        if self._beat.isActive():
            return
        self._window.add_paths(self._slides)
        self._deadline = time.monotonic() + self._seconds
        self._beat.start(BEAT_MS)
        self._act.start(ACT_MS)

    def _note(self) -> None:
        now = time.monotonic()
        self._beats.append(now)
        self._work.append(time.thread_time())
        jobs = self._window.jobs.state
        self._indexing_beats += jobs.running() is not None
        over = bool(jobs.views) and not jobs.active() and len(self._beats) > 500
        if now > self._deadline or over:
            self._beat.stop()
            self._act.stop()
            self._application.exit()  # quit() would ask what becomes of the job

    def _count(self) -> None:
        self._searches += 1

    def _do_something(self) -> None:
        window, self._turn = self._window, self._turn + 1
        if not self._window.library.state.slides:
            return
        canvas = window.viewer.canvas
        match self._turn % 5:
            case 0:
                window.search_for(WORDS[self._turn // 5 % len(WORDS)])
            case 1:
                bar = window.results.view.verticalScrollBar()
                bar.setValue((bar.value() + 500) % max(1, bar.maximum()))
            case 2 if window.results.model.rowCount():
                row = self._turn % window.results.model.rowCount()
                window.open_hit(window.results.model.data(window.results.model.index(row), 256))
                self._opened += 1
            case 3:
                canvas.zoom_by(0.5)
            case 4 if canvas.camera is not None:
                canvas._move(canvas.camera.panned(300, 200))

    def close(self) -> None:
        """Stop the jobs and the window."""
        self._window.closing.stop_and_close() if self._window.jobs.state.active() else self._window.close()
        deadline = time.monotonic() + 10
        while self._window.isVisible() and time.monotonic() < deadline:
            self._application.processEvents()
            time.sleep(0.01)


def _answer_of(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    document: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return document


def real_slides() -> list[str]:
    """The real slides that are at hand, smallest first."""
    folder = Path(os.environ.get("PLIPDESK_REALDATA", ROOT.parent / "shared" / "data")) / "slides"
    return [str(path) for path in sorted(folder.glob("*.tif*"), key=lambda path: path.stat().st_size)]


def main() -> int:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=90.0, help="longest time of the heartbeat")
    parser.add_argument("--beat", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--workspace", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.beat:
        heartbeat = Heartbeat(options.workspace, real_slides(), options.seconds)
        result = heartbeat.run()
        heartbeat.close()
        print(json.dumps(result))
        return 0
    before = machine()
    with tempfile.TemporaryDirectory() as folder:
        # The first reads everything from the disk and does not count.
        starts = [first_paint(Path(folder, "empty")) for _ in range(STARTS + 1)][1:]
        document: dict[str, Any] = {
            "machine": before,
            "first_paint_s": {
                "median": round(statistics.median(start["wall_s"] for start in starts), 3),
                "least": round(min(start["wall_s"] for start in starts), 3),
                "most": round(max(start["wall_s"] for start in starts), 3),
                "cpu_median": round(statistics.median(start["cpu_s"] for start in starts), 3),
                "goal": 1.0,
            },
        }
        if real_slides():
            beat = [sys.executable, "-m", "benchmarks.window", "--beat", "--workspace", str(Path(folder, "busy"))]
            document["heartbeat"] = _answer_of([*beat, "--seconds", str(options.seconds)])
            document["heartbeat"]["goal_percent"] = 99.9
        else:
            document["notes"] = "No real slides at hand: the heartbeat was not measured."
    print(json.dumps(document, indent=2))
    write_result("window", document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
