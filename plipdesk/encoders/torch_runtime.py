"""torch on the CPU, on CUDA and on Apple's GPUs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plipdesk.encoders.card import EncoderCard, EncoderProblem
from plipdesk.encoders.gpu import CudaMemory, DeviceMemory, measured_batch
from plipdesk.encoders.protocol import NumericClass, Precision
from plipdesk.encoders.running import RunningEncoder
from plipdesk.encoders.texts import TextBatch, TextPreparer

if TYPE_CHECKING:
    import torch

_BATCH_CPU = 8
_BATCH_GPU = 256
_NUMERIC_CLASS: dict[Precision, NumericClass] = {"fp32": "fp32", "bf16": "bf16", "fp16": "bf16"}
_MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory")


def has_gpu() -> bool:
    """Whether torch could use a GPU here; torch itself is asked only where the system shows one."""
    if sys.platform == "darwin":
        import platform

        return platform.machine() == "arm64"
    if sys.platform == "win32":
        seen = (Path("C:/Windows/System32/nvcuda.dll")).exists()
    else:
        seen = any(Path(name).exists() for name in ("/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd"))
    if not seen:
        return False
    import torch

    return torch.cuda.is_available()


def pick_device(wanted: str) -> str:
    """The device called ``wanted``; ``auto`` is a GPU where there is one.

    Raises:
        EncoderProblem: there is no such device.
    """
    import torch

    if wanted == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    known = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    kind, _, number = wanted.partition(":")
    there = known.get(kind, False) and (not number or (number.isdigit() and int(number) < torch.cuda.device_count()))
    if not there:
        raise EncoderProblem(
            f"There is no device {wanted!r} here.", remedy="Choose cpu, or leave the device to be picked."
        )
    return wanted


class TorchEncoder(RunningEncoder):
    """An encoder in torch. Batches are sized from a CUDA device's memory; one that does not fit is halved."""

    def __init__(
        self,
        card: EncoderCard,
        texts: TextPreparer | None,
        image: torch.nn.Module,
        text: torch.nn.Module | None,
        *,
        device: str = "cpu",
        precision: Precision = "fp32",
        batch: int | None = None,
        memory: DeviceMemory | None = None,
    ) -> None:
        """Take towers as :mod:`plipdesk.encoders.modules` makes them and move them to ``device``.

        ``batch``: patches at once; None: measured from ``memory`` (that of a CUDA device, unless another is given) on
        the first call, else what suits most machines.

        Raises:
            EncoderProblem: a precision that torch does not compute in.
        """
        import torch

        if precision not in _NUMERIC_CLASS:
            raise EncoderProblem(f"torch does not encode in {precision} here.", remedy="Choose fp32, bf16 or fp16.")
        super().__init__(card, texts, _NUMERIC_CLASS[precision])
        self._device = torch.device(device)
        self._precision = precision
        self._on_gpu = self._device.type != "cpu"
        if memory is None and self._device.type == "cuda":
            memory = CudaMemory(device)
        self._unmeasured = memory if batch is None else None
        self._batch = batch or (_BATCH_GPU if self._on_gpu else _BATCH_CPU)
        self._image = image.to(self._device).to(memory_format=torch.channels_last)
        self._text = None if text is None else text.to(self._device)

    @property
    def runtime(self) -> str:
        """Runtime, device and, unless fp32, precision in words."""
        words = f"torch {self._device}"
        return words if self._precision == "fp32" else f"{words} {self._precision}"

    @property
    def batch(self) -> int:
        """How many patches are encoded at once; falls when memory runs out."""
        return self._batch

    def close(self) -> None:
        """Give back memory; the encoder cannot be used again."""
        import torch

        self._image, self._text = torch.nn.Identity(), None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _encode_pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        self._size_batch()
        parts: list[torch.Tensor] = []
        done = 0
        with self._computing():
            while done < len(pixels):
                chunk = pixels[done : done + self._batch]
                answer = self._embedded(chunk)
                if answer is not None:
                    parts.append(answer)
                    done += len(chunk)
            return torch.cat(parts).float().cpu().numpy()

    def _size_batch(self) -> None:
        """Once, find the batch that suits the device's memory."""
        memory, self._unmeasured = self._unmeasured, None
        if memory is None:
            return
        side = self._card.input_px
        before = self._batch
        with self._computing():
            found = measured_batch(lambda count: self._embedded(np.zeros((count, side, side, 3), np.uint8)), memory)
        # Where even these few did not fit the batch was halved, and that is the better measurement.
        self._batch = found if self._batch == before else self._batch

    def _encode_tokens(self, batch: TextBatch) -> NDArray[np.float32]:
        if self._text is None:
            raise EncoderProblem(f"{self._card.name} was loaded without its text tower.")
        with self._computing():
            answer: torch.Tensor = self._text(self._on_device(batch.ids), self._on_device(batch.ends))
            return answer.float().cpu().numpy()

    def _embedded(self, chunk: NDArray[np.uint8]) -> torch.Tensor | None:
        """Embeddings of ``chunk``, or None after the batch was halved because memory ran out."""
        import torch

        try:
            answer: torch.Tensor = self._image(self._on_device(chunk))
            return answer
        except torch.OutOfMemoryError as error:
            reason: Exception = error
        except RuntimeError as error:
            # The CPU and Apple's GPUs tell only in words.
            if not any(words in str(error).lower() for words in _MEMORY_WORDS):
                raise
            reason = error
        if self._batch == 1:
            raise EncoderProblem(
                f"There is not enough memory on {self._device} to encode one patch with {self._card.name}.",
                remedy="Close other programs, or choose the CPU or a smaller encoder.",
            ) from reason
        self._batch //= 2
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _on_device(self, array: NDArray[Any]) -> torch.Tensor:
        import torch

        tensor = torch.from_numpy(array)
        if self._device.type == "cuda":
            # Pinned memory is copied while the GPU still works on the batch before.
            return tensor.pin_memory().to(self._device, non_blocking=True)
        return tensor.to(self._device)

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        import torch

        with torch.inference_mode():
            if self._precision == "fp32":
                yield
            else:
                kind = torch.bfloat16 if self._precision == "bf16" else torch.float16
                with torch.autocast(self._device.type, dtype=kind):
                    yield
