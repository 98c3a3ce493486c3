from __future__ import annotations

import json
import shutil
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from plipdesk.base.errors import NotFound
from plipdesk.encoders import loading
from plipdesk.encoders.card import EncoderCard, EncoderProblem, ModelFile, load_card
from plipdesk.encoders.loading import find_encoder, list_encoders, load_encoder
from plipdesk.encoders.weights import TensorFile, verified_file
from tests.encoders.models import SMALL_LITE, card_document, random_patches


def _changed_card(folder: Path, **changes: Any) -> None:
    document = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    (folder / "card.json").write_text(json.dumps({**document, **changes}), encoding="utf-8")


@pytest.fixture
def lite(models: Path, tmp_path: Path) -> Path:
    """A model of one's own to spoil."""
    folder = shutil.copytree(models / "small-lite", tmp_path / "lite")
    (folder / "card.json").write_text(json.dumps(card_document(folder, SMALL_LITE)), encoding="utf-8")
    return folder


@pytest.fixture
def embedded(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model in the place of the one that is shipped."""
    monkeypatch.setattr(loading, "resource_path", lambda name: models / "small-lite")


def test_list_names_the_embedded_first_and_leaves_out_bad_cards(models: Path, embedded: None, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    shutil.copytree(models / "small-vit", folder / "b")
    (folder / "a-broken").mkdir()
    (folder / "a-broken" / "card.json").write_text("{}", encoding="utf-8")
    (folder / "no-model").mkdir()
    found = list_encoders(folder)
    assert [(item.card.id, item.embedded) for item in found] == [("small-lite", True), ("small-vit", False)]
    assert [item.card.id for item in list_encoders(None)] == ["small-lite"]
    assert [item.card.id for item in list_encoders(tmp_path / "absent")] == ["small-lite"]


def test_find(models: Path, embedded: None, tmp_path: Path) -> None:
    assert find_encoder(None, None).embedded
    assert find_encoder("plipdesk-mini", models).embedded
    assert find_encoder("small-vit", models).folder == models / "small-vit"
    with pytest.raises(NotFound, match="'absent'") as caught:
        find_encoder("absent", models)
    assert "models list" in str(caught.value.remedy)
    with pytest.raises(NotFound):
        find_encoder("../small-vit", models)


@pytest.mark.parametrize(
    "field", sorted(name for name, field in EncoderCard.model_fields.items() if field.is_required())
)
def test_a_missing_field_refuses_to_load(lite: Path, field: str) -> None:
    document = card_document(lite, SMALL_LITE)
    del document[field]
    (lite / "card.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(EncoderProblem, match=field) as caught:
        find_encoder("lite", lite.parent)
    assert caught.value.path == str(lite / "card.json")
    assert caught.value.remedy


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_other_weights_than_the_card_says_are_refused(lite: Path, runtime: Any) -> None:
    weights = lite / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(EncoderProblem, match="not the one its card describes") as caught:
        load_encoder(find_encoder("lite", lite.parent), runtime=runtime, device="cpu")
    assert caught.value.path == str(weights)
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["model.safetensors", "merges.txt"])
def test_a_missing_file_is_named(lite: Path, name: str) -> None:
    (lite / name).unlink()
    with pytest.raises(EncoderProblem, match="missing") as caught:
        load_encoder(find_encoder("lite", lite.parent))
    assert caught.value.path == str(lite / name)


def test_other_merges_than_the_card_says_are_refused(lite: Path) -> None:
    with (lite / "merges.txt").open("ab") as stream:
        stream.write(b"\na b")
    with pytest.raises(EncoderProblem, match="not the one"):
        load_encoder(find_encoder("lite", lite.parent))


def test_a_file_once_found_right_is_read_again_only_when_it_changed(lite: Path) -> None:
    path = lite / "merges.txt"
    file = load_card(lite).files["tokenizer"]
    assert verified_file(lite, file) == path
    state = path.stat()
    path.write_bytes(b"x" * state.st_size)
    with pytest.raises(EncoderProblem):
        verified_file(lite, file)
    with pytest.raises(EncoderProblem, match="missing"):
        verified_file(lite, ModelFile(name="absent", sha256="0" * 64))


CONTRADICTIONS: list[dict[str, Any]] = [
    {"dim": 49},
    {"input_px": 96},
    {"context_length": 31},
    {"tokenizer": {"kind": "words", "file": "merges.txt"}},
    {"tokenizer": {"kind": "clip-bpe", "file": None}},
]


@pytest.mark.parametrize("changes", CONTRADICTIONS, ids=lambda changes: next(iter(changes)))
def test_a_card_that_contradicts_its_model_is_refused(lite: Path, changes: dict[str, Any]) -> None:
    _changed_card(lite, **changes)
    with pytest.raises(EncoderProblem, match="lite"):
        load_encoder(find_encoder("lite", lite.parent))


def test_what_a_runtime_cannot_do_is_refused(lite: Path) -> None:
    installed = find_encoder("lite", lite.parent)
    with pytest.raises(EncoderProblem, match="fp32 or int8 on the CPU here, not in bf16"):
        load_encoder(installed, runtime="onnx", precision="bf16")
    with pytest.raises(EncoderProblem, match="fp32 or int8 on the CPU here, not in fp32 on cuda"):
        load_encoder(installed, runtime="onnx", device="cuda")
    with pytest.raises(EncoderProblem, match="int8"):
        load_encoder(installed, runtime="torch", precision="int8", device="cpu")
    with pytest.raises(EncoderProblem, match="no device 'tpu'"):
        load_encoder(installed, runtime="torch", device="tpu")


def test_an_encoder_without_words_says_so(lite: Path) -> None:
    _changed_card(lite, tokenizer={"kind": "none", "file": None}, context_length=0, prompt_templates=[])
    for runtime in ("torch", "onnx"):
        encoder = load_encoder(find_encoder("lite", lite.parent), runtime=runtime, device="cpu")  # type: ignore[arg-type]
        assert encoder.encode_patches(random_patches(2, 64)).shape == (2, 48)
        with pytest.raises(EncoderProblem, match="only sees pictures"):
            encoder.encode_texts(["gland"])
        encoder.close()


def test_weights_of_another_architecture_are_refused_in_one_line(lite: Path) -> None:
    deeper = {**SMALL_LITE, "text_cfg": {**SMALL_LITE["text_cfg"], "layers": 3}}
    _changed_card(lite, architecture=deeper)
    with pytest.raises(EncoderProblem, match="do not fit") as caught:
        load_encoder(find_encoder("lite", lite.parent), runtime="torch", device="cpu")
    assert len(caught.value.message) < 300


def _safetensors(header: dict[str, Any], data: bytes = b"", declared: int | None = None) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if declared is None else declared) + text + data


BAD_FILES = {
    "empty": b"",
    "header longer than the file": _safetensors({}, declared=1 << 62),
    "header not JSON": struct.pack("<Q", 4) + b"abcd",
    "more than the file holds": _safetensors(
        {"w": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}}
    ),
    "shape and bytes differ": _safetensors({"w": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}, b"1234"),
    "overflow": _safetensors({"w": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 0]}}),
    "a pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07builtin",
}


@pytest.mark.parametrize("content", BAD_FILES.values(), ids=BAD_FILES.keys())
def test_safetensors_that_lie_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(EncoderProblem, match="cannot be read") as caught:
        TensorFile(path)
    assert caught.value.path == str(path)


def test_no_socket_is_opened(lite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **named: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    for runtime in ("torch", "onnx"):
        encoder = load_encoder(find_encoder("lite", lite.parent), runtime=runtime, device="cpu")  # type: ignore[arg-type]
        encoder.encode_patches(random_patches(1, 64))
        encoder.encode_texts(["gland"])
        encoder.close()
