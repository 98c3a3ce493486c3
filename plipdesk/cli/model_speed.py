"""``plipdesk models benchmark``: how quick an encoder is on this machine."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from plipdesk.cli.commands import command
from plipdesk.cli.progress import BarContext
from plipdesk.cli.session import Session


def declare(app: typer.Typer) -> None:
    """Add the command to ``plipdesk models``."""
    command(app, "benchmark")(benchmark)


def benchmark(
    session: Session,
    encoder: Annotated[str | None, typer.Argument(metavar="[ID]", help="Encoder id; none: the embedded one.")] = None,
) -> None:
    """Measure images per second of each runtime and precision; the best setting for fp32 is used from then on.

    Other precisions give other embeddings, so they are never chosen by themselves: see 'plipdesk embed --precision'.
    """
    from plipdesk.encoders.loading import find_encoder
    from plipdesk.encoders.speed import measure_speed

    installed = find_encoder(encoder, session.workspace.models)
    with session.progress_bar() as bar:
        report = measure_speed(installed, context=BarContext(bar))
    if session.as_json:
        session.answer(asdict(report))
        return
    from rich.table import Table

    table = Table("runtime", "precision", "device", "threads", "batch", "images/s", "")
    for one in report.settings:
        mark = "in use from now on" if one == report.best else one.reason
        rate = "" if one.images_per_s is None else f"{one.images_per_s:.1f}"
        batch = "" if one.batch is None else str(one.batch)
        table.add_row(one.runtime, one.precision, one.device, str(one.threads), batch, rate, mark)
    session.table().print(table)
