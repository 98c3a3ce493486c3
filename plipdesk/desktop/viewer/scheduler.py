"""Which tiles to ask for next: coarse before sharp, near before far, none that nobody looks at any more. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from plipdesk.desktop.viewer.camera import Rect
from plipdesk.desktop.viewer.pyramid import Pyramid, TileKey

COARSE_STEP = 2
"""How many levels above the sharp one the first, quick view is taken from: a sixteenth of the pixels."""
Answer = Literal["pixels", "dropped", "failed"]


class TileScheduler:
    """Keeps a list of wanted tiles and a bounded number of open requests.

    A movement makes a new *generation*: what is wanted is worked out anew, and the reader may drop requests of older
    generations that it has not begun. A request that was dropped but is still wanted is simply asked again. ``has``
    tells whether a tile lies in the cache; ``generation`` goes on from the slide shown before on the same connection.
    """

    def __init__(
        self, pyramid: Pyramid, has: Callable[[TileKey], bool], *, open_limit: int = 6, generation: int = 0
    ) -> None:
        self.pyramid = pyramid
        self.generation = generation
        self.unreadable: set[TileKey] = set()
        self.visible: tuple[TileKey, ...] = ()
        """The sharp tiles of the present view."""
        self._has = has
        self._open_limit = open_limit
        self._open: dict[TileKey, int] = {}
        self._wanted: list[TileKey] = []
        self._ring: list[TileKey] = []

    def look(self, seen: Rect, device_zoom: float) -> None:
        """The view has changed: ``seen`` in level-0 pixels at ``device_zoom`` device pixels per level-0 pixel."""
        pyramid = self.pyramid
        level = pyramid.level_for(device_zoom)
        sharp = pyramid.covering(level, seen)
        coarse_level = min(level + COARSE_STEP, pyramid.top_level)
        coarse = pyramid.covering(coarse_level, seen) if coarse_level > level else []
        ring = pyramid.covering(level, seen, margin_tiles=1)
        ring += pyramid.covering(min(level + 1, pyramid.top_level), seen, margin_tiles=1)
        if level > 0:
            ring += pyramid.covering(level - 1, _middle_of(seen))
        wanted = list(dict.fromkeys([pyramid.top, *coarse, *sharp]))
        if wanted != self._wanted:
            self.generation += 1
        self.visible = tuple(sharp)
        self._wanted = wanted
        self._ring = [key for key in dict.fromkeys(ring) if key not in set(wanted)]

    def due(self) -> list[TileKey]:
        """The tiles to ask for now; each counts as asked. The ring is fetched only once nothing else is missing."""
        missing = [key for key in self._wanted if self._missing(key)]
        if not missing and not any(key in self._open for key in self._wanted):
            # One at a time, so that a movement never waits for a row of guesses to be decoded.
            free = 1 - len(self._open)
            missing = [key for key in self._ring if self._missing(key)]
        else:
            free = self._open_limit - len(self._open)
        chosen = missing[: max(0, free)]
        for key in chosen:
            self._open[key] = self.generation
        return chosen

    def answered(self, key: TileKey, answer: Answer) -> None:
        """A request has come back: with pixels, dropped as stale, or unreadable (not asked again)."""
        self._open.pop(key, None)
        if answer == "failed":
            self.unreadable.add(key)

    @property
    def cache_tiles(self) -> int:
        """How many tiles the cache must hold, so that what is fetched ahead never pushes out what is seen."""
        return len(self._wanted) + len(self._ring)

    def at_rest(self) -> bool:
        """Whether everything that the present view can show is there."""
        return all(self._has(key) or key in self.unreadable for key in self._wanted)

    def _missing(self, key: TileKey) -> bool:
        return key not in self._open and key not in self.unreadable and not self._has(key)


def _middle_of(seen: Rect) -> Rect:
    return Rect(seen.x + seen.width / 4, seen.y + seen.height / 4, seen.width / 2, seen.height / 2)
