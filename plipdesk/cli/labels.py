"""``plipdesk labels``: label sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from plipdesk.base.files import atomic_write
from plipdesk.cli.commands import command, group
from plipdesk.cli.places import absolute, existing_file
from plipdesk.cli.session import Session

app = group("List, show, check, keep and write label sets.")
LabelsArgument = Annotated[str, typer.Argument(metavar="FILE|NAME", help="A file, or a name from 'labels list'.")]


@command(app, "list")
def list_labels(session: Session) -> None:
    """List the label sets that can be used by name."""
    from plipdesk.labelling.shelf import list_label_sets

    found = list_label_sets(session.workspace)
    if session.as_json:
        rows = [
            {
                "name": one.labels.name, "title": one.labels.title, "version": one.labels.version,
                "classes": len(one.labels.classes), "ways": list(one.labels.ways), "origin": one.origin,
            }
            for one in found
        ]  # fmt: skip
        session.answer({"label_sets": rows})
        return
    from rich.table import Table

    table = Table("name", "title", "version", "classes", "ways of asking", "from")
    for one in found:
        ways = ", ".join(one.labels.ways)
        labels = one.labels
        table.add_row(labels.name, labels.title, str(labels.version), str(len(labels.classes)), ways, one.origin)
    session.table().print(table)


@command(app, "show")
def show(session: Session, labels: LabelsArgument) -> None:
    """Show a label set: its classes, colours and prompts."""
    from plipdesk.labelling.label_sets import label_set_yaml
    from plipdesk.labelling.shelf import find_label_set

    found, _ = find_label_set(labels, session.workspace)
    if session.as_json:
        document: dict[str, Any] = found.model_dump(mode="json")
        for one, colour in zip(document["classes"], found.colours, strict=True):
            one["colour"] = colour
        session.answer(document | {"fingerprint": found.fingerprint})
    else:
        session.say(label_set_yaml(found).rstrip())


@command(app, "validate")
def validate(session: Session, labels: LabelsArgument) -> int:
    """Check whether a file is a label set; exit code 1 where it is not."""
    from plipdesk.labelling.label_sets import LabelProblem
    from plipdesk.labelling.shelf import find_label_set

    try:
        found, _ = find_label_set(labels, session.workspace)
    except LabelProblem as problem:
        if session.as_json:
            session.answer({"valid": False, "problems": [problem.message], "path": problem.path})
        else:
            session.say(str(problem))
        return 1
    if session.as_json:
        session.answer({"valid": True, "problems": [], "name": found.name, "classes": list(found.names)})
    else:
        session.say(f"{found.name}, version {found.version}: {len(found.names)} classes. It can be used.")
    return 0


@command(app, "import")
def import_labels(session: Session, file: Annotated[Path, typer.Argument(metavar="FILE", help="A label set.")]) -> None:
    """Keep a label set in the workspace; other content under a name that is there becomes its next version."""
    from plipdesk.labelling.label_sets import read_label_set
    from plipdesk.labelling.shelf import keep_label_set

    kept = keep_label_set(read_label_set(existing_file(file)), session.workspace)
    if session.as_json:
        session.answer({"name": kept.name, "version": kept.version, "fingerprint": kept.fingerprint})
    else:
        session.say(f"Kept as {kept.name}, version {kept.version}.")


@command(app, "export")
def export_labels(
    session: Session,
    labels: LabelsArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE.yaml", help="Where it goes.")],
) -> None:
    """Write a label set to a file."""
    from plipdesk.labelling.label_sets import label_set_yaml
    from plipdesk.labelling.shelf import find_label_set

    found, _ = find_label_set(labels, session.workspace)
    with atomic_write(absolute(file)) as stream:
        stream.write(label_set_yaml(found).encode())
    if session.as_json:
        session.answer({"name": found.name, "version": found.version, "path": str(absolute(file))})
    else:
        session.say(f"Written to {absolute(file)}.")
