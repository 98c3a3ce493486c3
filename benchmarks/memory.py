"""Memory of engine and worker while many small slides are indexed: it must stay flat.

``python -m benchmarks.memory [ENCODER]``. The null encoder is the default: it leaves reading, writing and committing
alone; ``plipdesk-mini`` measures the shipped model, too.
"""

from __future__ import annotations

import queue
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.common import machine, write_result
from plipdesk.base.paths import Workspace
from plipdesk.engine import messages as m
from plipdesk.engine.client import EngineClient
from tests.drawing import pyramidal_tiff

SLIDES = 200
_SETTLED = 20
"""Slides after which caches, pools and libraries are taken to be warm; also how many samples a median is taken of."""


@dataclass(frozen=True)
class Samples:
    """Megabytes that a process alone uses, after each slide."""

    engine_mb: tuple[float, ...]
    worker_mb: tuple[float, ...]


def growth(samples_mb: Sequence[float]) -> float:
    """How much more is used at the end than once all is warm, as a share."""
    early = statistics.median(samples_mb[_SETTLED : 2 * _SETTLED])
    late = statistics.median(samples_mb[-_SETTLED:])
    return late / early - 1


def draw(folder: Path, count: int) -> None:
    """Draw small slides of several sizes, each with another content."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        width_px, height_px = 512 + 64 * (number % 5), 384 + 64 * (number % 3)
        pyramidal_tiff(
            folder / f"{number:03}.tif", width_px=width_px, height_px=height_px, levels=2, seed=number, lossless=False
        )


def measure(slides: Path, root: Path, encoder: str) -> Samples:
    """Index a folder in real processes and watch their memory.

    Raises:
        RuntimeError: not every slide was indexed.
    """
    ended: queue.Queue[m.Message | None] = queue.Queue()
    engine_mb, worker_mb = [], []
    with EngineClient.connect(Workspace(root), role="command") as client:
        client.on_event(ended.put)
        client.on_lost(lambda: ended.put(None))
        client.request(m.Subscribe())
        client.request(m.SubmitJob("index", {"paths": [str(slides)], "encoder": encoder}))
        state = "queued"
        while state in ("queued", "running"):
            event = ended.get()
            if event is None:
                raise RuntimeError("the engine ended")
            if isinstance(event, m.JobItemDone):
                if event.item.status != "indexed":
                    raise RuntimeError(f"{event.item.path}: {event.item.reason}")
                engine_mb.append(_used_mb(root, "plipdesk.engine"))
                worker_mb.append(_used_mb(root, "plipdesk.engine.worker"))
            elif isinstance(event, m.JobChanged):
                state = event.job.state
    return Samples(tuple(engine_mb), tuple(worker_mb))


def _used_mb(root: Path, module: str) -> float:
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if module in line and str(root) in line:
            return float(process.memory_full_info().uss) / 1e6
    raise RuntimeError(f"no {module} runs")


def main() -> None:
    """Measure, print, write."""
    encoder = sys.argv[1] if len(sys.argv) > 1 else "null"
    about = machine()
    with tempfile.TemporaryDirectory() as folder:
        slides = Path(folder, "slides")
        draw(slides, SLIDES)
        samples = measure(slides, Path(folder, "workspace"), encoder)
    result = {
        "machine": about,
        "settings": {"slides": SLIDES, "encoder": encoder},
        "worker": {
            "growth_percent": round(100 * growth(samples.worker_mb), 2),
            "settled_mb": round(samples.worker_mb[_SETTLED], 1),
            "peak_mb": round(max(samples.worker_mb), 1),
        },
        "engine": {
            "growth_percent": round(100 * growth(samples.engine_mb), 2),
            "settled_mb": round(samples.engine_mb[_SETTLED], 1),
            "peak_mb": round(max(samples.engine_mb), 1),
        },
    }
    for name in ("worker", "engine"):
        print(name, result[name])
    print("written:", write_result("memory", result))


if __name__ == "__main__":
    main()
