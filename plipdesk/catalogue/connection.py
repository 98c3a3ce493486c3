"""Opening the workspace's SQLite database: write-ahead log, foreign keys, immediate write transactions."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import NullPool, QueuePool

from plipdesk.base.files import DiskFull
from plipdesk.catalogue import migrations
from plipdesk.catalogue.errors import CatalogueProblem, WorkspaceDamaged, WorkspaceTooNew

BUSY_TIMEOUT_MS = 10_000
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb", "smbfs", "smb3", "afpfs", "webdav", "davfs", "fuse.sshfs", "9p", "ncpfs", "afs"}
)


class Database:
    """Connections to one database file. Reads run side by side; writes of this process run one after the other."""

    def __init__(self, path: Path, *, readonly: bool) -> None:
        self.path = path
        self.readonly = readonly
        self._write_lock = threading.RLock()
        if readonly:
            location = f"sqlite+pysqlite:///{path.as_uri()}?mode=ro&uri=true"
        else:
            location = f"sqlite+pysqlite:///{path}"
        self._engine: Engine = create_engine(
            location,
            poolclass=NullPool if readonly else QueuePool,
            connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000},
        )
        event.listen(self._engine, "connect", self._prepare)
        event.listen(self._engine, "begin", self._begin)

    def _prepare(self, connection: sqlite3.Connection, _record: Any) -> None:
        # The driver must not open transactions by itself: reads stay deferred, writes take the lock at once.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA foreign_keys = ON")
        if not self.readonly:
            cursor.execute("PRAGMA journal_mode = WAL")
            # What is committed survives a power cut (DESIGN.md, invariant 3); commits are few.
            cursor.execute("PRAGMA synchronous = FULL")
        cursor.close()

    def _begin(self, connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read transaction: one unchanging view of the database."""
        with self._in_words(), self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A write transaction: all of it is committed, or none."""
        with (
            self._write_lock,
            self._in_words(),
            self._engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            yield connection

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            text = str(error.orig).lower()
            if "full" in text or "disk i/o" in text:
                raise DiskFull(
                    "The disk with the workspace is full or cannot be written.",
                    path=self.path,
                    remedy="Free some space, then retry; finished work is kept.",
                ) from error
            if "locked" in text:
                raise CatalogueProblem(
                    "Another program holds the workspace's database.",
                    path=self.path,
                    remedy="Close the other program, then retry.",
                ) from error
            raise self._damaged(str(error.orig)) from error
        except DatabaseError as error:
            if isinstance(error.orig, sqlite3.IntegrityError):
                raise
            raise self._damaged(str(error.orig)) from error

    def _damaged(self, detail: str) -> WorkspaceDamaged:
        return WorkspaceDamaged(
            f"The workspace's database cannot be used: {detail}.",
            path=self.path,
            remedy="Run 'plipdesk doctor --repair', or restore a backup of the workspace.",
        )

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def open_database(path: Path, *, readonly: bool) -> Database:
    """Open the database at ``path``, making it or bringing it to the newest schema where it is older.

    Before a migration of a database that holds something, a copy is kept beside it.

    Raises:
        CatalogueProblem: it lies on a network share, or cannot be written.
        WorkspaceTooNew: written by a later version.
        WorkspaceDamaged: not a database, or a damaged one.
    """
    if readonly and not path.exists():
        raise CatalogueProblem(
            "There is no workspace here yet.", path=path.parent, remedy="Index a slide first: plipdesk index SLIDE."
        )
    if not readonly:
        refuse_network_share(path.parent)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CatalogueProblem(
                f"The workspace's folder cannot be made: {error.strerror}.",
                path=path.parent,
                remedy="Choose another folder with --workspace.",
            ) from error
        if not os.access(path.parent, os.W_OK):
            raise CatalogueProblem(
                "The workspace's folder cannot be written to.",
                path=path.parent,
                remedy="Choose another folder with --workspace, or change its permissions.",
            )
    database = Database(path, readonly=readonly)
    try:
        with database.reading() as connection:
            version = migrations.version_of(connection)
            application = int(connection.exec_driver_sql("PRAGMA application_id").scalar_one())
            tables = int(connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one())
        if tables and application != migrations.APPLICATION_ID:
            raise WorkspaceDamaged(
                "This database does not belong to plipdesk.", path=path, remedy="Choose another workspace folder."
            )
        if version > migrations.NEWEST:
            raise WorkspaceTooNew(
                f"This workspace was written by a newer plipdesk (format {version}; this one knows up to "
                f"{migrations.NEWEST}).",
                path=path.parent,
                remedy="Install the newer version, or choose another workspace.",
            )
        if version < migrations.NEWEST:
            if readonly:
                raise CatalogueProblem(
                    "This workspace is of an older format.", path=path.parent, remedy="Open it once with 'plipdesk'."
                )
            if version:
                shutil.copy2(path, path.with_name(f"{path.name}.before-{migrations.NEWEST}"))
            with database.writing() as connection:
                migrations.migrate(connection)
    except BaseException:
        database.close()
        raise
    return database


def refuse_network_share(folder: Path) -> None:
    """Refuse a workspace on a network share: SQLite's write-ahead log is unsafe there.

    Raises:
        CatalogueProblem: ``folder`` lies on a file system known to be a network share.
    """
    kind = file_system_of(folder)
    if kind in NETWORK_FILE_SYSTEMS:
        raise CatalogueProblem(
            f"A workspace must lie on a local disk; this folder is on a network share ({kind}), where the database "
            "can be damaged.",
            path=folder,
            remedy="Choose a local folder with --workspace. Slides may stay on the share.",
        )


def file_system_of(folder: Path) -> str:
    """Name of the file system that holds ``folder`` (or its nearest existing parent), lower case; '' if unknown."""
    import psutil

    existing = folder.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    existing = existing.resolve()
    best, kind = -1, ""
    for partition in psutil.disk_partitions(all=True):
        mount = Path(partition.mountpoint)
        if existing.is_relative_to(mount) and len(mount.parts) > best:
            best, kind = len(mount.parts), partition.fstype.lower()
    return kind
