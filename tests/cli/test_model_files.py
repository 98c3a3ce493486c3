"""A known model from a hub on this machine to an encoder, and on to another workspace in one file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keyring
import pytest

from plipdesk.cli.main import run
from plipdesk.encoders.known import known_model
from tests.encoders.hub import Hub, serving
from tests.encoders.importing.originals import hf_clip_model, write_hf_clip
from tests.encoders.test_hub_token import InMemory

KNOWN = known_model("clip-vit-b-16")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub that has a small model of random numbers under a known name."""
    folder = write_hf_clip(tmp_path_factory.mktemp("published"), hf_clip_model())
    assert KNOWN.revision is not None
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    with serving(Hub(KNOWN.repository, files, revision=KNOWN.revision)) as hub:
        yield hub


@pytest.fixture(autouse=True)
def own_keyring(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    before = keyring.get_keyring()
    keyring.set_keyring(InMemory())
    yield
    keyring.set_keyring(before)


class Ask:
    """The command line to a workspace of its own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *arguments: object, code: int = 0) -> Any:
        words = ["models", *(str(word) for word in arguments), "--json", "--workspace", str(self.folder)]
        found = run(words)
        said = self._capsys.readouterr()
        assert found == code, said
        return json.loads(said.out)


def test_from_the_hub_to_another_workspace(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask = Ask(tmp_path / "here", capsys)
    refused = ask("download", KNOWN.id, code=2)["error"]
    assert "The licence is MIT." in refused["message"]
    assert "--accept-licence" in refused["remedy"]
    assert hub.asked == [], "nothing is asked before the licence is accepted"

    got = ask("download", KNOWN.id, "--accept-licence")
    assert got["model"]["id"] == KNOWN.id
    assert got["model"]["licence"] == "MIT"
    assert got["model"]["name"] == KNOWN.name
    folder = Path(got["folder"])
    origin = json.loads((folder / "origin.json").read_text())
    assert origin["revision"] == KNOWN.revision
    assert origin["licence_accepted"] == "MIT"
    assert {file["name"] for file in origin["files"]} >= {"config.json", "model.safetensors", "vocab.json"}
    assert not list((folder.parent / ".downloads").iterdir()), "what was fetched is gone once it is converted"
    assert "installed already" in ask("download", KNOWN.id, "--accept-licence", code=2)["error"]["message"]

    stick = tmp_path / "clip.plipdesk-model"
    assert ask("export", KNOWN.id, stick)["bytes"] == stick.stat().st_size
    there = Ask(tmp_path / "there", capsys)
    assert there("import", stick)["model"] == got["model"]
    assert (tmp_path / "there" / "models" / KNOWN.id / "origin.json").read_bytes() == (
        folder / "origin.json"
    ).read_bytes()
    assert there("import", stick, "--mpp", "1", "--id", "x", code=2)["error"]["kind"] == "usage"
    assert there("import", stick, "--id", "second")["model"]["fingerprint"] == got["model"]["fingerprint"]


def test_what_cannot_be_used_says_why(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask = Ask(tmp_path, capsys)
    assert "code of its own" in ask("download", "conch", "--accept-licence", code=2)["error"]["message"]
    assert ask("download", "nothing", "--accept-licence", code=3)["error"]["kind"] == "not-found"
    assert "part of plipdesk" in ask("export", "plipdesk-mini", tmp_path / "mini", code=2)["error"]["message"]


def test_a_token_is_kept_in_the_keyring(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io
    import sys

    ask = Ask(tmp_path, capsys)
    assert ask("token", "status") == {"token": None}
    monkeypatch.setattr(sys, "stdin", io.StringIO("hf_abc\n"))
    assert ask("token", "set", code=2)["error"]["kind"] == "usage"
    assert ask("token", "set", "--stdin") == {"token": "keyring"}
    assert ask("token", "status") == {"token": "keyring"}
    assert ask("token", "remove") == {"token": None}
    assert ask("token", "remove", code=3)["error"]["kind"] == "not-found"
