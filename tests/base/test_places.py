"""The workspace's layout, shipped resources, CPU budget and ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from plipdesk.base.budget import CpuBudget, limit_native_threads, usable_cores
from plipdesk.base.errors import Bug
from plipdesk.base.ids import canonical_json, settings_id
from plipdesk.base.paths import Workspace, cache_folder, workspace_at
from plipdesk.base.resources import resource_path


def test_the_workspace_comes_from_the_option_then_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLIPDESK_WORKSPACE", str(tmp_path / "by variable"))
    assert workspace_at(tmp_path / "chosen").root == tmp_path / "chosen"
    assert workspace_at().root == tmp_path / "by variable"
    monkeypatch.delenv("PLIPDESK_WORKSPACE")
    assert workspace_at().root.is_absolute()
    monkeypatch.chdir(tmp_path)
    assert workspace_at("here").root == tmp_path / "here"


def test_a_vectors_file_is_named_by_what_it_holds(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    file = workspace.vectors_file("ab" * 16, "t" * 16, "e" * 32)
    assert workspace.relative(file) == f"vectors/ab/{'ab' * 16}-{'t' * 16}-{'e' * 16}.safetensors"


def test_the_cache_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLIPDESK_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path


def test_resources_are_found_and_missing_ones_are_a_bug() -> None:
    assert resource_path("vocabulary/pathology.yaml").is_file()
    with pytest.raises(Bug, match="no-such-file"):
        resource_path("no-such-file")


def test_ids_depend_on_content_only() -> None:
    one = settings_id({"b": 1.5, "a": [1, "µ"]})
    assert one == settings_id({"a": [1, "µ"], "b": 1.5})
    assert one != settings_id({"a": [1, "µ"], "b": 1.25})
    assert len(settings_id({}, digits=16)) == 16
    assert canonical_json({"b": None, "a": "é"}) == '{"a":"é","b":null}'.encode()
    with pytest.raises(ValueError, match="Out of range"):
        settings_id({"a": float("nan")})


def test_the_budget_gives_every_kind_of_work_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    assert usable_cores() >= 1
    assert CpuBudget.of_machine(1) == CpuBudget(1, 1, 1)
    assert CpuBudget.of_machine(16) == CpuBudget(encoder_threads=16, reader_threads=4, query_threads=16)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    limit_native_threads(3)
    import os

    assert os.environ["OMP_NUM_THREADS"] == os.environ["OPENBLAS_NUM_THREADS"] == "3"
