"""Building a data set: sources → threads → text steps → pictures → picture steps → export.

Each stage leaves files behind that are whole or not there, below ``.work`` in the data set's folder: a build that was
killed goes on from them when it is called again the same way. ``dataset.json`` is written last.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from plipdesk import __version__
from plipdesk.base.errors import UsageProblem
from plipdesk.base.files import atomic_write, sha256_of
from plipdesk.base.ids import settings_id
from plipdesk.base.progress import JobContext, Json
from plipdesk.datasets.counts import StepCount
from plipdesk.datasets.dataset import SCHEMA, DataSet, Layout
from plipdesk.datasets.exporting import export_pictures, write_manifest_of
from plipdesk.datasets.flow import Flow, TextFlow
from plipdesk.datasets.media import MediaFolder
from plipdesk.datasets.pair import Pair, Post, form_pairs
from plipdesk.datasets.pathology_filter import PROBE
from plipdesk.datasets.picture_facts import PictureTable, gather_facts
from plipdesk.datasets.shards import write_shards
from plipdesk.datasets.sources.container import Unsafe
from plipdesk.datasets.sources.extracted import Extracted
from plipdesk.datasets.sources.kinds import Source
from plipdesk.datasets.sources.trouble import Trouble
from plipdesk.datasets.spill import buckets_for, framed, gather, write_framed
from plipdesk.datasets.steps.base import sift
from plipdesk.datasets.steps.showing import Pathology
from plipdesk.datasets.threads import join
from plipdesk.encoders.protocol import Encoder

Dropped = tuple[str, str, str, str]


@dataclass(frozen=True)
class BuildPlan:
    """What a build is made from. ``media``: folders with pictures; ``shards``: whether to write a webdataset, too."""

    sources: tuple[Source, ...]
    media: tuple[Path, ...]
    out: Path
    flow: Flow
    shards: bool = True

    def identity(self, encoder: Encoder | None) -> dict[str, Json]:
        """What tells whether a build that was begun is this one."""
        return {
            "schema": SCHEMA,
            "sources": [source.identity() for source in self.sources],
            "media": [str(folder) for folder in self.media],
            "flow": self.flow.document(),
            "filters": [
                sha256_of(step.filter / PROBE)
                for step in self.flow.steps
                if isinstance(step, Pathology) and step.filter is not None and (step.filter / PROBE).exists()
            ],
            "encoder": encoder.fingerprint if encoder is not None else None,
            "shards": self.shards,
        }


def build(plan: BuildPlan, encoder: Encoder | None, context: JobContext, *, fresh: bool = False) -> DataSet:
    """Build the data set, or go on with it where it was begun; one that is finished is read.

    ``fresh`` throws away what lies in the folder from another build.

    Raises:
        UsageProblem: the folder holds another data set, or something else.
        SourceProblem: nothing of a source can be read.
        CountProblem: the counts do not add up.
        Cancelled: on request; finished work is kept.
    """
    layout = Layout(plan.out)
    identity = plan.identity(encoder)
    name = settings_id(identity)
    _prepare(layout, name, fresh)
    if layout.document.exists():
        return DataSet.open(plan.out)
    read, pairs, counts, formed, joined = text_stage(plan, layout, context)
    dropped_files = sorted((layout.work / "text").glob("*.dropped"))
    table = gather_facts(
        list(dict.fromkeys(pair.picture for pair in pairs if pair.picture)), layout.work / "pictures", encoder, context
    )
    pairs, picture_counts, dropped = _picture_stage(plan.flow, pairs, table)
    finished = export_pictures(layout, pairs, table, plan.flow.split, context)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "version": __version__,
        "plan": name,
        "formed": formed,
        "steps": [count.document() for count in [*counts, *picture_counts]],
        "read": read.document(),
        "joined": dict(sorted(joined.items())),
        "split": finished.split,
        **{key: value for key, value in identity.items() if key != "schema"},
        "encoder": None if encoder is None else {"id": encoder.card.id, "fingerprint": encoder.fingerprint},
    }
    if finished.embeddings is not None:
        with atomic_write(layout.embeddings) as stream:
            np.save(stream, finished.embeddings, allow_pickle=False)
    _write_dropped(layout, dropped_files, dropped)
    made = DataSet(layout, document, finished.pairs)
    write_manifest_of(made)
    if plan.shards:
        document["shards"] = write_shards(layout.root, layout.shards, finished.pairs, context)
    made.write()
    shutil.rmtree(layout.work, ignore_errors=True)
    return DataSet.open(plan.out)


def _prepare(layout: Layout, name: str, fresh: bool) -> None:
    """Make the folder ready: empty, or with what a build of the same plan left."""
    plan_file = layout.work / "plan.json"
    known = None
    for place in (layout.document, plan_file):
        with suppress(OSError, ValueError, KeyError):
            known = json.loads(place.read_text(encoding="utf-8"))["plan"]
            break
    if known == name and not fresh:
        return
    if known is not None and not fresh:
        raise UsageProblem(
            "This folder holds a data set that was built from other sources or settings.",
            path=layout.root,
            remedy="Choose another folder, or add --fresh to throw the old one away.",
        )
    if known is None and layout.root.exists() and any(layout.root.iterdir()):
        raise UsageProblem(
            "This folder is not empty and holds no data set.", path=layout.root, remedy="Choose an empty folder."
        )
    for place in (layout.document, layout.pairs, layout.manifest, layout.dropped, layout.embeddings, layout.decisions,
                  layout.report, layout.card):  # fmt: skip
        place.unlink(missing_ok=True)
    for folder in (layout.work, layout.pictures, layout.shards):
        shutil.rmtree(folder, ignore_errors=True)
    with atomic_write(plan_file) as stream:
        stream.write(json.dumps({"plan": name}).encode())


def text_stage(
    plan: BuildPlan, layout: Layout, context: JobContext
) -> tuple[Trouble, list[Pair], list[StepCount], int, Counter[str]]:
    work = layout.work
    total_bytes = sum(int(source.identity()["bytes"]) for source in plan.sources)
    buckets = buckets_for(total_bytes)
    extracted = Extracted(work / "extracted")
    read = Trouble()
    folders = []
    for number, source in enumerate(plan.sources):
        folders.append(work / "gather" / f"{number:03}")
        read.merge(gather(source, number, folders[-1], buckets, extracted, context).document())
    media = None
    counts = [StepCount(step.name) for step in plan.flow.text_steps]
    pairs: list[Pair] = []
    joined: Counter[str] = Counter()
    formed = 0
    for bucket in range(buckets):
        context.check_cancel()
        done = work / "text" / f"{bucket:03}.json"
        if not done.exists():
            # Exports that are folders often hold their pictures themselves (blobs, media_attachments).
            media = media or MediaFolder(
                [
                    *plan.media,
                    *(source.path for source in plan.sources if source.path.is_dir() and source.kind != "folder"),
                ]
            )
            _one_bucket(plan, bucket, folders, media, extracted, done)
        document = json.loads(done.read_text(encoding="utf-8"))
        decode = msgspec.msgpack.Decoder(Pair).decode
        pairs += [decode(content) for content in framed(done.with_suffix(".pairs").read_bytes())]
        for count, other in zip(counts, document["steps"], strict=True):
            count.add(StepCount.from_document(other))
        joined.update(document["joined"])
        formed += document["formed"]
        context.report(bucket + 1, buckets, unit="parts", note="judging texts")
    return read, pairs, counts, formed, joined


def _one_bucket(
    plan: BuildPlan, bucket: int, folders: Sequence[Path], media: MediaFolder, extracted: Extracted, done: Path
) -> None:
    flow = TextFlow(plan.flow)
    joined: Counter[str] = Counter()
    kept: list[Pair] = []
    for post, replies in join([folder / f"{bucket:03}.bucket" for folder in folders], joined):
        some = flow.run(form_pairs(post, replies))
        joined["posts with pictures"] += 1
        joined["replies joined"] += len(replies)
        if some:
            _find_pictures(some, post, media, plan.sources[post.root].root, extracted)
            kept += some
    write_framed(done.with_suffix(".pairs"), kept)
    write_framed(done.with_suffix(".dropped"), flow.dropped)
    document = {"formed": flow.formed, "steps": [count.document() for count in flow.counts], "joined": dict(joined)}
    with atomic_write(done) as stream:
        stream.write(json.dumps(document, ensure_ascii=False).encode())


def _find_pictures(pairs: list[Pair], post: Post, media: MediaFolder, root: Path, extracted: Extracted) -> None:
    places: dict[str, tuple[str, str]] = {}
    for medium in post.media:
        if medium.problem:
            places[medium.id] = ("", medium.problem)
            continue
        try:
            if medium.extracted:
                found: Path | None = extracted.folder / medium.extracted
            else:
                found = media.find(post, medium, root)
        except Unsafe as why:
            places[medium.id] = ("", str(why))
            continue
        places[medium.id] = (str(found) if found is not None else "", "")
    for pair in pairs:
        pair.picture, pair.picture_problem = places[pair.media_id]


def _picture_stage(
    flow: Flow, pairs: list[Pair], table: PictureTable
) -> tuple[list[Pair], list[StepCount], list[Dropped]]:
    counts: list[StepCount] = []
    dropped: list[Dropped] = []
    for step in flow.picture_steps:
        count = StepCount(step.name)
        note: Callable[[str], None] = lambda words, count=count: count.notes.update((words,))  # type: ignore[misc]  # noqa: E731
        verdicts = step.verdicts(pairs, table, note)
        for pair, why in zip(pairs, verdicts, strict=True):
            if why is not None:
                dropped.append((pair.id, pair.source, step.name, why))
        pairs = sift(pairs, verdicts, count)
        counts.append(count)
    # Without its own step a picture that cannot be read still makes no pair.
    count = StepCount("unreadable")
    verdicts = ["no readable picture" if not pair.picture or table.of(pair).problem else None for pair in pairs]
    if any(verdicts):
        dropped += [(pair.id, pair.source, count.name, why) for pair, why in zip(pairs, verdicts, strict=True) if why]
        pairs = sift(pairs, verdicts, count)
        counts.append(count)
    return pairs, counts, dropped


def _write_dropped(layout: Layout, files: list[Path], dropped: list[Dropped]) -> None:
    """The ids of all pairs that went, with step and reason; never a text."""
    import pyarrow as pa
    from pyarrow import parquet

    names = ("id", "source", "step", "reason")
    schema = pa.schema([(name, pa.string()) for name in names])
    decode = msgspec.msgpack.Decoder(Dropped).decode
    with atomic_write(layout.dropped) as stream, parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
        for rows in (*([decode(one) for one in framed(file.read_bytes())] for file in files), dropped):
            if rows:
                writer.write_table(pa.table([list(column) for column in zip(*rows, strict=True)], schema=schema))
