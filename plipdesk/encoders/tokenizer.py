"""CLIP's byte-pair tokenizer without torch: the same tokens as open_clip's ``SimpleTokenizer``, token for token.

Source of the method: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (2021),
and Sennrich et al. (2016) for byte-pair encoding. A merges file is text, gzipped or not: one header line, then one
pair a line in the order in which pairs are merged.
"""

from __future__ import annotations

import gzip
import html
import importlib.util
import itertools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import ftfy
import numpy as np
import regex
from numpy.typing import NDArray

from plipdesk.encoders.card import EncoderProblem

START, END = "<start_of_text>", "<end_of_text>"
_WORD_END = "</w>"
_MOST_MERGES = 49152 - 256 - 2
_MOST_BYTES = 64 << 20
_WORDS = regex.compile(
    rf"{START}|{END}|'s|'t|'re|'ve|'m|'ll|'d|[\p{{L}}]+|[\p{{N}}]|[^\s\p{{L}}\p{{N}}]+", regex.IGNORECASE
)


@dataclass(frozen=True)
class Tokens:
    """Texts as numbers.

    ``ids`` int64 (n, context_length), zero behind the end; ``used`` int64 (n): tokens up to and with the first
    end-of-text; ``truncated``: whether a text was longer than the context and lost its end.
    """

    ids: NDArray[np.int64]
    used: NDArray[np.int64]
    truncated: tuple[bool, ...]


def open_clip_merges() -> Path:
    """The merges file inside the installed open_clip package, found without importing it.

    Raises:
        EncoderProblem: open_clip is not installed, or without its file.
    """
    spec = importlib.util.find_spec("open_clip")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "bpe_simple_vocab_16e6.txt.gz"
        if path.is_file():
            return path
    raise EncoderProblem("The tokenizer's file of open_clip is missing.", remedy="Install open_clip_torch again.")


class ClipTokenizer:
    """Texts to tokens, by the merges in ``merges`` (None: open_clip's own)."""

    def __init__(self, merges: Path | None, *, context_length: int, lower_case: bool = True) -> None:
        """Read the merges file.

        Raises:
            EncoderProblem: the file is missing or is no merges file.
        """
        lines = _read_merges(merges or open_clip_merges())
        pairs = [tuple(line.split()) for line in lines]
        self._bytes = _byte_letters()
        letters = list(self._bytes.values())
        names = [*letters, *(letter + _WORD_END for letter in letters), *("".join(pair) for pair in pairs), START, END]
        self._ids = {name: number for number, name in enumerate(names)}
        self._ranks = {pair: rank for rank, pair in enumerate(pairs)}
        self._lower_case = lower_case
        self._merged = lru_cache(maxsize=1 << 16)(self._merge)
        self.context_length = context_length
        self.vocabulary_size = len(self._ids)
        self.start_id, self.end_id = self._ids[START], self._ids[END]

    def encode(self, text: str) -> list[int]:
        """The tokens of ``text`` alone, without start and end."""
        tokens: list[int] = []
        for word in _WORDS.findall(self._clean(text)):
            tokens.extend(self._merged("".join(self._bytes[byte] for byte in word.encode())))
        return tokens

    def truncated(self, text: str) -> bool:
        """Whether ``text`` is longer than the context and would lose its end."""
        return len(self.encode(text)) + 2 > self.context_length

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Tokens of ``texts`` with start and end, cut to the context length (the end is kept)."""
        ids = np.zeros((len(texts), self.context_length), dtype=np.int64)
        used = np.zeros(len(texts), dtype=np.int64)
        truncated = []
        for row, text in enumerate(texts):
            tokens = [self.start_id, *self.encode(text), self.end_id]
            truncated.append(len(tokens) > self.context_length)
            if truncated[-1]:
                tokens = [*tokens[: self.context_length - 1], self.end_id]
            ids[row, : len(tokens)] = tokens
            # A text may itself hold an end-of-text; models read their answer off the first.
            used[row] = tokens.index(self.end_id) + 1
        return Tokens(ids, used, tuple(truncated))

    def _clean(self, text: str) -> str:
        text = html.unescape(html.unescape(ftfy.fix_text(text)))
        text = " ".join(text.split())
        return text.lower() if self._lower_case else text

    def _merge(self, word: str) -> tuple[int, ...]:
        if word in (START, END):
            return (self._ids[word],)
        parts = [*word[:-1], word[-1] + _WORD_END]
        while len(parts) > 1:
            best = min(itertools.pairwise(parts), key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if best not in self._ranks:
                break
            merged: list[str] = []
            place = 0
            while place < len(parts):
                if tuple(parts[place : place + 2]) == best:
                    merged.append("".join(best))
                    place += 2
                else:
                    merged.append(parts[place])
                    place += 1
            parts = merged
        return tuple(self._ids[part] for part in parts)


def _byte_letters() -> dict[int, str]:
    """A printable letter for each of the 256 bytes, so that merges can be written as text."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    letters = {byte: chr(byte) for byte in plain}
    letters.update({byte: chr(256 + place) for place, byte in enumerate(b for b in range(256) if b not in letters)})
    return letters


def _read_merges(path: Path) -> list[str]:
    try:
        with path.open("rb") as stream:
            zipped = stream.read(2) == b"\x1f\x8b"
        with gzip.open(path) if zipped else path.open("rb") as stream:
            content = stream.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ValueError("too long")
        lines = content.decode("utf-8").split("\n")[1 : _MOST_MERGES + 1]
        # A file that ends in a newline has an empty last line; open_clip counts it as a token, and so must we.
        if not lines or any(len(line.split()) != 2 for line in lines[:-1]) or len(lines[-1].split()) not in (0, 2):
            raise ValueError("not pairs")
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise EncoderProblem(
            "The tokenizer's file cannot be read.", path=path, remedy="Import the model again."
        ) from error
    return lines
