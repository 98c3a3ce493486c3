"""Pictures of a source that may lie in a folder or inside an archive or document."""

from __future__ import annotations

from pathlib import PurePosixPath

from plipdesk.datasets.pair import Medium
from plipdesk.datasets.sources.container import Container, Unsafe
from plipdesk.datasets.sources.extracted import Extracted
from plipdesk.datasets.sources.trouble import Trouble

MAX_PICTURE_BYTES = 256 << 20
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz")


def medium(
    container: Container, name: str, identity: str, extracted: Extracted, trouble: Trouble, url: str | None = None
) -> Medium:
    """The picture ``name`` of a container: by its path in a folder, taken out of an archive."""
    try:
        if container.local(name) is not None:
            return Medium(identity, url=url, file=name)
        content = container.read(name, MAX_PICTURE_BYTES)
    except KeyError:
        return Medium(identity, url=url)
    except Unsafe as why:
        trouble.add(str(why), f"{container.path.name}!{name}"[:200])
        return Medium(identity, url=url, problem=str(why))
    return Medium(identity, url=url, extracted=extracted.keep(content, PurePosixPath(name).suffix or ".bin"))


def count_inner_archives(container: Container, trouble: Trouble) -> None:
    """Archives inside a source are told of and never opened."""
    for name in container.names():
        if name.lower().endswith(_ARCHIVES):
            trouble.add("archive inside the source", f"{container.path.name}!{name}"[:200])
