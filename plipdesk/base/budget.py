"""One CPU budget for all processes of a workspace: the person's query goes before the job in the background."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass


def usable_cores() -> int:
    """The number of cores this process may use (containers and affinity masks considered)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class CpuBudget:
    """Threads for each kind of work; set before native libraries are imported."""

    encoder_threads: int
    reader_threads: int
    query_threads: int

    @classmethod
    def of_machine(cls, cores: int | None = None) -> CpuBudget:
        """Share out ``cores`` (default: all that may be used).

        Encoding is most of the work and gets every core; decoding waits mostly on the encoder, so few threads do.
        """
        count = cores if cores is not None else usable_cores()
        return cls(encoder_threads=max(1, count), reader_threads=max(1, min(4, count)), query_threads=max(1, count))


def limit_native_threads(threads: int) -> None:
    """Set the thread counts that OpenMP and BLAS read at their first import; call before importing them."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        os.environ[name] = str(threads)


def be_nice() -> None:
    """Lower this process's priority, so that windows and queries go first."""
    if sys.platform == "win32":
        import psutil

        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(10)
