"""What all readers share: the bounds of a read, the thumbnail, the end of life."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.errors import Bug
from plipdesk.slides.limits import check_region
from plipdesk.slides.protocol import SlideInfo
from plipdesk.slides.reduction import reduced_slide


class CheckedReader(ABC):
    """A :class:`~plipdesk.slides.protocol.SlideReader` whose formats fill in three methods."""

    _info: SlideInfo
    _closed = False

    @property
    def info(self) -> SlideInfo:
        """What is known of the slide."""
        return self._info

    def read_region(self, x0_px: int, y0_px: int, level: int, width_px: int, height_px: int) -> NDArray[np.uint8]:
        """Pixels (height_px, width_px, 3) RGB of ``level``; see the protocol.

        Raises:
            DamagedSlide: the file is broken here. Other regions, and other levels here, may be whole: whoever can do
                with those may ask for them.
            TooLarge: more pixels than may be read at once.
            Bug: the reader is closed, or there is no such level.
        """
        check_region(self._info, level, width_px, height_px)
        self._check_open()
        return self._read(int(x0_px), int(y0_px), level, int(width_px), int(height_px))

    def thumbnail(self, max_px: int) -> NDArray[np.uint8]:
        """The whole slide (h, w, 3), its longer side at most ``max_px``; see :func:`reduced_slide`."""
        self._check_open()
        return reduced_slide(self, max_px)

    @abstractmethod
    def icc_profile(self) -> bytes | None:
        """The ICC profile of the pixels, or None where there is none that is valid."""

    @abstractmethod
    def close(self) -> None:
        """Give back what the slide holds; may be called twice, and while other threads still read."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise Bug("A slide was read after it had been closed.", path=self._info.path)

    @abstractmethod
    def _read(self, x0_px: int, y0_px: int, level: int, width_px: int, height_px: int) -> NDArray[np.uint8]:
        """A region whose level and size are known to be good."""
