"""Pictures of what is no pathology, drawn from a seed: charts, screenshots, radiographs in outline, and odds and ends.

They stand in for classes of which no picture is at hand when the filter learns; its card says so.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
_SIDE_PX = 256


def draw_picture(kind: str, seed: int) -> Pixels:
    """A picture (256, 256, 3) of a drawable kind; the same seed gives the same picture."""
    rng = np.random.default_rng([seed, sorted(_DRAWN).index(kind)])
    return np.clip(_DRAWN[kind](rng), 0, 255).astype(np.uint8)


def _paper(rng: np.random.Generator, *, dark: bool = False) -> NDArray[np.float64]:
    shade = rng.uniform(10, 60, 3) if dark else rng.uniform(225, 256, 3)
    return np.broadcast_to(shade, (_SIDE_PX, _SIDE_PX, 3)).copy()


def _colour(rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.uniform(0, 220, 3)


def _chart(rng: np.random.Generator) -> NDArray[np.float64]:
    picture = _paper(rng, dark=rng.random() < 0.1)
    ink = 255 - picture[0, 0]
    left, bottom = int(rng.integers(20, 45)), int(rng.integers(200, 235))
    picture[20:bottom, left : left + 2] = ink
    picture[bottom : bottom + 2, left:240] = ink
    form = rng.integers(4)
    if form == 0:
        count = int(rng.integers(3, 12))
        wide = (235 - left) // count
        colours = [_colour(rng) for _ in range(int(rng.integers(1, 4)))]
        for number in range(count):
            top = int(rng.integers(30, bottom - 5))
            start = left + 4 + number * wide
            picture[top:bottom, start : start + max(2, int(wide * 0.7))] = colours[number % len(colours)]
    elif form == 1:
        for _ in range(int(rng.integers(1, 5))):
            heights = np.cumsum(rng.normal(0, 4, 235 - left)) + rng.uniform(60, 180)
            for x, y in enumerate(np.clip(heights, 22, bottom - 3).astype(int)):
                picture[y : y + 2, left + 2 + x] = ink * 0.2 + _steady(rng)
    elif form == 2:
        colour = _colour(rng)
        for x, y in zip(rng.integers(left + 5, 235, 60), rng.integers(25, bottom - 5, 60), strict=True):
            picture[y : y + 4, x : x + 4] = colour
    else:
        ys, xs = np.mgrid[0:_SIDE_PX, 0:_SIDE_PX]
        angle = np.arctan2(ys - 128, xs - 128)
        inside = np.hypot(ys - 128, xs - 128) < rng.uniform(60, 95)
        edges = np.sort(rng.uniform(-np.pi, np.pi, int(rng.integers(2, 7))))
        slices = np.digitize(angle, edges)
        for number in range(len(edges) + 1):
            picture[inside & (slices == number)] = _colour(rng)
    _write(picture, rng, left, 6, 14, ink)
    _write(picture, rng, left, bottom + 6, 8, ink)
    return picture


def _steady(rng: np.random.Generator) -> float:
    return float(rng.uniform(0, 30))


def _write(
    picture: NDArray[np.float64], rng: np.random.Generator, x: int, y: int, height: int, ink: NDArray[np.float64]
) -> None:
    """Strokes that look like a line of text from afar."""
    end = int(rng.integers(x + 20, 245))
    while x < end and y + height < _SIDE_PX:
        for _ in range(int(rng.integers(2, 9))):
            wide = max(2, height // 2)
            if x + wide >= end:
                break
            glyph = rng.random((height, wide)) < 0.45
            picture[y : y + height, x : x + wide][glyph] = ink
            x += wide + 1
        x += height // 2


def _screenshot(rng: np.random.Generator) -> NDArray[np.float64]:
    picture = _paper(rng, dark=rng.random() < 0.35)
    ink = 255 - picture[0, 0]
    bar = int(rng.integers(10, 30))
    picture[:bar] = _colour(rng) if rng.random() < 0.5 else picture[0, 0] * 0.85
    if rng.random() < 0.6:
        picture[bar:, : int(rng.integers(30, 80))] *= 0.92
    y, height = bar + 8, int(rng.integers(4, 11))
    start = int(rng.integers(6, 90))
    while y < 240:
        if rng.random() < 0.12:
            box = int(rng.integers(16, 50))
            picture[y : y + box, start : start + int(rng.integers(40, 150))] = _colour(rng)
            y += box + 6
        else:
            _write(picture, rng, start, y, height, ink)
            y += int(height * rng.uniform(1.4, 2.4)) + 1
    return picture


def _radiology(rng: np.random.Generator) -> NDArray[np.float64]:
    """Grey ellipses in a dark field with soft edges and noise, as a section through a body."""
    ys, xs = np.mgrid[-1 : 1 : _SIDE_PX * 1j, -1 : 1 : _SIDE_PX * 1j]
    picture = np.full((_SIDE_PX, _SIDE_PX), rng.uniform(0, 20))
    body = _ellipse(rng, xs, ys, 0.0, 0.0, rng.uniform(0.6, 0.95), rng.uniform(0.6, 0.95))
    picture += body * rng.uniform(70, 130)
    for _ in range(int(rng.integers(4, 14))):
        where = rng.uniform(-0.5, 0.5, 2)
        part = _ellipse(rng, xs, ys, where[0], where[1], rng.uniform(0.05, 0.35), rng.uniform(0.05, 0.35))
        picture += part * body * rng.uniform(-80, 120)
    picture += rng.normal(0, rng.uniform(2, 12), picture.shape)
    return np.repeat(picture[..., None], 3, axis=2)


def _ellipse(
    rng: np.random.Generator, xs: NDArray[np.float64], ys: NDArray[np.float64], x: float, y: float, a: float, b: float
) -> NDArray[np.float64]:
    turn = rng.uniform(0, np.pi)
    across = (xs - x) * np.cos(turn) + (ys - y) * np.sin(turn)
    along = (ys - y) * np.cos(turn) - (xs - x) * np.sin(turn)
    distance = np.sqrt((across / a) ** 2 + (along / b) ** 2)
    soft: NDArray[np.float64] = 1 / (1 + np.exp(np.clip((distance - 1) * rng.uniform(15, 60), -50, 50)))
    return soft


def _other(rng: np.random.Generator) -> NDArray[np.float64]:
    """Slopes of colour, big plain shapes, and scenes of sky and ground."""
    ys, xs = np.mgrid[0 : 1 : _SIDE_PX * 1j, 0 : 1 : _SIDE_PX * 1j]
    first, second = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
    mix = (xs * rng.uniform(-1, 1) + ys * rng.uniform(0.2, 1))[..., None]
    picture = first + (second - first) * mix
    if rng.random() < 0.5:
        skyline = (0.5 + 0.1 * np.cumsum(rng.normal(0, 0.15, _SIDE_PX)) + rng.uniform(-0.2, 0.2)) * _SIDE_PX
        below = np.arange(_SIDE_PX)[:, None] > skyline[None]
        picture[below] = rng.uniform(20, 160, 3) + rng.normal(0, 14, (int(below.sum()), 1))
    for _ in range(int(rng.integers(1, 7))):
        x, y, a, b = rng.uniform(-0.1, 1.0), rng.uniform(-0.1, 1.0), rng.uniform(0.08, 0.4), rng.uniform(0.08, 0.4)
        if rng.random() < 0.5:
            inside = (np.abs(xs - x) < a) & (np.abs(ys - y) < b)
        else:
            inside = ((xs - x) / a) ** 2 + ((ys - y) / b) ** 2 < 1
        picture[inside] = rng.uniform(0, 255, 3)
    return np.asarray(picture + rng.normal(0, rng.uniform(0, 6), picture.shape))


_DRAWN: dict[str, Callable[[np.random.Generator], NDArray[np.float64]]] = {
    "chart": _chart,
    "screenshot": _screenshot,
    "radiology": _radiology,
    "other": _other,
}
DRAWABLE = tuple(sorted(_DRAWN))
