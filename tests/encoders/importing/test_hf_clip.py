from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from plipdesk.encoders.importing import ImportReport, import_model
from plipdesk.encoders.loading import find_encoder, load_encoder
from plipdesk.encoders.protocol import Encoder
from tests.encoders.importing.originals import hf_clip_model, write_hf_clip
from tests.encoders.models import lowest_cosine, random_patches

TEXTS = ["gland", "a photo of a cat", "Épithélium 🔬 <|endoftext|> more", "word " * 200, "x"]


def encoders(report: ImportReport) -> list[Encoder]:
    installed = find_encoder(report.card.id, report.folder.parent)
    return [load_encoder(installed, runtime="torch", device="cpu"), load_encoder(installed, runtime="onnx")]


def reference_pictures(model: Any, pictures: Sequence[np.ndarray], folder: Path) -> np.ndarray:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    processor = CLIPImageProcessorPil.from_pretrained(folder)
    pixels = processor(images=list(pictures), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        features = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
    return torch.nn.functional.normalize(features, dim=-1).numpy()


def reference_texts(model: Any, texts: list[str], folder: Path) -> np.ndarray:
    from transformers import CLIPTokenizer

    tokens = CLIPTokenizer.from_pretrained(folder)(
        texts, padding=True, truncation=True, max_length=77, return_tensors="pt"
    )
    with torch.inference_mode():
        features = model.text_projection(model.text_model(**tokens).pooler_output)
    return torch.nn.functional.normalize(features, dim=-1).numpy()


@pytest.mark.parametrize("pickle", [False, True], ids=["safetensors", "pickle"])
def test_says_what_transformers_says(tmp_path: Path, pickle: bool) -> None:
    model = hf_clip_model()
    folder = write_hf_clip(tmp_path / "plip", model, pickle=pickle)
    report = import_model(folder, tmp_path / "models", overrides={"mpp_um": 0.25, "name": "PLIP"})
    assert (report.card.id, report.card.name, report.card.mpp_um) == ("plip", "PLIP", 0.25)
    assert report.card.architecture["quick_gelu"] is True
    pictures = [random_patches(1, size, seed=size)[0][: size - 17] for size in (64, 100, 128, 256)]
    pictures += list(random_patches(3, 64))
    seen, read = reference_pictures(model, pictures, folder), reference_texts(model, TEXTS, folder)
    for encoder in encoders(report):
        assert lowest_cosine(encoder.encode_pictures(pictures), seen) >= 0.99999
        assert lowest_cosine(encoder.encode_texts(TEXTS), read) >= 0.99999
        assert [encoder.truncated(text) for text in TEXTS] == [False, False, False, True, False]
        encoder.close()


def test_what_is_kept(tmp_path: Path) -> None:
    folder = write_hf_clip(tmp_path / "Some PLIP", hf_clip_model())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    report = import_model(folder, tmp_path / "models")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert report.folder == tmp_path / "models" / "some-plip"
    assert {path.name for path in report.folder.parent.iterdir()} == {"some-plip"}
    assert {path.name for path in report.folder.iterdir()} == {"card.json", "model.safetensors", "tokenizer.json"}
    assert dict(report.originals) == {
        name: hashlib.sha256(content).hexdigest() for name, content in before.items() if name != "special"
    }
    card = json.loads((report.folder / "card.json").read_text(encoding="utf-8"))
    assert {entry["name"]: entry["sha256"] for entry in card["provenance"]["originals"]} == dict(report.originals)
    weights = (report.folder / "model.safetensors").read_bytes()
    assert card["files"]["weights"]["sha256"] == hashlib.sha256(weights).hexdigest()
    assert report.probe.verdict == "no record"
    assert report.probe.image_cosine is not None
    assert report.probe.text_cosine is not None
    assert min(report.probe.image_cosine, report.probe.text_cosine) >= 0.9999
    assert any("normalised here" in note for note in report.notes)
    assert any("0.5 µm per pixel is assumed" in note for note in report.notes)
