"""The window on the real engine: from a dropped file to hits, the viewer and a region search."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QApplication

from plipdesk.base.paths import Workspace
from plipdesk.desktop.demo import render
from plipdesk.desktop.main import open_desk
from plipdesk.desktop.state.mpp import lacks_mpp
from plipdesk.engine import messages as m
from plipdesk.indexing.preparing import MPP_UNKNOWN
from tests.desktop.conftest import close
from tests.desktop.fakes import item
from tests.drawing import pyramidal_tiff

SLOW_MS = 60_000
"""Processes are started here, on a machine that may be busy; nothing waits longer than it must."""


def test_what_indexing_says_of_unknown_mpp_is_understood() -> None:
    assert lacks_mpp(item("/in/a.tif", "skipped", reason=MPP_UNKNOWN))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with room for an engine."""
    return Workspace(tmp_path / "workspace")


def test_drop_search_open_and_find_similar(
    qapp: QApplication, qtbot: Any, workspace: Workspace, tmp_path: Path
) -> None:
    slide = pyramidal_tiff(tmp_path / "Gewebe µ.tif", seed=3)
    broken = tmp_path / "broken.svs"
    broken.write_bytes(b"no slide")
    window = open_desk(qapp, workspace, theme="light").window
    window.show()
    try:
        used: list[m.Message] = []
        window.link.ask(m.UseEncoder("null"), used.append)
        qtbot.waitUntil(lambda: bool(used), timeout=SLOW_MS)
        window.library.load()
        window.add_paths([str(slide), str(broken)])
        qtbot.waitUntil(
            lambda: [entry.state for entry in window.library_panel.model.entries] == ["failed", "indexed"],
            timeout=SLOW_MS,
        )
        failed, indexed = window.library_panel.model.entries
        assert failed.reason
        assert indexed.patches > 0
        qtbot.waitUntil(lambda: not window.jobs.state.active(), timeout=SLOW_MS)
        pictures = render(window, "pink tissue", tmp_path / "pictures", timeout_s=SLOW_MS / 1000)
        assert [picture.name for picture in pictures] == [
            "1-search-by-words.png",
            "2-viewer-at-the-best-hit.png",
            "3-find-similar.png",
        ]
        result = window.search.result
        assert result is not None
        assert result.query.regions[0].slide == indexed.key
        assert {hit.slide_id for hit in result.hits} == {indexed.key}
        assert window.notices.texts() == []
    finally:
        close(window)
        # The engine ends with its last window; a thread of this process waits for that.
        qtbot.waitUntil(lambda: not any(one.name == "engine-end" for one in threading.enumerate()), timeout=SLOW_MS)
        assert not (workspace.run / "engine.json").exists()
