"""Numbered steps from an empty file to the newest schema; a step is never changed once it was released.

``PRAGMA user_version`` holds the number of the last step taken. All missing steps run in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from plipdesk.catalogue import schema


def _step_1_first_schema(connection: Connection) -> None:
    schema.metadata.create_all(connection)


def _step_2_annotations(connection: Connection) -> None:
    schema.drawn.create(connection, checkfirst=True)


def _step_3_encoder_of_a_collection(connection: Connection) -> None:
    columns = {row[1] for row in connection.exec_driver_sql("PRAGMA table_info(collections)")}
    if "encoder" not in columns:  # the first step makes tables as they are now
        connection.exec_driver_sql("ALTER TABLE collections ADD COLUMN encoder VARCHAR")


def _step_4_corrections(connection: Connection) -> None:
    schema.corrections.create(connection, checkfirst=True)


def _step_5_channels_of_a_slide(connection: Connection) -> None:
    columns = {row[1] for row in connection.exec_driver_sql("PRAGMA table_info(slides)")}
    if "channels" not in columns:
        connection.exec_driver_sql("ALTER TABLE slides ADD COLUMN channels JSON")


STEPS: tuple[Callable[[Connection], None], ...] = (
    _step_1_first_schema,
    _step_2_annotations,
    _step_3_encoder_of_a_collection,
    _step_4_corrections,
    _step_5_channels_of_a_slide,
)
NEWEST = len(STEPS)
# "plip": tells our databases from any other SQLite file.
APPLICATION_ID = 0x706C6970


def version_of(connection: Connection) -> int:
    """Number of the last step that was taken on this database; 0 for an empty one."""
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def migrate(connection: Connection) -> int:
    """Take every missing step inside the caller's transaction; returns how many were taken."""
    version = version_of(connection)
    for step in STEPS[version:]:
        step(connection)
    if version < NEWEST:
        connection.exec_driver_sql(f"PRAGMA user_version = {NEWEST}")
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
    return NEWEST - version
