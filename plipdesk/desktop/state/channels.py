"""Files of which somebody has to choose channels: which they are, what there is to choose from, what was answered."""

from __future__ import annotations

import re
from dataclasses import dataclass

from plipdesk.catalogue.rows import JobItemRow
from plipdesk.desktop.state.questions import FolderQuestions

# As the readers of slides say it: "… of its 4 channels (0 DAPI, 1 FITC, …) with --channels …".
_CHANNELS = re.compile(r"of its (\d+) channels(?: \((.*)\))? with --channels")


def lacks_channels(item: JobItemRow) -> bool:
    """Whether an item was skipped because its channels have to be chosen."""
    return item.status == "skipped" and remedy_lacks_channels(item.remedy)


def remedy_lacks_channels(remedy: str | None) -> bool:
    """Whether a remedy says that channels have to be chosen."""
    return "--channels" in (remedy or "")


def channel_names(remedy: str | None) -> tuple[str, ...]:
    """What there is to choose from, in words, such as ``0 DAPI``; one channel where nothing tells."""
    found = _CHANNELS.search(remedy or "")
    if found is None:
        return ("0",)
    count, named = int(found[1]), (found[2] or "").split(", ")
    return tuple(named) if len(named) == count else tuple(map(str, range(count)))


@dataclass(frozen=True)
class ChannelAnswer:
    """One channel (grey) or three (red, green, blue), for one file or for everything in its folder."""

    channels: tuple[int, ...]
    whole_folder: bool


class ChannelQuestions(FolderQuestions[tuple[int, ...]]):
    """See :class:`FolderQuestions`."""
