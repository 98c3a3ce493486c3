"""The command ``plipdesk``: parse, call, print. Without arguments it opens the window."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from plipdesk.base.errors import Bug, Cancelled, PlipdeskError, UsageProblem
from plipdesk.cli import annotations as annotation_commands
from plipdesk.cli import collections as collection_commands
from plipdesk.cli import (
    datasets,
    doctor,
    embed,
    evaluate,
    index,
    jobs,
    label,
    labels,
    models,
    search,
    slides,
    train,
    version,
)
from plipdesk.cli.commands import JsonOption, LingerOption, QuietOption, WorkspaceOption, group
from plipdesk.cli.model_files import declare as declare_model_files
from plipdesk.cli.model_import import declare as declare_model_import
from plipdesk.cli.model_speed import declare as declare_model_speed
from plipdesk.cli.model_use import declare as declare_model_use

app = group("Find tissue in whole-slide images by words, by region and by picture, offline, on your own machine.")


@app.callback()
def _shared(
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    linger_s: LingerOption = None,
) -> None:
    """Find tissue in whole-slide images by words, by region and by picture, offline, on your own machine."""


for _commands in (index, label, embed, doctor, version):
    _commands.declare(app)
declare_model_files(models.app)
declare_model_use(models.app)
declare_model_import(models.app)
declare_model_speed(models.app)
for _name, _group in (
    ("search", search.app),
    ("slides", slides.app),
    ("collections", collection_commands.app),
    ("labels", labels.app),
    ("annotations", annotation_commands.app),
    ("jobs", jobs.app),
    ("models", models.app),
    ("train", train.app),
    ("evaluate", evaluate.app),
    ("dataset", datasets.app),
):
    app.add_typer(_group, name=_name)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code (0, 1, 2, 3 or 130). The process's edge: nothing but words gets out."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    try:
        if not _names_a_command(given):
            return _open_window(given)
        return _call(given)
    except KeyboardInterrupt:
        return _fail(Cancelled(), as_json)
    except PlipdeskError as error:
        return _fail(error, as_json)
    except BrokenPipeError:
        # Whoever read our output has gone (``| head``); Python must not complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the process's edge
        return _fail(_as_bug(error, given), as_json)


def _names_a_command(given: list[str]) -> bool:
    expects_value = False
    for word in given:
        if expects_value:
            expects_value = False
        elif word in ("--workspace", "--linger"):
            expects_value = True
        elif not word.startswith("-") or word in ("--help", "--show-completion", "--install-completion"):
            return True
    return False


def _open_window(given: list[str]) -> int:
    from plipdesk.base.paths import workspace_at
    from plipdesk.desktop.main import run as run_desktop

    chosen = given[given.index("--workspace") + 1] if "--workspace" in given[:-1] else None
    for word in given:
        if word.startswith("--workspace="):
            chosen = word.partition("=")[2]
    return run_desktop([sys.argv[0]], workspace=workspace_at(chosen))


def _call(given: list[str]) -> int:
    command = typer.main.get_command(app)
    try:
        code: Any = command.main(args=given, prog_name="plipdesk", standalone_mode=False)
    except typer.Abort as error:
        raise Cancelled() from error
    except typer.TyperException as error:
        words = error.format_message() if isinstance(error, typer.BadParameter.__bases__) else str(error)
        raise UsageProblem(words, remedy="See 'plipdesk --help' for how it is called.") from error
    return int(code or 0)


def _fail(error: PlipdeskError, as_json: bool) -> int:
    if as_json:
        sys.stdout.write(json.dumps({"error": error.document()}, ensure_ascii=False) + "\n")
    else:
        sys.stderr.write(f"plipdesk: {error}\n")
    return error.exit_code


def _as_bug(error: Exception, given: list[str]) -> Bug:
    """Keep the traceback in a file that the person can read and send; on screen stands one sentence."""
    import tempfile
    import traceback

    place = Path(tempfile.gettempdir(), f"plipdesk-crash-{os.getpid()}.txt")
    try:
        place.write_text("plipdesk " + " ".join(given) + "\n\n" + traceback.format_exc(), encoding="utf-8")
    except OSError:
        return Bug(f"plipdesk made a mistake: {error!r}.", remedy="Please report it.")
    return Bug(f"plipdesk made a mistake: {error!r}.", path=place, remedy="Please report it with this file.")


def main() -> None:
    """Entry point of the installed command."""
    sys.exit(run())
