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

OBJECTIVES = (0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0)
"""The steps of the keys for the next objective."""


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

    ``zoom`` is screen pixels per level-0 pixel. ``rotation_deg`` (0 to below 360) turns the picture clockwise.
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

    @property
    def turn(self) -> tuple[float, float]:
        """(cosine, sine) of the rotation, exact at right angles."""
        if self.rotation_deg % 90 == 0:
            return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[int(self.rotation_deg // 90) % 4]
        angle = math.radians(self.rotation_deg)
        return math.cos(angle), math.sin(angle)

    def fit_zoom(self, view: Viewport) -> float:
        """The zoom at which the whole slide is seen."""
        cosine, sine = (abs(part) for part in self.turn)
        width = self.width0_px * cosine + self.height0_px * sine
        height = self.width0_px * sine + self.height0_px * cosine
        return 0.96 * min(max(1.0, view.width_px) / width, max(1.0, view.height_px) / height)

    def to_slide(self, x_px: float, y_px: float, view: Viewport) -> tuple[float, float]:
        """The point of the slide under a point of the screen."""
        right, down = self.over_slide(x_px - view.width_px / 2, y_px - view.height_px / 2)
        return self.x0_px + right, self.y0_px + down

    def over_slide(self, right_px: float, down_px: float) -> tuple[float, float]:
        """A way on the screen as a way over the slide, in level-0 pixels."""
        cosine, sine = self.turn
        return (right_px * cosine + down_px * sine) / self.zoom, (down_px * cosine - right_px * sine) / self.zoom

    def to_screen(self, x0_px: float, y0_px: float, view: Viewport) -> tuple[float, float]:
        """The point of the screen over a point of the slide."""
        cosine, sine = self.turn
        x, y = (x0_px - self.x0_px) * self.zoom, (y0_px - self.y0_px) * self.zoom
        return x * cosine - y * sine + view.width_px / 2, x * sine + y * cosine + view.height_px / 2

    def seen(self, view: Viewport) -> Rect:
        """The rectangle of the slide's plane that holds what the canvas shows; it may reach beyond the slide."""
        cosine, sine = (abs(part) for part in self.turn)
        width = (view.width_px * cosine + view.height_px * sine) / self.zoom
        height = (view.width_px * sine + view.height_px * cosine) / self.zoom
        return Rect(self.x0_px - width / 2, self.y0_px - height / 2, width, height)

    def panned(self, right_px: float, down_px: float) -> Camera:
        """The camera moved over the slide by so many screen pixels."""
        right, down = self.over_slide(right_px, down_px)
        return self._at(self.x0_px + right, self.y0_px + down)

    def turned(self, degrees: float) -> Camera:
        """Rotated by so much more, clockwise, about the middle."""
        return replace(self, rotation_deg=(self.rotation_deg + degrees) % 360)

    def moved_to(self, x0_px: float, y0_px: float) -> Camera:
        """The camera over another point of the slide."""
        return self._at(x0_px, y0_px)

    def zoomed(self, factor: float, x_px: float, y_px: float, view: Viewport) -> Camera:
        """Zoomed by ``factor`` with the point of the slide under (x_px, y_px) staying where it is."""
        fixed_x, fixed_y = self.to_slide(x_px, y_px, view)
        zoom = self._allowed(self.zoom * factor, view)
        moved = replace(self, zoom=zoom)
        right, down = moved.over_slide(x_px - view.width_px / 2, y_px - view.height_px / 2)
        return moved._at(fixed_x - right, fixed_y - down)

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

    def next_objective(self, step: int, mpp_um: float, view: Viewport) -> Camera:
        """Zoomed to the next larger (``step`` 1) or smaller (−1) objective."""
        now = self.magnification(mpp_um, view)
        if step > 0:
            power = next((power for power in OBJECTIVES if power > now * 1.001), OBJECTIVES[-1])
        else:
            power = next((power for power in reversed(OBJECTIVES) if power < now * 0.999), OBJECTIVES[0])
        return self.at_magnification(power, mpp_um, view)

    def _at(self, x0_px: float, y0_px: float) -> Camera:
        """Over a point, kept on the slide, so that a slide can never be lost from sight."""
        return replace(self, x0_px=min(max(x0_px, 0.0), self.width0_px), y0_px=min(max(y0_px, 0.0), self.height0_px))

    def _allowed(self, zoom: float, view: Viewport) -> float:
        least = min(self.fit_zoom(view) / 2, 1.0)
        return min(max(zoom, least), max(MAX_ZOOM, least)) if math.isfinite(zoom) else least
