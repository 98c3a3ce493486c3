"""Writing the pictures and tables of a data set out of the pairs that are left."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.files import atomic_write, sha256_of
from plipdesk.base.progress import JobContext
from plipdesk.datasets.dataset import DataSet, FinishedPair, Layout
from plipdesk.datasets.flow import SplitRule
from plipdesk.datasets.manifest import ManifestRow, write_manifest
from plipdesk.datasets.metadata import stripped
from plipdesk.datasets.pair import Pair
from plipdesk.datasets.picture_facts import PictureTable
from plipdesk.datasets.splits import Divisible, divide, split_document

_TOLD_EVERY = 200


@dataclass(frozen=True)
class Finished:
    """Pairs with their exported pictures and splits; ``embeddings`` (n, d) float16 of the pictures that stayed."""

    pairs: list[FinishedPair]
    split: dict[str, Any]
    embeddings: NDArray[np.float16] | None


def export_pictures(
    layout: Layout, pairs: Sequence[Pair], table: PictureTable, rule: SplitRule, context: JobContext
) -> Finished:
    """Write each pair's picture without metadata, divide the pairs, and gather all that is known of them.

    Raises:
        SplitProblem: the pairs cannot be divided as the rule says.
        Cancelled: on request; written pictures are kept.
    """
    rows: dict[int, int] = {}
    finished: list[FinishedPair] = []
    written: dict[str, Path] = {}
    for number, pair in enumerate(pairs):
        if number % _TOLD_EVERY == 0:
            context.check_cancel()
            context.report(number, len(pairs), unit="pairs", note="writing pictures")
        facts = table.of(pair)
        place = _export(layout, pair, written)
        row = rows.setdefault(facts.row, len(rows)) if facts.row >= 0 else -1
        label, share = table.scores.get(pair.picture, ("", -1.0))
        finished.append(
            FinishedPair(
                id=pair.id, source=pair.source, platform=pair.platform, role=pair.role, hashtag=pair.hashtag,
                link=pair.link, post_id=pair.post_id, text_id=pair.text_id, media_id=pair.media_id, group=pair.group,
                caption=pair.caption, created=pair.created, language=pair.language, licence=pair.licence,
                image=place.relative_to(layout.root).as_posix(), sha256=sha256_of(place),
                original_sha256=facts.sha256, dhash=facts.dhash, picture_class=label, split=pair.split,
                likes=pair.likes, width_px=facts.size_px[0], height_px=facts.size_px[1], row=row, pathology=share,
                tags=pair.tags, findings=pair.findings,
            )
        )  # fmt: skip
    embeddings = table.embeddings[list(rows)] if table.embeddings is not None else None
    return Finished(finished, split_pairs(finished, rule, embeddings), embeddings)


def split_pairs(
    pairs: Sequence[FinishedPair], rule: SplitRule, embeddings: NDArray[np.float16] | None
) -> dict[str, Any]:
    """Write each pair's split into it; returns what ``dataset.json`` says of the split.

    Raises:
        SplitProblem: the pairs cannot be divided as the rule says.
    """
    divisible = [
        Divisible(pair.id, pair.group, pair.source, pair.split, pair.original_sha256, pair.dhash, pair.row)
        for pair in pairs
    ]
    splits, leaks = divide(divisible, rule, embeddings)
    for pair, split in zip(pairs, splits, strict=True):
        pair.split = split
    return split_document(divisible, splits, rule, leaks)


def write_manifest_of(made: DataSet) -> None:
    """The manifest that training reads.

    Raises:
        ManifestProblem: splits as given part a group.
    """
    root = made.layout.root.resolve()
    write_manifest(
        made.layout.manifest,
        [
            ManifestRow(root / pair.image, pair.sha256, pair.caption, pair.tags, pair.group, pair.source, pair.split)
            for pair in made.pairs
        ],
    )


def _export(layout: Layout, pair: Pair, written: dict[str, Path]) -> Path:
    """The exported picture of a pair; a second pair of the same picture gets a link to it under its own name."""
    folder = layout.pictures / hashlib.sha256(pair.id.encode()).hexdigest()[:2]
    first = written.get(pair.picture)
    if first is None:
        for ending in ("jpg", "png", "webp"):
            place = folder / f"{pair.id}.{ending}"
            if place.exists():
                return written.setdefault(pair.picture, place)
        content, ending = stripped(Path(pair.picture).read_bytes())
        place = folder / f"{pair.id}.{ending}"
        with atomic_write(place) as stream:
            stream.write(content)
        return written.setdefault(pair.picture, place)
    place = folder / f"{pair.id}{first.suffix}"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):
            place.hardlink_to(first)
        if not place.exists():
            with atomic_write(place) as stream:
                stream.write(first.read_bytes())
    return place
