"""The steps that judge what a picture shows: pathology at all, and something like the pictures a person gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from plipdesk.datasets.near_duplicates import nearest, normalised
from plipdesk.datasets.pair import Family, Pair
from plipdesk.datasets.pathology_filter import PATHOLOGY, filter_for, pathology_share
from plipdesk.datasets.picture_facts import PictureTable
from plipdesk.datasets.query_pictures import query_vectors
from plipdesk.datasets.steps.base import Noting, Verdict
from plipdesk.datasets.steps.pictures import PictureStep


class Pathology(PictureStep):
    """Pictures of pathology, by a filter on embeddings (``filter``: a folder that *learn-filter* wrote; None: the
    shipped one, which belongs to the embedded encoder).

    Pictures are taken from ``threshold`` on. Within ``margin`` of it the filter is unsure: such pairs are kept for a
    person to decide on (``plipdesk dataset review --unsure``), or go.
    """

    name: ClassVar[str] = "pathology"
    filter: Path | None = None
    threshold: float = Field(0.5, ge=0, le=1)
    margin: float = Field(0.2, ge=0, le=0.5)
    unsure: Literal["keep", "drop"] = "keep"
    wanted: tuple[str, ...] = PATHOLOGY

    def judge(self, pairs: Sequence[Pair], table: PictureTable, note: Noting) -> list[Verdict]:
        """Where there is no filter for the encoder, nothing is judged and that is noted."""
        probe = filter_for(table.encoder, self.filter) if table.embeddings is not None else None
        places = sorted({table.place(pair.picture) for pair in pairs if table.of(pair).row >= 0})
        if probe is None or not places:
            for _ in pairs:
                note("not judged, for want of a filter for this encoder")
            return [None] * len(pairs)
        shares = probe.probabilities(normalised(table.vectors(places)))
        wanted = pathology_share(probe, shares, self.wanted)
        for place, row, share in zip(places, shares, wanted, strict=True):
            table.scores[table.facts[place].path] = (probe.classes[int(row.argmax())], float(share))
        return [self._verdict(*table.scores.get(pair.picture, ("", 1.0)), note) for pair in pairs]

    def _verdict(self, label: str, share: float, note: Noting) -> Verdict:
        if abs(share - self.threshold) < self.margin:
            if self.unsure == "drop":
                return "unsure whether pathology"
            note("unsure, kept for review")
            return None
        if share >= self.threshold:
            return None
        return f"not pathology: {label}" if label not in self.wanted else "not pathology: unclear"


class Alike(PictureStep):
    """Pictures near those in ``examples`` (a folder), as PathLAION was found: of each example the ``nearest``
    candidates whose cosine is at least ``least_cosine``; all others go."""

    name: ClassVar[str] = "alike"
    families: tuple[Family, ...] = ("web",)
    examples: Path
    least_cosine: float = 0.8
    nearest: int = 1000

    def judge(self, pairs: Sequence[Pair], table: PictureTable, note: Noting) -> list[Verdict]:
        """Without an encoder nothing can be compared, and that is noted."""
        if table.model is None or table.embeddings is None:
            for _ in pairs:
                note("not compared, for want of an encoder")
            return [None] * len(pairs)
        places = sorted({table.place(pair.picture) for pair in pairs if table.of(pair).row >= 0})
        if not places:
            return [None] * len(pairs)
        queries = query_vectors(self.examples, table.model)
        found: dict[int, float] = {}
        for near in nearest(queries, normalised(table.vectors(places)), self.nearest, table.encoder):
            for row, score in near:
                if score >= self.least_cosine:
                    found[places[row]] = max(score, found.get(places[row], score))
        return [None if table.place(pair.picture) in found else "unlike the pictures given" for pair in pairs]
