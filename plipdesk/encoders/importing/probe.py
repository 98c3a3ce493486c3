"""The built-in probe set: drawn pictures and plain texts that every imported model encodes, in both runtimes.

Drawn with a fixed seed, so that the numbers of one model are the same on every machine up to rounding; the first of
them are what a record of a known model holds.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.progress import JobContext
from plipdesk.encoders.card import EncoderCard, EncoderProblem
from plipdesk.encoders.export import TooLargeForOnnx
from plipdesk.encoders.importing.fingerprints import compare
from plipdesk.encoders.importing.report import ProbeReport
from plipdesk.encoders.loading import InstalledEncoder, load_encoder

PROBE_SEED = 20230817
LEAST_COSINE = 0.9999
NUMBERS_KEPT = 16
PROBE_TEXTS = (
    "tissue",
    "an H&E image of adipose tissue",
    "lymphocytes around a gland",
    "a photo of a cat",
    "colorectal adenocarcinoma epithelium with necrosis",
    "normal colon mucosa, goblet cells and smooth muscle below it",
)
# Squares and oblongs, larger and smaller than what models take, so that resizing is part of what is compared.
_SHAPES = ((256, 256), (224, 224), (300, 420), (512, 384), (150, 170), (640, 640))


def probe_pictures() -> list[NDArray[np.uint8]]:
    """Six pictures uint8 (h, w, 3): rose ground with fibres and violet discs, from sparse to crowded."""
    random = np.random.Generator(np.random.PCG64(PROBE_SEED))
    return [_drawn(random, height, width, 12 * 3**place // 2) for place, (height, width) in enumerate(_SHAPES)]


def _drawn(random: np.random.Generator, height: int, width: int, discs: int) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    slope, phase = random.uniform(-1, 1), random.uniform(0, 6)
    fibres = np.sin((columns + slope * rows) / random.uniform(4, 15) + phase)
    picture = np.array([228.0, 190.0, 212.0]) + fibres[..., None] * np.array([10.0, 22.0, 14.0])
    for _ in range(min(discs, 400)):
        y, x, radius = random.uniform(0, height), random.uniform(0, width), random.uniform(2.5, 9)
        top, left = max(0, int(y - radius)), max(0, int(x - radius))
        part = np.s_[top : int(y + radius) + 2, left : int(x + radius) + 2]
        inside = (rows[part] - y) ** 2 + (columns[part] - x) ** 2 < radius**2
        picture[part][inside] = np.array([96.0, 58.0, 130.0]) + random.uniform(-25, 25)
    # Whole numbers, so that no library's rounding can change a pixel.
    noise = random.integers(-6, 7, (height, width, 3))
    result: NDArray[np.uint8] = np.clip(np.floor(picture) + noise, 0, 255).astype(np.uint8)
    return result


def run_probe(card: EncoderCard, folder: Path, context: JobContext, *, known_as: frozenset[str]) -> ProbeReport:
    """Encode the probe set with the model in ``folder`` in both runtimes and compare them.

    ``known_as``: ids and SHA-256 under which a record of this model may be found.

    Raises:
        EncoderProblem: the runtimes disagree, or the model answers with what are no numbers.
    """
    installed = InstalledEncoder(card, folder, embedded=False)
    context.report(0, 2, unit="runtimes", note="Encoding the probe set with torch")
    torch_rows = _encoded(installed, "torch")
    context.check_cancel()
    context.report(1, 2, unit="runtimes", note="Encoding the probe set with ONNX Runtime")
    cosines: list[float | None] = [None, None]
    with contextlib.suppress(TooLargeForOnnx):
        onnx_rows = _encoded(installed, "onnx")
        cosines = [
            None if ours is None or theirs is None else _lowest(ours, theirs)
            for ours, theirs in zip(torch_rows, onnx_rows, strict=True)
        ]
    for what, cosine in zip(("pictures", "texts"), cosines, strict=True):
        if cosine is not None and not cosine >= LEAST_COSINE:
            raise EncoderProblem(
                f"torch and ONNX Runtime do not agree on the probe {what} (cosine {cosine:.5f}; at least "
                f"{LEAST_COSINE} is needed), so the model was not imported.",
                remedy="Please report it with the model's configuration.",
            )
    context.report(2, 2, unit="runtimes", note="Comparing")
    rows = np.concatenate([part for part in torch_rows if part is not None])
    numbers = tuple(tuple(round(float(number), 6) for number in row[:NUMBERS_KEPT]) for row in rows)
    return ProbeReport(cosines[0], cosines[1], compare(known_as, numbers), numbers)


def _encoded(
    installed: InstalledEncoder, runtime: Literal["torch", "onnx"]
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    encoder = load_encoder(installed, runtime=runtime, device="cpu")
    try:
        pictures = encoder.encode_pictures(probe_pictures())
        words = encoder.encode_texts(PROBE_TEXTS) if installed.card.has_words else None
    finally:
        encoder.close()
    for rows in (pictures, words):
        if rows is not None and not (np.isfinite(rows).all() and np.allclose(np.square(rows).sum(1), 1, atol=1e-3)):
            raise EncoderProblem(
                "The model answers the probe set with what are no embeddings, so it was not imported.",
                path=installed.folder,
                remedy="Check that its weights are complete and were not saved in the middle of training.",
            )
    return pictures, words


def _lowest(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    return float((first.astype(np.float64) * second).sum(axis=1).min())
