"""What can go wrong with a slide, each as one plain sentence with the file and a remedy."""

from __future__ import annotations

from pathlib import Path

from plipdesk.base.errors import EnvironmentProblem, NotFound


class SlideProblem(EnvironmentProblem):
    """A slide cannot be opened or read."""

    kind = "slide"


class SlideMissing(SlideProblem, NotFound):
    """There is no such file (any more)."""

    kind = "not-found"


class SlideUnreachable(SlideProblem):
    """The file is there but the system does not let it be read: permission, a share that went away, a failing disk."""


class UnknownFormat(SlideProblem):
    """The file is no slide and no picture that plipdesk reads."""


class DamagedSlide(SlideProblem):
    """The file, or the region asked for, is broken; other regions may still be readable."""


class TooLarge(SlideProblem):
    """A file declares, or a caller asks for, more pixels or bytes than are safe to take memory for."""


class ChannelsNeeded(SlideProblem):
    """Fluorescence, multi-channel or deeper than 8 bits: somebody has to choose which channels to look at.

    ``choosable``: how many there are to choose from; 0 where this format offers no choice.
    """

    def __init__(
        self, message: str, *, path: Path | None = None, remedy: str | None = None, choosable: int = 0
    ) -> None:
        super().__init__(message, path=path, remedy=remedy)
        self.choosable = choosable


class MppProblem(SlideProblem):
    """The file's own MPP contradicts itself."""
