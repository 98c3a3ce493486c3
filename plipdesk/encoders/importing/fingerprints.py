"""What known models answer to the probe set, where somebody has measured it (``resources/models/probe-records.json``).

A record is taken with ``plipdesk models import PATH --json`` from a file whose SHA-256 the model's publisher gives, and
holds the first numbers of each probe embedding. It tells a model from one that loads just as well and embeds otherwise,
such as one with another activation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np

from plipdesk.base.errors import Bug
from plipdesk.base.resources import resource_path
from plipdesk.encoders.importing.report import Verdict

RECORDS = "models/probe-records.json"
PROBE_VERSION = 1
# Runtimes and processors differ by 1e-5, weights in half precision by 1e-3, another activation by more than 1e-2.
_TOLERANCE = 2e-3


def compare(known_as: Iterable[str], numbers: Sequence[Sequence[float]]) -> Verdict:
    """How ``numbers`` compare with the record found under one of the names in ``known_as``."""
    records = _records()
    for name in sorted(known_as):
        if name in records:
            kept, seen = np.array(records[name], dtype=np.float64), np.array(numbers, dtype=np.float64)
            alike = kept.shape == seen.shape and bool(np.abs(kept - seen).max() <= _TOLERANCE)
            return "matches the record" if alike else "differs"
    return "no record"


def _records() -> dict[str, list[list[float]]]:
    path = resource_path(RECORDS)
    try:
        document = json.loads(path.read_bytes())
        models: dict[str, list[list[float]]] = document["models"] if document["probe"] == PROBE_VERSION else {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Bug("The records of known models cannot be read.", path=path, remedy="Install plipdesk again.") from error
    return models
