"""Scale bars with round lengths, in µm or mm."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ScaleBar:
    """A bar of a round length: how long it is in the tissue, on the screen, and in words."""

    length_um: float
    length_px: float
    label: str


def scale_bar(um_per_px: float, longest_px: float) -> ScaleBar:
    """The longest bar of 1, 2 or 5 × 10ⁿ µm that is at most ``longest_px`` long.

    ``um_per_px`` is µm of tissue per pixel of whatever frame ``longest_px`` is counted in; both must be above 0.
    """
    most_um = um_per_px * longest_px
    decade = 10.0 ** math.floor(math.log10(most_um))
    length_um = next(step * decade for step in (5, 2, 1) if step * decade <= most_um * (1 + 1e-9))
    return ScaleBar(length_um, length_um / um_per_px, length_label(length_um))


def length_label(length_um: float) -> str:
    """A length with its unit: ``0.5 µm``, ``200 µm``, ``2 mm``."""
    if length_um >= 1000:
        return f"{length_um / 1000:.4g} mm"
    return f"{length_um:.3g} µm"
