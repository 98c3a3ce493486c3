"""Kinetic movement: a slide that was thrown glides on and comes to rest. Plain numbers, no Qt."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

MEASURED_S = 0.1
"""How far back the hand's speed is measured: who stops before letting go does not throw."""
LEAST_PX_PER_S = 120.0
SLOWING_S = 0.25
"""After so long the speed has fallen to 1/e."""
AT_REST_PX_PER_S = 15.0


@dataclass(frozen=True)
class Glide:
    """A movement that began at ``began_s`` with a speed in screen pixels a second."""

    x_px_per_s: float
    y_px_per_s: float
    began_s: float

    def way_px(self, now_s: float) -> tuple[float, float]:
        """How far it has come by now."""
        part = SLOWING_S * (1 - math.exp(-max(0.0, now_s - self.began_s) / SLOWING_S))
        return self.x_px_per_s * part, self.y_px_per_s * part

    def at_rest(self, now_s: float) -> bool:
        """Whether it has come to its end."""
        speed = math.hypot(self.x_px_per_s, self.y_px_per_s)
        return speed * math.exp(-max(0.0, now_s - self.began_s) / SLOWING_S) < AT_REST_PX_PER_S


class Hand:
    """Follows a drag, to tell how fast the slide is when it is let go."""

    def __init__(self) -> None:
        self._places: deque[tuple[float, float, float]] = deque(maxlen=32)

    def at(self, x_px: float, y_px: float, now_s: float) -> None:
        """The hand is here now."""
        self._places.append((now_s, x_px, y_px))

    def let_go(self, now_s: float) -> Glide | None:
        """The glide that follows, or None where the hand was as good as still."""
        recent = [place for place in self._places if now_s - place[0] <= MEASURED_S]
        self._places.clear()
        if len(recent) < 2 or recent[-1][0] <= recent[0][0]:
            return None
        took_s = max(now_s - recent[0][0], 1e-3)
        x, y = (recent[-1][1] - recent[0][1]) / took_s, (recent[-1][2] - recent[0][2]) / took_s
        return Glide(x, y, now_s) if math.hypot(x, y) >= LEAST_PX_PER_S else None
