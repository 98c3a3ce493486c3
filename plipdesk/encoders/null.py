"""An encoder without weights, quick and deterministic to the bit, for tests of processes."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plipdesk.encoders.card import EncoderCard, EncoderProblem, ModelFile, TokenizerCard
from plipdesk.encoders.preprocess import fit_picture

NULL_ID = "null"
_DIM = 32
_INPUT_PX = 64
_CELLS = 3
_RULES = b"plipdesk null encoder 1: nine cells of colour, three of texture, two of checksum"


def null_card() -> EncoderCard:
    """The card of the null encoder."""
    return EncoderCard(
        schema_version=1,
        id=NULL_ID,
        name="Null encoder (for tests)",
        architecture={},
        files={"weights": ModelFile(name="none", sha256=hashlib.sha256(_RULES).hexdigest())},
        dim=_DIM,
        input_px=_INPUT_PX,
        mpp_um=0.5,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        interpolation="bicubic",
        resize="shortest-edge-and-centre-crop",
        tokenizer=TokenizerCard(kind="words", file=None),
        context_length=64,
        logit_scale=10.0,
        prompt_templates=("{}",),
        languages=("en",),
        licence="Apache-2.0",
        source="built in",
        training_data="none",
        intended_use="Tests of processes; it knows nothing of tissue.",
        credit="",
        scores={},
        notes=(),
    )


class NullEncoder:
    """Colour and texture of patches, and words by their hash, in 32 numbers."""

    def __init__(self) -> None:
        self._card = null_card()
        self._fingerprint = self._card.fingerprint("fp32")

    @property
    def card(self) -> EncoderCard:
        """The card of the null encoder."""
        return self._card

    @property
    def fingerprint(self) -> str:
        """Identity of what the embeddings mean."""
        return self._fingerprint

    @property
    def runtime(self) -> str:
        """Runtime and device in words."""
        return "null cpu"

    def encode_patches(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeddings (n, 32) of patches (n, 64, 64, 3); a checksum lets any two different patches differ."""
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (_INPUT_PX, _INPUT_PX, 3):
            raise EncoderProblem(f"Patches must be uint8 (n, {_INPUT_PX}, {_INPUT_PX}, 3), not {pixels.shape}.")
        count = len(pixels)
        edges = np.linspace(0, _INPUT_PX, _CELLS + 1).astype(int)[:-1]
        # Whole numbers only until the end, so that no order of summation can change a bit.
        rows = np.add.reduceat(pixels, edges, axis=1, dtype=np.uint32)
        cells = np.add.reduceat(rows, edges, axis=2)
        grey = pixels[..., 1].astype(np.int16)
        texture = np.stack(
            [
                np.abs(np.diff(grey, axis=1)).sum(axis=(1, 2), dtype=np.int64),
                np.abs(np.diff(grey, axis=2)).sum(axis=(1, 2), dtype=np.int64),
                np.abs(grey - 128).sum(axis=(1, 2), dtype=np.int64),
            ],
            axis=1,
        )
        sums = np.array([zlib.crc32(patch.tobytes()) for patch in pixels], dtype=np.int64)
        area = _INPUT_PX**2
        features = np.empty((count, _DIM), dtype=np.float64)
        features[:, :27] = cells.reshape(count, 27) / (area / _CELLS**2) / 128.0 - 1.0
        features[:, 27:30] = texture / (area * 32.0)
        features[:, 30] = (sums >> 16) / 65536.0 * 0.2
        features[:, 31] = (sums & 0xFFFF) / 65536.0 * 0.2
        return _normalised(features)

    def encode_pictures(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Embeddings (n, 32) of pictures (h, w, 3) of any size."""
        if not pictures:
            return np.empty((0, _DIM), dtype=np.float32)
        return self.encode_patches(np.stack([fit_picture(picture, self._card) for picture in pictures]))

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings (n, 32): the sum of one fixed vector per word.

        Raises:
            EncoderProblem: an empty text.
        """
        rows = np.zeros((len(texts), _DIM), dtype=np.float64)
        for row, text in zip(rows, texts, strict=True):
            words = text.lower().split()
            if not words:
                raise EncoderProblem("An empty text cannot be encoded.", remedy="Type at least one word.")
            for word in words:
                row += np.frombuffer(hashlib.sha256(word.encode()).digest(), dtype=np.uint8) - 127.5
        return _normalised(rows)

    def truncated(self, text: str) -> bool:  # noqa: ARG002 - the protocol's name
        """Never: any number of words is read."""
        return False

    def close(self) -> None:
        """Nothing to give back."""


def _normalised(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    length = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
    unit: NDArray[np.float32] = (rows / np.maximum(length, 1e-12)).astype(np.float32)
    return unit
