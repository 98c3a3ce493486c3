"""Colours for classes that most people can tell apart, those with a colour-vision deficiency included.

The first seven are Okabe and Ito's. The others were chosen one by one from a grid of colours, each as far as possible
(in CIELAB) from all before it, from white and from grey, in the worst of four views: normal sight and the three
deficiencies as Machado et al. (2009) simulate them. Beyond some twenty, no choice keeps all apart: a legend with names
and the value under the cursor then tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

PALETTE = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#f0e442", "#692d0f", "#9600f0", "#00ff87",
    "#5a2d69", "#2d2d96", "#9687ff", "#a5d2b4", "#87003c", "#a55a2d", "#b4a54b", "#784bd2", "#a5b478", "#ffc3f0",
    "#875a87", "#c3e15a", "#005a5a", "#87f0a5", "#c32db4", "#5a00c3", "#96694b", "#b44bff", "#ff78e1", "#c30f00",
    "#00d21e", "#0000ff", "#e1a5c3", "#a51e2d", "#f03c5a", "#78b496", "#a587c3", "#a569d2", "#961e87", "#78961e",
    "#961e5a", "#e1c369", "#b4f0c3", "#d27878", "#4bd2d2", "#69f0ff", "#4b5a2d", "#871eb4",
)  # fmt: skip
NONE_COLOUR = "#b4b4b4"
"""Of patches that are none of the classes."""
UNSURE_COLOUR = "#6e6e6e"
"""Of patches whose class is not sure."""


def colours_for(given: Sequence[str | None]) -> tuple[str, ...]:
    """A colour for each class: its own where it has one, else the next of the palette that no other class has."""
    taken = {colour.lower() for colour in given if colour}
    free = [colour for colour in PALETTE if colour not in taken] or list(PALETTE)
    found, used = [], 0
    for colour in given:
        if colour:
            found.append(colour.lower())
        else:
            found.append(free[used % len(free)])
            used += 1
    return tuple(found)


def rgb(colour: str) -> tuple[int, int, int]:
    """``#rrggbb`` as red, green and blue, 0 to 255."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return red, green, blue


def hex_colour(parts: Iterable[int]) -> str:
    """Red, green and blue as ``#rrggbb``."""
    return "#" + "".join(f"{part:02x}" for part in parts)
