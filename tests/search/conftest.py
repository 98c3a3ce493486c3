"""Workspaces to search."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.search.world import SearchWorld, unit


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SearchWorld]:
    """An empty workspace whose encoder knows the axes of a space of four dimensions by name."""
    words = {"red": unit(1, 0, 0, 0), "green": unit(0, 1, 0, 0), "blue": unit(0, 0, 1, 0), "dark": unit(0, 0, 0, 1)}
    made = SearchWorld(tmp_path, words=words)
    yield made
    made.close()
