"""The shipped model: its card holds, its files are the ones the card describes, and it fits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from plipdesk.base.files import sha256_of
from plipdesk.base.resources import resource_path
from plipdesk.encoders.card import load_card
from plipdesk.encoders.tokenizer import ClipTokenizer


def folder() -> Path:
    return resource_path("models/plipdesk-mini")


def test_card_is_valid_and_honest() -> None:
    card = load_card(folder())
    assert card.id == "plipdesk-mini"
    assert card.dim <= 384
    for name in ("map", "p10", "synonym_map", "synonym_p10", "image_p10"):
        assert 0 < card.scores[f"heldout_{name}"] < 1
    for credit in ("Serdar Balci", "10.5281/zenodo.6382734", "EfficientNet-Lite0", "MiniLM"):
        assert credit in card.credit


def test_files_match_the_card_and_weigh_at_most_40_mb() -> None:
    card = load_card(folder())
    total = 0
    for file in card.files.values():
        path = folder() / file.name
        assert sha256_of(path) == file.sha256
        total += path.stat().st_size
    assert total <= 40_000_000


def test_weights_are_half_precision_and_finite() -> None:
    from safetensors.numpy import load_file

    card = load_card(folder())
    for name, tensor in load_file(folder() / card.files["weights"].name).items():
        assert np.isfinite(tensor).all(), name
        assert tensor.dtype in (np.float16, np.int64), name


def test_words_of_the_trade_are_few_tokens() -> None:
    card = load_card(folder())
    tokenizer = ClipTokenizer(folder() / card.files["tokenizer"].name, context_length=card.context_length)
    assert card.architecture["text_cfg"]["vocab_size"] == tokenizer.vocabulary_size
    assert len(tokenizer.encode("adenocarcinoma")) == 1
    assert len(tokenizer.encode("malignant glandular neoplasm")) <= 4
