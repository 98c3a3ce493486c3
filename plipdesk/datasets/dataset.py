"""A finished data set: its folder, its pairs, and the document that says how it was made."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from plipdesk.base.errors import EnvironmentProblem, NotFound
from plipdesk.base.files import atomic_write
from plipdesk.base.progress import Json
from plipdesk.datasets.counts import StepCount, check_counts

SCHEMA = 1
_TEXTS = (
    "id", "source", "platform", "role", "hashtag", "link", "post_id", "text_id", "media_id", "group", "caption",
    "created", "language", "licence", "image", "sha256", "original_sha256", "dhash", "picture_class", "split",
)  # fmt: skip
_REMEDY = "Build the data set anew."


class DatasetProblem(EnvironmentProblem):
    """A data set's folder is not as it must be."""

    kind = "dataset"


class FinishedPair(msgspec.Struct):
    """A pair of a finished data set, one row of ``pairs.parquet``. ``image`` is relative to the folder.

    ``sha256`` is of the exported picture, ``original_sha256`` of the file it was made from. ``row`` is its embedding's
    in ``embeddings.npy``, −1 without one. ``pathology`` is how sure the filter is, −1 where it did not run.
    """

    id: str
    source: str
    platform: str
    role: str
    hashtag: str
    link: str
    post_id: str
    text_id: str
    media_id: str
    group: str
    caption: str
    created: str
    language: str
    licence: str
    image: str
    sha256: str
    original_sha256: str
    dhash: str
    picture_class: str
    split: str
    likes: int
    width_px: int
    height_px: int
    row: int
    pathology: float
    tags: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """Where everything of a data set lies."""

    root: Path

    @property
    def document(self) -> Path:
        """How it was made, with all counts; there last, so a folder without it is not finished."""
        return self.root / "dataset.json"

    @property
    def pairs(self) -> Path:
        """All that is known of each pair."""
        return self.root / "pairs.parquet"

    @property
    def manifest(self) -> Path:
        """What training reads."""
        return self.root / "manifest.parquet"

    @property
    def dropped(self) -> Path:
        """Which pairs went, at which step and why; ids only."""
        return self.root / "dropped.parquet"

    @property
    def embeddings(self) -> Path:
        """Pictures' embeddings, float16 (n, d)."""
        return self.root / "embeddings.npy"

    @property
    def pictures(self) -> Path:
        """Exported pictures, without metadata."""
        return self.root / "pictures"

    @property
    def shards(self) -> Path:
        """The webdataset."""
        return self.root / "shards"

    @property
    def decisions(self) -> Path:
        """Everything a person decided, one JSON line each, in the order in which they did."""
        return self.root / "decisions.jsonl"

    @property
    def report(self) -> Path:
        """The report for people."""
        return self.root / "report.html"

    @property
    def card(self) -> Path:
        """The data card."""
        return self.root / "card.md"

    @property
    def work(self) -> Path:
        """What a build that is not finished keeps."""
        return self.root / ".work"


class DataSet:
    """A finished data set, read and checked."""

    def __init__(self, layout: Layout, document: dict[str, Any], pairs: list[FinishedPair]) -> None:
        self.layout = layout
        self.document = document
        self.pairs = pairs

    @classmethod
    def open(cls, folder: Path) -> DataSet:
        """Read the data set in ``folder`` and hold its counts against each other and against its pairs.

        Raises:
            NotFound: there is none, or it is not finished.
            CountProblem: its counts do not add up.
            DatasetProblem: a file of it is missing or damaged.
        """
        layout = Layout(folder)
        if not layout.document.exists():
            unfinished = layout.work.exists()
            raise NotFound(
                "This data set is not finished." if unfinished else "There is no data set here.",
                path=folder,
                remedy="Call 'plipdesk dataset build' again as before."
                if unfinished
                else "Name the folder of a build.",
            )
        try:
            document = json.loads(layout.document.read_text(encoding="utf-8"))
            formed, pairs = document["formed"], document["pairs"]
            steps = [StepCount.from_document(step) for step in document["steps"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DatasetProblem(
                "This data set's document is damaged.", path=layout.document, remedy=_REMEDY
            ) from error
        rows = read_pairs(layout.pairs)
        check_counts(
            steps, formed=formed, pairs=pairs, by_source=document["by_source"], by_hashtag=document["by_hashtag"]
        )
        by_source, by_hashtag = counted(rows)
        if pairs != len(rows) or by_source != document["by_source"] or by_hashtag != document["by_hashtag"]:
            raise DatasetProblem(
                f"The table of pairs ({len(rows)}) is not that of the document ({pairs}).", path=folder, remedy=_REMEDY
            )
        return cls(layout, document, rows)

    def steps(self) -> list[StepCount]:
        """The counts of every step."""
        return [StepCount.from_document(step) for step in self.document["steps"]]

    def embeddings(self) -> NDArray[np.float16] | None:
        """The pictures' embeddings (n, d), mapped, or None where the data set was built without an encoder."""
        if not self.layout.embeddings.exists():
            return None
        found: NDArray[np.float16] = np.load(self.layout.embeddings, mmap_mode="r", allow_pickle=False)
        return found

    def write(self) -> None:
        """Write document, pairs and manifest, in the order in which they count.

        Raises:
            CountProblem: the counts do not add up.
        """
        by_source, by_hashtag = counted(self.pairs)
        self.document |= {"pairs": len(self.pairs), "by_source": by_source, "by_hashtag": by_hashtag}
        check_counts(
            self.steps(),
            formed=self.document["formed"],
            pairs=len(self.pairs),
            by_source=by_source,
            by_hashtag=by_hashtag,
        )
        write_pairs(self.layout.pairs, self.pairs)
        with atomic_write(self.layout.document) as stream:
            stream.write(json.dumps(self.document, ensure_ascii=False, indent=1).encode())


def counted(pairs: Sequence[FinishedPair]) -> tuple[dict[str, int], dict[str, int]]:
    """Pairs by source and by hashtag, most first."""
    sources = Counter(pair.source for pair in pairs)
    hashtags = Counter(pair.hashtag for pair in pairs)
    return dict(_ordered(sources)), dict(_ordered(hashtags))


def _ordered(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def write_pairs(path: Path, pairs: Sequence[FinishedPair]) -> None:
    """Write ``pairs`` as a Parquet table."""
    import pyarrow as pa
    from pyarrow import parquet

    columns: dict[str, Any] = {}
    for field in FinishedPair.__struct_fields__:
        values = [getattr(pair, field) for pair in pairs]
        if field in _TEXTS:
            columns[field] = pa.array(values, pa.string())
        elif field in ("tags", "findings"):
            columns[field] = pa.array([list(value) for value in values], pa.list_(pa.string()))
        else:
            columns[field] = pa.array(values, pa.float32() if field == "pathology" else pa.int64())
    with atomic_write(path) as stream:
        parquet.write_table(pa.table(columns), stream, compression="zstd")


def read_pairs(path: Path) -> list[FinishedPair]:
    """The rows of ``pairs.parquet``.

    Raises:
        DatasetProblem: it is missing, damaged, or has other columns.
    """
    import pyarrow as pa
    from pyarrow import parquet

    fields = FinishedPair.__struct_fields__
    try:
        columns = parquet.read_table(path, columns=list(fields)).to_pydict()
        rows = zip(*(columns[field] for field in fields), strict=True)
        return [msgspec.convert(dict(zip(fields, row, strict=True)), FinishedPair) for row in rows]
    except (OSError, pa.ArrowException, KeyError, msgspec.ValidationError) as error:
        raise DatasetProblem("The table of pairs is missing or damaged.", path=path, remedy=_REMEDY) from error


def summary(document: dict[str, Json], out: Path) -> dict[str, Json]:
    """What ``dataset build --json`` answers."""
    keys = ("steps", "pairs", "by_source", "by_hashtag")
    return {**{key: document[key] for key in keys}, "out": str(out)} | {
        key: document[key] for key in ("formed", "read", "joined", "split", "encoder") if key in document
    }
