"""Encoding with ONNX Runtime against eager open_clip, on the same cores, in pairs: ``python -m benchmarks.encoder``.

Eager open_clip is given pictures that are already normalised float tensors; ONNX Runtime is given bytes and normalises
them itself. Each works at the batch that is best for it, which is looked for first. The peak is a large matrix product
in single precision on the same cores before each pair; the share of it counts every multiplication of the model as
built, though the written graph of a transformer leaves some out. ``one_thread`` gives each a single thread; its
``cpu_time_ratio_median`` is the figure to trust on a machine that does other work as well, since there threads that
share each layer, as eager torch's do, wait for one another.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import in_pairs, machine, percentile, seconds, table, write_result
from plipdesk.base.budget import usable_cores
from plipdesk.encoders.card import EncoderCard, load_card
from plipdesk.encoders.loading import InstalledEncoder, find_encoder, load_encoder
from plipdesk.encoders.protocol import Encoder
from plipdesk.encoders.weights import load_weights

_BATCHES = (1, 4, 8, 16, 32)
_PAIRS = 10
_ASKED = "acute inflammation with neutrophils"


def _eager(card: EncoderCard, weights: Path) -> Any:
    from plipdesk.encoders.architecture import build_model

    model = build_model(card.architecture).eval()
    load_weights(model, weights)
    return model


def _planes(card: EncoderCard, pixels: NDArray[np.uint8]) -> Any:
    import torch

    planes = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    planes = (planes - torch.tensor(card.mean).view(1, 3, 1, 1)) / torch.tensor(card.std).view(1, 3, 1, 1)
    return planes.contiguous()


def _best_batch(encode: Callable[[int], object], pictures: int) -> tuple[int, dict[int, float]]:
    """The batch with the highest rate, and all rates: the better of two rounds through all sizes."""
    taken: dict[int, list[float]] = {batch: [] for batch in _BATCHES if batch <= pictures}
    for _ in range(2):
        for batch, times in taken.items():
            times.append(seconds(partial(encode, batch)))
    rates = {batch: pictures / min(times) for batch, times in taken.items()}
    return max(rates, key=lambda batch: rates[batch]), rates


def _matrix_product_gflops() -> Callable[[], float]:
    """A measurement of the rate of a large single-precision matrix product."""
    import torch

    size = 2048
    first, second = torch.randn(size, size), torch.randn(size, size)

    def product() -> float:
        return 2 * size**3 / seconds(lambda: first @ second) / 1e9

    product()
    return lambda: max(product() for _ in range(3))


def _gflop_per_picture(model: Any, planes: Any) -> float:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    # The fused attention of eager mode hides its products from the counter.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model.encode_image(planes[:1])
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    return float(counter.get_total_flops()) / 1e9


def _text_query_ms(encoder: Encoder) -> dict[str, float]:
    taken = []
    for turn in range(60):
        start = time.perf_counter()
        encoder.encode_texts([f"{_ASKED} {turn}"])
        taken.append(1000 * (time.perf_counter() - start))
    taken = taken[5:]
    return {
        "p50": round(percentile(taken, 0.5), 2),
        "p95": round(percentile(taken, 0.95), 2),
        "least": round(min(taken), 2),
    }


def measure_model(installed: InstalledEncoder, *, pictures: int, cores: int) -> dict[str, Any]:
    """Rates, ratio and share of the peak for one model, whose folder must hold its weights."""
    import torch

    card, folder = installed.card, installed.folder
    assert folder is not None
    model = _eager(card, folder / card.files["weights"].name)
    pixels = np.random.default_rng(0).integers(0, 256, (pictures, card.input_px, card.input_px, 3), dtype=np.uint8)
    planes = _planes(card, pixels)
    encoder = load_encoder(installed, runtime="onnx", threads=cores)

    def eager(batch: int) -> list[Any]:
        with torch.inference_mode():
            return [model.encode_image(part, normalize=True) for part in planes.split(batch)]

    def onnx(batch: int) -> list[Any]:
        return [encoder.encode_patches(pixels[start : start + batch]) for start in range(0, pictures, batch)]

    likeness = (torch.cat(eager(8)).numpy() * np.concatenate(onnx(pictures))).sum(axis=1).min()
    eager_batch, eager_rates = _best_batch(eager, pictures)
    onnx_batch, onnx_rates = _best_batch(onnx, pictures)
    product, peaks = _matrix_product_gflops(), []
    pairs = in_pairs(
        lambda: eager(eager_batch),
        lambda: onnx(onnx_batch),
        pairs=_PAIRS,
        between=lambda: peaks.append(product()),
    )
    gflop = _gflop_per_picture(model, planes)

    def share_of_peak(taken_s: tuple[float, ...]) -> float:
        shares = (pictures * gflop / taken / peak for taken, peak in zip(taken_s, peaks, strict=True))
        return round(statistics.median(shares), 3)

    torch.set_num_threads(1)
    alone = load_encoder(installed, runtime="onnx", threads=1)
    some = pixels[: pictures // 2]
    few = planes[: len(some)]

    def eager_alone() -> Any:
        with torch.inference_mode():
            return [model.encode_image(part, normalize=True) for part in few.split(eager_batch)]

    one_thread = in_pairs(eager_alone, lambda: alone.encode_patches(some), pairs=_PAIRS)
    torch.set_num_threads(cores)
    alone.close()

    result = {
        "model": card.id,
        "cosine_lowest": round(float(likeness), 7),
        **pairs.document(items=pictures, names=("eager", "onnx")),
        "one_thread": one_thread.document(items=len(some), names=("eager", "onnx")),
        "onnx_fastest_per_s": round(pictures / min(pairs.second_s), 2),
        "eager_best_batch": eager_batch,
        "onnx_best_batch": onnx_batch,
        "eager_per_s_by_batch": {str(batch): round(rate, 1) for batch, rate in eager_rates.items()},
        "onnx_per_s_by_batch": {str(batch): round(rate, 1) for batch, rate in onnx_rates.items()},
        "gflop_per_picture": round(gflop, 2),
        "matrix_product_gflops": {"median": round(statistics.median(peaks), 1), "most": round(max(peaks), 1)},
        "onnx_share_of_peak": share_of_peak(pairs.second_s),
        "eager_share_of_peak": share_of_peak(pairs.first_s),
        "text_query_ms": _text_query_ms(encoder),
    }
    encoder.close()
    return result


def _random_vit(folder: Path) -> InstalledEncoder:
    """ViT-B/32 as PLIP has it, with random weights: speed does not depend on what they are."""
    from tests.encoders.models import VIT_B_32, write_model

    write_model(folder, VIT_B_32)
    return InstalledEncoder(load_card(folder), folder, embedded=False)


def measure() -> dict[str, Any]:
    """Both models against eager open_clip on all usable cores."""
    import torch

    cores = usable_cores()
    torch.set_num_threads(cores)
    document: dict[str, Any] = {"machine": machine(), "threads": cores, "models": []}
    with tempfile.TemporaryDirectory() as place:
        os.environ["PLIPDESK_CACHE"] = str(Path(place) / "cache")
        for installed, pictures in ((find_encoder(None, None), 32), (_random_vit(Path(place) / "vit-b-32"), 16)):
            document["models"].append(measure_model(installed, pictures=pictures, cores=cores))
    return document


def main() -> None:
    """Print a table and write ``benchmarks/results/encoder.json``."""
    document = measure()
    headers = (
        "model",
        "eager /s",
        "onnx /s",
        "ratio",
        "quartiles",
        "one thread",
        "share of peak",
        "text p50 ms",
        "cosine",
    )
    rows = [
        (
            model["model"],
            model["eager_per_s"],
            model["onnx_per_s"],
            model["ratio_median"],
            "–".join(map(str, model["ratio_quartiles"])),
            model["one_thread"]["cpu_time_ratio_median"],
            model["onnx_share_of_peak"],
            model["text_query_ms"]["p50"],
            model["cosine_lowest"],
        )
        for model in document["models"]
    ]
    print(table(rows, headers))
    print(f"Load before: {document['machine']['load_before']} on {document['threads']} cores; written to")
    print(write_result("encoder", document))


if __name__ == "__main__":
    main()
