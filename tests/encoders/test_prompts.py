from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.embed import embed_pictures, embed_texts, write_embeddings
from plipdesk.encoders.loading import find_encoder, load_encoder
from plipdesk.encoders.null import NullEncoder
from plipdesk.encoders.prompts import PromptCache, encode_prompt, prompts_of, truncated


class CountingEncoder(NullEncoder):
    """The null encoder, counting the texts it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked.extend(texts)
        return super().encode_texts(texts)


def test_mean_of_the_normalised_normalised_again() -> None:
    encoder = NullEncoder()
    rows = encoder.encode_texts(["an image of fat", "fat tissue"]).astype(np.float64)
    expected = rows.mean(axis=0) / np.linalg.norm(rows.mean(axis=0))
    found = encode_prompt(encoder, "fat", ["an image of {}", "{} tissue"], cache=PromptCache())
    assert found.dtype == np.float32
    assert np.allclose(found, expected, atol=1e-6)
    assert np.array_equal(encode_prompt(encoder, "  fat ", cache=PromptCache()), encoder.encode_texts(["fat"])[0])


def test_each_prompt_is_encoded_once_and_the_longest_unused_is_forgotten() -> None:
    encoder, cache = CountingEncoder(), PromptCache(capacity=2)
    for term in ("fat", "gland", "fat", "mucus", "fat", "gland"):
        encode_prompt(encoder, term, cache=cache)
    assert encoder.asked == ["fat", "gland", "mucus", "gland"]
    assert len(cache) == 2


def test_only_what_is_new_is_encoded_and_in_one_call() -> None:
    encoder, cache = CountingEncoder(), PromptCache()
    encode_prompt(encoder, "fat", ["{} a", "{} b", "{} a"], cache=cache)
    assert encoder.asked == ["fat a", "fat b"]
    encode_prompt(encoder, "fat", ["{} b", "{} c"], cache=cache)
    assert encoder.asked == ["fat a", "fat b", "fat c"]


def test_braces_in_a_term_are_words() -> None:
    assert prompts_of(NullEncoder(), "{0} {x}", ["a {} b"]) == ["a {0} {x} b"]


def test_empty_terms_are_refused() -> None:
    with pytest.raises(EncoderProblem, match="no words"):
        encode_prompt(NullEncoder(), " \t")


def test_what_is_cut_off_is_told(models: Path) -> None:
    encoder = load_encoder(find_encoder("small-vit", models), runtime="onnx")
    assert not truncated(encoder, "gland")
    assert truncated(encoder, "word " * 80)
    # 75 words fit alone, not within a template.
    assert not truncated(encoder, "word " * 75, ["{}"])
    assert truncated(encoder, "word " * 75)
    assert encode_prompt(encoder, "word " * 80).shape == (64,)
    encoder.close()


def test_embedding_files(tmp_path: Path) -> None:
    encoder = NullEncoder()
    pictures = [np.full((50 + place, 70, 3), place, dtype=np.uint8) for place in range(130)]
    rows = embed_pictures(encoder, iter(pictures))
    assert np.array_equal(rows, encoder.encode_pictures(pictures))
    assert embed_pictures(encoder, iter([])).shape == (0, 32)
    words = embed_texts(encoder, ["b", "a"])
    assert np.array_equal(words, encoder.encode_texts(["b", "a"]))
    write_embeddings(tmp_path / "out.npy", words)
    read = np.load(tmp_path / "out.npy", allow_pickle=False)
    assert read.dtype == np.float32
    assert np.array_equal(read, words)
