"""The catalogue of a workspace: SQLite, the one truth about slides, embeddings, collections and jobs."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from plipdesk.base.paths import Workspace
from plipdesk.catalogue.annotation_table import AnnotationTable
from plipdesk.catalogue.collection_table import CollectionTable
from plipdesk.catalogue.connection import Database, open_database
from plipdesk.catalogue.correction_table import CorrectionTable
from plipdesk.catalogue.embedding_table import EmbeddingTable
from plipdesk.catalogue.job_table import JobTable
from plipdesk.catalogue.setting_table import SettingTable
from plipdesk.catalogue.slide_table import SlideTable


class Catalogue:
    """One workspace's catalogue. One process (the engine) opens it for writing; any may read beside it. Thread-safe."""

    def __init__(self, database: Database, workspace: Workspace) -> None:
        self.database = database
        self.workspace = workspace
        self.slides = SlideTable(database, workspace)
        self.collections = CollectionTable(database)
        self.jobs = JobTable(database)
        self.embeddings = EmbeddingTable(database, workspace, self.slides, self.collections, self.jobs)
        self.annotations = AnnotationTable(database)
        self.corrections = CorrectionTable(database)
        self.settings = SettingTable(database)

    @classmethod
    def open(cls, workspace: Workspace, *, readonly: bool = False) -> Self:
        """Open the catalogue, making the workspace or bringing it to the newest schema where needed.

        Raises:
            CatalogueProblem: a network share, a folder that cannot be written, or (read-only) no workspace.
            WorkspaceTooNew: written by a later version.
            WorkspaceDamaged: the file is not a database, or is damaged.
        """
        return cls(open_database(workspace.catalogue, readonly=readonly), workspace)

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
