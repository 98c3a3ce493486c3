"""The steps that judge what a picture shows: pathology, something like given pictures, a person's data as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from plipdesk.datasets.burnt_in import text_reader
from plipdesk.datasets.near_duplicates import nearest, normalised
from plipdesk.datasets.pair import Family, Pair
from plipdesk.datasets.pathology_filter import PATHOLOGY, filter_for, pathology_share
from plipdesk.datasets.picture_facts import PictureTable
from plipdesk.datasets.query_pictures import query_vectors
from plipdesk.datasets.steps.base import Noting, Verdict
from plipdesk.datasets.steps.pictures import PictureStep
from plipdesk.datasets.steps.privacy import find_identifiers


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


class BurntIn(PictureStep):
    """Pictures with a person's data written into them, read by the extra *ocr*; about a second for each picture.

    ``show`` keeps them and lists the kinds among the pair's findings. Without the extra nothing is read, and that is
    noted.
    """

    name: ClassVar[str] = "burnt-in"
    action: Literal["drop", "show"] = "drop"
    least_confidence: float = Field(0.5, ge=0, le=1)

    def judge(self, pairs: Sequence[Pair], table: PictureTable, note: Noting) -> list[Verdict]:
        """Reads each picture once."""
        reader = text_reader(self.least_confidence)
        if reader is None:
            for _ in pairs:
                note("not read, for want of the extra ocr")
            return [None] * len(pairs)
        paths = list(dict.fromkeys(pair.picture for pair in pairs if pair.picture))
        kinds: dict[str, tuple[str, ...]] = {}
        for done, path in enumerate(paths):
            table.context.check_cancel()
            table.context.report(done, len(paths), unit="pictures", note="reading text in pictures")
            text = " \n ".join(reader.lines(Path(path)))
            kinds[path] = tuple(dict.fromkeys(finding.kind for finding in find_identifiers(text)))
        return [self._verdict(pair, kinds.get(pair.picture, ()), note) for pair in pairs]

    def _verdict(self, pair: Pair, kinds: tuple[str, ...], note: Noting) -> Verdict:
        if not kinds:
            return None
        if self.action == "drop":
            return f"a person's {kinds[0]} in the picture"
        pair.findings = tuple(dict.fromkeys((*pair.findings, *(f"{kind} in the picture" for kind in kinds))))
        note("a person's data seen in the picture")
        return None
