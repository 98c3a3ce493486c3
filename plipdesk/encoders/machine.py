"""This machine, as far as it decides how an encoder is best run."""

from __future__ import annotations

import importlib.metadata
import platform
from functools import lru_cache
from pathlib import Path

from plipdesk.base.budget import usable_cores
from plipdesk.base.ids import settings_id

_CPU_INFO = Path("/proc/cpuinfo")


@lru_cache(maxsize=1)
def processor_flags() -> frozenset[str]:
    """Instruction sets of this processor, as Linux names them; empty where the system does not tell."""
    try:
        text = _CPU_INFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    return flags_in(text)


def flags_in(cpu_info: str) -> frozenset[str]:
    """The instruction sets that the text of /proc/cpuinfo lists for the first processor."""
    for line in cpu_info.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def machine_key() -> str:
    """What results measured on this machine are kept under: processor, instructions, cores and libraries."""
    return settings_id(
        {
            "system": [platform.system(), platform.machine()],
            "flags": sorted(processor_flags()),
            "cores": usable_cores(),
            "libraries": [importlib.metadata.version(name) for name in ("onnxruntime", "torch")],
        }
    )[:16]
