"""Write docs/commands.md from the commands themselves: `make docs`. A test holds the page to them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

from plipdesk.cli.main import app

PAGE = Path(__file__).resolve().parent.parent / "docs" / "commands.md"
HEAD = """\
# Commands

Written by `make docs` from the commands themselves. These options are accepted before and after every command:

{shared}

Exit codes: 0 done; 1 done in part, or all slides failed; 2 wrong usage; 3 cannot (environment, missing file, damaged
workspace); 130 after Ctrl-C, with committed work kept. On 2 and 3 `--json` prints
`{{"error": {{"kind", "message", "path", "remedy"}}}}`.

SLIDE is a path, a slide id or a unique name. Boxes and polygons are in level-0 pixels; an MPP is in µm per
pixel.
"""


def page() -> str:
    """The whole page."""
    root: Any = typer.main.get_command(app)
    shared = [parameter for parameter in root.params if parameter.name != "help"]
    parts = [HEAD.format(shared="\n".join(_parameter(parameter) for parameter in shared))]
    hidden = {parameter.name for parameter in root.params} | {"help"}
    for name, command in _commands(root, "plipdesk"):
        own = [parameter for parameter in command.params if parameter.name not in hidden]
        words = [_usage(parameter) for parameter in own if parameter.param_type_name == "argument"]
        parts.append(f"## {' '.join([name, *words])}\n\n{_plain(command.help)}\n")
        if own:
            parts.append("\n".join(_parameter(parameter) for parameter in own) + "\n")
    return "\n".join(parts)


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, inner in command.commands.items():
        if hasattr(inner, "commands"):
            yield from _commands(inner, f"{path} {name}")
        else:
            yield f"{path} {name}", inner


def _usage(parameter: Any) -> str:
    word = _word(parameter)
    return word if parameter.required else f"[{word}]"


def _word(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper()).strip("[]")


def _parameter(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"- `{_word(parameter)}`: {_plain(parameter.help)}"
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    value = "" if _is_flag(parameter) else f" {_value(parameter)}"
    remarks = []
    if parameter.required:
        remarks.append("needed")
    if parameter.multiple and "repeatable" not in parameter.help:
        remarks.append("repeatable")
    if isinstance(parameter.default, int | float | str) and not isinstance(parameter.default, bool):
        remarks.append(f"default {parameter.default}")
    return f"- `{names}{value}`: {_plain(parameter.help)}" + (f" ({', '.join(remarks)})" if remarks else "")


def _is_flag(parameter: Any) -> bool:
    return bool(parameter.is_flag) or parameter.type_descriptor.annotation is bool


def _value(parameter: Any) -> str:
    annotation = parameter.type_descriptor.annotation
    if get_origin(annotation) is Literal:
        return "|".join(get_args(annotation))
    return str(parameter.metavar or parameter.name.upper())


def _plain(text: str | None) -> str:
    return " ".join((text or "").split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0)
