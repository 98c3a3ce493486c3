"""Memory stays flat over many slides."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.memory import draw, growth, measure


@pytest.mark.soak
def test_two_hundred_slides_need_no_more_memory_than_twenty(tmp_path: Path) -> None:
    draw(tmp_path / "slides", 200)
    samples = measure(tmp_path / "slides", tmp_path / "workspace", "null")
    assert len(samples.worker_mb) == 200
    assert growth(samples.worker_mb) < 0.05
    assert growth(samples.engine_mb) < 0.05
