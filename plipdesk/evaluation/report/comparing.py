"""Two runs of one protocol on one page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from plipdesk.base.files import atomic_write
from plipdesk.evaluation.data import EvaluationProblem
from plipdesk.evaluation.report.charts import OURS, PAPER, Bar, bars
from plipdesk.evaluation.report.page import DISCLAIMER, NUMBERS, PAGE, STYLE, metric_words

_MOST_BYTES = 64 * 1024 * 1024


def read_numbers(run: Path) -> dict[str, Any]:
    """The numbers of a report's folder (or of its ``result.json``).

    Raises:
        EvaluationProblem: there is no readable report.
    """
    path = run / NUMBERS if run.is_dir() else run
    remedy = "Name the folder that 'plipdesk evaluate run --report' wrote."
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise EvaluationProblem("This is too large to be a report.", path=path, remedy=remedy)
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise EvaluationProblem("There is no report here.", path=path, remedy=remedy) from error
    if not isinstance(found, dict) or not {"protocol", "encoder", "metrics", "n", "title"} <= found.keys():
        raise EvaluationProblem("This file is no report of a run.", path=path, remedy=remedy)
    return found


def comparison(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics that both have, and why the runs cannot be compared where they cannot."""
    reasons = []
    for key, words in (("protocol", "protocols"), ("split", "splits"), ("n", "numbers of pictures"), ("seed", "seeds")):
        if first.get(key) != second.get(key):
            reasons.append(f"the {words} differ: {first.get(key)} and {second.get(key)}")
    rows = [
        {
            "metric": name,
            "first": value,
            "second": second["metrics"][name],
            "change": second["metrics"][name] - value,
            "first_interval": first["intervals"].get(name),
            "second_interval": second["intervals"].get(name),
        }
        for name, value in first["metrics"].items()
        if value is not None and second["metrics"].get(name) is not None
    ]
    return {
        "first": first["encoder"],
        "second": second["encoder"],
        "metrics": rows,
        "not_comparable_because": reasons,
        "report": None,
    }


def write_comparison(folder: Path, first: Mapping[str, Any], second: Mapping[str, Any]) -> Path:
    """Write a page with both runs side by side into ``folder``; returns its path.

    Raises:
        EnvironmentProblem: the folder cannot be written to.
    """
    found = comparison(first, second)
    folder.mkdir(parents=True, exist_ok=True)
    parts = [f"<h1>{escape(first['title'])}</h1>", f'<p class="warn">{DISCLAIMER}</p>']
    parts += [f'<p class="warn">Not comparable, because {escape(why)}.</p>' for why in found["not_comparable_because"]]
    for row in found["metrics"]:
        shown = []
        for side, colour in (("first", PAPER), ("second", OURS)):
            low, high = row[f"{side}_interval"] or (None, None)
            shown.append(Bar(found[side], row[side], low, high, colour))
        if all(0 <= bar.value <= 1 for bar in shown):
            words = f"{metric_words(row['metric'])} ({row['change']:+.3f})"
            parts.append(f"<figure>{bars(shown, words)}<figcaption>{escape(words)}</figcaption></figure>")
    page = folder / PAGE
    with atomic_write(page) as stream:
        stream.write(
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(first["title"])}</title>'
            f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>".encode()
        )
    return page
