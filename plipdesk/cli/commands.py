"""How commands are declared: each one also takes the global options, before or after its own name."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from plipdesk.base.paths import WORKSPACE_VARIABLE
from plipdesk.cli.session import Session

WorkspaceOption = Annotated[
    Path | None,
    typer.Option("--workspace", metavar="DIR", help=f"Folder that holds everything (or {WORKSPACE_VARIABLE})."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, progress on stderr.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print no progress and no remarks.")]
LingerOption = Annotated[
    float | None,
    typer.Option("--linger", metavar="SECONDS", min=0, help="Keep the engine this long for the next command."),
]
GLOBAL_OPTIONS: dict[str, tuple[Any, Any]] = {
    "workspace": (WorkspaceOption, None),
    "as_json": (JsonOption, False),
    "quiet": (QuietOption, False),
    "linger_s": (LingerOption, None),
}


def group(help_text: str) -> typer.Typer:
    """A group of commands."""
    return typer.Typer(help=help_text, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def command(app: typer.Typer, name: str) -> Callable[[Callable[..., int | None]], Callable[..., None]]:
    """Declare ``function(session, …) -> exit code`` as the command ``name`` of ``app``."""

    def declare(function: Callable[..., int | None]) -> Callable[..., None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        shared = [
            inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for option, (annotation, default) in GLOBAL_OPTIONS.items()
        ]
        context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)

        @functools.wraps(function)
        def run(**values: Any) -> None:
            given = values.pop("context").find_root().params
            merged = {option: values.pop(option) or given.get(option) for option in GLOBAL_OPTIONS}
            session = Session.of(
                merged["workspace"], bool(merged["as_json"]), bool(merged["quiet"]), merged["linger_s"]
            )
            raise typer.Exit(function(session, **values) or 0)

        keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        run.__signature__ = inspect.Signature([*keyword, *shared, context])  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*keyword, *shared, context]}
        del run.__wrapped__  # typer must read the new signature, not the function's own
        app.command(name)(run)
        return run

    return declare
