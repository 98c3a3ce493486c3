"""A run as one self-contained HTML page, with its tables as CSV and its numbers as JSON beside it."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.base.files import atomic_write
from plipdesk.evaluation.data import Pictures
from plipdesk.evaluation.protocol import TASK_WORDS, Protocol
from plipdesk.evaluation.report.charts import PAPER, Bar, bars, curve, matrix
from plipdesk.evaluation.tasks import Outcome
from plipdesk.slides.resizing import resized
from plipdesk.slides.thumbnails import encode_jpeg

PAGE, NUMBERS = "index.html", "result.json"
_THUMBNAIL_PX = 120
DISCLAIMER = "For research use only. Not for diagnosis."
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#22222a;background:#fff;max-width:960px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin-bottom:.2rem} h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse} td,th{padding:.25rem .8rem .25rem 0;text-align:left;border-bottom:1px solid #d9d9e0}
td.n{text-align:right;font-variant-numeric:tabular-nums} .muted{color:#5c5c66}
.warn{background:#fff3d6;padding:.5rem .8rem}
figure{margin:0 0 1rem} figcaption{color:#5c5c66} .row{display:flex;gap:6px;align-items:flex-start;flex-wrap:wrap}
.row img{width:120px;height:120px;object-fit:cover} .own{outline:3px solid #6b2f8a} svg{max-width:100%;height:auto}
"""
_METRIC_WORDS = {
    "weighted_f1": "weighted F1",
    "macro_f1": "macro F1",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "calibration_error": "expected calibration error",
    "median_rank": "median rank",
}


def write_report(
    folder: Path, protocol: Protocol, outcome: Outcome, numbers: Mapping[str, Any], pictures: Pictures
) -> Path:
    """Write the page, ``result.json`` and one CSV per table into ``folder``; returns the page's path.

    Raises:
        EnvironmentProblem: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / PAGE
    _write(folder / NUMBERS, json.dumps(numbers, ensure_ascii=False, indent=1, allow_nan=False))
    for name, rows in _tables(numbers).items():
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows(rows)
        _write(folder / f"{name}.csv", stream.getvalue())
    _write(page, _page(protocol, outcome, numbers, pictures))
    return page


def metric_words(name: str) -> str:
    """A metric's key as people read it."""
    if name in _METRIC_WORDS:
        return _METRIC_WORDS[name]
    if name.endswith("_sd"):
        return f"{metric_words(name.removesuffix('_sd'))}, standard deviation"
    return name.replace("_at_", "@").replace("_", " ")


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as stream:
        stream.write(text.encode())


def _tables(numbers: Mapping[str, Any]) -> dict[str, list[list[Any]]]:
    metrics = [["metric", "value", "low", "high"]]
    for name, value in numbers["metrics"].items():
        metrics.append([name, value, *numbers["intervals"].get(name, ["", ""])])
    found = {"metrics": metrics}
    if numbers["confusion"]:
        labels, rows = numbers["confusion"]["labels"], numbers["confusion"]["rows"]
        found["confusion"] = [["actual", *labels], *([label, *row] for label, row in zip(labels, rows, strict=True))]
    if numbers["curve"]:
        found["curve"] = [
            ["k", "value"],
            *map(list, zip(numbers["curve"]["k"], numbers["curve"]["value"], strict=True)),
        ]
    for kind, rows in numbers["by"].items():
        keys = list(dict.fromkeys(key for one in rows.values() for key in one))
        found[f"by-{kind}"] = [[kind, *keys], *([name, *(one.get(key) for key in keys)] for name, one in rows.items())]
    return found


def _page(protocol: Protocol, outcome: Outcome, numbers: Mapping[str, Any], pictures: Pictures) -> str:
    body = [
        f"<h1>{escape(protocol.title)}</h1>",
        f'<p class="muted">{escape(TASK_WORDS[protocol.task])} · {escape(numbers["encoder"])} · {outcome.n:,} tested · '
        f"plipdesk {escape(numbers['plipdesk'])}</p>",
        f'<p class="warn">{DISCLAIMER}</p>',
    ]
    if outcome.split:
        warning = " <strong>Pictures of one source lie on both sides: figures are too good.</strong>" * outcome.leaks
        body.append(f"<p>Split: {escape(outcome.split)}.{warning}</p>")
    body += ["<h2>Figures</h2>", _metrics(numbers), _compared(numbers)]
    if outcome.curve is not None:
        steps, values = outcome.curve
        chance = None
        if "random_recall_at_10" in outcome.metrics:
            chance = [min(1.0, k * outcome.metrics["random_recall_at_10"] / 10) for k in steps]
        body.append(_figure(curve(steps, values, "Over K", chance=chance), "Over K; dashed: chance."))
    if outcome.confusion is not None and len(outcome.confusion[0]) <= 30:
        labels, rows = outcome.confusion
        body += ["<h2>Confusion matrix</h2>", _figure(matrix(labels, rows), "Rows actual, columns predicted.")]
    for kind, groups in numbers["by"].items():
        body += [f"<h2>By {escape(kind)}</h2>", _table(_tables(numbers)[f"by-{kind}"])]
        shown = [
            Bar(name, next(value for key, value in one.items() if key != "n") or 0.0) for name, one in groups.items()
        ]
        if 1 < len(shown) <= 40:
            body.append(_figure(bars(shown, f"By {kind}"), ""))
    if outcome.examples:
        body += ["<h2>Examples</h2>", *_examples(outcome, pictures)]
    if outcome.prompts:
        body.append("<h2>Prompts</h2>")
        body.append(_table([["class", "prompts"], *([name, "; ".join(own)] for name, own in outcome.prompts.items())]))
    if numbers["notes"]:
        body += ["<h2>Notes</h2><ul>", *(f"<li>{escape(note)}</li>" for note in numbers["notes"]), "</ul>"]
    body.append(
        f'<p class="muted">Seed {numbers["seed"]} · intervals by {escape(numbers["interval_way"])} · encoder '
        f"{escape(numbers['encoder_fingerprint'])} · all numbers: <a href='{NUMBERS}'>{NUMBERS}</a></p>"
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(protocol.title)}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(body)}</body></html>"
    )


def _metrics(numbers: Mapping[str, Any]) -> str:
    rows: list[list[Any]] = [["", "value", "95 % interval"]]
    for name, value in numbers["metrics"].items():
        low, high = numbers["intervals"].get(name, (None, None))
        rows.append([metric_words(name), _shown(value), "" if low is None else f"{low:.3f} to {high:.3f}"])
    return _table(rows)


def _compared(numbers: Mapping[str, Any]) -> str:
    rows = [row for row in numbers["paper"] if row["ours"] is not None]
    if not rows:
        return ""
    parts = []
    for metric in dict.fromkeys(row["metric"] for row in rows):
        own = [row for row in rows if row["metric"] == metric]
        low, high = numbers["intervals"].get(metric, (None, None))
        shown = [Bar(f"{numbers['encoder']}, here", own[0]["ours"], low, high)]
        for row in own:
            from_, to = row["paper_interval"] or (None, None)
            shown.append(Bar(f"{row['model']}, published", row["paper"], from_, to, PAPER))
        why = own[0]["not_comparable_because"]
        words = f"{metric_words(metric)}. Published: {own[0]['source']}."
        parts.append(_figure(bars(shown, words), words + (f" Not comparable, because {why}." if why else "")))
    return "<h2>Beside the paper</h2>" + "".join(parts)


def _examples(outcome: Outcome, pictures: Pictures) -> Iterable[str]:
    for words, query, found in outcome.examples:
        images = "".join(_picture(pictures, number, own=number == query) for number in found)
        yield f'<figure><figcaption>{escape(words)}</figcaption><div class="row">{images}</div></figure>'
    yield '<p class="muted">Nearest first; the picture that the words belong to is framed where it was found.</p>'


def _picture(pictures: Pictures, number: int, *, own: bool) -> str:
    try:
        pixels = pictures.read(number)
    except EnvironmentProblem:
        return "<span>unread</span>"
    scale = _THUMBNAIL_PX / min(pixels.shape[:2])
    if scale < 1:
        pixels = resized(pixels, round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    data = base64.b64encode(encode_jpeg(np.ascontiguousarray(pixels), quality=80)).decode()
    return f'<img class="{"own" if own else ""}" alt="picture {number}" src="data:image/jpeg;base64,{data}">'


def _figure(drawing: str, caption: str) -> str:
    return f"<figure>{drawing}<figcaption>{escape(caption)}</figcaption></figure>"


def _table(rows: Sequence[Sequence[Any]]) -> str:
    head, *rest = rows
    cells = "".join(f"<th>{escape(str(cell))}</th>" for cell in head)
    lines = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rest)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table>"


def _cell(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f'<td class="n">{_shown(value)}</td>'
    return f"<td>{escape(str(value))}</td>"


def _shown(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 2 else f"{value:.3f}"
