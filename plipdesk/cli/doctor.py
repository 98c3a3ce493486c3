"""``plipdesk doctor``: is the workspace sound?"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.base.paths import Workspace
from plipdesk.catalogue.rows import EmbeddingRow
from plipdesk.cli.commands import command
from plipdesk.cli.session import Session


def declare(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "doctor")
    def doctor(
        session: Session, repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended.")] = False
    ) -> int:
        """Check the workspace, and mend it with --repair."""
        document: dict[str, Any] = {"workspace": str(session.workspace.root), "findings": [], "repaired": []}
        if session.workspace.catalogue.exists():
            document |= _examine(session.workspace, repair=repair)
        if session.as_json:
            session.answer(document)
        else:
            _tell(session, document)
        return 1 if len(document["findings"]) > len(document["repaired"]) else 0


def _examine(workspace: Workspace, *, repair: bool) -> dict[str, Any]:
    from plipdesk.catalogue.catalogue import Catalogue
    from plipdesk.catalogue.upkeep import check
    from plipdesk.catalogue.upkeep import repair as mend
    from plipdesk.engine.rendezvous import engine_lock

    # Held until the end: no engine can start and write while we look and mend.
    with engine_lock(workspace) as lock:
        alone = lock.take()
        if repair and not alone:
            raise EnvironmentProblem(
                "The workspace is in use, so it cannot be repaired now.",
                path=workspace.root,
                remedy="Close plipdesk's windows and wait for its jobs, then run this again.",
            )
        with Catalogue.open(workspace, readonly=not repair) as catalogue:
            findings = check(workspace, catalogue, open_vectors=_open_vectors, encoders=_fingerprints(workspace))
            if not alone:
                # A slide in work has written its file and not yet its row: no leftover while the engine runs.
                findings = [finding for finding in findings if finding.kind != "leftover"]
            mended = mend(findings, catalogue) if repair else []
    return {
        "engine_running": not alone,
        "findings": [dataclasses.asdict(finding) for finding in findings],
        "repaired": [dataclasses.asdict(finding) for finding in mended],
    }


def _fingerprints(workspace: Workspace) -> dict[str, set[str]]:
    from plipdesk.encoders.loading import list_encoders
    from plipdesk.encoders.null import null_card
    from plipdesk.encoders.protocol import NUMERIC_CLASSES

    cards = [null_card(), *(installed.card for installed in list_encoders(workspace.models))]
    return {card.id: {card.fingerprint(kind) for kind in NUMERIC_CLASSES} for card in cards}


def _open_vectors(path: Path, row: EmbeddingRow) -> None:
    from plipdesk.index.vectors import VectorFile

    VectorFile.open(path, expect_rows=row.patches, expect_dim=row.dim)


def _tell(session: Session, document: dict[str, Any]) -> None:
    session.say(f"Workspace {document['workspace']}")
    if not document["findings"]:
        session.say("Everything is as it must be.")
    for finding in document["findings"]:
        session.say(f"- {finding['message']} ({finding['path']}) {finding['remedy']}")
    if document["repaired"]:
        session.say(f"{len(document['repaired'])} of these were mended.")
