"""What both runtimes share: checks, resizing, batching; each adds only how numbers are computed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plipdesk.encoders.card import EncoderCard, EncoderProblem
from plipdesk.encoders.preprocess import check_patches, fit_picture
from plipdesk.encoders.protocol import NumericClass
from plipdesk.encoders.stain import normalise_stain
from plipdesk.encoders.texts import TextBatch, TextPreparer

_PICTURES_AT_ONCE = 64
_TEXTS_AT_ONCE = 32


class RunningEncoder(ABC):
    """A loaded encoder; see :class:`plipdesk.encoders.protocol.Encoder` for the contract."""

    def __init__(self, card: EncoderCard, texts: TextPreparer | None, numeric_class: NumericClass) -> None:
        self._card = card
        self._texts = texts
        self._fingerprint = card.fingerprint(numeric_class)

    @property
    def card(self) -> EncoderCard:
        """The card the encoder was loaded from."""
        return self._card

    @property
    def fingerprint(self) -> str:
        """Identity of what the embeddings mean."""
        return self._fingerprint

    @property
    @abstractmethod
    def runtime(self) -> str:
        """Runtime and device in words."""

    @abstractmethod
    def close(self) -> None:
        """Give back memory."""

    @abstractmethod
    def _encode_pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeddings of at least one patch of the right size."""

    @abstractmethod
    def _encode_tokens(self, batch: TextBatch) -> NDArray[np.float32]:
        """Embeddings of one batch of texts."""

    def encode_patches(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeddings (n, dim) of patches uint8 (n, input_px, input_px, 3); nothing is resized.

        Raises:
            EncoderProblem: patches of another size or type.
        """
        check_patches(pixels, self._card)
        if len(pixels) == 0:
            return np.empty((0, self._card.dim), dtype=np.float32)
        return self._encode_pixels(np.ascontiguousarray(self._in_colour(pixels)))

    def encode_pictures(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Embeddings (n, dim) of pictures uint8 (h, w, 3) of any size, resized and cropped as the card says.

        Raises:
            EncoderProblem: a picture that is not RGB of 8 bits.
        """
        parts = [np.empty((0, self._card.dim), dtype=np.float32)]
        for start in range(0, len(pictures), _PICTURES_AT_ONCE):
            some = pictures[start : start + _PICTURES_AT_ONCE]
            fitted = [fit_picture(picture, self._card, self._card.resize_px) for picture in some]
            parts.append(self._encode_pixels(self._in_colour(np.stack(fitted))))
        return np.concatenate(parts)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings (n, dim) of texts as they are, without prompt templates.

        Raises:
            EncoderProblem: an empty text, or an encoder that has no words.
        """
        rows = np.empty((len(texts), self._card.dim), dtype=np.float32)
        for batch in self._preparer().batches(texts, _TEXTS_AT_ONCE):
            rows[batch.rows] = self._encode_tokens(batch)
        return rows

    def truncated(self, text: str) -> bool:
        """Whether ``text`` is longer than the encoder can read, so that its end is left out.

        Raises:
            EncoderProblem: an encoder that has no words.
        """
        return self._preparer().truncated(text)

    def _in_colour(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Patches with their stain normalised where the card asks for it."""
        return pixels if self._card.stain is None else normalise_stain(pixels, self._card.stain)

    def _preparer(self) -> TextPreparer:
        if self._texts is None:
            raise EncoderProblem(
                f"{self._card.name} only sees pictures and cannot be asked in words.",
                remedy="Search by a region or a picture, or choose an encoder with words.",
            )
        return self._texts
