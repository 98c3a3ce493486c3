"""A place for real processes, which are gone when the test is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.harness import Site, draw_slides


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An empty workspace; when the test ends, all its processes must end, too."""
    site = Site(tmp_path / "Arbeitsplatz µ")
    yield site
    site.close()


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Small slides; tests that change one copy it first."""
    return draw_slides(tmp_path_factory.mktemp("slides"), 24)
