from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from plipdesk.base.errors import Cancelled, NotFound, PlipdeskError, UsageProblem
from plipdesk.base.paths import cache_folder
from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.importing import checkpoint, fingerprints, import_model
from plipdesk.encoders.importing.unpickling import state_of
from plipdesk.encoders.loading import list_encoders
from tests.encoders.importing.originals import hf_clip_model, write_hf_clip, write_json


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as PLIP's; copy it before changing anything."""
    return write_hf_clip(tmp_path_factory.mktemp("original") / "plip", hf_clip_model())


@pytest.fixture
def plip(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "plip")


def refused(source: Path, models: Path, match: str, kind: type[PlipdeskError] = EncoderProblem, **given: Any) -> str:
    """Import ``source`` and check that it ends in one plain sentence with a remedy, and leaves nothing behind."""
    graphs = cache_folder() / "onnx"
    before = set(graphs.iterdir()) if graphs.is_dir() else set()
    with pytest.raises(kind, match=match) as caught:
        import_model(source, models, **given)
    assert caught.value.remedy
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 400
    assert not models.exists() or list(models.iterdir()) == []
    assert (set(graphs.iterdir()) if graphs.is_dir() else set()) == before
    return caught.value.message


class Malice:
    """What a pickle can do to whoever trusts it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"echo hello > {self.path}",)


def pickled(folder: Path, content: Any) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(content, folder / "pytorch_model.bin")


def changed_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for key, value in changes.items():
        place, _, name = key.partition("__")
        if name:
            config[place][name] = value
        else:
            config[place] = value
    write_json(folder / "config.json", config)


def header(length: int, rest: bytes) -> bytes:
    return struct.pack("<Q", length) + rest


DAMAGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "no weights": ("no model's weights", lambda folder: (folder / "model.safetensors").unlink()),
    "no tokenizer": ("tokenizer is missing", lambda folder: (folder / "merges.txt").unlink()),
    "no configuration": ("which activation|cannot be told", lambda folder: (folder / "config.json").unlink()),
    "configuration is no JSON": ("cannot be read", lambda folder: (folder / "config.json").write_bytes(b"{half")),
    "configuration of something else": (
        "'whisper' cannot be imported", lambda folder: write_json(folder / "config.json", {"model_type": "whisper"}),
    ),
    "a tower is missing": ("no vision_config", lambda folder: changed_config(folder, vision_config=None)),
    "more layers than the weights": ("lack", lambda folder: changed_config(folder, text_config__num_hidden_layers=3)),
    "fewer layers": ("hold more", lambda folder: changed_config(folder, vision_config__num_hidden_layers=1)),
    "a billion layers": ("10{9}", lambda folder: changed_config(folder, text_config__num_hidden_layers=10**9)),
    "a giant width": ("hidden_size", lambda folder: changed_config(folder, vision_config__hidden_size=10**8)),
    "a width in words": ("hidden_size as 'x'", lambda folder: changed_config(folder, vision_config__hidden_size="x")),
    "another width": (r"not \(", lambda folder: changed_config(folder, text_config__intermediate_size=256)),
    "unknown activation": ("'swish'", lambda folder: changed_config(folder, text_config__hidden_act="swish")),
    "two activations": ("'gelu'", lambda folder: changed_config(folder, vision_config__hidden_act="gelu")),
    "another crop": (
        "224", lambda folder: write_json(folder / "preprocessor_config.json", {"crop_size": 224, "size": 224}),
    ),
    "cut weights": (
        "incomplete or damaged",
        lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-1000]),
    ),
    "header of 3 GB": (
        "3,000,000,000",
        lambda folder: (folder / "model.safetensors").write_bytes(header(3_000_000_000, b'{"a": 1}' + bytes(4000))),
    ),
    "a pickle called safetensors": (
        "no safetensors file",
        lambda folder: torch.save({"a": torch.zeros(2)}, folder / "model.safetensors"),
    ),
    "vocabulary without its merges": (
        "do not fit together",
        lambda folder: (folder / "merges.txt").write_text("#version: 0.2\nzzzq qq\n", encoding="utf-8"),
    ),
    "tokenizer of another kind": (
        "not one of CLIP's kind", lambda folder: write_json(folder / "vocab.json", {"<|startoftext|>": 0}),
    ),
    "tokenizer that is none": (
        "not one that can be used", lambda folder: write_json(folder / "tokenizer.json", {"version": "1.0"}),
    ),
    "index without its files": (
        "not among them",
        lambda folder: (
            (folder / "model.safetensors").unlink(),
            write_json(folder / "model.safetensors.index.json", {"weight_map": {"a": "one.safetensors"}}),
        ),
    ),
    "index that points elsewhere": (
        "not among them",
        lambda folder: (
            (folder / "model.safetensors").rename(folder.parent / "model.safetensors"),
            write_json(folder / "model.safetensors.index.json", {"weight_map": {"a": "../model.safetensors"}}),
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("match", "damage"), DAMAGES.values(), ids=DAMAGES.keys())
def test_broken_folders(plip: Path, match: str, damage: Callable[[Path], object]) -> None:
    damage(plip)
    refused(plip, plip.parent / "models", match)


def test_what_is_no_model(tmp_path: Path) -> None:
    models = tmp_path / "models"
    refused(tmp_path / "absent", models, "nothing at this path", NotFound)
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", models, "no model's weights")
    (tmp_path / "notes.txt").write_text("hello", encoding="utf-8")
    refused(tmp_path / "notes.txt", models, "no model's weights")
    for name in ("one.pt", "two.pt"):
        (tmp_path / "empty" / name).write_bytes(b"x")
    refused(tmp_path / "empty", models, r"several weights files \(one\.pt, two\.pt\)")


def test_numbers_that_are_none_are_seen_by_the_probe(plip: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(plip / "model.safetensors")
    tensors["visual_projection.weight"][:] = float("nan")
    save_file(tensors, plip / "model.safetensors")
    refused(plip, plip.parent / "models", "no embeddings")


def test_a_pickle_with_code_is_refused_and_its_code_not_run(plip: Path, tmp_path: Path) -> None:
    pickled(plip, {"a": torch.zeros(3), "b": Malice(tmp_path / "touched")})
    assert "system" in refused(plip, tmp_path / "models", "more than weights")
    assert not (tmp_path / "touched").exists()


def _whole_module(folder: Path) -> None:
    pickled(folder, torch.nn.Linear(2, 2))


def _cut_pickle(folder: Path) -> None:
    pickled(folder, {"a": torch.zeros(3000)})
    path = folder / "pytorch_model.bin"
    path.write_bytes(path.read_bytes()[:-2000])


def _stretched(folder: Path) -> None:
    pickled(folder, {"a": torch.zeros(1).expand(10**12)})


def _bomb(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with zipfile.ZipFile(folder / "pytorch_model.bin", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(200 << 20))


PICKLES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "a whole module": ("more than weights.*Linear", _whole_module),
    "cut": ("cannot be read as weights", _cut_pickle),
    "stretched": ("declares more numbers than it holds", _stretched),
    "a bomb": ("declare more bytes than it holds", _bomb),
}


@pytest.mark.parametrize(("match", "make"), PICKLES.values(), ids=PICKLES.keys())
def test_pickles_that_lie(plip: Path, match: str, make: Callable[[Path], None]) -> None:
    make(plip)
    refused(plip, plip.parent / "models", match)


@pytest.mark.parametrize(
    ("bound", "value", "match"), [("_LEAST_S", -1e9, "longer"), ("_ROOM_BYTES", -1 << 40, "memory")]
)
def test_the_child_is_ended_when_it_takes_too_much(
    plip: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: float, match: str
) -> None:
    pickled(plip, hf_clip_model().state_dict())
    monkeypatch.setattr(checkpoint, "check_room", lambda files, folder: None)
    monkeypatch.setattr("plipdesk.encoders.importing.importer.check_room", lambda files, folder: None)
    monkeypatch.setattr(checkpoint, bound, value)
    refused(plip, plip.parent / "models", match)
    assert not [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


def test_a_model_larger_than_memory_is_refused_before_it_is_read(plip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1 << 20))
    refused(plip, plip.parent / "models", "more memory than is free")


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "teacher"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_weights_are_found_among_what_training_scripts_keep(wrapper: str, prefix: str) -> None:
    weights = {f"{prefix}a.weight": torch.zeros(2), f"{prefix}a.bias": torch.ones(2)}
    content = {"epoch": 1, wrapper: weights, "optimizer": {"state": {0: {"step": torch.zeros(1)}}}}
    assert state_of(content, torch).keys() == {"a.weight", "a.bias"}
    assert state_of(weights, torch).keys() == {"a.weight", "a.bias"}
    assert state_of([1, 2], torch) == {}


class Stopping:
    """A context that is asked to stop at the given question."""

    def __init__(self, questions: int) -> None:
        self._left = questions

    def report(self, done: int, total: int, *, unit: str, note: str = "") -> None:
        pass

    def check_cancel(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Cancelled()

    def checkpoint(self, state: Mapping[str, Any]) -> None:
        pass


@pytest.mark.parametrize("questions", [0, 6, 7, 8])
def test_cancelling_leaves_nothing(whole: Path, tmp_path: Path, questions: int) -> None:
    with pytest.raises(Cancelled):
        import_model(whole, tmp_path / "models", context=Stopping(questions))
    assert list((tmp_path / "models").iterdir()) == []


def test_what_a_killed_import_left_is_never_an_encoder_and_is_swept(whole: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = models / f".import-{ended.pid}-abcd"
    shutil.copytree(whole, left)
    (left / "card.json").write_text("{}", encoding="utf-8")
    assert [installed.card.id for installed in list_encoders(models)] == ["plipdesk-mini"]
    alive = models / f".import-{os.getpid()}-abcd"
    alive.mkdir()
    import_model(whole, models, encoder_id="one")
    assert {path.name for path in models.iterdir()} == {"one", alive.name}


def test_names(whole: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    for wrong in ("Has Space", "../up", "", "-x"):
        refused(whole, models, "cannot be an encoder's id", UsageProblem, encoder_id=wrong)
    refused(whole, models, "dim cannot be set", UsageProblem, overrides={"dim": 3})
    refused(whole, models, "mpp_um", overrides={"mpp_um": -1})
    refused(whole, models, "{} exactly once", overrides={"prompt_templates": ("no place",)})
    refused(whole, models, "plipdesk-mini already", encoder_id="plipdesk-mini")
    snapshot = tmp_path / "models--vinid--plip" / "snapshots" / ("0123456789" * 4)
    shutil.copytree(whole, snapshot)
    assert import_model(snapshot, models).card.id == "plip"
    with pytest.raises(EncoderProblem, match="called plip already") as caught:
        import_model(whole, models)
    assert "--id" in str(caught.value.remedy)


def test_the_trap_a_wrong_activation_loads_and_only_a_record_tells(
    whole: Path, plip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same weights with GELU instead of QuickGELU: nothing fails, every vector is another."""
    right = import_model(whole, tmp_path / "models", encoder_id="right")
    changed_config(plip, text_config__hidden_act="gelu", vision_config__hidden_act="gelu")
    wrong = import_model(plip, tmp_path / "models", encoder_id="wrong")
    assert right.card.architecture["quick_gelu"] is True
    assert wrong.card.architecture["quick_gelu"] is False
    assert right.card.files["weights"] == wrong.card.files["weights"]
    assert right.card.fingerprint() != wrong.card.fingerprint()
    record = {name: [list(row) for row in right.probe.numbers] for name in ("again", "anew")}
    monkeypatch.setattr(fingerprints, "_records", lambda: record)
    again = import_model(whole, tmp_path / "models", encoder_id="again")
    anew = import_model(plip, tmp_path / "models", encoder_id="anew")
    assert (again.probe.verdict, anew.probe.verdict) == ("matches the record", "differs")
    assert any("Do not rely on it" in note for note in anew.notes)
    digest = dict(right.originals)["model.safetensors"]
    monkeypatch.setattr(fingerprints, "_records", lambda: {digest: record["again"]})
    assert import_model(whole, tmp_path / "models", encoder_id="third").probe.verdict == "matches the record"


def test_the_shipped_records_can_be_read() -> None:
    assert fingerprints.compare({"plip"}, [[0.0]]) == "no record"


def test_several_files_with_an_index(plip: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(plip / "model.safetensors")
    (plip / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, some in parts.items():
        save_file({name: tensors[name] for name in some}, plip / file)
    write_json(
        plip / "model.safetensors.index.json",
        {"weight_map": {name: file for file, some in parts.items() for name in some}},
    )
    report = import_model(plip, plip.parent / "models")
    assert {name for name, _ in report.originals} >= set(parts)
