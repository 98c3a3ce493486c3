"""Questions about files on their way in, each asked once: what waits, what was answered, what holds for a folder."""

from __future__ import annotations

from pathlib import PurePath
from typing import Generic, TypeVar

from plipdesk.catalogue.rows import JobItemRow

Value = TypeVar("Value")


class FolderQuestions(Generic[Value]):
    """Asks about each file at most once; a folder's answer holds for what comes later from that folder."""

    def __init__(self) -> None:
        self.waiting: list[JobItemRow] = []
        self._asked: set[str] = set()
        self._folders: dict[str, Value] = {}

    def add(self, item: JobItemRow) -> Value | None:
        """Note a skipped item; returns the value its folder was given, else None, and the question waits."""
        known = self._folders.get(_folder(item.path))
        if known is not None:
            return known if self._first_time(item.path) else None
        if self._first_time(item.path):
            self.waiting.append(item)
        return None

    def settle(self, item: JobItemRow, value: Value | None, *, whole_folder: bool) -> list[JobItemRow]:
        """Take an answer (None: not now); returns the items to be submitted again with it."""
        self.waiting = [other for other in self.waiting if other.path != item.path]
        if value is None:
            return []
        if not whole_folder:
            return [item]
        folder = _folder(item.path)
        self._folders[folder] = value
        same = [other for other in self.waiting if _folder(other.path) == folder]
        self.waiting = [other for other in self.waiting if _folder(other.path) != folder]
        return [item, *same]

    def ask_again(self, path: str) -> None:
        """A person wants the question back."""
        self._asked.discard(path)

    def _first_time(self, path: str) -> bool:
        if path in self._asked:
            return False
        self._asked.add(path)
        return True


def _folder(path: str) -> str:
    return str(PurePath(path).parent)
