"""An encoder that knows colours by their names, and squares of colour to draw data sets with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plipdesk.encoders.card import EncoderCard
from plipdesk.encoders.null import null_card

COLOURS = {
    "red": (220, 20, 20),
    "green": (20, 200, 40),
    "blue": (30, 40, 220),
    "yellow": (230, 220, 30),
    "pink": (240, 40, 220),
    "cyan": (30, 220, 230),
    "black": (10, 10, 12),
    "white": (245, 246, 240),
    "orange": (240, 130, 10),
}


class ColourEncoder:
    """Embeds a picture by its mean colour, and a text by the colour that one of its ``words`` stands for."""

    runtime = "colours"

    def __init__(self, words: Mapping[str, str] | None = None) -> None:
        self.words = dict(words or {name: name for name in COLOURS})
        self._card = null_card().model_copy(update={"dim": 4})

    @property
    def card(self) -> EncoderCard:
        return self._card

    @property
    def fingerprint(self) -> str:
        return "c" * 32

    def encode_patches(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.encode_pictures(list(pixels))

    def encode_pictures(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        return _unit(np.array([picture.reshape(-1, 3).mean(axis=0) for picture in pictures]))

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return _unit(np.array([COLOURS[self._colour(text)] for text in texts], dtype=np.float64))

    def _colour(self, text: str) -> str:
        return next(colour for word, colour in self.words.items() if word in text)

    def truncated(self, text: str) -> bool:
        return len(text) > 200

    def close(self) -> None:
        pass


def _unit(colours: NDArray[np.float64]) -> NDArray[np.float32]:
    rows = np.concatenate([colours - 128, np.full((len(colours), 1), 20.0)], axis=1)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def square(colour: str, *, seed: int = 0, side_px: int = 12) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(0, 6, (side_px, side_px, 3))
    return np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8)


def paint(path: Path, colour: str, *, seed: int = 0, side_px: int = 12) -> Path:
    """A noisy square of one colour; the format follows the ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(square(colour, seed=seed, side_px=side_px)).save(path)
    return path
