"""``plipdesk train``: train encoders from recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plipdesk.base.errors import UsageProblem
from plipdesk.base.resources import resource_path
from plipdesk.cli.commands import command, group
from plipdesk.cli.places import absolute, existing_file
from plipdesk.cli.session import Session
from plipdesk.cli.watching import watched

app = group("Train encoders from recipes.")


@command(app, "contrastive")
def contrastive(
    session: Session,
    recipe: Annotated[Path, typer.Option(metavar="FILE.yaml", help="What to train, and how.")],
    manifest: Annotated[Path | None, typer.Option(metavar="FILE.parquet", help="Pictures with captions.")] = None,
    atlas: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A folder of atlas tiles; its manifest is made in the run.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run's folder; one that was begun there goes on.")
    ] = None,
) -> None:
    """Train an image–text model; the same recipe and seed give the same model, and a killed run goes on."""
    if (manifest is None) == (atlas is None):
        raise UsageProblem("Training needs either --manifest or --atlas.")
    from plipdesk.training.commands import make_atlas_manifest, run_contrastive

    chosen = existing_file(recipe)
    folder = absolute(run) if run is not None else session.workspace.runs / chosen.stem
    with watched(session) as context:
        if atlas is not None:
            manifest = folder / "manifest.parquet"
            make_atlas_manifest(absolute(atlas), resource_path("splits/atlas-heldout.yaml"), manifest)
        assert manifest is not None
        document = run_contrastive(chosen, existing_file(manifest), folder, context)
    if session.as_json:
        session.answer(document)
    else:
        for stage in document["stages"]:
            session.say(f"{stage['name']}: {stage['steps']} steps, loss {stage['last_loss']:.4f}, {stage['seconds']} s")
        session.say(f"The model lies in {document['model']}")
