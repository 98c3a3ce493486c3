"""The kinds of sources by name, and how a person writes one: ``KIND:PATH``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from plipdesk.base.errors import UsageProblem
from plipdesk.base.progress import Json
from plipdesk.datasets.pair import Post
from plipdesk.datasets.sources.extracted import Extracted
from plipdesk.datasets.sources.trouble import SourceProblem, Trouble

_PLAIN = {
    "x-api-v2": "x_api",
    "laion": "laion",
    "folder": "folder",
}
"""Readers of files as they lie: module with ``posts(path, trouble)``."""
_UNPACKING = {
    "x-archive": "x_archive",
    "mastodon": "mastodon",
    "bluesky": "bluesky",
    "pdf": "pdf",
    "html": "markup",
    "epub": "markup",
    "pmc": "pmc",
    "slides": "slides",
}
"""Readers that take pictures out of documents or archives: module with ``posts(path, trouble, extracted)``."""
KINDS = tuple(sorted({**_PLAIN, **_UNPACKING}))
_REMEDY = f"Write KIND:PATH, where KIND is one of {', '.join(KINDS)}."


@dataclass(frozen=True)
class Source:
    """An export on the disk, and what kind of export it is."""

    kind: str
    path: Path

    @property
    def root(self) -> Path:
        """The folder to which the source's own file names are relative."""
        return self.path if self.path.is_dir() else self.path.parent

    def posts(self, trouble: Trouble, extracted: Extracted) -> Iterator[Post]:
        """Everything the source holds; what cannot be read goes to ``trouble``.

        Raises:
            SourceProblem: nothing of it can be read.
        """
        name = _PLAIN.get(self.kind) or _UNPACKING[self.kind]
        read: Callable[..., Iterator[Post]] = import_module(f"plipdesk.datasets.sources.{name}").posts
        if self.kind in _PLAIN:
            return read(self.path, trouble)
        return read(self.path, trouble, extracted)

    def identity(self) -> dict[str, Json]:
        """What tells whether the source is still the same: sizes and times of its files."""
        newest_ns = size_bytes = files = 0
        places = [self.path] if self.path.is_file() else [
            Path(folder, name) for folder, _, names in os.walk(self.path) for name in names
        ]  # fmt: skip
        for place in places:
            try:
                found = place.stat()
            except OSError:
                continue
            files, size_bytes, newest_ns = files + 1, size_bytes + found.st_size, max(newest_ns, found.st_mtime_ns)
        return {
            "kind": self.kind, "path": str(self.path), "files": files, "bytes": size_bytes, "newest_ns": newest_ns,
        }  # fmt: skip


def parse_source(words: str) -> Source:
    """The source that a person writes as ``KIND:PATH``.

    Raises:
        UsageProblem: no such kind, or no path.
        SourceProblem: nothing lies there.
    """
    kind, colon, place = words.partition(":")
    if not colon or kind not in KINDS or not place:
        raise UsageProblem(f"{words!r} is no source.", remedy=_REMEDY)
    path = Path(place).expanduser().absolute()
    if not path.exists():
        raise SourceProblem("This source does not exist.", path=path, remedy="Check the path.")
    return Source(kind, path)
