"""The catalogue of known models: complete where it must be, and silent where nothing is known."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from plipdesk.base.errors import NotFound
from plipdesk.encoders.known import KnownFile, KnownModel, known_model, known_models


def test_the_models_of_the_field_are_known() -> None:
    have = {model.id for model in known_models()}
    assert have >= {
        "plip", "clip-vit-b-32", "clip-vit-b-16", "clip-vit-l-14", "quiltnet-b-32", "quiltnet-b-16",
        "quiltnet-b-16-pmb", "biomedclip", "pathclip", "pathgen-clip", "pathgen-clip-l", "conch", "musk",
    }  # fmt: skip
    for blocked in ("conch", "musk"):
        assert "code of its own" in (known_model(blocked).obstacle or "")


def test_plip_is_described_as_its_paper_does() -> None:
    plip = known_model("plip")
    assert plip.repository == "vinid/plip"
    assert plip.scores["zero-shot weighted F1, Kather colon"] == 0.565
    assert plip.mpp_um is None, "the authors state none"
    assert {name for file in plip.files for name in file.names} >= {"config.json", "pytorch_model.bin"}


def test_whoever_asks_for_another_is_told_where_to_look() -> None:
    with pytest.raises(NotFound, match="'gpt'") as caught:
        known_model("gpt")
    assert "--known" in (caught.value.remedy or "")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "../config.json"},
        {"name": "/etc/passwd"},
        {"name": "a.bin", "one_of": ["b.bin"]},
        {},
        {"one_of": ["a.bin"], "sha256": "0" * 64},
    ],
)
def test_files_have_plain_names(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        KnownFile.model_validate(wrong)


def test_a_model_can_be_fetched_or_says_why_not() -> None:
    document = known_model("musk").model_dump(by_alias=True)
    KnownModel.model_validate(document)
    with pytest.raises(ValidationError, match="obstacle"):
        KnownModel.model_validate(document | {"obstacle": None})
