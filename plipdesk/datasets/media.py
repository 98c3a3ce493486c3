"""Where the pictures of an export lie: a media folder is listed once, then asked by the names exports use."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from plipdesk.datasets.pair import Medium, Post
from plipdesk.datasets.sources.container import inside

_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")


class MediaFolder:
    """The pictures below some folders, found by relative path, by name, or by name without its ending.

    Files without any ending count too: Bluesky names blobs so.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = [folder.resolve() for folder in folders]
        self._names: dict[str, str] = {}
        for number, folder in enumerate(self._folders):
            for place, inner, files in os.walk(folder):
                inner.sort()
                for name in sorted(files):
                    stem, dot, ending = name.rpartition(".")
                    if not dot or f".{ending.lower()}" in _PICTURES:
                        full = f"{number}:{os.path.relpath(os.path.join(place, name), folder)}"  # noqa: PTH118 - 250,000 of them
                        self._names.setdefault(name.lower(), full)
                        self._names.setdefault((stem or name).lower(), full)

    def find(self, post: Post, medium: Medium, root: Path) -> Path | None:
        """The file of a picture, or None if it is nowhere.

        ``root`` is the folder of the source itself.

        Raises:
            Unsafe: the export names a file outside of its folders.
        """
        if medium.file:
            for folder in (root, *self._folders):
                place = inside(folder, medium.file)
                if place.is_file():
                    return place
        for name in _candidates(post, medium):
            found = self._names.get(name.lower())
            if found is not None:
                number, _, relative = found.partition(":")
                return inside(self._folders[int(number)], relative.replace(os.sep, "/"))
        return None


def _candidates(post: Post, medium: Medium) -> Iterator[str]:
    """Names that exporters give: by media key, by post and name of the address, by the address's own name."""
    if post.family == "web" and medium.url:
        for digest in (hashlib.sha256, hashlib.md5, hashlib.sha1):
            yield digest(medium.url.encode(), usedforsecurity=False).hexdigest()
    base = PurePosixPath((medium.url or "").partition("?")[0].partition("://")[2]).name
    stem = base.rpartition(".")[0] or base
    yield medium.id
    if "_" in medium.id:
        yield medium.id.partition("_")[2]
    yield f"{post.id}-{medium.id}"
    yield f"{post.id}_{medium.id}"
    if medium.file:
        yield PurePosixPath(medium.file.replace("\\", "/")).name
    if base:
        for name in (base, stem):
            yield f"{post.id}-{name}"
            yield f"{post.id}_{name}"
            yield name
    for number, other in enumerate(post.media):
        if other is medium:
            yield f"{post.id}_{number + 1}"
            yield f"{post.id}-{number + 1}"
            if len(post.media) == 1:
                yield post.id
