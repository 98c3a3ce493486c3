"""What every reader of a slide offers, whatever the format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

MppSource = Literal["measured", "guessed", "given", "unknown"]


@dataclass(frozen=True)
class Level:
    """One level of the pyramid; ``downsample`` is level-0 pixels per pixel of this level."""

    width_px: int
    height_px: int
    downsample: float


@dataclass(frozen=True)
class SlideInfo:
    """What is known of a slide without decoding its pixels.

    ``mpp_um`` is the level-0 MPP (µm per pixel, mean of both axes). ``mpp_source``: *measured* (the file states it),
    *guessed* (derived from an objective power or an implausible TIFF resolution), *given* (by a person), *unknown*
    (``mpp_um`` is None). ``notes`` are plain sentences a person should read. ``channels``: those that a person chose,
    where the slide is read by these. Nothing here identifies a patient.
    """

    path: Path
    format: str
    vendor: str | None
    width_px: int
    height_px: int
    levels: tuple[Level, ...]
    mpp_um: float | None
    mpp_source: MppSource
    objective_power: float | None
    has_icc_profile: bool
    notes: tuple[str, ...] = ()
    channels: tuple[int, ...] | None = None


class SlideReader(Protocol):
    """An open slide. Thread-safe; never pickled: each process opens its own."""

    @property
    def info(self) -> SlideInfo:
        """What is known of the slide."""

    def read_region(self, x0_px: int, y0_px: int, level: int, width_px: int, height_px: int) -> NDArray[np.uint8]:
        """Pixels (height_px, width_px, 3) RGB of ``level``; (x0_px, y0_px) is the top left corner in level-0 pixels.

        Transparent pixels, and those outside the slide, are white.

        Raises:
            SlideProblem: the file is damaged here; the reader can go on being used for other regions.
        """

    def thumbnail(self, max_px: int) -> NDArray[np.uint8]:
        """The whole slide (h, w, 3), its longer side at most ``max_px``. Never the label or macro picture."""

    def icc_profile(self) -> bytes | None:
        """The ICC profile of the pixels, for the eye only: encoders see the stored pixels."""

    def close(self) -> None:
        """Give back what the slide holds; reading afterwards is an error."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
