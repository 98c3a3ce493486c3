"""What worker and reader processes have in common: their command line, and that they end with their engine."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from plipdesk.base.paths import Workspace
from plipdesk.engine.client import EngineClient, NoEngine
from plipdesk.engine.lifetime import end_now, end_with_engine
from plipdesk.engine.messages import Role
from plipdesk.engine.transport import ConnectionLost


def child_arguments(kind: str, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line of a child process."""
    parser = argparse.ArgumentParser(prog=f"plipdesk {kind} process", description="Started by the engine.")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--child", type=int, required=True)
    parser.add_argument("--engine-pid", type=int, required=True)
    return parser.parse_args(arguments)


def attach_to_engine(kind: Role, workspace: Workspace, child: int, engine_pid: int) -> EngineClient | None:
    """The connection of a child to its engine, the loss of which ends this process; None if the engine is gone."""
    end_with_engine(engine_pid)
    try:
        engine = EngineClient.attach(workspace, kind, child=child, engine_pid=engine_pid)
    except (NoEngine, ConnectionLost):
        return None
    engine.on_lost(end_now)
    return engine
