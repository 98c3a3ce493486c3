"""Every command, argument and option says what it is for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from plipdesk.cli.main import app
from tests.packaging.scripts import script


def commands(command: Any, path: str = "plipdesk") -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{path} {name}")


def test_every_command_and_option_has_help() -> None:
    known = dict(commands(typer.main.get_command(app)))
    assert {"plipdesk index", "plipdesk search text", "plipdesk doctor", "plipdesk slides list"} <= set(known)
    silent = [path for path, command in known.items() if not (command.help or "").strip()]
    silent += [
        f"{path} {parameter.name}"
        for path, command in known.items()
        for parameter in command.params
        if not (getattr(parameter, "help", None) or "").strip() and not getattr(parameter, "hidden", False)
    ]
    assert silent == []


def test_the_page_of_commands_is_up_to_date() -> None:
    docs = script("command_docs")
    assert docs.PAGE.read_text(encoding="utf-8") == docs.page(), "run make docs"
