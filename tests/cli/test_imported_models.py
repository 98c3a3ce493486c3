"""An imported encoder does all that the embedded one does; one without words says so where words are asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
from PIL import Image

from tests.cli.test_end_to_end import Office
from tests.drawing import pyramidal_tiff
from tests.encoders.importing.originals import hf_clip_model, save_tensors, shaken, write_hf_clip
from tests.encoders.models import random_patches


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    office = Office(tmp_path_factory.mktemp("imported"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLIPDESK_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        write_hf_clip(office.folder / "vinid-plip", hf_clip_model())
        shape = {"img_size": 64, "embed_dim": 192, "depth": 1, "num_heads": 3, "num_classes": 0}
        save_tensors(
            office.folder / "uni.safetensors", shaken(timm.create_model("vit_base_patch16_224", **shape)).state_dict()
        )
        pyramidal_tiff(office.slides / "one.tif", seed=1)
        yield office
        office.end()


@pytest.fixture(scope="module")
def imported(office: Office) -> dict[str, Any]:
    words = office("models", "import", office.folder / "vinid-plip", "--id", "plip", "--mpp", "1", "--name", "PLIP")
    seeing = office("models", "import", office.folder / "uni.safetensors", "--mpp", "1")
    return {"words": words, "seeing": seeing}


def test_what_an_import_answers(office: Office, imported: dict[str, Any]) -> None:
    words, seeing = imported["words"], imported["seeing"]
    assert (words["model"]["id"], words["model"]["name"], words["model"]["mpp_um"]) == ("plip", "PLIP", 1)
    assert words["model"]["has_words"]
    assert words["probe"]["verdict"] == "no record"
    assert min(words["probe"]["image_cosine"], words["probe"]["text_cosine"]) >= 0.9999
    assert len(words["probe"]["numbers"]) == 12
    assert not seeing["model"]["has_words"]
    assert seeing["probe"]["text_cosine"] is None
    listed = {model["id"] for model in office("models", "list")["models"]}
    assert {"plip", "uni"} <= listed
    error = office("models", "import", office.folder / "vinid-plip", "--id", "plip", code=3)["error"]
    assert "already" in error["message"]


def test_all_searches_by_an_imported_model(office: Office, imported: dict[str, Any], tmp_path: Path) -> None:
    slide = office.slides / "one.tif"
    picture = tmp_path / "picture.png"
    Image.fromarray(random_patches(1, 128)[0]).save(picture)
    for encoder in ("plip", "uni"):
        answer = office("index", slide, "--encoder", encoder)
        assert answer["slides"][0]["status"] == "indexed"
        assert answer["encoder"] == encoder
        assert office("search", "image", picture, "--encoder", encoder)["hits"]
        region = office("search", "region", slide, "--box", "100,100,300,300", "--encoder", encoder)
        assert region["encoder"] == encoder
        out = tmp_path / f"{encoder}.npy"
        office("embed", "--out", out, "--encoder", encoder, "--images", picture)
        assert np.linalg.norm(np.load(out), axis=1) == pytest.approx(1, abs=1e-5)
    assert office("search", "text", "gland", "--encoder", "plip")["hits"]
    long = office("search", "text", "word " * 100, "--encoder", "plip")
    assert any("left out" in note for note in long["notes"])
    embedded = office("embed", "--out", tmp_path / "long.npy", "--encoder", "plip", "--text", "word " * 100)
    assert ["left out" in note for note in embedded["notes"]] == [True]
    for arguments in (("search", "text", "gland"), ("embed", "--out", tmp_path / "x.npy", "--text", "gland")):
        error = office(*arguments, "--encoder", "uni", code=3)["error"]
        assert "only sees pictures" in error["message"]
        assert error["remedy"]
    office("search", "text", "  ", "--encoder", "plip", code=2)
