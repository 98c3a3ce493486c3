"""Settings that belong to the workspace, such as the encoder in use."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert

from plipdesk.base.progress import Json
from plipdesk.catalogue import schema
from plipdesk.catalogue.connection import Database

_settings = schema.settings


class SettingTable:
    """Values by key; each room declares its own keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, key: str, default: Json = None) -> Json:
        """The value kept under ``key``."""
        with self._database.reading() as connection:
            row = connection.execute(select(_settings.c.value).where(_settings.c.key == key)).one_or_none()
        return default if row is None else row.value

    def set(self, key: str, value: Json) -> None:
        """Keep ``value`` under ``key``."""
        with self._database.writing() as connection:
            statement = insert(_settings).values(key=key, value=value)
            connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"value": value}))
