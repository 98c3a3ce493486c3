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


@command(app, "bench")
def bench(
    session: Session,
    labels: LabelsArgument,
    encoder: Annotated[str | None, typer.Option(help="Encoder id; see 'plipdesk models list'.")] = None,
    template: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="A template with {} in it; repeatable. None: all ways.")
    ] = None,
    suggest: Annotated[
        bool, typer.Option("--suggest", help="Suggest words by what they score on labelled patches.")
    ] = False,
    save: Annotated[
        bool, typer.Option("--save", help="Keep the label set with the suggested words, where they help.")
    ] = False,
    in_collection: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only of this collection.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of random patches and of the part kept apart.")] = 0,
) -> None:
    """Compare ways of asking: how far they agree, and how right they are on patches that you labelled."""
    from plipdesk.base.errors import UsageProblem
    from plipdesk.catalogue.rows import SlideFilter
    from plipdesk.encoders.loading import find_encoder, load_encoder
    from plipdesk.labelling.bench import with_suggestions
    from plipdesk.labelling.bench_run import run_bench
    from plipdesk.labelling.shelf import find_label_set, keep_label_set

    if any(text.count("{}") != 1 for text in template or ()):
        raise UsageProblem("A template holds {} exactly once.", remedy='For example: --template "an H&E image of {}".')
    if save and not suggest:
        raise UsageProblem("--save keeps what --suggest found.", remedy="Give both.")
    found, _ = find_label_set(labels, session.workspace)
    chosen = encoder
    catalogue = session.catalogue()
    if catalogue is not None:
        with catalogue:
            chosen = chosen or catalogue.settings.get("encoder")
    loaded = load_encoder(find_encoder(chosen, session.workspace.models))
    try:
        filters = SlideFilter(collections=tuple(in_collection or ()))
        document, suggestions = run_bench(
            session.workspace, loaded, found, templates=template or (), suggest=suggest, filters=filters, seed=seed
        )
    finally:
        loaded.close()
    if save and suggestions is not None and suggestions.helps:
        kept = keep_label_set(with_suggestions(found, suggestions), session.workspace)
        document["saved"] = {"name": kept.name, "version": kept.version}
    if session.as_json:
        session.answer(document)
    else:
        _tell_bench(session, document)


def _tell_bench(session: Session, document: dict[str, Any]) -> None:
    from rich.table import Table

    names = [one["name"] for one in document["variants"]]
    table = Table("prompts", "macro F1", "accuracy", *(f"agrees with {name}" for name in names))
    for one, row in zip(document["variants"], document["agreement"], strict=True):
        scores = ["" if one[key] is None else f"{one[key]:.3f}" for key in ("macro_f1", "accuracy")]
        table.add_row(one["name"], *scores, *(f"{100 * share:.0f} %" for share in row))
    session.table().print(table)
    session.remark(
        f"Agreement on {document['patches']} random patches; F1 on {document['examples']} labelled ones of "
        f"{document['cases']} cases."
    )
    if "suggestions" in document:
        found = document["suggestions"]
        for one in found["suggestions"]:
            words = ", ".join(one["words"])
            session.say(f"{one['class_name']}: {words} (F1 {one['f1_before']:.2f} → {one['f1_after']:.2f})")
        session.say(
            f"Macro F1 on {found['tested_on']} patches kept apart: {found['macro_f1_before']:.3f} before, "
            f"{found['macro_f1_after']:.3f} with these words."
        )
    if "saved" in document:
        session.say(f"Kept as {document['saved']['name']}, version {document['saved']['version']}.")
