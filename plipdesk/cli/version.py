"""``plipdesk version``."""

from __future__ import annotations

import platform

import typer

import plipdesk
from plipdesk.cli.commands import command
from plipdesk.cli.session import Session


def declare(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "version")
    def version(session: Session) -> None:
        """Print the version of plipdesk and of what it stands on."""
        parts = {"plipdesk": plipdesk.__version__, "python": platform.python_version(), "platform": platform.platform()}
        parts |= {
            name: _installed(name)
            for name in ("openslide-bin", "onnxruntime", "torch", "hnswlib", "PySide6-Essentials")
        }
        if session.as_json:
            session.answer(parts)
        else:
            for name, number in parts.items():
                session.say(f"{name} {number}")


def _installed(distribution: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"
