"""What a source holds that cannot be read: counted and told, never the end of a build."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.base.progress import Json

_TOLD = 50


class SourceProblem(EnvironmentProblem):
    """A source as a whole cannot be read: it is not there, or is not what its kind says."""

    kind = "source"


class Trouble:
    """Counts by kind, and where the first ones of them are. ``seen`` counts what was read well."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self.told: list[str] = []

    def add(self, what: str, where: str, detail: str = "") -> None:
        """Count a ``what`` (such as *broken line*) at ``where`` (such as ``posts.jsonl:17``)."""
        self.counts[what] += 1
        if len(self.told) < _TOLD:
            self.told.append(f"{where}: {what}{f' ({detail})' if detail else ''}"[:500])

    def merge(self, document: Mapping[str, Any]) -> None:
        """Take in what :meth:`document` of another gave."""
        self.counts.update(document["problems"])
        self.seen.update(document["seen"])
        self.told = [*self.told, *document["told"]][:_TOLD]

    def document(self) -> dict[str, Json]:
        """Counts and places as JSON."""
        return {
            "seen": dict(sorted(self.seen.items())),
            "problems": dict(sorted(self.counts.items())),
            "told": self.told,
        }
