"""Named sets of slides."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from plipdesk.base.errors import NotFound, UsageProblem
from plipdesk.catalogue import schema
from plipdesk.catalogue.clock import now_text
from plipdesk.catalogue.connection import Database
from plipdesk.catalogue.rows import CollectionRow

_collections = schema.collections
_members = schema.collection_slides


class CollectionTable:
    """The collections of one workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[CollectionRow]:
        """Every collection, by name, with the number of its slides."""
        count = func.count(_members.c.slide_id)
        statement = (
            select(_collections, count.label("slides"))
            .outerjoin(_members)
            .group_by(_collections.c.collection_id)
            .order_by(_collections.c.name)
        )
        with self._database.reading() as connection:
            return [CollectionRow(**row._mapping) for row in connection.execute(statement)]

    def create(self, name: str) -> None:
        """Make an empty collection; nothing happens if there is one of that name.

        Raises:
            UsageProblem: the name is empty.
        """
        with self._database.writing() as connection:
            self._id_within(connection, name)

    def delete(self, name: str) -> None:
        """Delete a collection; its slides stay in the workspace.

        Raises:
            NotFound: no collection of that name.
        """
        with self._database.writing() as connection:
            if connection.execute(delete(_collections).where(_collections.c.name == name)).rowcount == 0:
                raise NotFound(f"There is no collection {name!r}.", remedy="See 'plipdesk collections list'.")

    def add(self, name: str, slide_ids: Sequence[str]) -> None:
        """Add slides to a collection, which is made if it is new."""
        with self._database.writing() as connection:
            self.add_within(connection, name, slide_ids)

    def add_within(self, connection: Connection, name: str, slide_ids: Sequence[str]) -> None:
        """:meth:`add` as part of a larger transaction."""
        collection_id = self._id_within(connection, name)
        for slide_id in slide_ids:
            statement = insert(_members).values(collection_id=collection_id, slide_id=slide_id)
            connection.execute(statement.on_conflict_do_nothing())

    def take_out(self, name: str, slide_ids: Sequence[str]) -> None:
        """Take slides out of a collection; they stay in the workspace.

        Raises:
            NotFound: no collection of that name.
        """
        with self._database.writing() as connection:
            statement = select(_collections.c.collection_id).where(_collections.c.name == name)
            collection_id = connection.execute(statement).scalar_one_or_none()
            if collection_id is None:
                raise NotFound(f"There is no collection {name!r}.", remedy="See 'plipdesk collections list'.")
            gone = (_members.c.collection_id == collection_id) & _members.c.slide_id.in_(slide_ids)
            connection.execute(delete(_members).where(gone))

    def set_encoder(self, name: str, encoder_id: str | None) -> None:
        """Let new slides and searches of a collection use an encoder; None: the workspace's default again.

        Raises:
            NotFound: no collection of that name.
        """
        with self._database.writing() as connection:
            change = update(_collections).where(_collections.c.name == name).values(encoder=encoder_id)
            if connection.execute(change).rowcount == 0:
                raise NotFound(f"There is no collection {name!r}.", remedy="See 'plipdesk collections list'.")

    def encoders(self, names: Sequence[str]) -> list[str | None]:
        """The encoder of each collection, in the order of ``names``; None where it is the workspace's default."""
        statement = select(_collections.c.name, _collections.c.encoder).where(_collections.c.name.in_(names))
        with self._database.reading() as connection:
            found = {row.name: row.encoder for row in connection.execute(statement)}
        return [found.get(name) for name in names]

    def _id_within(self, connection: Connection, name: str) -> int:
        if not name.strip():
            raise UsageProblem("A collection needs a name.")
        made = insert(_collections).values(name=name, created_at=now_text()).on_conflict_do_nothing()
        connection.execute(made)
        found = connection.execute(select(_collections.c.collection_id).where(_collections.c.name == name))
        return int(found.scalar_one())
