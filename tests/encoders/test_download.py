"""Downloading with the hub's real client, from a hub on this machine that behaves well or badly."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from plipdesk.base.errors import Cancelled, UsageProblem
from plipdesk.base.files import DiskFull
from plipdesk.base.progress import Json
from plipdesk.encoders import download, hub_token
from plipdesk.encoders.download import DownloadProblem, check_room, one_at_a_time
from plipdesk.encoders.fetching import DOWNLOADS, download_model, licence_in_words
from plipdesk.encoders.known import KnownModel, known_model
from tests.encoders.hub import REVISION, Hub, serving

WEIGHTS = np.random.default_rng(3).bytes(600_000)
CONFIG = b'{"architectures": ["CLIPModel"]}'


class Bystander:
    """A context that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int, str, str]] = []

    def report(self, done: int, total: int, *, unit: str, note: str = "") -> None:
        self.told.append((done, total, unit, note))

    def check_cancel(self) -> None:
        pass

    def checkpoint(self, state: Mapping[str, Json]) -> None:
        pass


def model(**changes: Any) -> KnownModel:
    document = {
        "id": "some-model",
        "name": "Some model",
        "summary": "Random numbers.",
        "repository": "somebody/model",
        "revision": REVISION,
        "layout": "huggingface",
        "architecture": "none",
        "licence": "MIT",
        "files": [
            {"name": "config.json"},
            {"one_of": ["model.safetensors", "pytorch_*.bin"]},
            {"name": "merges.txt", "optional": True},
        ],
    }
    return KnownModel.model_validate(document | changes)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    files = {"config.json": CONFIG, "pytorch_model.bin": WEIGHTS, "README.md": b"not wanted"}
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(hub_token, "find_token", lambda: None)
    monkeypatch.setattr("plipdesk.encoders.fetching.find_token", lambda: None)
    with serving(Hub(files=files)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        for proxy in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(proxy, raising=False)
        yield hub


def fetched(models_folder: Path, known: KnownModel | None = None, **options: Any) -> Path:
    return download_model(known or model(), models_folder, accepted_licence="MIT", **options)


def test_a_model_comes_whole_and_its_checksums_are_kept(hub: Hub, tmp_path: Path) -> None:
    context = Bystander()
    folder = fetched(tmp_path, context=context)
    assert folder == tmp_path / DOWNLOADS / "some-model"
    assert (folder / "pytorch_model.bin").read_bytes() == WEIGHTS
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "download.json", "pytorch_model.bin"]
    record = (folder / "download.json").read_text()
    assert hashlib.sha256(WEIGHTS).hexdigest() in record
    assert hashlib.sha256(CONFIG).hexdigest() in record
    assert REVISION in record
    assert '"licence_accepted": "MIT"' in record
    assert context.told[-1][2:] == ("MB", "Downloading pytorch_model.bin")
    assert not any("torch" in agent for agent in hub.agents), "nothing is told about this machine"
    assert {path for _, path, _ in hub.asked} == {
        f"/api/models/somebody/model/revision/{REVISION}",
        f"/somebody/model/resolve/{REVISION}/config.json",
        f"/somebody/model/resolve/{REVISION}/pytorch_model.bin",
    }


def test_a_cut_connection_is_taken_up_where_it_broke(hub: Hub, tmp_path: Path) -> None:
    hub.cut_after = 400_000
    folder = fetched(tmp_path)
    assert (folder / "pytorch_model.bin").read_bytes() == WEIGHTS
    first, second = hub.ranges("pytorch_model.bin")
    assert first is None
    # Of the last chunk nothing is kept.
    assert second is not None
    assert 400_000 - (1 << 17) < int(second.removeprefix("bytes=").rstrip("-")) <= 400_000


def test_stopping_keeps_the_part_and_the_next_download_goes_on(hub: Hub, tmp_path: Path) -> None:
    hub.stall_after = 250_000
    folder = tmp_path / DOWNLOADS / "some-model"

    class StopOnceSomethingCame(Bystander):
        def check_cancel(self) -> None:
            if any(part.name.startswith("pytorch") and part.stat().st_size for part in folder.glob("*.part")):
                raise Cancelled

    with pytest.raises(Cancelled):
        fetched(tmp_path, context=StopOnceSomethingCame())
    (part,) = folder.glob("*.part")
    kept = part.stat().st_size
    assert kept > 0
    assert part.read_bytes() == WEIGHTS[:kept]
    assert not (folder / "lock").exists()
    hub.stall_after = None
    hub.go_on.set()
    fetched(tmp_path)
    assert (folder / "pytorch_model.bin").read_bytes() == WEIGHTS
    assert hub.ranges("pytorch_model.bin")[-1] == f"bytes={kept}-"
    assert hub.ranges("config.json") == [None], "what is there is not fetched again"


def test_a_changed_file_is_refused_and_not_kept(hub: Hub, tmp_path: Path) -> None:
    hub.damaged = True
    with pytest.raises(DownloadProblem, match="checksum differs"):
        fetched(tmp_path)
    assert not list((tmp_path / DOWNLOADS / "some-model").glob("pytorch*"))


def test_another_file_than_the_one_on_record_is_refused(hub: Hub, tmp_path: Path) -> None:
    wanted = [{"name": "config.json"}, {"name": "pytorch_model.bin", "sha256": "0" * 64}]
    with pytest.raises(DownloadProblem, match="not the file that plipdesk has on record"):
        fetched(tmp_path, model(files=wanted))
    assert hub.ranges("config.json") == [], "nothing is fetched before everything is known to be right"


def test_gated_models_need_a_token(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.token = "hf_right"
    with pytest.raises(DownloadProblem, match="let people in one by one") as caught:
        fetched(tmp_path)
    assert "models token set" in (caught.value.remedy or "")
    monkeypatch.setattr("plipdesk.encoders.fetching.find_token", lambda: ("hf_wrong", "keyring"))
    with pytest.raises(DownloadProblem, match="has not been let in"):
        fetched(tmp_path)
    monkeypatch.setattr("plipdesk.encoders.fetching.find_token", lambda: ("hf_right", "keyring"))
    folder = fetched(tmp_path)
    assert "hf_right" not in (folder / "download.json").read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"repository": "nobody/model"}, "no such model"),
        ({"revision": "f" * 40}, "does not have the version"),
        ({"files": [{"name": "missing.json"}]}, "does not hold missing.json"),
    ],
)
def test_what_is_not_there_is_said_in_words(hub: Hub, tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(DownloadProblem, match=words) as caught:
        fetched(tmp_path, model(**change))
    assert caught.value.remedy


def test_an_error_of_the_hub_is_told_with_its_number(hub: Hub, tmp_path: Path) -> None:
    hub.status = 418
    with pytest.raises(DownloadProblem, match="418"):
        fetched(tmp_path)


def test_no_hub_at_all(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadProblem, match="cannot be reached") as caught:
        fetched(tmp_path)
    assert "HF_ENDPOINT" in (caught.value.remedy or "")


def test_a_proxy_is_asked_where_one_is_set(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    monkeypatch.setenv("HTTP_PROXY", hub.address)
    monkeypatch.setenv("http_proxy", hub.address)
    with pytest.raises(DownloadProblem):
        fetched(tmp_path)
    assert hub.asked[0][1].startswith("http://hub.invalid/api/models/somebody/model")


def test_the_licence_comes_first(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="licence has to be accepted"):
        download_model(model(), tmp_path, accepted_licence="")
    with pytest.raises(UsageProblem, match="cannot be downloaded"):
        download_model(known_model("conch"), tmp_path, accepted_licence="CC-BY-NC-ND-4.0")
    assert hub.asked == []
    hub.licence = "cc-by-nc-4.0"
    with pytest.raises(DownloadProblem, match=r"names the licence cc-by-nc-4\.0, and MIT was accepted"):
        fetched(tmp_path)
    assert "The licence is MIT." in licence_in_words(model())
    assert "no licence" in licence_in_words(known_model("plip"))


def test_room_is_looked_for_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=300_000_000)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage)
    check_room(tmp_path, 99_000_000)
    with pytest.raises(DiskFull, match="needs 800 MB, and 300 MB are free"):
        check_room(tmp_path, 600_000_000)


def test_it_ends_with_whoever_started_it(hub: Hub, tmp_path: Path) -> None:
    hub.stall_after = 250_000
    script = (
        "import sys; from pathlib import Path; from plipdesk.encoders.fetching import download_model;"
        "from tests.encoders.test_download import model;"
        "download_model(model(), Path(sys.argv[1]), accepted_licence='MIT')"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) as starter:
        folder = tmp_path / DOWNLOADS / "some-model"
        deadline = time.monotonic() + 60
        while not any(part.stat().st_size for part in folder.glob("pytorch*.part")):
            assert time.monotonic() < deadline
            assert starter.poll() is None
        (fetching,) = psutil.Process(starter.pid).children()
        assert str(tmp_path.parent) in fetching.cmdline(), "it says whose it is"
        starter.kill()
        _, alive = psutil.wait_procs([fetching], timeout=30)
        assert not alive
    hub.stall_after = None
    assert (fetched(tmp_path) / "pytorch_model.bin").read_bytes() == WEIGHTS, "the lock of the dead is no lock"


def test_two_downloads_of_one_model_do_not_meet(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        (tmp_path / "lock").write_text(str(other.pid))
        with pytest.raises(DownloadProblem, match="being downloaded already"), one_at_a_time(tmp_path):
            pass
        other.communicate(b"\n")
    with one_at_a_time(tmp_path):  # whoever held it is gone
        assert (tmp_path / "lock").exists()
    assert not (tmp_path / "lock").exists()


def test_the_client_is_offline_everywhere_else() -> None:
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, plipdesk.encoders.fetching, plipdesk.encoders.loading, plipdesk.engine.kinds;"
            "print('huggingface_hub' in sys.modules, 'keyring' in sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == ["False", "False"]
