"""Search: recall against an exact scan, milliseconds, memory, load and build times.

    python -m benchmarks.search                          # all of it: many minutes, most of them to build graphs
    python -m benchmarks.search --rows 100000            # made vectors
    python -m benchmarks.search --rows 1000000 --real    # vectors of real tiles, multiplied; needs PLIPDESK_REALDATA

What is searched is told in benchmarks/search_vectors.py. Vectors, graphs and the true answers are kept in ``--folder``
and used again, so that it can be done in pieces: ``--build 300`` builds for five minutes and goes on where it was the
next time; ``--part searches`` (or ``answers``, ``load``) measures one part and leaves the others of the result as they
were. Recall is told apart for image and text queries, which behave differently; times are medians, wall and processor
(on a busy machine only the latter can be compared).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import RESULTS, machine, percentile, table, write_result
from benchmarks.search_vectors import QUERIES, Source, made, real, real_data
from plipdesk.base.budget import CpuBudget
from plipdesk.base.ids import settings_id
from plipdesk.base.paths import Workspace, cache_folder
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.rows import EmbeddingRow, SlideFilter, SlideRow
from plipdesk.encoders.card import EncoderCard
from plipdesk.encoders.null import null_card
from plipdesk.encoders.vocabulary import load_vocabulary
from plipdesk.index.selection import RowSelection
from plipdesk.index.vector_index import VectorIndex
from plipdesk.index.vectors import VectorFile, write_vectors
from plipdesk.search.query import Query, TextPart
from plipdesk.search.searcher import Searcher

Floats = NDArray[np.float32]
K = 10
PARTS = ("searches", "answers", "load")
TARGETS_MS = {"none": 5, "50 %": 10, "5 %": 25, "0.5 %": 5}


def stored(source: Source, rows: int, folder: Path) -> list[tuple[int, Path, int]]:
    """The source's slides as vectors files, written once."""
    place = folder / f"{source.name}-{settings_id(source.document, digits=8)}-{rows}"
    parts: list[tuple[int, Path, int]] = []
    if not (place / "complete").exists():
        shutil.rmtree(place, ignore_errors=True)
        for number, block in enumerate(source.slides(rows), start=1):
            zeros = np.zeros(len(block), np.int32)
            path = place / f"{number}.safetensors"
            write_vectors(path, embeddings=block, x0_px=zeros, y0_px=zeros, settings={})
        (place / "complete").touch()
    for path in sorted(place.glob("*.safetensors"), key=lambda one: int(one.stem)):
        parts.append((int(path.stem), path, VectorFile.open(path).rows))
    return parts


def opened(parts: list[tuple[int, Path, int]], source: Source, folder: Path, threads: int) -> VectorIndex:
    """An index over the parts that keeps its graphs beside them."""
    query_threads = CpuBudget.of_machine().query_threads
    index = VectorIndex(
        folder, dim=source.dim, encoder_fingerprint="benchmark", threads=threads, query_threads=query_threads
    )
    problems = index.add_all(parts)
    if problems:
        raise SystemExit(f"{problems}")
    return index


def true_answers(
    index: VectorIndex, source: Source, masks: dict[str, NDArray[np.bool_] | None], folder: Path
) -> dict[str, NDArray[np.int64]]:
    """For each kind of query and mask (``"text 5 % rows"``) the numbers (q, k) of the true best rows, −1 where there
    are fewer; found by an exact scan once and kept."""
    kept = folder / "answers.npz"
    if not kept.exists():
        found = {}
        for kind, queries in source.queries.items():
            for name, numbers in zip(masks, exact(index, queries, list(masks.values())), strict=True):
                found[f"{kind} {name}"] = numbers
        np.savez(kept, **found)
    with np.load(kept, allow_pickle=False) as content:
        return dict(content)


def exact(index: VectorIndex, queries: Floats, masks: Sequence[NDArray[np.bool_] | None]) -> list[NDArray[np.int64]]:
    """For each mask the numbers (q, k) of the true best rows."""
    view = index.current()
    scores = [np.full((len(queries), K), -2, np.float32) for _ in masks]
    numbers = [np.full((len(queries), K), -1, np.int64) for _ in masks]
    for block, vectors in view.blocks(np.arange(view.rows)):
        all_scores = queries @ vectors.T
        for position, mask in enumerate(masks):
            chosen = slice(None) if mask is None else mask[block]
            together = np.concatenate([scores[position], all_scores[:, chosen]], axis=1)
            rows = np.broadcast_to(block[chosen], (len(queries), together.shape[1] - K))
            rows = np.concatenate([numbers[position], rows], axis=1)
            top = np.argpartition(-together, K - 1, axis=1)[:, :K]
            scores[position] = np.take_along_axis(together, top, axis=1)
            numbers[position] = np.take_along_axis(rows, top, axis=1)
    return numbers


def asked(
    index: VectorIndex, queries: Floats, truth: NDArray[np.int64], allowed: RowSelection | None, *, scattered: bool
) -> dict[str, float]:
    """Recall and milliseconds of single queries."""
    view = index.current()
    wall, processor, hits = [], [], 0
    for number in range(len(queries)):
        query = queries[number : number + 1]
        start, start_cpu = time.perf_counter(), time.process_time()
        found = index.search(query, K, allowed=allowed, scattered=scattered)
        wall.append((time.perf_counter() - start) * 1000)
        processor.append((time.process_time() - start_cpu) * 1000)
        numbers = view.numbers(found.part_ids[0], found.rows[0])
        hits += len(np.intersect1d(numbers, truth[number][truth[number] >= 0]))
    total = np.count_nonzero(truth >= 0)
    return {
        "recall": round(hits / total, 4),
        "p50_ms": round(statistics.median(wall), 2),
        "p95_ms": round(percentile(wall, 0.95), 2),
        "p50_cpu_ms": round(statistics.median(processor), 2),
    }


def filters(index: VectorIndex, share: float) -> dict[str, RowSelection]:
    """Selections of a share of all rows: single rows at random, and whole slides at random."""
    random = np.random.default_rng(int(share * 10_000))
    view = index.current()
    sizes = np.diff(view.starts)
    rows = {
        int(part): np.flatnonzero(random.random(size) < share).astype(np.int32)
        for part, size in zip(view.part_ids, sizes, strict=True)
    }
    parts: list[int] = []
    for position in random.permutation(len(sizes)):
        parts.append(int(view.part_ids[position]))
        if sizes[np.isin(view.part_ids, parts)].sum() >= share * view.rows:
            break
    return {"rows": RowSelection(rows=rows), "slides": RowSelection(parts=frozenset(parts))}


class Told:
    """An encoder that is told its vectors: the text ``"text 3"`` is the fourth text query."""

    def __init__(self, source: Source) -> None:
        card = null_card().model_dump()
        card.update(id="told", dim=source.dim)
        self.card = EncoderCard.model_validate(card)
        self.fingerprint = "f" * 32
        self.runtime = "told"
        self._queries = source.queries

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        rows = [text.split() if text.split()[0] in self._queries else ["text", str(len(text))] for text in texts]
        return np.stack([self._queries[row[0]][int(row[1])] for row in rows])

    def truncated(self, _text: str) -> bool:
        return False


def through_searcher(source: Source, index: VectorIndex, folder: Path) -> list[dict[str, Any]]:
    """Milliseconds after encoding of whole queries: catalogue, search, percentiles, whether it stands out, hits."""
    with tempfile.TemporaryDirectory(dir=folder) as place, Catalogue.open(Workspace(Path(place) / "w")) as catalogue:
        encoder = Told(source)
        view = index.current()
        for part_id, rows in zip(view.part_ids.tolist(), np.diff(view.starts).tolist(), strict=True):
            slide_id = f"{part_id:032x}"
            slide = SlideRow(
                slide_id, f"/{slide_id}", slide_id, "made", None, 10**5, 10**5, 0.5, "given", None, 1, 1,
                case=f"case {part_id // 2}",
            )  # fmt: skip
            row = EmbeddingRow(
                slide_id, "0" * 16, encoder.fingerprint, "told", {}, 0.5, 224.0, f"vectors/{part_id}", rows,
                source.dim, 1.0, 1.0, embedding_id=part_id,
            )  # fmt: skip
            catalogue.embeddings.commit(slide, [row])
        ids = [row.embedding_id for row in catalogue.embeddings.select()]
        assert ids == view.part_ids.tolist()
        searcher = Searcher(catalogue, lambda _: index, lambda _: encoder, catalogue.workspace, load_vocabulary())  # type: ignore[arg-type,return-value]
        some = tuple(f"case {number}" for number in range(0, len(ids) // 2, 20))
        forms: dict[str, dict[str, Any]] = {
            "plain": {},
            "by slide": {"group": "slide"},
            "by case": {"group": "case"},
            "5 % of cases": {"filters": SlideFilter(cases=some)},
        }
        answers = []
        for kind in source.queries:
            for name, form in forms.items():
                times = []
                for number in range(QUERIES // 2):
                    query = Query(texts=(TextPart(f"{kind} {number}"),), merge_neighbours=False, **form)
                    result = searcher.search(query)
                    assert len(result.hits) == query.k
                    times.append(result.timing_ms.search)
                p50, p95 = statistics.median(times), percentile(times[1:], 0.95)
                answers.append({"queries": kind, "form": name, "p50_ms": round(p50, 2), "p95_ms": round(p95, 2)})
        return answers


def anonymous_mb() -> float | None:
    """Megabytes of this process that no file backs."""
    try:
        text = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"^Anonymous:\s+(\d+) kB", text, re.MULTILINE)
    return round(int(found.group(1)) / 1024, 1) if found else None


def load_in_own_process(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds to load and verify, and memory before and after, in a fresh process that has built nothing."""
    command = [sys.executable, "-m", "benchmarks.search", "--load-only", "--folder", str(arguments.folder)]
    command += ["--rows", str(arguments.rows)]
    if arguments.real:
        command += ["--real"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def load_only(source: Source, parts: list[tuple[int, Path, int]], graphs: Path) -> dict[str, Any]:
    """What :func:`load_in_own_process` measures: also the longest time that another thread was kept waiting."""
    before = anonymous_mb()
    start = time.perf_counter()
    index = opened(parts, source, graphs, 1)
    added = time.perf_counter()
    gaps: list[float] = []
    done = threading.Event()

    def beat() -> None:
        last = time.perf_counter()
        while not done.wait(0.005):
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    heart = threading.Thread(target=beat)
    heart.start()
    index.load_or_build()
    loaded = time.perf_counter()
    done.set()
    heart.join()
    for queries in source.queries.values():
        index.search(queries[:50], K)
    return {
        "open_files_s": round(added - start, 2),
        "load_and_verify_s": round(loaded - added, 2),
        "longest_pause_of_others_ms": round(max(gaps, default=0) * 1000),
        "anonymous_mb_before": before,
        "anonymous_mb": anonymous_mb(),
        "rebuilt": index.rebuilt,
    }


def main() -> None:
    """Measure, print a table and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, help="100,000 and 1,000,000, made and real, if not given")
    parser.add_argument("--real", action="store_true", help="vectors of real tiles by the embedded encoder")
    parser.add_argument("--folder", type=Path, default=cache_folder() / "benchmarks")
    parser.add_argument("--threads", type=int, default=2, help="threads that build")
    parser.add_argument(
        "--build", type=float, metavar="SECONDS", help="only build, for so long; then go on another time"
    )
    parser.add_argument("--part", choices=PARTS, action="append", help="measure only this; repeatable")
    parser.add_argument("--load-only", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rows is not None:
        measure(arguments)
        return
    kinds = (False, True) if (real_data() / "tiles").is_dir() else (False,)
    for arguments.rows in (100_000, 1_000_000):
        for arguments.real in kinds:
            print(f"\n{arguments.rows:,} {'real' if arguments.real else 'made'} vectors")
            measure(arguments)


def measure(arguments: argparse.Namespace) -> None:
    """One index: build or load it, ask it, print and write what was measured."""
    source = real(arguments.folder) if arguments.real else made()
    parts = stored(source, arguments.rows, arguments.folder)
    graphs = parts[0][1].parent / "graphs"
    if arguments.load_only:
        print(json.dumps(load_only(source, parts, graphs)))
        return
    index = opened(parts, source, graphs, arguments.threads)
    built = build(index, graphs, arguments.build)
    if arguments.build is not None:
        print(f"\n{index.rows_in_graphs:,} of {index.rows:,} rows are in graphs")
        return
    document = _known(f"search-{source.name}-{arguments.rows}")
    document.update(
        rows=index.rows,
        slides=len(parts),
        dim=source.dim,
        source={source.name: source.document},
        segments=len(index.current().segments),
        graphs_mb=round(sum(path.stat().st_size for path in graphs.iterdir()) / 1e6, 1),
        machine=machine(),
    )
    if built is not None:
        document["build"] = built
    chosen = arguments.part or PARTS
    if "searches" in chosen:
        rows = searches(index, source, graphs.parent)
        columns = ["queries", "filter", "of", "recall", "p50_ms", "p95_ms", "p50_cpu_ms"]
        print(table([[*(row[c] for c in columns), TARGETS_MS[row["filter"]]] for row in rows], [*columns, "target_ms"]))
        document["searches"] = rows
    if "answers" in chosen:
        document["answers"] = answers = through_searcher(source, index, arguments.folder)
        print(table([list(answer.values()) for answer in answers], list(answers[0])))
    if "load" in chosen:
        document["load"] = load_in_own_process(arguments)
        print(f"load {document['load']}")
    document["load_after"] = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    write_result(f"search-{source.name}-{arguments.rows}", document)
    print(f"build {document.get('build')}\ngraphs {document['graphs_mb']} MB for {index.rows:,} rows")


def build(index: VectorIndex, graphs: Path, limit_s: float | None) -> dict[str, Any] | None:
    """Load what is there and build the rest, for at most ``limit_s``; figures if all was built in one go."""
    was_there = (graphs / "manifest.bin").exists()
    start, start_cpu = time.perf_counter(), time.process_time()

    def stop() -> bool:
        return limit_s is not None and time.perf_counter() - start > limit_s

    index.load_or_build(lambda done, rows: print(f"\rfolded {done:,} of {rows:,}", end="", file=sys.stderr), stop)
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    stopped = stop()
    index.save()
    if was_there or stopped:
        return None
    return {"seconds": round(seconds, 1), "rows_per_s": round(index.rows / seconds), "cpu_s": round(cpu, 1)}


def searches(index: VectorIndex, source: Source, folder: Path) -> list[dict[str, Any]]:
    """Recall and times of each kind of query under each filter."""
    selections: dict[str, tuple[str, str, RowSelection | None]] = {"none": ("none", "", None)}
    for name, share in (("50 %", 0.5), ("5 %", 0.05), ("0.5 %", 0.005)):
        selections.update({f"{name} {how}": (name, how, chosen) for how, chosen in filters(index, share).items()})
    masks = {
        title: None if chosen is None else index.current().mask(chosen)[:-1]
        for title, (_, _, chosen) in selections.items()
    }
    truth = true_answers(index, source, masks, folder)
    rows: list[dict[str, Any]] = []
    start = time.perf_counter()
    index.tune_scattered(source.other_words)
    seconds = time.perf_counter() - start
    print(f"rows asked of each graph for words: {index.scattered_breadth}, found out in {seconds:.1f} s")
    for kind, queries in source.queries.items():
        index.search(queries[:5], K)
        for title, (name, how, chosen) in selections.items():
            figures = asked(index, queries, truth[f"{kind} {title}"], chosen, scattered=kind == "text")
            rows.append({"queries": kind, "filter": name, "of": how, **figures})
    return rows


def _known(name: str) -> dict[str, Any]:
    """What was measured before, of which parts are kept."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return {}
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return known


if __name__ == "__main__":
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        # As in the engine (plipdesk/engine/launch.py); it counts only before numpy is imported.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "VECLIB_MAXIMUM_THREADS": "1"}
        sys.exit(subprocess.run([sys.executable, "-m", "benchmarks.search", *sys.argv[1:]], env=environment).returncode)
    main()
