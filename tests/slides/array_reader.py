"""A slide in memory for tests: pixels by level, damage where wanted, and a record of what was read."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from plipdesk.slides.errors import DamagedSlide
from plipdesk.slides.protocol import Level, SlideInfo
from plipdesk.slides.reduction import reduced_slide
from tests.drawing import halve

Pixels = NDArray[np.uint8]
# Level and box (x0, y0, x1, y1) in that level's pixels.
Damage = Callable[[int, tuple[int, int, int, int]], bool]


def info_of(width_px: int, height_px: int, *, mpp_um: float | None = 0.5, levels: int = 1) -> SlideInfo:
    """What is known of a slide of this size whose levels were halved."""
    return SlideInfo(
        path=Path("array.tif"),
        format="array",
        vendor=None,
        width_px=width_px,
        height_px=height_px,
        levels=tuple(Level(width_px >> n, height_px >> n, float(2**n)) for n in range(levels)),
        mpp_um=mpp_um,
        mpp_source="unknown" if mpp_um is None else "measured",
        objective_power=None,
        has_icc_profile=False,
    )


class ArrayReader:
    """A pyramid of exactly halved levels."""

    def __init__(
        self, pixels: Pixels, *, levels: int = 1, mpp_um: float | None = 0.5, damage: Damage | None = None
    ) -> None:
        self._levels = [pixels]
        for _ in range(levels - 1):
            self._levels.append(halve(self._levels[-1]))
        self._damage = damage
        self._lock = threading.Lock()
        self.info = info_of(pixels.shape[1], pixels.shape[0], mpp_um=mpp_um, levels=levels)
        self.reads: list[tuple[int, int, int, int, int]] = []
        self.thumbnails: list[int] = []

    @classmethod
    def blank(cls, side_px: int, *, levels: int, damage: Damage | None = None) -> Self:
        """A white square that takes no memory, however large."""
        reader = cls(np.full((1, 1, 3), 255, dtype=np.uint8), damage=damage)
        reader.info = info_of(side_px, side_px, levels=levels)
        white = np.uint8(255)
        reader._levels = [np.broadcast_to(white, (side_px >> n, side_px >> n, 3)) for n in range(levels)]
        return reader

    def read_region(self, x0_px: int, y0_px: int, level: int, width_px: int, height_px: int) -> Pixels:
        """White outside of the slide."""
        assert x0_px % 2**level == 0
        assert y0_px % 2**level == 0
        x, y = x0_px >> level, y0_px >> level
        with self._lock:
            self.reads.append((level, x, y, width_px, height_px))
        if self._damage is not None and self._damage(level, (x, y, x + width_px, y + height_px)):
            raise DamagedSlide("The slide is damaged here.", path=self.info.path, remedy="Copy it again.")
        region = np.full((height_px, width_px, 3), 255, dtype=np.uint8)
        part = self._levels[level][max(0, y) : max(0, y + height_px), max(0, x) : max(0, x + width_px)]
        top, left = max(0, -y), max(0, -x)
        region[top : top + part.shape[0], left : left + part.shape[1]] = part
        return region

    def thumbnail(self, max_px: int) -> Pixels:
        """Reduced from the best level."""
        self.thumbnails.append(max_px)
        return reduced_slide(self, max_px)

    def icc_profile(self) -> bytes | None:
        """None."""
        return None

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
