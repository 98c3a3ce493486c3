"""Charts of a report as inline SVG: bars with intervals, a confusion matrix, a curve. No script, no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

OURS, PAPER = "#6b2f8a", "#9a9aa5"
_INK, _PALE = "#22222a", "#d9d9e0"
_LABEL_PX = 230
_BAR_PX = 360


@dataclass(frozen=True)
class Bar:
    """A figure between 0 and 1, with the limits of its interval where these are known."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    colour: str = OURS


def bars(rows: Sequence[Bar], title: str) -> str:
    """Horizontal bars from 0 to 1."""
    height = 24 * len(rows) + 30
    parts = [_open(_LABEL_PX + _BAR_PX + 70, height, title)]
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x = _LABEL_PX + tick * _BAR_PX
        parts.append(f'<line x1="{x:g}" y1="4" x2="{x:g}" y2="{height - 22}" stroke="{_PALE}"/>')
        parts.append(_text(x, height - 8, f"{tick:g}", "middle"))
    for number, row in enumerate(rows):
        y = 8 + 24 * number
        width = max(0.0, min(1.0, row.value)) * _BAR_PX
        parts.append(_text(_LABEL_PX - 8, y + 12, row.name, "end"))
        parts.append(f'<rect x="{_LABEL_PX}" y="{y}" width="{width:.1f}" height="16" fill="{row.colour}"/>')
        end = width
        if row.low is not None and row.high is not None:
            left, right = (_LABEL_PX + min(1.0, max(0.0, limit)) * _BAR_PX for limit in (row.low, row.high))
            parts.append(
                f'<path d="M{left:.1f} {y + 4}v8M{left:.1f} {y + 8}H{right:.1f}M{right:.1f} {y + 4}v8" '
                f'stroke="{_INK}" fill="none"/>'
            )
            end = max(end, right - _LABEL_PX)
        parts.append(_text(_LABEL_PX + end + 6, y + 12, f"{row.value:.3f}", "start"))
    return "".join(parts) + "</svg>"


def matrix(labels: Sequence[str], rows: NDArray[np.int64]) -> str:
    """A confusion matrix; each row is shaded by the share of its actual class."""
    cell, left, top = 52, 190, 120
    side = cell * len(labels)
    parts = [_open(left + side + 20, top + side + 10, "Confusion matrix: rows are actual, columns predicted")]
    totals = np.maximum(rows.sum(axis=1, keepdims=True), 1)
    shares = rows / totals
    for number, label in enumerate(labels):
        middle = cell * number + cell / 2
        parts.append(_text(left - 8, top + middle + 4, label, "end"))
        x = left + middle
        parts.append(f'<g transform="rotate(-45 {x:g} {top - 8})">{_text(x, top - 8, label, "start")}</g>')
    for row in range(len(labels)):
        for column in range(len(labels)):
            share = float(shares[row, column])
            x, y = left + cell * column, top + cell * row
            red, green, blue = (round(255 + share * (end - 255)) for end in (107, 47, 138))
            ink = "#ffffff" if share > 0.5 else _INK
            parts.append(
                f'<rect x="{x}" y="{y}" width="{cell}" height="{cell}" fill="rgb({red},{green},{blue})" '
                f'stroke="{_PALE}"><title>{escape(labels[row])} as {escape(labels[column])}: '
                f"{int(rows[row, column])} ({share:.1%})</title></rect>"
            )
            parts.append(_text(x + cell / 2, y + cell / 2 + 4, str(int(rows[row, column])), "middle", ink))
    return "".join(parts) + "</svg>"


def curve(steps: Sequence[int], values: Sequence[float], title: str, *, chance: Sequence[float] | None = None) -> str:
    """Values between 0 and 1 over K; ``chance`` is drawn dashed below it."""
    left, top, width, height = 50, 14, 520, 240
    first, last = steps[0], max(steps[-1], steps[0] + 1)

    def line(points: Sequence[float]) -> str:
        return " ".join(
            f"{left + (step - first) / (last - first) * width:.1f},{top + (1 - value) * height:.1f}"
            for step, value in zip(steps, points, strict=True)
        )

    parts = [_open(left + width + 30, top + height + 44, title)]
    for tick in (0, 0.25, 0.5, 0.75, 1):
        y = top + (1 - tick) * height
        parts.append(f'<line x1="{left}" y1="{y:g}" x2="{left + width}" y2="{y:g}" stroke="{_PALE}"/>')
        parts.append(_text(left - 6, y + 4, f"{tick:g}", "end"))
    for step in sorted({first, *(k for k in (5, 10, 20, 50, 100) if first < k < last), last}):
        parts.append(_text(left + (step - first) / (last - first) * width, top + height + 18, str(step), "middle"))
    parts.append(_text(left + width / 2, top + height + 38, "K", "middle"))
    if chance is not None:
        parts.append(f'<polyline points="{line(chance)}" fill="none" stroke="{PAPER}" stroke-dasharray="5 4"/>')
    parts.append(f'<polyline points="{line(values)}" fill="none" stroke="{OURS}" stroke-width="2"/>')
    return "".join(parts) + "</svg>"


def _open(width: float, height: float, title: str) -> str:
    return (
        f'<svg role="img" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" font-size="12"><title>{escape(title)}</title>'
    )


def _text(x: float, y: float, words: str, anchor: str, colour: str = _INK) -> str:
    shown = words if len(words) <= 34 else words[:33] + "…"
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(shown)}</text>'
