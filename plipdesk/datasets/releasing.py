"""The release form of the paper: ids and links of the source posts, never a picture and never a text.

A folder with ``release.csv`` (source, hashtag, weblink, id, media_id, split) and ``release.json``, which says how
captions are made again from a local export.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.base.files import atomic_write
from plipdesk.base.progress import JobContext, Json
from plipdesk.datasets.build import BuildPlan, build
from plipdesk.datasets.dataset import DataSet
from plipdesk.datasets.flow import Flow, flow_of
from plipdesk.datasets.pair import SOCIAL_NAMES, file_safe
from plipdesk.datasets.sources.kinds import Source
from plipdesk.encoders.protocol import Encoder

TABLE, NOTE = "release.csv", "release.json"
COLUMNS = ("source", "hashtag", "weblink", "id", "media_id", "split")
_PLATFORMS = {name: platform for platform, name in SOCIAL_NAMES.items()} | {"PathLAION": "laion"}
# What is done again when a release is joined to an export; the selection itself is the release's.
_REDONE = ("cleaning", "privacy", "rights", "files")
_MAX_BYTES = 4 << 30
_TOLD = 1000


class ReleaseProblem(EnvironmentProblem):
    """A release cannot be read, or nothing of a data set can be released."""

    kind = "release"


@dataclass(frozen=True)
class Released:
    """One row of a release."""

    source: str
    hashtag: str
    weblink: str
    id: str
    media_id: str
    split: str

    @property
    def pair_id(self) -> str:
        """The id that the pair has once it is formed again."""
        platform = _PLATFORMS.get(self.source.removesuffix(" reply"), self.source)
        return file_safe(f"{platform}-{self.id}-{self.media_id}")


def write_release(made: DataSet, out: Path) -> dict[str, Json]:
    """Write the release of a data set into the folder ``out``.

    Pairs without a public link (one's own folders, books, slides) cannot be found by others: they are left out and
    counted.

    Raises:
        ReleaseProblem: no pair has a link.
        EnvironmentProblem: the folder cannot be written to.
    """
    rows = [
        (pair.source, pair.hashtag, pair.link, pair.text_id, pair.media_id, pair.split)
        for pair in made.pairs
        if pair.link
    ]
    if not rows:
        raise ReleaseProblem("No pair of this data set has a public link.", path=made.layout.root)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    note = {
        "pairs": len(rows),
        "left_out": len(made.pairs) - len(rows),
        "by_source": dict(Counter(row[0] for row in rows)),
        "columns": list(COLUMNS),
        "flow": _portable(made.document["flow"]),
        "version": made.document["version"],
    }
    with atomic_write(out / TABLE) as file:
        file.write(stream.getvalue().encode())
    with atomic_write(out / NOTE) as file:
        file.write(json.dumps(note, ensure_ascii=False, indent=1).encode())
    return {"pairs": len(rows), "left_out": note["left_out"], "by_source": note["by_source"], "out": str(out / TABLE)}


def read_release(place: Path) -> tuple[list[Released], Flow]:
    """The rows of a release and the flow that makes its captions again; ``place`` is its folder or its table.

    Raises:
        ReleaseProblem: it is missing or not as written.
    """
    table = place / TABLE if place.is_dir() else place
    note = table.parent / NOTE
    try:
        if table.stat().st_size > _MAX_BYTES:
            raise ReleaseProblem("This release is too large.", path=table)
        with table.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise ReleaseProblem(
                    "This is no release: its columns are others.",
                    path=table,
                    remedy=f"They must be {', '.join(COLUMNS)}.",
                )
            rows = [Released(**{name: row[name] or "" for name in COLUMNS}) for row in reader]
        said = json.loads(note.read_text(encoding="utf-8"))["flow"] if note.exists() else {"steps": list(_REDONE)}
    except (OSError, UnicodeDecodeError, csv.Error, ValueError, KeyError, TypeError) as error:
        raise ReleaseProblem(f"The release cannot be read: {error}.", path=table, remedy="Copy it again.") from error
    flow = flow_of({"steps": said["steps"]}, note)
    redone = tuple(step for step in flow.steps if step.name in _REDONE)
    return rows, Flow(steps=redone)


def rehydrate(
    release: Path,
    sources: Sequence[Source],
    media: Sequence[Path],
    out: Path,
    encoder: Encoder | None,
    context: JobContext,
) -> dict[str, Json]:
    """Join a release to local exports again: a data set in ``out``, and a report of what is no longer there.

    Raises:
        ReleaseProblem: the release cannot be read.
        EnvironmentProblem: as :func:`plipdesk.datasets.build.build`.
    """  # fmt: skip
    from plipdesk.datasets.steps.released import Selected

    rows, redone = read_release(release)
    wanted = {row.pair_id: row for row in rows}
    table = release / TABLE if release.is_dir() else release
    flow = Flow(steps=(Selected(file=table), *redone.steps), split=redone.split.model_copy(update={"by": "given"}))
    made = build(BuildPlan(tuple(sources), tuple(media), out, flow), encoder, context)
    there = {pair.id for pair in made.pairs}
    lost: dict[str, str] = {}
    for row in _dropped(made):
        if row["id"] in wanted and row["step"] != Selected.name:
            lost[row["id"]] = row["reason"]
    deleted = [row for name, row in wanted.items() if name not in there and name not in lost]
    return {
        "released": len(rows),
        "pairs": len(there),
        "deleted": len(deleted),
        "deleted_ids": [{"source": row.source, "id": row.id, "weblink": row.weblink} for row in deleted[:_TOLD]],
        "incomplete": dict(Counter(lost.values())),
        "out": str(out),
    }


def _dropped(made: DataSet) -> list[dict[str, Any]]:
    from pyarrow import parquet

    found: list[dict[str, Any]] = parquet.read_table(made.layout.dropped).to_pylist()
    return found


def _portable(flow: dict[str, Any]) -> dict[str, Any]:
    """The flow without the paths of this machine."""
    steps = [
        {name: {key: value for key, value in settings.items() if key != "file" and key != "probe"}}
        for step in flow["steps"]
        for name, settings in step.items()
        if name in _REDONE
    ]
    return {"steps": steps}
