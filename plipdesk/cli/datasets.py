"""``plipdesk dataset``: build image–text data sets from local exports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from plipdesk.cli.commands import command, group
from plipdesk.cli.datasets_learning import declare as declare_learning
from plipdesk.cli.datasets_more import (
    EncoderOption,
    MediaOption,
    SourceOption,
    declare,
    encoder_called,
    media_folders,
)
from plipdesk.cli.places import absolute, existing_file
from plipdesk.cli.session import Session
from plipdesk.cli.watching import watched

app = group("Build image–text data sets from local exports, with every inclusion and exclusion counted.")


@command(app, "build")
def build(
    session: Session,
    source: SourceOption,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the data set goes; a build begun there goes on.")],
    media: MediaOption = None,
    flow: Annotated[Path | None, typer.Option(metavar="FILE", help="Steps and settings; else the paper's.")] = None,
    encoder: EncoderOption = None,
    shards: Annotated[bool, typer.Option("--shards/--no-shards", help="Write a webdataset, too.")] = True,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw away another build in the same folder.")] = False,
) -> None:
    """Build a data set; what was read, kept and dropped at each step is counted, and must add up."""
    from plipdesk.datasets.build import BuildPlan
    from plipdesk.datasets.build import build as build_dataset
    from plipdesk.datasets.dataset import summary
    from plipdesk.datasets.flow import read_flow
    from plipdesk.datasets.report import write_report
    from plipdesk.datasets.sources.kinds import parse_source

    plan = BuildPlan(
        sources=tuple(parse_source(words) for words in source),
        media=media_folders(media),
        out=absolute(out),
        flow=read_flow(existing_file(flow) if flow is not None else None),
        shards=shards,
    )
    loaded = encoder_called(session, encoder)
    try:
        with watched(session) as context:
            made = build_dataset(plan, loaded, context, fresh=fresh)
        write_report(made)
    finally:
        if loaded is not None:
            loaded.close()
    if session.as_json:
        session.answer(summary(made.document, plan.out))
    else:
        _tell(session, made.document, plan.out)


declare(app)
declare_learning(app)


def _tell(session: Session, document: dict[str, Any], out: Path) -> None:
    from rich.table import Table

    table = Table("step", "in", "kept", "dropped", "why")
    for step in document["steps"]:
        why = ", ".join(f"{reason} {count:,}" for reason, count in list(step["reasons"].items())[:4])
        table.add_row(step["name"], f"{step['in']:,}", f"{step['kept']:,}", f"{step['dropped']:,}", why)
    session.table().print(table)
    for place in document["read"]["told"][:10]:
        session.remark(place)
    for what, count in document["read"]["problems"].items():
        session.remark(f"{what}: {count:,}")
    session.say(f"{document['pairs']:,} pairs in {out}; see report.html there.")
