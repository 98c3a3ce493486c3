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
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of a tuning recipe; repeatable."),
    ] = None,
) -> None:
    """Train an image–text model, or tune an installed one; the same recipe and seed give the same model, and a killed
    run goes on."""
    if (manifest is None) == (atlas is None):
        raise UsageProblem("Training needs either --manifest or --atlas.")
    from plipdesk.training.commands import make_atlas_manifest, run_contrastive, run_tuning
    from plipdesk.training.tuning.recipe import read_tune_recipe

    chosen = existing_file(recipe)
    tuning = read_tune_recipe(chosen, changes or ())
    if changes and tuning is None:
        raise UsageProblem("--set changes recipes of fine-tuning only.", remedy="Change the recipe's file instead.")
    folder = absolute(run) if run is not None else session.workspace.runs / chosen.stem
    with watched(session) as context:
        if atlas is not None:
            manifest = folder / "manifest.parquet"
            make_atlas_manifest(absolute(atlas), resource_path("splits/atlas-heldout.yaml"), manifest)
        assert manifest is not None
        if tuning is not None:
            document = run_tuning(tuning, existing_file(manifest), folder, session.workspace.models, context)
        else:
            document = run_contrastive(chosen, existing_file(manifest), folder, context)
    if session.as_json:
        session.answer(document)
    else:
        for look in document.get("looks", ()):
            found, named = look["text_to_image_recall_at_10"], look["image_to_text_recall_at_10"]
            session.say(
                f"step {look['step']}: validation loss {look['loss']:.4f}, "
                f"Recall@10 of a caption's picture {found:.3f}, of a picture's caption {named:.3f}"
            )
        for stage in document.get("stages", ()):
            session.say(f"{stage['name']}: {stage['steps']} steps, loss {stage['last_loss']:.4f}, {stage['seconds']} s")
        session.say(f"The model lies in {document['model']}")
