"""How quick an encoder is on this machine, by runtime, precision and batch, and which setting is best.

What was measured is kept in the cache, by encoder fingerprint and machine; loading an encoder then takes the best
setting for float32. Other precisions are told, never chosen: they give other embeddings.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.budget import CpuBudget
from plipdesk.base.files import atomic_write
from plipdesk.base.progress import JobContext
from plipdesk.encoders.card import EncoderCard, EncoderProblem
from plipdesk.encoders.loading import InstalledEncoder, load_encoder
from plipdesk.encoders.precision import load_proven, obstacle
from plipdesk.encoders.protocol import Encoder, Precision, RuntimeName
from plipdesk.encoders.torch_runtime import has_gpu
from plipdesk.encoders.tuning import Tuning, tuning_file

_ONNX_BATCHES = (1, 2, 4, 8, 16)
_TORCH_BATCHES = (4, 8, 16)
_GPU_BATCHES = (64, 128, 256, 512)
_ROUNDS = 3
_PICTURES_CPU, _PICTURES_GPU = 16, 1024
_SLOW_S = 4.0
"""A setting whose first round takes longer gets no further one."""


@dataclass(frozen=True)
class Setting:
    """What was measured: a runtime with a precision on a device, at its best batch."""

    runtime: RuntimeName
    precision: Precision
    device: str
    threads: int
    batch: int | None
    """Pictures encoded at once by one thread (ONNX Runtime) or by all (torch); None: chosen by the runtime."""
    images_per_s: float | None
    reason: str = ""
    """Why there is no figure."""


@dataclass(frozen=True)
class SpeedReport:
    """All settings, and which of them the application uses from now on."""

    encoder: str
    fingerprint: str
    settings: tuple[Setting, ...]
    best: Setting | None


def measure_speed(installed: InstalledEncoder, *, context: JobContext, threads: int | None = None) -> SpeedReport:
    """Measure all settings that this machine offers and keep the best for float32.

    Raises:
        EncoderProblem: the encoder has no weights, or cannot be loaded at all.
        Cancelled: ``context`` was asked to stop; nothing is kept then.
    """
    card = installed.card
    if installed.folder is None:
        raise EncoderProblem(f"{card.name} has no weights to be measured.", remedy="Choose another encoder.")
    count = threads if threads is not None else CpuBudget.of_machine().encoder_threads
    plans = list(_plans())
    settings: list[Setting] = []
    for done, (runtime, precision, device) in enumerate(plans):
        context.check_cancel()
        context.report(done, len(plans), unit="settings", note=f"Measuring {runtime} in {precision} on {device}")
        settings.append(_measured(installed, runtime, precision, device, count, context))
    context.report(len(plans), len(plans), unit="settings")
    best = max(
        (one for one in settings if one.precision == "fp32" and one.images_per_s is not None),
        key=lambda one: one.images_per_s or 0.0,
        default=None,
    )
    report = SpeedReport(card.id, card.fingerprint(), tuple(settings), best)
    if best is not None:
        tuning = Tuning(best.runtime, best.device, best.threads, best.batch)
        with atomic_write(tuning_file(report.fingerprint)) as stream:
            stream.write(json.dumps(asdict(tuning)).encode())
    return report


def _plans() -> Iterator[tuple[RuntimeName, Precision, str]]:
    yield "onnx", "fp32", "cpu"
    yield "onnx", "int8", "cpu"
    yield "torch", "fp32", "cpu"
    yield "torch", "bf16", "cpu"
    if has_gpu():
        import torch

        device = "cuda" if torch.cuda.is_available() else "mps"
        kinds: tuple[Precision, ...] = ("fp32", "fp16", "bf16")
        for precision in kinds:
            yield "torch", precision, device


def _measured(
    installed: InstalledEncoder,
    runtime: Literal["torch", "onnx"],
    precision: Precision,
    device: str,
    threads: int,
    context: JobContext,
) -> Setting:
    reason = obstacle(precision) if device == "cpu" else None
    if reason is not None:
        return Setting(runtime, precision, device, threads, None, None, reason)
    best: tuple[float, int | None] = (0.0, None)
    try:
        # Its proof is part of what is measured: a precision that fails it is not offered, however quick.
        load_proven(installed, precision=precision, runtime=runtime, device=device, threads=threads).close()
        for batch in _batches(runtime, precision, device):
            context.check_cancel()
            encoder = load_encoder(
                installed, runtime=runtime, precision=precision, device=device, threads=threads, batch=batch
            )
            try:
                rate = _rate(encoder, _PICTURES_CPU if device == "cpu" else _PICTURES_GPU, context)
            finally:
                encoder.close()
            best = max(best, (rate, batch), key=lambda one: one[0])
    except EncoderProblem as problem:
        return Setting(runtime, precision, device, threads, None, None, problem.message)
    return Setting(runtime, precision, device, threads, best[1], round(best[0], 2))


def _batches(runtime: RuntimeName, precision: Precision, device: str) -> tuple[int | None, ...]:
    if device != "cpu":
        return _GPU_BATCHES
    if runtime == "torch":
        return _TORCH_BATCHES
    return _ONNX_BATCHES if precision == "fp32" else (None,)


def _rate(encoder: Encoder, pictures: int, context: JobContext) -> float:
    """Images per second: the best of three rounds after one that does not count."""
    pixels = _pixels(encoder.card, pictures)
    encoder.encode_patches(pixels[: max(1, pictures // 4)])
    taken = []
    for _ in range(_ROUNDS):
        context.check_cancel()
        start = time.perf_counter()
        encoder.encode_patches(pixels)
        taken.append(time.perf_counter() - start)
        if taken[0] > _SLOW_S:
            break
    return pictures / min(taken)


def _pixels(card: EncoderCard, pictures: int) -> NDArray[np.uint8]:
    shape = (pictures, card.input_px, card.input_px, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
