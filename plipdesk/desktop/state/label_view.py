"""How labels are shown; apart from the arrays, since it is needed before there are any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Shown = Literal["labels", "heat"]


@dataclass(frozen=True)
class LabelView:
    """How labels are shown. ``number``: the class of the heat map; ``threshold``: below it patches are not shown."""

    shown: Shown = "labels"
    number: int = 0
    threshold: float = 0.0
    opacity: float = 0.6
    smooth: bool = False
