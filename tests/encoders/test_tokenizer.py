from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.tokenizer import ClipTokenizer, open_clip_merges
from tests.encoders.odd_texts import odd_texts


@pytest.fixture(scope="module")
def ours() -> ClipTokenizer:
    return ClipTokenizer(None, context_length=77)


def test_same_tokens_as_open_clip_on_500_odd_texts(ours: ClipTokenizer) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    texts = odd_texts()
    assert len(texts) == 500
    reference = SimpleTokenizer()
    tokens = ours(texts)
    assert np.array_equal(tokens.ids, reference(texts).numpy())
    assert ours.vocabulary_size == reference.vocab_size
    for text, cut in zip(texts, tokens.truncated, strict=True):
        assert cut == (len(reference.encode(text)) + 2 > 77) == ours.truncated(text)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_same_tokens_as_open_clip_on_any_text(text: str) -> None:
    from open_clip import tokenizer as reference

    assert _SHARED.encode(text) == reference._tokenizer.encode(text)


_SHARED = ClipTokenizer(None, context_length=77)


def test_case_can_matter() -> None:
    from open_clip.tokenizer import SimpleTokenizer

    kept = ClipTokenizer(None, context_length=77, lower_case=False)
    assert kept.encode("CD3 Gland") == SimpleTokenizer(clean="whitespace").encode("CD3 Gland")
    assert kept.encode("CD3") != kept.encode("cd3")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("newline_at_end", [True, False])
def test_own_small_vocabulary(tmp_path: Path, zipped: bool, newline_at_end: bool) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    text = "#version: 0.2\ng l\ngl a\nn d</w>\ngla nd</w>" + ("\n" if newline_at_end else "")
    path, reference_path = tmp_path / "merges", tmp_path / "reference.gz"
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    reference_path.write_bytes(gzip.compress(text.encode()))
    ours = ClipTokenizer(path, context_length=12)
    reference = SimpleTokenizer(str(reference_path), context_length=12)
    texts = ["gland", "a gland", "glands and nodes", "island"]
    assert np.array_equal(ours(texts).ids, reference(texts).numpy())
    assert len(ours.encode("gland")) == 1


def test_length_up_to_the_first_end(ours: ClipTokenizer) -> None:
    tokens = ours(["gland", "a <end_of_text> b", "word " * 200])
    assert tokens.used.tolist() == [3, 3, 77]
    assert tokens.truncated == (False, False, True)
    assert tokens.ids[2, -1] == ours.end_id


@pytest.mark.parametrize("content", [b"", b"\x1f\x8bgarbage", b"#v\none two three\na b\n", b"\xff\xfe\n\xff\n"])
def test_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "merges.gz"
    path.write_bytes(content)
    with pytest.raises(EncoderProblem) as caught:
        ClipTokenizer(path, context_length=77)
    assert caught.value.path == str(path)
    assert caught.value.remedy


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EncoderProblem):
        ClipTokenizer(tmp_path / "absent", context_length=77)


def test_torch_and_open_clip_stay_out() -> None:
    code = (
        "import sys; from plipdesk.encoders.tokenizer import ClipTokenizer; "
        "ClipTokenizer(None, context_length=77)(['gland']); print('torch' in sys.modules, 'open_clip' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "False"]
    assert open_clip_merges().name == "bpe_simple_vocab_16e6.txt.gz"
