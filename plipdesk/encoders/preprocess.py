"""Pictures of any size become what an encoder takes.

Pillow is used here although decoding lives in another room: an encoder's answer depends on the very kernel it was
trained with, and that is Pillow's (bicubic or bilinear with antialiasing, in 8 bits per channel).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plipdesk.encoders.card import EncoderCard, EncoderProblem

_KERNELS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


class PictureRule(Protocol):
    """How pictures are brought to size: what a card, or a training recipe, says of it."""

    @property
    def input_px(self) -> int:
        """Side of the square."""

    @property
    def interpolation(self) -> str:
        """``bicubic`` or ``bilinear``."""

    @property
    def resize(self) -> str:
        """``shortest-edge-and-centre-crop``, ``shortest-edge-and-floored-crop`` or ``squash``."""


# What the shortest edge may blow a picture up to before its middle is cut out.
_MOST_PIXELS = 100_000_000


def fit_picture(picture: NDArray[np.uint8], card: PictureRule, resize_px: int | None = None) -> NDArray[np.uint8]:
    """``picture`` (h, w, 3) RGB resized and cropped to (input_px, input_px, 3) as the card says.

    ``shortest-edge-and-centre-crop`` is torchvision's Resize(resize_px) and CenterCrop(input_px) to the pixel,
    ``shortest-edge-and-floored-crop`` that of Hugging Face, which rounds half a pixel down, and ``squash``
    torchvision's Resize((input_px, input_px)). ``resize_px`` is ``input_px`` unless given.

    Raises:
        EncoderProblem: not an RGB picture of 8 bits, one without pixels, or one so narrow that it would explode.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise EncoderProblem(
            f"A picture must be uint8 (height, width, 3), not {picture.dtype} {picture.shape}.",
            remedy="Convert the picture to RGB with 8 bits per channel.",
        )
    size, edge = card.input_px, resize_px or card.input_px
    if picture.shape[:2] == (size, size) and edge == size:
        return picture
    height, width = picture.shape[:2]
    if card.resize == "squash":
        return np.asarray(_resized(picture, size, size, card))
    # Integer division and rounding as torchvision does them, or pixels shift by one.
    if width <= height:
        new_width, new_height = edge, int(edge * height / width)
    else:
        new_width, new_height = int(edge * width / height), edge
    if new_width * new_height > _MOST_PIXELS:
        raise EncoderProblem(
            f"A picture of {width} × {height} pixels is too narrow to be encoded.",
            remedy="Crop the picture to the part that matters.",
        )
    fitted = _resized(picture, new_width, new_height, card)
    # Python rounds half a pixel to the even neighbour, as torchvision does.
    whole = int if card.resize == "shortest-edge-and-floored-crop" else round
    top, left = whole((new_height - size) / 2.0), whole((new_width - size) / 2.0)
    return np.ascontiguousarray(fitted[top : top + size, left : left + size])


def _resized(picture: NDArray[np.uint8], width: int, height: int, card: PictureRule) -> NDArray[np.uint8]:
    if picture.shape[:2] == (height, width):
        return picture
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(image.resize((width, height), _KERNELS[card.interpolation]))


def check_patches(pixels: NDArray[np.uint8], card: EncoderCard) -> None:
    """Refuse patches that are not uint8 (n, input_px, input_px, 3).

    Raises:
        EncoderProblem: another shape or dtype.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (card.input_px, card.input_px, 3):
        raise EncoderProblem(
            f"Patches for {card.id} must be uint8 (n, {card.input_px}, {card.input_px}, 3), "
            f"not {pixels.dtype} {pixels.shape}."
        )
