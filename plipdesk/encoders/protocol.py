"""What every encoder offers, whichever runtime runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from plipdesk.encoders.card import EncoderCard

RuntimeName = Literal["torch", "onnx"]
Precision = Literal["fp32", "bf16", "fp16", "int8"]
NumericClass = Literal["fp32", "bf16", "int8"]
NUMERIC_CLASSES: tuple[NumericClass, ...] = ("fp32", "bf16", "int8")


class Encoder(Protocol):
    """An image–text model with its preprocessing. Embeddings are always L2-normalised float32.

    ``fingerprint`` (32 hex digits) covers weights, preprocessing and numeric class: vectors of encoders with different
    fingerprints never meet in one index.
    """

    @property
    def card(self) -> EncoderCard:
        """The card the encoder was loaded from."""

    @property
    def fingerprint(self) -> str:
        """Identity of what the embeddings mean."""

    @property
    def runtime(self) -> str:
        """Runtime and device in words, such as ``onnx cpu`` or ``torch cuda:0``."""

    def encode_patches(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeddings (n, dim) of patches (n, input_px, input_px, 3) RGB that have the encoder's size and MPP."""

    def encode_pictures(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Embeddings (n, dim) of pictures (h, w, 3) RGB of any size, resized and cropped as the card says."""

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings (n, dim) of texts as they are, without prompt templates.

        Raises:
            EncoderProblem: an empty text, or an encoder that has no words.
        """

    def truncated(self, text: str) -> bool:
        """Whether ``text`` is longer than the encoder can read, so that its end is left out."""

    def close(self) -> None:
        """Give back memory."""
