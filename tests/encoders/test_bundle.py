"""Encoders carried in one file: the same at the other end, and nothing taken from a file that is not right."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plipdesk.base.errors import Cancelled, PlipdeskError, UsageProblem
from plipdesk.base.files import DiskFull
from plipdesk.base.progress import QuietContext
from plipdesk.encoders import bundle
from plipdesk.encoders.bundle import MANIFEST_NAME, is_bundle, read_bundle, write_bundle
from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.loading import find_encoder, load_encoder
from tests.encoders.models import SMALL_VIT, lowest_cosine, random_patches, write_model


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "small", SMALL_VIT)
    (folder / "small" / ".hidden").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def exported(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stick") / "small.plipdesk-model"
    assert write_bundle(find_encoder("small", models), out) == out.stat().st_size
    return out


def test_what_arrives_is_what_was_sent(models: Path, exported: Path, tmp_path: Path) -> None:
    assert is_bundle(exported)
    arrived = read_bundle(exported, tmp_path)
    sent = find_encoder("small", models)
    assert arrived.card == sent.card
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small"]
    assert sorted(path.name for path in (tmp_path / "small").iterdir()) == ["card.json", "model.safetensors"]
    pictures = random_patches(2, 64)
    here, there = load_encoder(sent, runtime="torch"), load_encoder(find_encoder("small", tmp_path), runtime="torch")
    assert lowest_cosine(here.encode_patches(pictures), there.encode_patches(pictures)) > 0.999999


def test_the_same_encoder_makes_the_same_file(models: Path, exported: Path, tmp_path: Path) -> None:
    write_bundle(find_encoder("small", models), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == exported.read_bytes()


def test_another_id_keeps_what_the_embeddings_mean(models: Path, exported: Path, tmp_path: Path) -> None:
    arrived = read_bundle(exported, tmp_path, encoder_id="other")
    assert find_encoder("other", tmp_path).card.fingerprint() == find_encoder("small", models).card.fingerprint()
    assert arrived.card.id == "other"
    for wrong in ("../up", "Größe", "", ".hidden"):
        with pytest.raises(PlipdeskError):
            read_bundle(exported, tmp_path / "never", encoder_id=wrong or "..")
    with pytest.raises(EncoderProblem, match="already"):
        read_bundle(exported, tmp_path, encoder_id="other")
    with pytest.raises(EncoderProblem, match="already"):
        read_bundle(exported, tmp_path, encoder_id="plipdesk-mini")


def test_only_what_is_sound_and_imported_is_exported(models: Path, exported: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="part of plipdesk"):
        write_bundle(find_encoder("plipdesk-mini", models), tmp_path / "mini")
    with pytest.raises(UsageProblem, match="there already"):
        write_bundle(find_encoder("small", models), exported)
    damaged = write_model(tmp_path / "models" / "bad", SMALL_VIT)
    with (damaged / "model.safetensors").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(EncoderProblem, match="not the one its card describes"):
        write_bundle(find_encoder("bad", tmp_path / "models"), tmp_path / "bad")
    (damaged / "model.safetensors").unlink()
    with pytest.raises(EncoderProblem, match="missing"):
        write_bundle(find_encoder("bad", tmp_path / "models"), tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


Change = Callable[[dict[str, Any], dict[str, bytes]], None]


def rebuilt(exported: Path, out: Path, change: Change, *, compression: int = zipfile.ZIP_STORED) -> Path:
    """The bundle with its manifest and files changed."""
    with zipfile.ZipFile(exported) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(contents.pop(MANIFEST_NAME))
    change(manifest, contents)
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo(MANIFEST_NAME), json.dumps(manifest))
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=compression)
    return out


def _escape(name: str) -> Change:
    def change(manifest: dict[str, Any], contents: dict[str, bytes]) -> None:
        contents[name] = contents.pop("model.safetensors")
        manifest["files"][1]["name"] = name

    return change


def _weights(manifest: dict[str, Any], contents: dict[str, bytes]) -> None:
    contents["model.safetensors"] = contents["model.safetensors"][:-1] + b"?"


def _size(manifest: dict[str, Any], contents: dict[str, bytes]) -> None:
    manifest["files"][1]["bytes"] = 1 << 50


def _card(manifest: dict[str, Any], contents: dict[str, bytes]) -> None:
    manifest["card"]["mpp_um"] = 1.0


def _more(manifest: dict[str, Any], contents: dict[str, bytes]) -> None:
    contents["more.bin"] = b""


def _less(manifest: dict[str, Any], contents: dict[str, bytes]) -> None:
    del contents["model.safetensors"]


def _no_card(manifest: dict[str, Any], contents: dict[str, bytes]) -> None:
    del contents["card.json"], manifest["files"][0]


def _id(manifest: dict[str, Any], contents: dict[str, bytes]) -> None:
    manifest["id"] = "../../up"


def _many(manifest: dict[str, Any], contents: dict[str, bytes]) -> None:
    contents.update({f"{number}": b"" for number in range(200)})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_escape("../model.safetensors"), "manifest is not right"),
        (_escape("/etc/passwd"), "manifest is not right"),
        (_escape("folder/model.safetensors"), "manifest is not right"),
        (_escape(".hidden"), "manifest is not right"),
        (_escape("CARD.json"), "names a file twice"),
        (_weights, "checksum of model.safetensors"),
        (_size, "not as its manifest says"),
        (_card, "card is not the one"),
        (_more, "does not hold what"),
        (_less, "does not hold what"),
        (_no_card, "or no card"),
        (_id, "manifest is not right"),
        (_many, "more files than a model has"),
    ],
)
def test_a_bundle_that_is_not_right_is_refused(exported: Path, tmp_path: Path, change: Change, words: str) -> None:
    crafted = rebuilt(exported, tmp_path / "crafted", change)
    models = tmp_path / "models"
    with pytest.raises(EncoderProblem, match=words):
        read_bundle(crafted, models)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["crafted"]


def test_nothing_is_unpacked_that_was_compressed(exported: Path, tmp_path: Path) -> None:
    crafted = rebuilt(exported, tmp_path / "crafted", lambda *_: None, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(EncoderProblem, match="not as its manifest says"):
        read_bundle(crafted, tmp_path / "models")


def test_a_newer_bundle_says_what_to_do(exported: Path, tmp_path: Path) -> None:
    crafted = rebuilt(exported, tmp_path / "crafted", lambda manifest, _: manifest.update(version=2))
    with pytest.raises(EncoderProblem, match="newer plipdesk"):
        read_bundle(crafted, tmp_path / "models")


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.5, 0.999])
def test_a_cut_file_is_refused(exported: Path, tmp_path: Path, keep: float) -> None:
    content = exported.read_bytes()
    cut = tmp_path / "cut"
    cut.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(EncoderProblem, match="damaged"):
        read_bundle(cut, tmp_path / "models")


def test_a_list_of_contents_that_claims_to_be_huge_is_not_read(exported: Path, tmp_path: Path) -> None:
    content = bytearray(exported.read_bytes())
    end = content.rfind(b"PK\x05\x06")
    content[end + 12 : end + 16] = struct.pack("<I", 0xFFFFFFF0)
    crafted = tmp_path / "crafted"
    crafted.write_bytes(content)
    with pytest.raises(EncoderProblem, match="more files than a model has"):
        read_bundle(crafted, tmp_path / "models")


def test_another_archive_is_no_bundle(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert not is_bundle(tmp_path / "other.zip")
    assert not is_bundle(tmp_path / "nothing")
    with pytest.raises(EncoderProblem, match="no encoder that plipdesk has exported"):
        read_bundle(tmp_path / "other.zip", tmp_path / "models")


def test_stopping_leaves_nothing(models: Path, exported: Path, tmp_path: Path) -> None:
    class Stopped(QuietContext):
        def check_cancel(self) -> None:
            raise Cancelled

    with pytest.raises(Cancelled):
        read_bundle(exported, tmp_path / "models", context=Stopped())
    with pytest.raises(Cancelled):
        write_bundle(find_encoder("small", models), tmp_path / "out", context=Stopped())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_room_is_looked_for_first(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = bundle.shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(bundle.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DiskFull, match="1 MB are free"):
        read_bundle(exported, tmp_path / "models")
