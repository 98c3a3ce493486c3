"""What is labelled, and how it is shown: plain arrays and choices, no Qt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plipdesk.engine import messages as m

MOST_IN_GRID = 60
"""Patches of a class that the grid shows: half of them the surest, half the least sure."""


@dataclass(frozen=True, eq=False)
class LabelledPatches:
    """A slide's labels as arrays; see :class:`plipdesk.engine.messages.SlideLabelled`."""

    slide_id: str
    label_set: str
    names: tuple[str, ...]
    colours: tuple[str, ...]
    size0_px: float
    x0_px: NDArray[np.int32]
    y0_px: NDArray[np.int32]
    label: NDArray[np.int32]
    best: NDArray[np.int32]
    probability: NDArray[np.float32]
    shares: NDArray[np.float16]
    corrected: NDArray[np.int32]
    ask_next: tuple[int, ...]

    @classmethod
    def of(cls, reply: m.SlideLabelled) -> LabelledPatches:
        """The arrays in an answer."""
        label = np.frombuffer(reply.label, "<i4")
        return cls(
            reply.slide_id, reply.label_set, reply.names, reply.colours, reply.size0_px,
            np.frombuffer(reply.x0_px, "<i4"), np.frombuffer(reply.y0_px, "<i4"), label,
            np.frombuffer(reply.best, "<i4"), np.frombuffer(reply.probability, "<f4"),
            np.frombuffer(reply.shares, "<f2").reshape(len(label), -1), np.frombuffer(reply.corrected, "<i4").copy(),
            reply.ask_next,
        )  # fmt: skip

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, without "none of these" and "unsure"."""
        return self.names[:-2]

    def shown_label(self) -> NDArray[np.int32]:
        """(n,) the label of each patch, a person's word before the model's."""
        return np.where(self.corrected >= 0, self.corrected, self.label)

    def at(self, x0_px: float, y0_px: float) -> int | None:
        """The patch at a place of the slide; of several the one whose middle is nearest."""
        inside = (
            (self.x0_px <= x0_px) & (x0_px < self.x0_px + self.size0_px)
            & (self.y0_px <= y0_px) & (y0_px < self.y0_px + self.size0_px)
        )  # fmt: skip
        found = np.flatnonzero(inside)
        if not len(found):
            return None
        half = self.size0_px / 2
        away = (self.x0_px[found] + half - x0_px) ** 2 + (self.y0_px[found] + half - y0_px) ** 2
        return int(found[away.argmin()])

    def best_classes(self, patch: int, count: int = 3) -> list[tuple[str, float]]:
        """The likeliest classes of a patch with their probabilities."""
        order = np.argsort(-self.shares[patch].astype(np.float32), kind="stable")[:count]
        return [(self.classes[number], float(self.shares[patch, number])) for number in order.tolist()]

    def examples(self, number: int, threshold: float = 0.0) -> list[int]:
        """The surest patches of a class, then its least sure, each patch once."""
        own = np.flatnonzero((self.shown_label() == number) & (self.probability >= threshold))
        order = own[np.argsort(-self.probability[own], kind="stable")]
        half = MOST_IN_GRID // 2
        if len(order) <= MOST_IN_GRID:
            return [int(patch) for patch in order]
        return [int(patch) for patch in [*order[:half], *order[-half:][::-1]]]


def label_colours(found: LabelledPatches, threshold: float) -> NDArray[np.uint8]:
    """(n, 4) RGBA of the label map; what is below the threshold is transparent."""
    table = np.array(
        [[int(colour[start : start + 2], 16) for start in (1, 3, 5)] for colour in found.colours], np.uint8
    )
    colours = np.empty((len(found.label), 4), np.uint8)
    colours[:, :3] = table[found.shown_label()]
    colours[:, 3] = np.where(found.probability >= threshold, 255, 0)
    return colours


def heat_range(found: LabelledPatches, number: int) -> tuple[float, float]:
    """The lowest and highest probability of a class on the slide."""
    values = found.shares[:, number]
    return (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)


def legend(found: LabelledPatches) -> list[tuple[int, str, str, float]]:
    """Number, name, colour and share of the patches of each label that occurs, the most frequent first."""
    counts = np.bincount(found.shown_label(), minlength=len(found.names))
    order = [number for number in np.argsort(-counts, kind="stable").tolist() if counts[number]]
    total = max(1, int(counts.sum()))
    return [(number, found.names[number], found.colours[number], counts[number] / total) for number in order]


def keyed_classes(found: LabelledPatches) -> tuple[int, ...]:
    """The classes that the keys 1 to 9 stand for: all in their order, or of more than nine the most frequent."""
    count = len(found.classes)
    if count <= 9:
        return tuple(range(count))
    frequent = np.bincount(found.label, minlength=len(found.names))[:count]
    return tuple(np.argsort(-frequent, kind="stable")[:9].tolist())
