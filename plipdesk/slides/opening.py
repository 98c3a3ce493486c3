"""The one way to open a slide, whatever its format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from plipdesk.base.errors import UsageProblem
from plipdesk.slides.openslide_reader import OpenSlideReader
from plipdesk.slides.protocol import SlideReader


def open_slide(path: Path, *, mpp_um: float | None = None, channels: Sequence[int] | None = None) -> SlideReader:
    """Open a slide or picture.

    ``mpp_um`` is the level-0 MPP given by a person; it overrides whatever the file says.
    """
    if channels is not None:
        raise UsageProblem("Channels cannot be chosen for this file.", path=path, remedy="Open it without channels.")
    return OpenSlideReader(path.absolute(), mpp_um=mpp_um)
