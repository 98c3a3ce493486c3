"""Run a protocol on a folder of data: one document with every number, and a report to read."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plipdesk
from plipdesk.base.progress import JobContext, QuietContext
from plipdesk.encoders.protocol import Encoder
from plipdesk.evaluation import tasks
from plipdesk.evaluation.data import ClassData, EvaluationProblem, PairData
from plipdesk.evaluation.protocol import Protocol
from plipdesk.evaluation.readers.captions import read_captions
from plipdesk.evaluation.readers.digestpath import read_digestpath
from plipdesk.evaluation.readers.folders import (
    read_class_folders,
    read_kimia,
    read_lc25000,
    read_mhist,
    read_pcam,
    read_sicapv2,
)
from plipdesk.evaluation.readers.kather import read_kather
from plipdesk.evaluation.readers.pannuke import read_pannuke
from plipdesk.evaluation.readers.wsss4luad import read_wsss4luad
from plipdesk.evaluation.tasks import Asked, Outcome

CLASS_READERS: dict[str, Callable[[Path], ClassData]] = {
    "kather": read_kather,
    "pannuke": read_pannuke,
    "digestpath": read_digestpath,
    "wsss4luad": read_wsss4luad,
    "kimia": read_kimia,
    "mhist": read_mhist,
    "lc25000": read_lc25000,
    "sicapv2": read_sicapv2,
    "pcam": read_pcam,
    "class-folders": read_class_folders,
}
# Published numbers of pictures: Huang et al. (2023), Fig. 5.
PAIR_READERS: dict[str, tuple[str | None, int | None]] = {
    "captions": (None, None),
    "twitter": ("Twitter", 2_023),
    "pathpedia": ("PathPedia", 210),
    "pubmed": ("PubMed", 1_419),
    "books": ("Books", 558),
}


def run_protocol(
    protocol: Protocol, data_folder: Path, encoder: Encoder, asked: Asked, context: JobContext | None = None
) -> tuple[Outcome, ClassData | PairData]:
    """Read the data, encode what is new, compute the figures.

    Raises:
        EvaluationProblem: the data set is not there, or the encoder cannot do what is asked.
        EncoderProblem: words for an encoder that has none.
        Cancelled: ``context`` was asked to stop; embeddings made so far are kept.
    """
    watcher = context or QuietContext()
    if protocol.task in ("zero-shot", "text-to-image") and not encoder.card.has_words:
        raise EvaluationProblem(
            f"{encoder.card.name} only sees pictures; {protocol.title} asks in words.",
            remedy="Choose an encoder with words, or a protocol by linear probing or retrieval by picture.",
        )
    if protocol.data in PAIR_READERS:
        name, published = PAIR_READERS[protocol.data]
        pairs = read_captions(data_folder, name=name, published=published)
        task = tasks.text_to_image if protocol.task == "text-to-image" else tasks.image_to_image
        outcome = task(pairs, encoder, asked, watcher)
        outcome.notes += pairs.notes
        return outcome, pairs
    data = CLASS_READERS[protocol.data](data_folder)
    by_task = {
        "zero-shot": tasks.zero_shot,
        "linear-probe": tasks.linear_probe,
        "class-retrieval": tasks.class_retrieval,
    }
    return by_task[protocol.task](protocol, data, encoder, asked, watcher), data


def document(
    protocol: Protocol, encoder: Encoder, outcome: Outcome, asked: Asked, report: Path | None
) -> dict[str, Any]:
    """The answer of ``plipdesk evaluate run --json``; figures that are not numbers are null."""
    found: dict[str, Any] = {
        "protocol": protocol.name,
        "title": protocol.title,
        "encoder": encoder.card.id,
        "encoder_fingerprint": encoder.fingerprint,
        "n": outcome.n,
        "metrics": {name: _number(value) for name, value in outcome.metrics.items()},
        "intervals": {name: [_number(low), _number(high)] for name, (low, high) in outcome.intervals.items()},
        "interval_way": asked.way,
        "confusion": None,
        "split": outcome.split,
        "split_leaks": outcome.leaks,
        "seed": asked.seed,
        "by": {
            kind: {name: {key: _number(value) for key, value in one.items()} for name, one in rows.items()}
            for kind, rows in outcome.by.items()
        },
        "curve": None,
        "prompts": outcome.prompts,
        "settings": outcome.settings,
        "notes": [*protocol.notes, *outcome.notes],
        "paper": compared(protocol, outcome),
        "plipdesk": plipdesk.__version__,
        "report": None if report is None else str(report),
    }
    if outcome.confusion is not None:
        labels, rows = outcome.confusion
        found["confusion"] = {"labels": list(labels), "rows": rows.tolist()}
    if outcome.curve is not None:
        steps, values = outcome.curve
        found["curve"] = {"k": list(steps), "value": [_number(value) for value in values]}
    return found


def compared(protocol: Protocol, outcome: Outcome) -> list[dict[str, Any]]:
    """The paper's figures beside ours, and why they cannot be compared where they cannot."""
    if protocol.paper is None:
        return []
    why = None
    if protocol.paper.n is not None and protocol.paper.n != outcome.n:
        why = f"the paper tested on {protocol.paper.n:,} pictures, this run on {outcome.n:,}"
    rows = []
    for figure in protocol.paper.figures:
        ours = outcome.metrics.get(figure.metric)
        rows.append(
            {
                "model": figure.model,
                "metric": figure.metric,
                "paper": figure.value,
                "paper_interval": None if figure.low is None else [figure.low, figure.high],
                "ours": None if ours is None else _number(ours),
                "not_comparable_because": why if ours is not None else "this run has no such figure",
                "source": protocol.paper.source,
            }
        )
    return rows


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
