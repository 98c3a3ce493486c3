"""How many patches a GPU encodes at once: from what a patch takes and what is free. Nothing here needs a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

LEAST_BATCH, MOST_BATCH = 16, 1024
PROBE_BATCH = 8
_SHARE_OF_FREE = 0.8
"""What is left is used by the screen and by what the libraries keep for themselves."""


class DeviceMemory(Protocol):
    """What a device tells of its memory."""

    def free_bytes(self) -> int:
        """Memory that can be taken now."""

    def peak_bytes(self) -> int:
        """The most that was taken since this was last asked."""


class CudaMemory:
    """The memory of one CUDA device, such as ``cuda:0``."""

    def __init__(self, device: str) -> None:
        self._device = device

    def free_bytes(self) -> int:
        """Memory that can be taken now, what torch keeps for itself included."""
        import torch

        free: int = torch.cuda.mem_get_info(self._device)[0]
        kept = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return free + kept

    def peak_bytes(self) -> int:
        """The most that was taken since this was last asked."""
        import torch

        peak = torch.cuda.max_memory_allocated(self._device)
        torch.cuda.reset_peak_memory_stats(self._device)
        return peak


def batch_for(free_bytes: int, bytes_per_patch: int) -> int:
    """The largest power of two of patches that fits into 80 % of the free memory, from 16 to 1,024."""
    if bytes_per_patch <= 0:
        return LEAST_BATCH
    fit = int(_SHARE_OF_FREE * free_bytes) // bytes_per_patch
    return max(LEAST_BATCH, min(MOST_BATCH, 1 << max(fit, 1).bit_length() - 1))


def measured_batch(run: Callable[[int], object], memory: DeviceMemory) -> int:
    """The batch that suits ``memory``, from what two batches differ by; ``run`` encodes so many patches.

    The first run, in which libraries set themselves up, does not count.
    """
    run(PROBE_BATCH)
    memory.peak_bytes()
    run(PROBE_BATCH)
    small = memory.peak_bytes()
    run(2 * PROBE_BATCH)
    large = memory.peak_bytes()
    return batch_for(memory.free_bytes(), (large - small) // PROBE_BATCH)
