"""Texts as both runtimes take them: tokens, and the place in each row from which the model's answer is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from plipdesk.encoders.card import EncoderCard, EncoderProblem
from plipdesk.encoders.token_file import FileTokenizer
from plipdesk.encoders.tokenizer import ClipTokenizer, Tokens


class TextTokenizer(Protocol):
    """What turns texts into numbers."""

    @property
    def vocabulary_size(self) -> int:
        """One more than the highest number."""

    def truncated(self, text: str) -> bool:
        """Whether ``text`` is longer than the context."""

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Tokens of ``texts``."""


@dataclass(frozen=True)
class TextBatch:
    """``rows`` int64 (n): places of these texts in what was asked; ``ids`` (n, length); ``ends`` (n)."""

    rows: NDArray[np.int64]
    ids: NDArray[np.int64]
    ends: NDArray[np.int64]


class TextPreparer:
    """Tokenizes texts and cuts them into batches of like length."""

    def __init__(self, card: EncoderCard, tokenizer: TextTokenizer) -> None:
        """Check that the text tower is one that can be run.

        Raises:
            EncoderProblem: the vocabulary or the context do not fit the architecture, or its pooling is not known.
        """
        text: dict[str, Any] = card.architecture["text_cfg"]
        self._bert = "bert" in text
        self._pool: str = "last" if self._bert else text.get("pool_type", "argmax")
        self._eos_id: int = text.get("eos_id", 2)
        self._causal = not self._bert and not text.get("no_causal_mask", False)
        self._tokenizer = tokenizer
        if self._pool not in ("argmax", "eos", "first", "last") or text.get("embed_cls", False):
            raise EncoderProblem(f"The text tower of {card.id} pools in a way that is not known ({self._pool}).")
        vocabulary: int = text["bert"]["vocab_size"] if self._bert else text.get("vocab_size", 49408)
        context = text.get("context_length", 77)
        if tokenizer.vocabulary_size > vocabulary or card.context_length != context:
            raise EncoderProblem(
                f"The tokenizer of {card.id} ({tokenizer.vocabulary_size} tokens, context {card.context_length}) does "
                f"not fit its text tower ({vocabulary} tokens, context {context}).",
                remedy="Import the model again with its own tokenizer.",
            )

    def truncated(self, text: str) -> bool:
        """Whether ``text`` is longer than the model can read, so that its end is left out."""
        return self._tokenizer.truncated(text)

    def batches(self, texts: Sequence[str], size: int) -> list[TextBatch]:
        """``texts`` in batches of at most ``size``, shortest first; towers see no more filling than they must.

        Raises:
            EncoderProblem: an empty text.
        """
        if any(not text.strip() for text in texts):
            raise EncoderProblem("An empty text cannot be encoded.", remedy="Type at least one word.")
        tokens = self._tokenizer(texts)
        ids, ends = tokens.ids, self._places(tokens)
        order = np.argsort(ends, kind="stable")
        # What lies behind the end changes nothing for a causal tower, nor for one that masks it.
        short = self._bert or (self._causal and self._pool in ("argmax", "eos"))
        batches = []
        for start in range(0, len(texts), size):
            rows = order[start : start + size]
            length = int(ends[rows].max()) + 1 if short else ids.shape[1]
            batches.append(TextBatch(rows, np.ascontiguousarray(ids[rows, :length]), ends[rows]))
        return batches

    def _places(self, tokens: Tokens) -> NDArray[np.int64]:
        ids = tokens.ids
        if self._bert:
            return tokens.used - 1
        if self._pool in ("first", "last"):
            return np.full(len(ids), 0 if self._pool == "first" else ids.shape[1] - 1, dtype=np.int64)
        # The end of text has the highest number of all tokens, so CLIP looks for the highest.
        places: NDArray[np.int64] = (ids if self._pool == "argmax" else ids == self._eos_id).argmax(axis=1)
        return places


def text_preparer(card: EncoderCard, tokenizer_file: Path | None) -> TextPreparer | None:
    """What turns texts into tokens for ``card``, or None for an encoder that only sees.

    Raises:
        EncoderProblem: a kind of tokenizer that is not known, or one that does not fit the model.
    """
    if not card.has_words:
        return None
    tokenizer: TextTokenizer
    if card.tokenizer.kind == "tokenizers" and tokenizer_file is not None:
        tokenizer = FileTokenizer(tokenizer_file, card.tokenizer, context_length=card.context_length)
    elif card.tokenizer.kind == "clip-bpe":
        tokenizer = ClipTokenizer(
            tokenizer_file, context_length=card.context_length, lower_case=card.tokenizer.lower_case
        )
    else:
        raise EncoderProblem(f"The tokenizer of {card.id} ({card.tokenizer.kind}) is not known, or has no file.")
    return TextPreparer(card, tokenizer)
