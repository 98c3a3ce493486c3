"""A term as a vector: the prompt ensemble of the encoder's card.

Source of the method: Radford et al. (2021), section 3.1.4: the mean of the normalised embeddings of several prompts,
normalised again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.protocol import Encoder


class PromptCache:
    """Embeddings of texts that were asked before, by encoder fingerprint; forgets the longest unused. Thread-safe."""

    def __init__(self, capacity: int = 4096) -> None:
        self._capacity = capacity
        self._rows: OrderedDict[tuple[str, str], NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._rows)

    def encode(self, encoder: Encoder, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings (n, dim) of ``texts``; only those not remembered are encoded, in one call."""
        known: dict[str, NDArray[np.float32]] = {}
        with self._lock:
            for text in texts:
                key = (encoder.fingerprint, text)
                if key in self._rows:
                    self._rows.move_to_end(key)
                    known[text] = self._rows[key]
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known.update(zip(new, encoder.encode_texts(new), strict=True))
        with self._lock:
            for text in new:
                self._rows[encoder.fingerprint, text] = known[text]
            while len(self._rows) > self._capacity:
                self._rows.popitem(last=False)
        return np.stack([known[text] for text in texts])


# Embeddings are facts: what is remembered here can never be wrong for its key.
_REMEMBERED = PromptCache()


def prompts_of(encoder: Encoder, term: str, templates: Sequence[str] | None = None) -> list[str]:
    """``term`` put into each template (None: those of the encoder's card).

    Raises:
        EncoderProblem: an empty term, no template, or an encoder that has no words.
    """
    words = " ".join(term.split())
    chosen = encoder.card.prompt_templates if templates is None else templates
    if not words:
        raise EncoderProblem("There are no words to search for.", remedy="Type at least one word.")
    if not encoder.card.has_words or not chosen:
        raise EncoderProblem(
            f"{encoder.card.name} only sees pictures and cannot be asked in words.",
            remedy="Search by a region or a picture, or choose an encoder with words.",
        )
    return [template.replace("{}", words) for template in chosen]


def encode_prompt(
    encoder: Encoder, term: str, templates: Sequence[str] | None = None, *, cache: PromptCache | None = None
) -> NDArray[np.float32]:
    """The vector (dim,) that stands for ``term``: mean over the templates, L2-normalised.

    Raises:
        EncoderProblem: an empty term, or an encoder that has no words.
    """
    remembered = _REMEMBERED if cache is None else cache
    rows = remembered.encode(encoder, prompts_of(encoder, term, templates))
    mean = rows.mean(axis=0, dtype=np.float64)
    unit: NDArray[np.float32] = (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
    return unit


def truncated(encoder: Encoder, term: str, templates: Sequence[str] | None = None) -> bool:
    """Whether any prompt with ``term`` is longer than the encoder can read, so that its end is left out."""
    return any(encoder.truncated(prompt) for prompt in prompts_of(encoder, term, templates))
