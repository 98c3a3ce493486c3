"""Indexing against the encoder alone: how much of the encoder's own rate is left when slides are read, cut and written.

``python -m benchmarks.pipeline [ENCODER …]`` with ``vit-b-32`` and ``lite0`` (the architecture of plipdesk-mini), both
of random weights, since speed does not depend on them. The encoder alone gets the very same patches, decoded and in
memory, in the same batches and with the same threads; both are timed in turns.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import in_pairs, machine, table, write_result
from plipdesk.base.budget import CpuBudget
from plipdesk.base.paths import Workspace
from plipdesk.encoders.loading import find_encoder, load_encoder
from plipdesk.encoders.protocol import Encoder
from plipdesk.indexing.pipeline import Pipeline, batch_of
from plipdesk.indexing.settings import IndexSettings
from plipdesk.slides.opening import open_slide
from plipdesk.slides.patches import iter_patches
from plipdesk.slides.tiling import plan_tiling
from plipdesk.slides.tissue import tissue_mask
from tests.drawing import pyramidal_tiff, tissue_picture
from tests.encoders.models import SMALL_LITE, VIT_B_32, write_model
from tests.indexing.memory_desk import MemoryDesk

PAIRS = 8
TARGETS = {"vit-b-32": 0.95, "lite0": 0.85}
_SIDE_PATCHES = {"vit-b-32": 10, "lite0": 20}
"""Patches along one side of the slide that is indexed."""


def lite0() -> dict[str, Any]:
    """The architecture of the embedded model, as far as speed goes."""
    return {**SMALL_LITE, "embed_dim": 512, "vision_cfg": {**SMALL_LITE["vision_cfg"], "image_size": 224}}


def draw_slide(path: Path, side_patches: int, *, mpp_um: float) -> Path:
    """A square JPEG pyramid, tissue all over; at 0.25 µm per pixel a patch has four times the pixels to decode."""
    side_px = round(side_patches * 224 * 0.5 / mpp_um)
    piece = tissue_picture(1024, 1024, seed=3, share=1.2)
    pixels = np.tile(piece, (side_px // 1024 + 1, side_px // 1024 + 1, 1))[:side_px, :side_px]
    return pyramidal_tiff(path, levels=3, mpp_um=mpp_um, pixels=pixels, lossless=False)


def decoded(slide: Path, encoder: Encoder) -> list[np.ndarray]:
    """The batches that indexing encodes, in memory."""
    settings = IndexSettings.from_params({"paths": [str(slide)]}).tilings(encoder.card, None)[0]
    with open_slide(slide) as reader:
        tiling = plan_tiling(reader.info, tissue_mask(reader, "auto"), settings, mpp_um=reader.info.mpp_um)
        batches = iter_patches(reader, tiling, batch=batch_of(encoder), reader_threads=1)
        return [batch.pixels for batch in batches]


def index_anew(slide: Path, encoder: Encoder, folder: Path) -> Callable[[], None]:
    """Indexing of a slide into an empty workspace, from fingerprint to commit."""

    def call() -> None:
        root = Path(tempfile.mkdtemp(dir=folder))
        desk = MemoryDesk()
        settings = IndexSettings.from_params({"paths": [str(slide)]})
        threads = CpuBudget.of_machine().reader_threads
        Pipeline(desk, settings, encoder, Workspace(root), reader_threads=threads).run([slide])
        (item,) = desk.items()
        assert item.status == "indexed", item.reason
        shutil.rmtree(root)

    return call


def measure(name: str, folder: Path) -> dict[str, Any]:
    """Both rates for one encoder and slides at 20× and 40×."""
    write_model(folder / "models" / name, VIT_B_32 if name == "vit-b-32" else lite0())
    encoder = load_encoder(
        find_encoder(name, folder / "models"), runtime="onnx", threads=CpuBudget.of_machine().encoder_threads
    )
    result: dict[str, Any] = {"target": TARGETS[name], "batch": batch_of(encoder)}
    for power, mpp_um in (("20x", 0.5), ("40x", 0.25)):
        slide = draw_slide(folder / f"{name}-{power}.tif", _SIDE_PATCHES[name], mpp_um=mpp_um)
        batches = decoded(slide, encoder)
        patches = sum(len(batch) for batch in batches)

        def encode(batches: list[np.ndarray] = batches) -> None:
            for batch in batches:
                encoder.encode_patches(batch)

        pairs = in_pairs(encode, index_anew(slide, encoder, folder), pairs=PAIRS)
        result[power] = {"patches": patches, **pairs.document(items=patches, names=("encoder", "pipeline"))}
    return result


def main() -> None:
    """Measure, print, write."""
    chosen = sys.argv[1:] or list(TARGETS)
    document: dict[str, Any] = {"machine": machine()}
    rows = []
    for name in chosen:
        with tempfile.TemporaryDirectory() as folder:
            document[name] = measure(name, Path(folder))
        for power in ("20x", "40x"):
            found = document[name][power]
            rows.append(
                (name, power, found["encoder_per_s"], found["pipeline_per_s"], found["ratio_median"], TARGETS[name])
            )
    print(table(rows, ("encoder", "slide", "encoder/s", "pipeline/s", "share (median)", "target")))
    print("written:", write_result("pipeline", document))


if __name__ == "__main__":
    main()
