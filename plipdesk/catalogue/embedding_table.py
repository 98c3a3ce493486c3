"""Committed embeddings: one row makes one vectors file searchable. No row, no file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Row, and_, delete, func, insert, or_, select, update

from plipdesk.base.paths import Workspace
from plipdesk.catalogue import schema
from plipdesk.catalogue.clock import now_text
from plipdesk.catalogue.collection_table import CollectionTable
from plipdesk.catalogue.connection import Database
from plipdesk.catalogue.job_table import JobTable
from plipdesk.catalogue.rows import EmbeddingRow, JobItemRow, SlideFilter, SlideRow
from plipdesk.catalogue.slide_table import SlideTable, conditions

_embeddings = schema.embeddings
MPP_TOLERANCE = 0.01


@dataclass(frozen=True)
class Unseen:
    """Slides that an encoder sees nothing of, though they have patches of another encoder, or of other weights."""

    encoder_id: str
    slides: int
    patches: int


class EmbeddingTable:
    """The embeddings of one workspace."""

    def __init__(
        self, database: Database, workspace: Workspace, slides: SlideTable, collections: CollectionTable, jobs: JobTable
    ) -> None:
        self._database = database
        self._workspace = workspace
        self._slides = slides
        self._collections = collections
        self._jobs = jobs

    def commit(
        self,
        slide: SlideRow,
        embeddings: Sequence[EmbeddingRow],
        *,
        item: JobItemRow | None = None,
        collection: str | None = None,
        replaces: Sequence[int] = (),
    ) -> tuple[EmbeddingRow, ...]:
        """Make a slide searchable: slide, embeddings, membership and the job's item in one transaction.

        An embedding that is already committed for the same slide, tiling and encoder is left as it is; those of the
        slide whose ids ``replaces`` names go in the same moment.
        Returns the rows as stored, with their ids.
        """
        stored: list[EmbeddingRow] = []
        with self._database.writing() as connection:
            self._slides.put_within(connection, slide)
            of_slide = _embeddings.c.slide_id == slide.slide_id
            connection.execute(delete(_embeddings).where(of_slide, _embeddings.c.embedding_id.in_(list(replaces))))
            for row in embeddings:
                same = and_(
                    _embeddings.c.slide_id == row.slide_id,
                    _embeddings.c.tiling_id == row.tiling_id,
                    _embeddings.c.encoder_fingerprint == row.encoder_fingerprint,
                )
                if connection.execute(select(_embeddings.c.embedding_id).where(same)).scalar_one_or_none() is None:
                    values = {column.name: getattr(row, column.name) for column in _embeddings.columns}
                    del values["embedding_id"]
                    values["committed_at"] = row.committed_at or now_text()
                    connection.execute(insert(_embeddings).values(values))
                stored.append(_row(connection.execute(select(_embeddings).where(same)).one()))
            if collection is not None:
                self._collections.add_within(connection, collection, [slide.slide_id])
            if item is not None:
                self._jobs.put_item_within(connection, item)
        return tuple(stored)

    def select(
        self,
        encoder_fingerprint: str | None = None,
        filters: SlideFilter | None = None,
        patch_mpp_um: Sequence[float] = (),
    ) -> list[EmbeddingRow]:
        """Embeddings of the slides that pass ``filters``, by id; ``patch_mpp_um``: only tilings within 1 % of one."""
        wanted = conditions(filters or SlideFilter())
        if encoder_fingerprint is not None:
            wanted.append(_embeddings.c.encoder_fingerprint == encoder_fingerprint)
        if patch_mpp_um:
            near = [
                _embeddings.c.patch_mpp_um.between(mpp * (1 - MPP_TOLERANCE), mpp * (1 + MPP_TOLERANCE))
                for mpp in patch_mpp_um
            ]
            wanted.append(or_(*near))
        statement = select(_embeddings).join(schema.slides).where(*wanted).order_by(_embeddings.c.embedding_id)
        with self._database.reading() as connection:
            return [_row(row) for row in connection.execute(statement)]

    def unseen(self, encoder_fingerprint: str) -> list[Unseen]:
        """What lies there of slides that have nothing of this encoder, by the encoder that it was made with."""
        seen = select(_embeddings.c.slide_id).where(_embeddings.c.encoder_fingerprint == encoder_fingerprint)
        statement = (
            select(
                _embeddings.c.encoder_id,
                func.count(_embeddings.c.slide_id.distinct()),
                func.sum(_embeddings.c.patches),
            )
            .where(_embeddings.c.slide_id.not_in(seen))
            .group_by(_embeddings.c.encoder_id)
            .order_by(_embeddings.c.encoder_id)
        )
        with self._database.reading() as connection:
            return [Unseen(*row) for row in connection.execute(statement)]

    def find(self, slide_id: str, tiling_id: str, encoder_fingerprint: str) -> EmbeddingRow | None:
        """The committed embedding of this slide, tiling and encoder, or None."""
        statement = select(_embeddings).where(
            _embeddings.c.slide_id == slide_id,
            _embeddings.c.tiling_id == tiling_id,
            _embeddings.c.encoder_fingerprint == encoder_fingerprint,
        )
        with self._database.reading() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else _row(row)

    def remove(self, embedding_id: int) -> Path | None:
        """Uncommit an embedding; returns its file, which no row names any more, or None if there was no such row."""
        with self._database.writing() as connection:
            statement = select(_embeddings.c.file).where(_embeddings.c.embedding_id == embedding_id)
            file = connection.execute(statement).scalar_one_or_none()
            connection.execute(delete(_embeddings).where(_embeddings.c.embedding_id == embedding_id))
        return None if file is None else self._workspace.root / file

    def forget_encoder(self, encoder_id: str) -> list[EmbeddingRow]:
        """Uncommit everything that an encoder has encoded, and let no collection use it, in one transaction.

        Returns the rows that were; nothing names their files any more.
        """
        mine = _embeddings.c.encoder_id == encoder_id
        with self._database.writing() as connection:
            rows = [_row(row) for row in connection.execute(select(_embeddings).where(mine))]
            connection.execute(delete(_embeddings).where(mine))
            collections = schema.collections
            connection.execute(update(collections).where(collections.c.encoder == encoder_id).values(encoder=None))
        return rows


def _row(row: Row[Any]) -> EmbeddingRow:
    return EmbeddingRow(**row._mapping)
