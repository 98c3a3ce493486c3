"""``plipdesk doctor``: is the workspace sound?"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from plipdesk.base.errors import EnvironmentProblem
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
        from plipdesk.catalogue.catalogue import Catalogue
        from plipdesk.catalogue.upkeep import check
        from plipdesk.catalogue.upkeep import repair as mend
        from plipdesk.engine.lock import engine_is_running

        document: dict[str, Any] = {"workspace": str(session.workspace.root), "findings": [], "repaired": []}
        running = engine_is_running(session.workspace)
        document["engine_running"] = running
        if session.workspace.catalogue.exists():
            if repair and running:
                raise EnvironmentProblem(
                    "The workspace is in use, so it cannot be repaired now.",
                    path=session.workspace.root,
                    remedy="Close plipdesk's windows and wait for its jobs, then run this again.",
                )
            with Catalogue.open(session.workspace, readonly=not repair) as catalogue:
                findings = check(session.workspace, catalogue, open_vectors=_open_vectors)
                if running:
                    # A slide in work has written its file and not yet its row: no leftover while the engine runs.
                    findings = [finding for finding in findings if finding.kind != "leftover"]
                document["findings"] = [dataclasses.asdict(finding) for finding in findings]
                if repair:
                    document["repaired"] = [dataclasses.asdict(finding) for finding in mend(findings, catalogue)]
        if session.as_json:
            session.answer(document)
        else:
            _tell(session, document)
        return 1 if len(document["findings"]) > len(document["repaired"]) else 0


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
