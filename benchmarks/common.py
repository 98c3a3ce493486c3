"""What every benchmark shares: timing in pairs, the machine in words, results as JSON, a table.

A machine is rarely quiet. Two things are therefore never timed one after the other but in turns (A B, B A, A B, …), and
what is told is the median of the ratios within the pairs; absolute rates are only as good as the machine was quiet.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
_PACKAGES = (
    "torch",
    "open_clip_torch",
    "timm",
    "onnxruntime",
    "numpy",
    "hnswlib",
    "openslide-bin",
    "PySide6-Essentials",
)


@dataclass(frozen=True)
class Pairs:
    """Wall seconds of two things that were timed in turns, and the processor seconds this process spent on them."""

    first_s: tuple[float, ...]
    second_s: tuple[float, ...]
    first_cpu_s: tuple[float, ...]
    second_cpu_s: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """How many times quicker the second was, pair by pair."""
        return tuple(first / second for first, second in zip(self.first_s, self.second_s, strict=True))

    def document(self, *, items: int = 1, names: tuple[str, str] = ("first", "second")) -> dict[str, Any]:
        """Medians, quartiles of the ratio, and rates for ``items`` done by each call."""
        low, middle, high = statistics.quantiles(self.ratios, n=4)
        cpu_ratios = [first / second for first, second in zip(self.first_cpu_s, self.second_cpu_s, strict=True)]
        return {
            "pairs": len(self.ratios),
            "ratio_median": round(middle, 3),
            "ratio_quartiles": [round(low, 3), round(high, 3)],
            "cpu_time_ratio_median": round(statistics.median(cpu_ratios), 3),
            f"{names[0]}_per_s": round(items / statistics.median(self.first_s), 2),
            f"{names[1]}_per_s": round(items / statistics.median(self.second_s), 2),
        }


def seconds(call: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def in_pairs(
    first: Callable[[], object],
    second: Callable[[], object],
    *,
    pairs: int = 10,
    warm_up: int = 1,
    between: Callable[[], object] | None = None,
) -> Pairs:
    """Time two calls in turns, each leading every other pair, after ``warm_up`` calls of each that do not count.

    ``between`` is called before each pair, untimed: a third measurement under the same circumstances.
    """
    for _ in range(warm_up):
        first()
        second()
    taken: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])
    for turn in range(pairs):
        if between is not None:
            between()
        if turn % 2 == 0:
            taken[0].append(_both_seconds(first))
            taken[1].append(_both_seconds(second))
        else:
            taken[1].append(_both_seconds(second))
            taken[0].append(_both_seconds(first))
    (first_s, first_cpu_s), (second_s, second_cpu_s) = (tuple(zip(*times, strict=True)) for times in taken)
    return Pairs(first_s, second_s, first_cpu_s, second_cpu_s)


def _both_seconds(call: Callable[[], object]) -> tuple[float, float]:
    cpu_s = time.process_time()
    wall_s = seconds(call)
    return wall_s, time.process_time() - cpu_s


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of ``values`` lie, between neighbours in proportion."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def processor_name() -> str:
    """The processor in words, as well as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def machine() -> dict[str, Any]:
    """The machine, the versions, and how busy it was when asked."""
    import psutil

    from plipdesk.base.budget import usable_cores

    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "processor": processor_name(),
        "cores": usable_cores(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def write_result(name: str, document: Mapping[str, Any]) -> Path:
    """Write ``benchmarks/results/<name>.json`` and return its path."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def table(rows: Sequence[Sequence[object]], headers: Sequence[str]) -> str:
    """Rows as a plain table with aligned columns."""
    cells = [list(map(str, headers)), *[[str(value) for value in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    lines = ["  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])
