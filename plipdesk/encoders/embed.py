"""Embeddings as a file: what stands behind ``plipdesk embed``."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.files import atomic_write
from plipdesk.base.progress import JobContext, QuietContext
from plipdesk.encoders.protocol import Encoder

_AT_ONCE = 64


def embed_texts(encoder: Encoder, texts: Sequence[str]) -> NDArray[np.float32]:
    """Embeddings (n, dim) of ``texts`` as they are, without prompt templates, L2-normalised, in the order given.

    Raises:
        EncoderProblem: an empty text, or an encoder that has no words.
    """
    return encoder.encode_texts(texts)


def embed_pictures(
    encoder: Encoder, pictures: Iterable[NDArray[np.uint8]], *, total: int = 0, context: JobContext | None = None
) -> NDArray[np.float32]:
    """Embeddings (n, dim) of decoded pictures uint8 (h, w, 3) of any size, L2-normalised, in the order given.

    ``pictures`` may be a generator: 64 are held at a time. ``total`` is what progress is reported against.

    Raises:
        EncoderProblem: a picture that is not RGB of 8 bits.
        Cancelled: ``context`` was asked to stop.
    """
    watcher = context or QuietContext()
    parts = [np.empty((0, encoder.card.dim), dtype=np.float32)]
    done = 0
    rest = iter(pictures)
    while batch := list(itertools.islice(rest, _AT_ONCE)):
        watcher.check_cancel()
        parts.append(encoder.encode_pictures(batch))
        done += len(batch)
        watcher.report(done, max(total, done), unit="pictures")
    return np.concatenate(parts)


def write_embeddings(path: Path, embeddings: NDArray[np.float32]) -> None:
    """Write ``embeddings`` (n, dim) as a ``.npy`` file of float32, whole or not at all.

    Raises:
        DiskFull: no room left.
        EnvironmentProblem: the folder cannot be written to.
    """
    with atomic_write(path) as stream:
        np.save(stream, np.ascontiguousarray(embeddings, dtype=np.float32), allow_pickle=False)
