"""The flow as a drawing: what came into each step, what left it, and why the rest went. Plain SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from plipdesk.datasets.counts import StepCount

_INK, _MUTED, _LINE, _KEPT, _GONE = "#1b1f24", "#59636e", "#aab2bb", "#efe3f4", "#fbeae6"
_WIDTH, _LEFT, _BOX, _SIDE = 860, 20, 300, 430
_REASONS = 4
_ROW, _PAD, _GAP = 17, 12, 26


def flow_diagram(steps: Sequence[StepCount], *, formed: int, by_source: dict[str, int]) -> str:
    """The steps from top to bottom: on the left what stays, on the right what goes and why."""
    parts: list[str] = []
    y = 10
    y = _box(parts, y, "Image–text pairs formed", formed, _KEPT)
    for step in steps:
        reasons = step.reasons.most_common()
        lines = [f"{why}: {count:,}" for why, count in reasons[:_REASONS]]
        if len(reasons) > _REASONS:
            rest = sum(count for _, count in reasons[_REASONS:])
            lines.append(f"{len(reasons) - _REASONS} other reasons: {rest:,}")
        lines += [f"({what}: {count:,})" for what, count in list(step.notes.items())[:2]]
        height = 2 * _PAD + _ROW * max(2, 1 + len(lines))
        parts.append(_arrow(_LEFT + _BOX / 2, y, y + _GAP))
        y += _GAP
        parts.append(_rectangle(_LEFT, y, _BOX, height, _KEPT))
        parts.append(_text(_LEFT + 14, y + _PAD + 12, step.name, bold=True))
        parts.append(_text(_LEFT + 14, y + _PAD + 12 + _ROW, f"{step.taken:,} in, {step.kept:,} kept", colour=_MUTED))
        if step.dropped or lines:
            parts.append(_arrow_right(_LEFT + _BOX, y + height / 2, _WIDTH - _SIDE - 20))
            parts.append(_rectangle(_WIDTH - _SIDE - 10, y, _SIDE, height, _GONE if step.dropped else "#ffffff"))
            parts.append(_text(_WIDTH - _SIDE + 4, y + _PAD + 12, f"{step.dropped:,} dropped", bold=True))
            for number, line in enumerate(lines, start=1):
                short = line if len(line) < 62 else f"{line[:59]}…"
                parts.append(_text(_WIDTH - _SIDE + 4, y + _PAD + 12 + number * _ROW, short, colour=_MUTED))
        y += height
    parts.append(_arrow(_LEFT + _BOX / 2, y, y + _GAP))
    last = steps[-1].kept if steps else formed
    y = _box(
        parts, y + _GAP, "Pairs of the data set", last, "#dff0e4", [f"{n:,} {name}" for name, n in by_source.items()]
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + 10}" width="{_WIDTH}" height="{y + 10}" '
        f'role="img" aria-label="Flow of {formed} pairs through {len(steps)} steps to {last}" '
        'font-family="system-ui, sans-serif" font-size="13">'
    )
    return head + "".join(parts) + "</svg>"


def histogram(bins: Sequence[tuple[str, int]], *, marks: Sequence[tuple[str, float]] = ()) -> str:
    """Bars with a label below and a count above each; ``marks``: words and where between bars (in bars) they point."""
    width, height, base = 860, 190, 150
    most = max((count for _, count in bins), default=0) or 1
    step = (width - 20) / max(1, len(bins))
    parts = []
    for number, (label, count) in enumerate(bins):
        tall = 110 * count / most
        x = 10 + number * step
        parts.append(
            f'<rect x="{x + 3:.1f}" y="{base - tall:.1f}" width="{step - 6:.1f}" height="{tall:.1f}" fill="#7a3b8f"/>'
        )
        parts.append(_text(x + step / 2, base + 16, label, colour=_MUTED, middle=True))
        parts.append(_text(x + step / 2, base - tall - 5, f"{count:,}", middle=True))
    for number, (words, place) in enumerate(marks):
        x = 10 + place * step
        parts.append(f'<line x1="{x:.1f}" y1="20" x2="{x:.1f}" y2="{base}" stroke="{_INK}" stroke-dasharray="4 3"/>')
        parts.append(_text(x + 4, 18 + 14 * number, words))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="12">{"".join(parts)}</svg>'
    )


def scatter(points: Sequence[tuple[float, float, str]], colours: dict[str, str]) -> str:
    """Points (x, y, kind) in one square, coloured by kind, with a legend."""
    side = 420
    xs, ys = [x for x, _, _ in points], [y for _, y, _ in points]
    span_x, span_y = (max(values) - min(values) or 1.0 for values in (xs, ys))
    parts = [f'<rect x="0" y="0" width="{side}" height="{side}" fill="#f7f7f9"/>']
    low_x, low_y, scale = min(xs), min(ys), side - 20
    for x, y, kind in points:
        at = f'cx="{10 + scale * (x - low_x) / span_x:.1f}" cy="{10 + scale * (y - low_y) / span_y:.1f}"'
        parts.append(f'<circle {at} r="2.4" fill="{colours[kind]}" fill-opacity="0.6"/>')
    for number, (kind, colour) in enumerate(colours.items()):
        parts.append(f'<circle cx="{side + 16}" cy="{16 + 20 * number}" r="5" fill="{colour}"/>')
        parts.append(_text(side + 28, 20 + 20 * number, kind))
    wide = side + 220
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {side}" width="{wide}" height="{side}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="12">{"".join(parts)}</svg>'
    )


def _box(parts: list[str], y: int, title: str, count: int, fill: str, lines: Sequence[str] = ()) -> int:
    height = 2 * _PAD + _ROW * (2 + len(lines))
    parts.append(_rectangle(_LEFT, y, _BOX, height, fill))
    parts.append(_text(_LEFT + 14, y + _PAD + 12, title, bold=True))
    for number, line in enumerate((f"{count:,}", *lines), start=1):
        parts.append(_text(_LEFT + 14, y + _PAD + 12 + number * _ROW, line, colour=_INK if number == 1 else _MUTED))
    return y + height


def _rectangle(x: float, y: float, width: float, height: float, fill: str) -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{fill}" stroke="{_LINE}"/>'


def _text(x: float, y: float, words: str, *, bold: bool = False, colour: str = _INK, middle: bool = False) -> str:
    weight = ' font-weight="600"' * bold
    anchor = ' text-anchor="middle"' * middle
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}"{weight}{anchor}>{escape(words)}</text>'


def _arrow(x: float, y: float, to_y: float) -> str:
    return (
        f'<path d="M{x} {y}V{to_y - 6}" stroke="{_MUTED}" fill="none"/>'
        f'<path d="M{x - 5} {to_y - 7}L{x} {to_y}L{x + 5} {to_y - 7}Z" fill="{_MUTED}"/>'
    )


def _arrow_right(x: float, y: float, to_x: float) -> str:
    end = to_x + 10
    return (
        f'<path d="M{x} {y}H{end - 6}" stroke="{_MUTED}" fill="none"/>'
        f'<path d="M{end - 7} {y - 5}L{end} {y}L{end - 7} {y + 5}Z" fill="{_MUTED}"/>'
    )
