"""``plipdesk evaluate``: published protocols on data that lies on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from plipdesk.cli.commands import command, group
from plipdesk.cli.places import absolute
from plipdesk.cli.session import Session
from plipdesk.cli.watching import watched

app = group("Evaluate encoders by published protocols; nothing is downloaded.")


@command(app, "list")
def list_protocols(session: Session) -> None:
    """List the protocols that can be run."""
    from plipdesk.evaluation.protocol import TASK_WORDS, shipped_protocols

    found = shipped_protocols()
    if session.as_json:
        rows = [{"name": one.name, "title": one.title, "task": TASK_WORDS[one.task]} for one in found]
        session.answer({"protocols": rows})
        return
    for one in found:
        session.say(f"{one.name:<28} {one.title}")


@command(app, "run")
def run(
    session: Session,
    protocol: Annotated[str, typer.Option(metavar="NAME", help="The protocol's name, or a YAML file of your own.")],
    data: Annotated[Path, typer.Option(metavar="DIR", help="The data set, as its archives unpack.")],
    encoder: Annotated[str | None, typer.Option(metavar="ID", help="The encoder; see 'plipdesk models list'.")] = None,
    split: Annotated[str | None, typer.Option(metavar="NAME", help="source (default), or paper.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of splits, probes and intervals.")] = 1,
    intervals: Annotated[
        Literal["bootstrap", "subsample"], typer.Option(help="How 95 % intervals are made.")
    ] = "bootstrap",
    with_query: Annotated[
        bool, typer.Option("--with-query", help="Count the query as its own neighbour, as the paper's figure does.")
    ] = False,
    report: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the report here.")] = None,
) -> None:
    """Run a protocol: figures with intervals, beside the paper's, and a report to read."""
    from plipdesk.encoders.loading import find_encoder, load_encoder
    from plipdesk.evaluation.protocol import find_protocol
    from plipdesk.evaluation.report.page import PAGE, metric_words, write_report
    from plipdesk.evaluation.running import document, run_protocol
    from plipdesk.evaluation.tasks import Asked

    chosen = find_protocol(protocol)
    asked = Asked(split=split, seed=seed, way=intervals, with_query=with_query)
    loaded = load_encoder(find_encoder(encoder, session.workspace.models), report=session.remark)
    try:
        with watched(session) as context:
            outcome, used = run_protocol(chosen, absolute(data), loaded, asked, context)
        folder = absolute(report) if report is not None else None
        numbers = document(chosen, loaded, outcome, asked, None if folder is None else folder / PAGE)
        if folder is not None:
            write_report(folder, chosen, outcome, numbers, used.pictures)
    finally:
        loaded.close()
    if session.as_json:
        session.answer(numbers)
        return
    session.say(f"{chosen.title} · {loaded.card.id} · {outcome.n:,} tested")
    if outcome.split:
        session.say(f"split: {outcome.split}" + (" (leaks)" if outcome.leaks else ""))
    for name, value in outcome.metrics.items():
        low, high = outcome.intervals.get(name, (None, None))
        limits = "" if low is None else f"  ({low:.3f} to {high:.3f})"
        session.say(f"{metric_words(name):>36}  {value:.3f}{limits}")
    for row in numbers["paper"]:
        if row["ours"] is not None:
            why = row["not_comparable_because"]
            session.say(
                f"{row['model'] + ', published, ' + metric_words(row['metric']):>36}  {row['paper']:.3f}"
                + (f"  (not comparable, because {why})" if why else "")
            )
    for note in numbers["notes"]:
        session.remark(f"note: {note}")
    if folder is not None:
        session.say(f"report: {folder / PAGE}")


@command(app, "compare")
def compare(
    session: Session,
    first: Annotated[Path, typer.Argument(metavar="RUN", help="A report's folder.")],
    second: Annotated[Path, typer.Argument(metavar="RUN", help="Another report's folder.")],
    report: Annotated[Path | None, typer.Option(metavar="DIR", help="Write a page of both here.")] = None,
) -> None:
    """Two runs side by side; where they cannot be compared it says why."""
    from plipdesk.evaluation.report.comparing import comparison, read_numbers, write_comparison
    from plipdesk.evaluation.report.page import metric_words

    runs = read_numbers(absolute(first)), read_numbers(absolute(second))
    found = comparison(*runs)
    if report is not None:
        found["report"] = str(write_comparison(absolute(report), *runs))
    if session.as_json:
        session.answer(found)
        return
    session.say(f"{runs[0]['title']}: {found['first']} and {found['second']}")
    for row in found["metrics"]:
        session.say(f"{metric_words(row['metric']):>36}  {row['first']:.3f}  {row['second']:.3f}  {row['change']:+.3f}")
    for why in found["not_comparable_because"]:
        session.say(f"Not comparable, because {why}.")
