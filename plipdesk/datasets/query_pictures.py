"""Pictures that a person gives as examples of what is looked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.datasets.near_duplicates import normalised
from plipdesk.encoders.embed import embed_pictures
from plipdesk.encoders.protocol import Encoder
from plipdesk.slides.errors import SlideProblem
from plipdesk.slides.thumbnails import decode_picture

_PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
_MOST = 20_000


def query_vectors(folder: Path, encoder: Encoder) -> NDArray[np.float32]:
    """Embeddings (n, d) of the pictures below ``folder``; those that cannot be read are left out.

    Raises:
        EnvironmentProblem: there is none.
    """

    def pictures() -> Iterator[NDArray[np.uint8]]:
        for file in sorted(file for file in folder.rglob("*") if file.suffix.lower() in _PICTURES)[:_MOST]:
            try:
                yield decode_picture(file)
            except SlideProblem:
                continue

    vectors = embed_pictures(encoder, pictures())
    if not len(vectors):
        raise EnvironmentProblem(
            "There is no picture to compare with here.", path=folder, remedy="Give a folder of pictures."
        )
    return normalised(vectors)
