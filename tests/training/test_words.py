"""Byte pairs, corpus, recipes and the teacher-to-student start."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plipdesk.base.resources import resource_path
from plipdesk.encoders.tokenizer import ClipTokenizer
from plipdesk.training.bpe import learn_merges, write_merges
from plipdesk.training.corpus import CorpusProblem, combined, distinct, read_phrases, read_synonyms, wordnet_texts
from plipdesk.training.distil import token_start
from plipdesk.training.recipe import TrainingProblem, read_recipe


def test_merges_by_hand() -> None:
    # "low" three times, "lot" twice: l+o (5) first, then lo+w</w> (3), then lo+t</w> (2).
    merges = learn_merges(["low low low", "lot lot"], 10)
    assert merges == [("l", "o"), ("lo", "w</w>"), ("lo", "t</w>")]


def test_merges_are_read_by_both_tokenizers_alike(tmp_path: Path) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    texts = ["Gland-forming carcinoma, naïve µm", "glands of the colon", "colonic glands glands"]
    write_merges(tmp_path / "bpe.txt.gz", learn_merges(texts, 60))
    own = ClipTokenizer(tmp_path / "bpe.txt.gz", context_length=24)
    assert own(["glands"]).used[0] == 3
    theirs = SimpleTokenizer(bpe_path=str(tmp_path / "bpe.txt.gz"), context_length=24)
    assert len(theirs.encoder) == own.vocabulary_size
    for text in [*texts, "unseen wörds 42"]:
        assert own([text]).ids[0].tolist() == theirs([text])[0].tolist()


def test_wordnet_lines_become_words_and_glosses(tmp_path: Path) -> None:
    (tmp_path / "data.noun").write_text(
        "  1 licence text | not a word\n"
        '05297523 08 n 02 kidney 0 renal_organ 0 001 @ 0001 n 0000 | one of two organs; "kidneys filter"\n'
        "05297524 15 n 01 Paris 0 000 | a city\n",
        encoding="utf-8",
    )
    (tmp_path / "data.adj").write_text("00001 00 a 01 pale(p) 0 000 | very light\n", encoding="utf-8")
    assert list(wordnet_texts(tmp_path)) == [
        "kidney",
        "renal organ",
        "kidney, one of two organs",
        "pale",
        "pale, very light",
    ]
    with pytest.raises(CorpusProblem, match="missing"):
        list(wordnet_texts(tmp_path / "absent"))


def test_no_training_phrase_is_a_kept_synonym() -> None:
    phrases = read_phrases(resource_path("recipes/mini-phrases.yaml"))
    kept = {
        word.lower() for words in read_synonyms(resource_path("splits/atlas-synonyms.yaml")).values() for word in words
    }
    shown = {word.lower() for words in phrases.phrases.values() for word in words} | set(phrases.phrases)
    assert not shown & kept
    assert all(template.count("{}") == 1 for template in phrases.templates)


def test_combinations_repeat_by_seed() -> None:
    phrases = read_phrases(resource_path("recipes/mini-phrases.yaml"))
    first = list(combined(["fat", "nerve"], phrases, count=40, seed=1))
    assert first == list(combined(["fat", "nerve"], phrases, count=40, seed=1))
    assert any("in the" in text for text in first)
    assert distinct(["a  b", "a b", " ", "c"]) == ["a b", "c"]


@pytest.mark.parametrize("content", ["phrases: 3", "[", "{}"])
def test_malformed_words_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(CorpusProblem):
        read_phrases(tmp_path / "x.yaml")
    with pytest.raises(CorpusProblem):
        read_synonyms(tmp_path / "x.yaml")


def test_tokens_start_near_the_texts_they_are_part_of() -> None:
    targets = np.array([[1, 0], [1, 0.1], [-1, 0]], dtype=np.float32)
    ids = np.array([[9, 1, 8, 0], [9, 1, 8, 0], [9, 2, 8, 0]])
    start = token_start(ids, np.array([3, 3, 3]), targets, 10, 4)
    assert start.shape == (10, 4)
    assert start[1] @ start[2] < 0
    assert not start[[3, 8, 9]].any()


def test_the_shipped_recipe_is_whole_and_a_wrong_field_is_named(tmp_path: Path) -> None:
    path = resource_path("recipes/mini.yaml")
    recipe = read_recipe(path)
    assert [stage.kind for stage in recipe.stages] == ["distil-text", "align"]
    for old, new, words in (
        ("seed: 20261123", "seeed: 1", "seed"),
        ("schema_version: 1", "schema_version: 2", "version 2"),
        ("batch: 128", "batch: 0", "batch"),
    ):
        (tmp_path / "r.yaml").write_text(path.read_text("utf-8").replace(old, new), encoding="utf-8")
        with pytest.raises(TrainingProblem, match=words):
            read_recipe(tmp_path / "r.yaml")
    with pytest.raises(TrainingProblem, match="cannot be read"):
        read_recipe(tmp_path / "absent.yaml")
