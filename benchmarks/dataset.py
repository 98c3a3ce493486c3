"""How fast a data set is built: 250,000 posts through the text flow, pictures against the encoder alone.

``python -m benchmarks.dataset text [POSTS]`` or ``… pictures [COUNT]``; without a word both. The posts are drawn to end
with the paper's counts (tests/datasets/exports.py); no language is declared, so the detector reads every one that comes
so far. Pictures are drawn JPEGs of 640 px; pipeline and encoder are timed in turns.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import in_pairs, machine, write_result
from plipdesk.base.progress import QuietContext
from plipdesk.datasets.build import BuildPlan, text_stage
from plipdesk.datasets.dataset import Layout
from plipdesk.datasets.flow import Flow, read_flow
from plipdesk.datasets.picture_facts import gather_facts
from plipdesk.datasets.sources.kinds import parse_source
from plipdesk.encoders.loading import find_encoder, load_encoder
from plipdesk.encoders.protocol import Encoder
from plipdesk.slides.thumbnails import decode_picture, encode_jpeg
from tests.datasets.exports import Expected, paper_export, tissue

POSTS = 250_000
PICTURES = 256
_PICTURE_PX = 640


def text(posts: int) -> dict[str, Any]:
    """Time the text flow over ``posts`` posts in a process of its own, whose peak of memory is its own, too."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        # At scale 1 the export holds so many posts and replies; noise brings it to what is asked.
        scale = min(1.0, posts / POSTS)
        expected = paper_export(place, scale=scale, noise=0.7, declared=False)
        lines = _posts_in(place)
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=_flow, args=(place, expected, sender))
        child.start()
        found: dict[str, Any] = receiver.recv()
        child.join()
    return {"posts_and_rows": lines, **found}


def _posts_in(place: Path) -> int:
    from pyarrow import parquet

    with (place / "posts.jsonl").open("rb") as stream:
        posts = sum(len(json.loads(line)["data"]) for line in stream)
    return posts + int(parquet.read_metadata(place / "laion.parquet").num_rows)


def _flow(place: Path, expected: Expected, sender: Any) -> None:
    start, cpu = time.perf_counter(), time.process_time()
    plan = BuildPlan(
        sources=(parse_source(f"x-api-v2:{place / 'posts.jsonl'}"), parse_source(f"laion:{place / 'laion.parquet'}")),
        media=(),
        out=place / "out",
        flow=Flow(steps=read_flow().text_steps),
    )
    _, pairs, counts, formed, _ = text_stage(plan, Layout(plan.out), QuietContext())
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    by_hashtag = Counter(pair.hashtag for pair in pairs if pair.source == "Twitter")
    sender.send({
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "formed": formed,
        "pairs": len(pairs),
        "as_expected": len(pairs) == expected.pairs and by_hashtag == expected.posts and formed == expected.formed,
        "steps": {count.name: count.dropped for count in counts},
    })  # fmt: skip


def pictures(count: int) -> dict[str, Any]:
    """The picture stage (read, decode, hash, judge, encode) against encoding the same pictures from memory."""
    encoder = load_encoder(find_encoder(None, None))
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number in range(count):
            place = Path(folder, f"{number}.jpg")
            place.write_bytes(encode_jpeg(tissue(number, side_px=_PICTURE_PX)))
            paths.append(str(place))
        decoded = [decode_picture(Path(path)) for path in paths]
        turns = iter(range(1000))

        def pipeline() -> None:
            gather_facts(paths, Path(folder, f"work{next(turns)}"), encoder, QuietContext())

        taken = in_pairs(lambda: _encode(encoder, decoded), pipeline, pairs=5)
    encoder.close()
    return taken.document(items=count, names=("encoder", "pipeline"))


def _encode(encoder: Encoder, decoded: list[np.ndarray]) -> None:
    for start in range(0, len(decoded), 64):
        encoder.encode_pictures(decoded[start : start + 64])


def main() -> None:
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    amount = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    result: dict[str, Any] = {"machine": machine()}
    if what in ("", "text"):
        result["text"] = text(amount or POSTS)
        print(json.dumps(result["text"], indent=1))
    if what in ("", "pictures"):
        result["pictures"] = pictures(amount or PICTURES)
        print(json.dumps(result["pictures"], indent=1))
    write_result(f"dataset-{what}" if what else "dataset", result)


if __name__ == "__main__":
    main()
