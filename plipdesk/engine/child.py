"""What worker and reader processes do first: read their command line, and see to it that they end with their engine.

Standard library only, and imported before all else: a process whose engine is killed while it starts must not live on
until everything is imported.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

ENGINE_GONE = 75
"""Exit status of a child whose engine is gone."""
_SET_PARENT_DEATH_SIGNAL = 1


def begin_child(kind: str, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Command line of a child (``workspace``, ``child``, ``engine_pid``), which ends with its engine from now on."""
    parser = argparse.ArgumentParser(prog=f"plipdesk {kind} process", description="Started by the engine.")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--child", type=int, required=True)
    parser.add_argument("--engine-pid", type=int, required=True)
    options = parser.parse_args(arguments)
    end_with_engine(options.engine_pid)
    return options


def end_with_engine(engine_pid: int) -> None:
    """Let the system kill this process the moment its engine dies, where it can (Linux).

    Elsewhere, and besides, the connection to the engine tells (:func:`end_now`).
    """
    if sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        # The engine may have died before the call; where a launcher stands between, the connection tells.
        if os.getppid() != engine_pid and not Path("/proc", str(engine_pid)).exists():
            end_now()


def end_now() -> None:
    """End this process at once, whatever its other threads and native calls are doing."""
    os._exit(ENGINE_GONE)
