"""Tokenizers that come as a ``tokenizer.json`` of Hugging Face's library: CLIP's, BERT's and SigLIP's.

The library itself is asked, not transformers: the file holds all of its rules, loads in a tenth of a second and nothing
is looked up elsewhere.
"""

from __future__ import annotations

import html
import json
import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ftfy
import numpy as np

from plipdesk.encoders.card import EncoderProblem, TokenizerCard
from plipdesk.encoders.tokenizer import Tokens

_MOST_BYTES = 128 << 20
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


class FileTokenizer:
    """Texts to tokens by the rules in a ``tokenizer.json``."""

    def __init__(self, path: Path, card: TokenizerCard, *, context_length: int) -> None:
        """Read the file.

        Raises:
            EncoderProblem: it is missing, too large, or no tokenizer.
        """
        self._rules = read_rules(path)
        self._rules.no_padding()
        self._rules.enable_truncation(max_length=context_length)
        self._clean = _CLEANERS[card.clean]
        self._pad_id, self._zeroed_id = card.pad_id, card.zeroed_id
        self.context_length = context_length
        self.vocabulary_size = max(self._rules.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    def truncated(self, text: str) -> bool:
        """Whether ``text`` is longer than the context and would lose its end."""
        return bool(self._rules.encode(self._clean(text)).overflowing)

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Tokens of ``texts`` with what the rules put around them, cut to the context length."""
        ids = np.full((len(texts), self.context_length), self._pad_id, dtype=np.int64)
        used = np.zeros(len(texts), dtype=np.int64)
        truncated = []
        for row, encoding in enumerate(self._rules.encode_batch([self._clean(text) for text in texts])):
            ids[row, : len(encoding.ids)] = encoding.ids
            used[row] = len(encoding.ids)
            truncated.append(bool(encoding.overflowing))
        if self._zeroed_id is not None:
            ids[ids == self._zeroed_id] = 0
        return Tokens(ids, used, tuple(truncated))


def read_rules(path: Path) -> Any:
    """The ``tokenizers.Tokenizer`` in ``path``.

    Raises:
        EncoderProblem: it is missing, too large, or no tokenizer.
    """
    remedy = "Import the model again with the tokenizer.json that belongs to it."
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise EncoderProblem("The tokenizer's file is too large to be one.", path=path, remedy=remedy)
        content = path.read_bytes()
        json.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        raise EncoderProblem("The tokenizer's file cannot be read.", path=path, remedy=remedy) from error
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_buffer(content)
    except Exception as error:  # the library raises nothing narrower
        raise EncoderProblem(
            f"The tokenizer's file is not one that can be used: {str(error)[:200]}.", path=path, remedy=remedy
        ) from error


def _mended(text: str) -> str:
    return html.unescape(html.unescape(ftfy.fix_text(text))).strip()


def _whitespace(text: str) -> str:
    return " ".join(_mended(text).split())


def _canonical(text: str) -> str:
    return " ".join(_mended(text).replace("_", " ").translate(_NO_PUNCTUATION).lower().split())


_CLEANERS: dict[str, Callable[[str], str]] = {
    "none": lambda text: text,
    "whitespace": _whitespace,
    "lower": lambda text: _whitespace(text).lower(),
    "canonicalize": _canonical,
}
