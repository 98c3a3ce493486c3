from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.importing.draft import Words
from plipdesk.encoders.importing.tokens import clip_words, file_words
from plipdesk.encoders.token_file import FileTokenizer
from tests.encoders.importing.originals import bert_vocabulary, write_bert_tokenizer, write_clip_tokenizer, write_json
from tests.encoders.odd_texts import odd_texts

SPECIAL = ["a <|endoftext|> b", "<|STARTOFTEXT|>x", "<|endoftext|>", "[SEP] [MASK] [unk]", "don't WE'LL"]


def tokenizer(words: Words, folder: Path) -> FileTokenizer:
    assert words.content is not None
    path = folder / "converted.json"
    path.write_bytes(words.content)
    return FileTokenizer(path, words.card, context_length=words.context_length)


def check(ours: FileTokenizer, theirs: Any, texts: list[str], length: int) -> None:
    tokens = ours(texts)
    found = [row[:used].tolist() for row, used in zip(tokens.ids, tokens.used, strict=True)]
    assert found == theirs(texts, truncation=True, max_length=length)["input_ids"]
    whole = theirs(texts)["input_ids"]
    assert list(tokens.truncated) == [len(row) > length for row in whole]
    assert [ours.truncated(text) for text in texts] == list(tokens.truncated)


@pytest.mark.parametrize("files", ["vocabulary and merges", "tokenizer.json", "old special tokens"])
def test_the_same_tokens_as_transformers_on_500_odd_texts(tmp_path: Path, files: str) -> None:
    from transformers import CLIPTokenizer

    write_clip_tokenizer(tmp_path)
    if files == "old special tokens":
        old = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False, "__type": "AddedToken"}
        named = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
        write_json(tmp_path / "tokenizer_config.json", {name: old | {"content": text} for name, text in named.items()})
    theirs = CLIPTokenizer.from_pretrained(tmp_path)
    if files == "tokenizer.json":
        theirs.save_pretrained(tmp_path)
        (tmp_path / "merges.txt").unlink(missing_ok=True)
    texts = odd_texts() + SPECIAL
    assert len(texts) == 505
    check(tokenizer(clip_words(tmp_path, 77), tmp_path), theirs, texts, 77)


@pytest.mark.parametrize("as_json", [True, False], ids=["tokenizer.json", "vocab.txt"])
def test_bert_s_words_as_transformers_has_them(tmp_path: Path, as_json: bool) -> None:
    from transformers import BertTokenizer

    write_bert_tokenizer(tmp_path, as_json=False)
    theirs = BertTokenizer(str(tmp_path / "vocab.txt"), do_lower_case=True)
    if as_json:
        theirs.save_pretrained(tmp_path)
    words = file_words(tmp_path, 64, clean="none", pad_id=None)
    assert words.card.pad_id == 0
    ours = tokenizer(words, tmp_path)
    assert ours.vocabulary_size == len(bert_vocabulary())
    check(ours, theirs, odd_texts() + SPECIAL, 64)


@pytest.mark.parametrize("clean", ["whitespace", "lower", "canonicalize"])
def test_texts_are_cleaned_as_open_clip_cleans_them(tmp_path: Path, clean: Any) -> None:
    from open_clip.tokenizer import HFTokenizer
    from transformers import BertTokenizer

    write_bert_tokenizer(tmp_path, as_json=False)
    BertTokenizer(str(tmp_path / "vocab.txt"), do_lower_case=False).save_pretrained(tmp_path)
    theirs = HFTokenizer(str(tmp_path), context_length=24, clean=clean, strip_sep_token=True)
    words = file_words(tmp_path, 24, clean=clean, pad_id=None, zeroed=True)
    texts = odd_texts()
    assert tokenizer(words, tmp_path)(texts).ids.tolist() == theirs(texts).tolist()


@pytest.mark.parametrize("content", [b"", b"[]", b"{", json.dumps({"model": {"type": "Magic"}}).encode()])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(EncoderProblem, match="tokenizer") as caught:
        clip_words(tmp_path, 77)
    assert caught.value.path == str(tmp_path / "tokenizer.json")
    assert caught.value.remedy
