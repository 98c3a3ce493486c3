"""The setting that was found best for an encoder on this machine, as ``plipdesk models benchmark`` keeps it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from plipdesk.base.paths import cache_folder
from plipdesk.encoders.machine import machine_key


@dataclass(frozen=True)
class Tuning:
    """Runtime, device, threads and batch; None: left to the runtime."""

    runtime: Literal["torch", "onnx"]
    device: str
    threads: int
    batch: int | None


def tuning_file(fingerprint: str) -> Path:
    """Where the tuning of an encoder lies; a machine with other cores has another."""
    return cache_folder() / "speed" / f"{fingerprint}-{machine_key()}.json"


def kept_tuning(fingerprint: str) -> Tuning | None:
    """What was measured here, or None: nothing was, or it cannot be read."""
    try:
        seen = json.loads(tuning_file(fingerprint).read_bytes())
        batch, threads = seen["batch"], int(seen["threads"])
        if seen["runtime"] not in ("torch", "onnx") or threads < 1 or not (batch is None or 1 <= int(batch) <= 65536):
            return None
        runtime = cast(Literal["torch", "onnx"], seen["runtime"])
        return Tuning(runtime, str(seen["device"]), threads, None if batch is None else int(batch))
    except (OSError, ValueError, KeyError, TypeError):
        return None
