"""Keeping a workspace sound: sweeping leftovers at start, and the checks behind ``plipdesk doctor``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from plipdesk.base.errors import PlipdeskError
from plipdesk.base.files import TEMPORARY_SUFFIX
from plipdesk.base.paths import Workspace
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.rows import EmbeddingRow

FindingKind = Literal[
    "database", "vectors-missing", "vectors-damaged", "vectors-outdated", "encoder-missing", "leftover", "slide-missing"
]


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it must be; ``repairable``: ``plipdesk doctor --repair`` mends it."""

    kind: FindingKind
    message: str
    path: str | None
    remedy: str
    repairable: bool
    embedding_ids: tuple[int, ...] = ()
    """Rows that repair removes, with their files."""


def leftovers(workspace: Workspace, catalogue: Catalogue) -> Iterator[Path]:
    """Files in the vectors folder that no row names: half-written ones, and those of a killed commit."""
    known = {workspace.root / row.file for row in catalogue.embeddings.select()}
    for folder, _folders, names in os.walk(workspace.vectors):
        for name in names:
            path = Path(folder, name)
            if path not in known and (path.suffix == ".safetensors" or name.endswith(TEMPORARY_SUFFIX)):
                yield path


def sweep(workspace: Workspace, catalogue: Catalogue) -> list[Path]:
    """Delete leftovers; call only while no worker of this workspace is alive. Returns what was deleted."""
    swept = list(leftovers(workspace, catalogue))
    for path in swept:
        path.unlink(missing_ok=True)
    return swept


def check(
    workspace: Workspace,
    catalogue: Catalogue,
    *,
    open_vectors: Callable[[Path, EmbeddingRow], None],
    encoders: Mapping[str, Set[str]],
) -> list[Finding]:
    """Look for everything that is not as it must be.

    ``open_vectors`` opens the vectors file of a row and raises a :class:`PlipdeskError` if it is damaged (the room
    ``index`` knows how; this room does not know it). ``encoders``: fingerprints that each installed encoder can have.
    """
    found: list[Finding] = []
    with catalogue.database.reading() as connection:
        for (text,) in connection.exec_driver_sql("PRAGMA integrity_check").all():
            if text != "ok":
                found.append(
                    Finding(
                        "database", f"The database is damaged: {text}.", str(workspace.catalogue),
                        "Restore a backup of the workspace, or index the slides again in a new one.", False,
                    )
                )  # fmt: skip
        for table, row, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check").all():
            found.append(
                Finding(
                    "database", f"Row {row} of {table} points to a missing row of {parent}.",
                    str(workspace.catalogue), "Restore a backup of the workspace.", False,
                )
            )  # fmt: skip
    for embedding in catalogue.embeddings.select():
        path = workspace.root / embedding.file
        remedy = "Repair removes the row; index the slide again to make its vectors anew."
        if not path.exists():
            found.append(
                Finding(
                    "vectors-missing", "A committed file is gone.", str(path), remedy, True, (embedding.embedding_id,)
                )
            )
            continue
        try:
            open_vectors(path, embedding)
        except PlipdeskError as error:
            found.append(Finding("vectors-damaged", error.message, str(path), remedy, True, (embedding.embedding_id,)))
    found += _of_no_encoder(workspace, catalogue.embeddings.select(), encoders)
    for path in leftovers(workspace, catalogue):
        found.append(Finding("leftover", "No row names this file.", str(path), "Repair deletes it.", True))
    for slide in catalogue.slides.select():
        if not Path(slide.path).exists():
            found.append(
                Finding(
                    "slide-missing", "This slide is not where it was; searching goes on, opening it does not.",
                    slide.path, f"Tell where it is: plipdesk slides relink {slide.slide_id} PATH.", False,
                )
            )  # fmt: skip
    return found


def _of_no_encoder(
    workspace: Workspace, rows: list[EmbeddingRow], encoders: Mapping[str, Set[str]]
) -> Iterator[Finding]:
    """Vectors that no installed encoder can be asked about, told together for each encoder's state."""
    groups: dict[tuple[str, str], list[EmbeddingRow]] = {}
    for row in rows:
        if row.encoder_fingerprint not in encoders.get(row.encoder_id, ()):
            groups.setdefault((row.encoder_id, row.encoder_fingerprint), []).append(row)
    for (encoder_id, _), own in sorted(groups.items()):
        slides, patches = len({row.slide_id for row in own}), sum(row.patches for row in own)
        what = f"{patches:,} patches of {slides:,} slide{'' if slides == 1 else 's'}"
        if encoder_id in encoders:
            yield Finding(
                "vectors-outdated", f"{what} were made with other weights or settings of {encoder_id}: not searched.",
                str(workspace.vectors), "Index the slides again if you want them; repair removes these vectors.", True,
                tuple(row.embedding_id for row in own),
            )  # fmt: skip
        else:
            yield Finding(
                "encoder-missing", f"{what} were made with {encoder_id}, which is not installed: not searched.",
                str(workspace.models), f"Import {encoder_id} again: plipdesk models import PATH.", False,
            )  # fmt: skip


def repair(findings: list[Finding], catalogue: Catalogue) -> list[Finding]:
    """Mend what can be mended: rows without a sound file are removed, leftovers deleted. Returns what was mended."""
    mended: list[Finding] = []
    for finding in findings:
        if not finding.repairable:
            continue
        for embedding_id in finding.embedding_ids:
            file = catalogue.embeddings.remove(embedding_id)
            if file is not None:
                file.unlink(missing_ok=True)
        if finding.kind == "leftover" and finding.path is not None:
            Path(finding.path).unlink(missing_ok=True)
        mended.append(finding)
    return mended
