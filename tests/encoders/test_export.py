from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from plipdesk.base.paths import cache_folder
from plipdesk.encoders.card import EncoderProblem, load_card
from plipdesk.encoders.export import Tower, graph_file, graph_folder
from plipdesk.encoders.loading import find_encoder, load_encoder
from plipdesk.encoders.onnx_runtime import open_session
from tests.encoders.models import SMALL_LITE, SMALL_VIT, card_document, lowest_cosine, random_patches, write_model


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLIPDESK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _graph(models: Path, tower: Tower, told: list[str] | None = None) -> Path:
    folder = models / "small-vit"
    return graph_file(load_card(folder), folder, tower, report=None if told is None else told.append)


def test_made_once(models: Path, fresh_cache: Path) -> None:
    told: list[str] = []
    first = _graph(models, "text", told)
    stamp = first.stat().st_mtime_ns
    assert told == ["Preparing A random model for this computer; this is done once."]
    assert _graph(models, "text", told) == first
    assert first.stat().st_mtime_ns == stamp
    assert len(told) == 1
    assert first.is_relative_to(fresh_cache / "onnx")


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "sidecar gone", "sidecar half", "sidecar elsewhere"])
def test_damage_is_seen_and_mended(models: Path, fresh_cache: Path, damage: str) -> None:
    graph = _graph(models, "text")
    whole = graph.read_bytes()
    sidecar = graph.parent / "text.json"
    if damage == "cut":
        graph.write_bytes(whole[:-100])
    elif damage == "flipped":
        graph.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    elif damage == "gone":
        graph.unlink()
    elif damage == "sidecar gone":
        sidecar.unlink()
    elif damage == "sidecar half":
        sidecar.write_bytes(sidecar.read_bytes()[:20])
    else:
        sidecar.write_text(json.dumps({"file": "../../x", "bytes": 1, "sha256": "0"}))
    told: list[str] = []
    again = _graph(models, "text", told)
    assert told
    assert again.read_bytes() == whole
    assert _graph(models, "text", told) == again
    assert len(told) == 1


def test_other_weights_or_normalisation_have_another_place(models: Path) -> None:
    card = load_card(models / "small-vit")
    weights = card.files["weights"].model_copy(update={"sha256": "0" * 64})
    places = {
        graph_folder(card),
        graph_folder(card.model_copy(update={"files": {**card.files, "weights": weights}})),
        graph_folder(card.model_copy(update={"mean": (0.0, 0.0, 0.0)})),
    }
    assert len(places) == 3
    assert graph_folder(card) == graph_folder(card.model_copy(update={"name": "Another name", "credit": "someone"}))


def test_many_at_once_leave_one_that_is_whole(models: Path, fresh_cache: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: _graph(models, "image"), range(4)))
    assert len(set(paths)) == 1
    assert {path.name for path in paths[0].parent.iterdir()} == {"image.json", paths[0].name}
    open_session(paths[0], 1)


_ENCODE = """
import sys
from pathlib import Path
import numpy as np
from plipdesk.encoders.loading import find_encoder, load_encoder
encoder = load_encoder(find_encoder(sys.argv[2], Path(sys.argv[1])), runtime="onnx", threads=2)
rows = encoder.encode_patches(np.full((5, 64, 64, 3), 77, dtype=np.uint8))
words = encoder.encode_texts(["gland"])
encoder.close()
print(rows.shape, words.shape, [name for name in ("torch", "open_clip", "timm", "onnx") if name in sys.modules])
"""


def test_two_processes_at_once(models: Path, fresh_cache: Path) -> None:
    """A transformer is written from its weights alone, so neither needs torch."""
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", _ENCODE, str(models), "small-vit"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        said, complaint = process.communicate()
        assert process.returncode == 0, complaint
        assert said.startswith("(5, 64) (1, 64)")
        assert "torch" not in said
    assert len(list((fresh_cache / "onnx").rglob("*.onnx"))) == 2
    assert not list(cache_folder().rglob("*.partial"))


def test_a_graph_that_is_there_needs_no_torch(models: Path) -> None:
    encoder = load_encoder(find_encoder("small-lite", models), runtime="onnx")
    encoder.encode_patches(random_patches(1, 64))
    encoder.encode_texts(["gland"])
    encoder.close()
    command = [sys.executable, "-c", _ENCODE, str(models), "small-lite"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "(5, 48) (1, 48) []"


def test_weights_that_lack_a_tensor_are_refused(models: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "lacking"
    folder.mkdir()
    tensors = load_file(models / "small-vit" / "model.safetensors")
    del tensors["visual.transformer.resblocks.1.ln_1.bias"]
    tensors["token_embedding.weight"] = np.zeros((49408, 60), dtype=np.float32)
    save_file(tensors, folder / "model.safetensors")
    (folder / "card.json").write_text(json.dumps(card_document(folder, SMALL_VIT)), encoding="utf-8")
    card = load_card(folder)
    with pytest.raises(EncoderProblem, match=r"lack visual\.transformer\.resblocks\.1\.ln_1\.bias"):
        graph_file(card, folder, "image")
    with pytest.raises(EncoderProblem, match=r"token_embedding\.weight are \(49408, 60\), not \(49408, 64\)"):
        graph_file(card, folder, "text")


def test_a_model_replaced_while_in_use_leaves_no_mixture_in_the_cache(
    models: Path, tmp_path: Path, fresh_cache: Path
) -> None:
    folder = shutil.copytree(models / "small-vit", tmp_path / "small-vit")
    encoder = load_encoder(find_encoder("small-vit", tmp_path), runtime="onnx")
    shutil.copy(models / "small-lite" / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(EncoderProblem, match="not the one its card describes"):
        encoder.encode_texts(["gland"])
    assert not list(fresh_cache.rglob("*.onnx"))


@pytest.mark.parametrize(("trunk", "producer"), [("resnet18", b"plipdesk"), ("test_efficientnet", b"pytorch")])
def test_other_trunks(tmp_path: Path, trunk: str, producer: bytes) -> None:
    """One whose operations are all known, and one that is left to torch's own exporter."""
    vision = {**SMALL_LITE["vision_cfg"], "timm_model_name": trunk}
    folder = write_model(tmp_path / "other", {**SMALL_LITE, "vision_cfg": vision})
    patches = random_patches(5, 64)
    in_torch = load_encoder(find_encoder("other", tmp_path), runtime="torch", device="cpu")
    in_onnx = load_encoder(find_encoder("other", tmp_path), runtime="onnx")
    assert lowest_cosine(in_torch.encode_patches(patches), in_onnx.encode_patches(patches)) >= 0.99999
    assert producer in graph_file(load_card(folder), folder, "image").read_bytes()[:200]
    in_onnx.close()


def test_a_graph_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    path = tmp_path / "image.onnx"
    path.write_bytes(b"no graph at all")
    with pytest.raises(EncoderProblem, match="ONNX Runtime cannot run") as caught:
        open_session(path, 1)
    assert caught.value.path == str(path)
