"""Where the viewer looks: plain numbers, no Qt.

Frames: *slide* coordinates are level-0 pixels; *screen* coordinates are device-independent pixels with (0, 0) at the
top left of the canvas. Magnifications are counted in device pixels, so that 40× of a slide scanned at 0.25 µm/px shows
one slide pixel on one pixel of the display, whatever its scale factor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

MAX_ZOOM = 16.0
"""Screen pixels per level-0 pixel beyond which nothing more can be seen."""
OBJECTIVE_MPP_UM = 10.0
"""µm per pixel at 1×: the common rule by which 40× is 0.25 and 20× is 0.5 µm per pixel."""


@dataclass(frozen=True)
class Viewport:
    """The canvas: its size in screen pixels, and device pixels per screen pixel."""

    width_px: float
    height_px: float
    device_ratio: float = 1.0


@dataclass(frozen=True)
class Rect:
    """An axis-parallel rectangle; the frame is the caller's."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """x of the right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """y of the bottom edge."""
        return self.y + self.height

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y) of the middle."""
        return self.x + self.width / 2, self.y + self.height / 2

    def clipped(self, other: Rect) -> Rect | None:
        """The part inside ``other``, or None."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        return Rect(x, y, right - x, bottom - y) if right > x and bottom > y else None


def rect_between(x: float, y: float, other_x: float, other_y: float) -> Rect:
    """The rectangle with these two opposite corners."""
    return Rect(min(x, other_x), min(y, other_y), abs(other_x - x), abs(other_y - y))


@dataclass(frozen=True)
class Camera:
    """What part of a slide of ``width0_px`` × ``height0_px`` is seen: the point in the middle, and how large.

    ``zoom`` is screen pixels per level-0 pixel. ``rotation_deg`` is 0 for now.
    """

    width0_px: int
    height0_px: int
    x0_px: float
    y0_px: float
    zoom: float
    rotation_deg: float = 0.0

    @classmethod
    def fitting(cls, width0_px: int, height0_px: int, view: Viewport) -> Camera:
        """The whole slide, with a small margin."""
        whole = cls(width0_px, height0_px, width0_px / 2, height0_px / 2, 1.0)
        return replace(whole, zoom=whole.fit_zoom(view))

    def fit_zoom(self, view: Viewport) -> float:
        """The zoom at which the whole slide is seen."""
        return 0.96 * min(max(1.0, view.width_px) / self.width0_px, max(1.0, view.height_px) / self.height0_px)

    def to_slide(self, x_px: float, y_px: float, view: Viewport) -> tuple[float, float]:
        """The point of the slide under a point of the screen."""
        return (
            self.x0_px + (x_px - view.width_px / 2) / self.zoom,
            self.y0_px + (y_px - view.height_px / 2) / self.zoom,
        )

    def to_screen(self, x0_px: float, y0_px: float, view: Viewport) -> tuple[float, float]:
        """The point of the screen over a point of the slide."""
        return (
            (x0_px - self.x0_px) * self.zoom + view.width_px / 2,
            (y0_px - self.y0_px) * self.zoom + view.height_px / 2,
        )

    def seen(self, view: Viewport) -> Rect:
        """The rectangle of the slide's plane that the canvas shows; it may reach beyond the slide."""
        width, height = view.width_px / self.zoom, view.height_px / self.zoom
        return Rect(self.x0_px - width / 2, self.y0_px - height / 2, width, height)

    def panned(self, right_px: float, down_px: float) -> Camera:
        """The camera moved over the slide by so many screen pixels."""
        return self._at(self.x0_px + right_px / self.zoom, self.y0_px + down_px / self.zoom)

    def moved_to(self, x0_px: float, y0_px: float) -> Camera:
        """The camera over another point of the slide."""
        return self._at(x0_px, y0_px)

    def zoomed(self, factor: float, x_px: float, y_px: float, view: Viewport) -> Camera:
        """Zoomed by ``factor`` with the point of the slide under (x_px, y_px) staying where it is."""
        fixed_x, fixed_y = self.to_slide(x_px, y_px, view)
        zoom = self._allowed(self.zoom * factor, view)
        moved = replace(self, zoom=zoom)
        return moved._at(
            fixed_x - (x_px - view.width_px / 2) / zoom,
            fixed_y - (y_px - view.height_px / 2) / zoom,
        )

    def with_zoom(self, zoom: float, view: Viewport) -> Camera:
        """Zoomed to ``zoom`` about the middle."""
        return replace(self, zoom=self._allowed(zoom, view))

    def showing(self, box: Rect, view: Viewport, *, share: float = 0.5) -> Camera:
        """A box of the slide in the middle, filling ``share`` of the canvas, not enlarged beyond 2 : 1."""
        zoom = share * min(view.width_px / box.width, view.height_px / box.height)
        middle_x, middle_y = box.centre
        return self.with_zoom(min(zoom, 2.0), view)._at(middle_x, middle_y)

    def magnification(self, mpp_um: float, view: Viewport) -> float:
        """The objective that this zoom stands for, on a slide of ``mpp_um`` µm per level-0 pixel."""
        return OBJECTIVE_MPP_UM * self.zoom * view.device_ratio / mpp_um

    def at_magnification(self, power: float, mpp_um: float, view: Viewport) -> Camera:
        """Zoomed to an objective, exactly; beyond the usual limits if it lies there."""
        return replace(self, zoom=power * mpp_um / (OBJECTIVE_MPP_UM * view.device_ratio))

    def _at(self, x0_px: float, y0_px: float) -> Camera:
        """Over a point, kept on the slide, so that a slide can never be lost from sight."""
        return replace(self, x0_px=min(max(x0_px, 0.0), self.width0_px), y0_px=min(max(y0_px, 0.0), self.height0_px))

    def _allowed(self, zoom: float, view: Viewport) -> float:
        least = min(self.fit_zoom(view) / 2, 1.0)
        return min(max(zoom, least), max(MAX_ZOOM, least)) if math.isfinite(zoom) else least
