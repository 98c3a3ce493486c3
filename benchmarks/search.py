"""Search: recall against an exact scan, milliseconds, memory, load and build times.

    python -m benchmarks.search                          # all of it: many minutes, most of them to build graphs
    python -m benchmarks.search --rows 100000            # made vectors
    python -m benchmarks.search --rows 1000000 --real    # vectors of real tiles, multiplied; needs PLIPDESK_REALDATA

The made vectors come from benchmarks/generator.py. Vectors and graphs are kept in ``--folder`` and used again. Recall
is told apart for image and text queries, which behave differently; times are medians, wall and processor (on a busy
machine only the latter can be compared).
"""

from __future__ import annotations

import argparse
import dataclasses
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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import machine, percentile, table, write_result
from benchmarks.generator import Generator, Recipe
from plipdesk.base.ids import settings_id
from plipdesk.base.paths import Workspace, cache_folder
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.rows import EmbeddingRow, SlideFilter, SlideRow
from plipdesk.encoders.card import EncoderCard
from plipdesk.encoders.loading import find_encoder, load_encoder
from plipdesk.encoders.null import null_card
from plipdesk.encoders.protocol import Encoder
from plipdesk.encoders.vocabulary import load_vocabulary
from plipdesk.index.selection import RowSelection
from plipdesk.index.vector_index import VectorIndex
from plipdesk.index.vectors import VectorFile, write_vectors
from plipdesk.search.query import Query, TextPart
from plipdesk.search.searcher import Searcher

Floats = NDArray[np.float32]
K = 10
QUERIES = 200
VIEWS = 3
TARGETS_MS = {"none": 5, "50 %": 10, "5 %": 25, "0.5 %": 5}


@dataclasses.dataclass(frozen=True)
class Source:
    """Slides of vectors, and queries of each kind."""

    name: str
    document: dict[str, Any]
    dim: int
    slides: Callable[[int], Iterator[Floats]]
    queries: dict[str, Floats]


def made() -> Source:
    """Vectors of the generator with its default recipe."""
    recipe = Recipe()
    generator = Generator(recipe)
    return Source(
        "made",
        dataclasses.asdict(recipe),
        recipe.dim,
        generator.slides,
        {"image": generator.image_queries(QUERIES, seed=1), "text": generator.text_queries(QUERIES, seed=1)},
    )


def real(folder: Path) -> Source:
    """Real vectors of the embedded encoder: tiles of held-out cases, each as it is and in changed views.

    They are multiplied by mixing: a new vector lies between two views of one tile and carries a little of a tile that
    is near it, so that it stays where real vectors are. Query pictures are tiles as they are, which are not indexed;
    query texts are terms of the vocabulary.
    """
    encoder = load_encoder(find_encoder(None, None))
    images, texts = _encoded_tiles(encoder, folder)
    tiles, views, dim = images.shape
    held = np.random.default_rng(0).permutation(tiles)[:QUERIES]

    def slides(rows: int) -> Iterator[Floats]:
        near = _nearest_tiles(images[:, 0])
        left, number = rows, 0
        while left > 0:
            random = np.random.default_rng((1, number))
            count = min(2000, left)
            # A slide shows few kinds: tiles near some of its own.
            own = random.integers(0, tiles, 12)
            tile = near[own[random.integers(0, 12, count)], random.integers(0, near.shape[1], count)]
            first, second = (images[tile, random.integers(1, views, count)] for _ in range(2))
            other = images[near[tile, random.integers(1, 8, count)], random.integers(1, views, count)]
            share = random.uniform(0, 1, (count, 1)).astype(np.float32)
            lent = random.uniform(0, 0.35, (count, 1)).astype(np.float32)
            yield _unit((1 - lent) * (share * first + (1 - share) * second) + lent * other)
            left, number = left - count, number + 1

    document = {"encoder": encoder.card.id, "fingerprint": encoder.fingerprint, "tiles": tiles, "views": views}
    queries = {"image": _unit(images[held, 0]), "text": _unit(texts[:QUERIES])}
    return Source("real", document, dim, slides, queries)


def real_data() -> Path:
    """Where the real slides and tiles lie, if they are there."""
    repository = Path(__file__).resolve().parent.parent
    return Path(os.environ.get("PLIPDESK_REALDATA", repository.parent / "shared" / "data"))


def _encoded_tiles(encoder: Encoder, folder: Path) -> tuple[Floats, Floats]:
    """Vectors of tiles (n, views, d), the first view being the tile itself, and of terms (m, d); kept in ``folder``."""
    from PIL import Image

    from benchmarks.stands_out import held_out

    kept = folder / f"tiles-{encoder.fingerprint}.npz"
    if not kept.exists():
        data = real_data()
        tiles, _ = held_out(data)
        blocks = []
        for number, tile in enumerate(tiles):
            pixels = np.asarray(Image.open(data / "tiles" / tile).convert("RGB"))
            blocks.append(encoder.encode_pictures([pixels, *_changed(pixels, VIEWS - 1, number)]))
            print(f"\rencoded {number + 1:,} of {len(tiles):,}", end="", file=sys.stderr)
        folder.mkdir(parents=True, exist_ok=True)
        texts = encoder.encode_texts(load_vocabulary().names())
        np.savez(kept, images=np.stack(blocks), texts=texts)
    with np.load(kept, allow_pickle=False) as content:
        return content["images"], content["texts"]


def _changed(pixels: NDArray[np.uint8], count: int, seed: int) -> list[NDArray[np.uint8]]:
    """A tile turned, mirrored, cut to 0.8 to 1 of its side and shifted in colour."""
    random = np.random.default_rng((3, seed))
    views = []
    for _ in range(count):
        side = int(min(pixels.shape[:2]) * random.uniform(0.8, 1))
        y, x = (random.integers(0, length - side + 1) for length in pixels.shape[:2])
        view = np.rot90(pixels[y : y + side, x : x + side], random.integers(4))
        view = view[:, ::-1] if random.integers(2) else view
        coloured = view * random.uniform(0.9, 1.1) + random.normal(0, 6, 3)
        views.append(np.ascontiguousarray(np.clip(coloured, 0, 255).astype(np.uint8)))
    return views


def _nearest_tiles(images: Floats, count: int = 64) -> NDArray[np.int64]:
    unit = _unit(images)
    blocks = [
        np.argpartition(-(unit[i : i + 512] @ unit.T), count, axis=1)[:, :count] for i in range(0, len(unit), 512)
    ]
    return np.concatenate(blocks)


def _unit(vectors: Floats) -> Floats:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


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
    index = VectorIndex(folder, dim=source.dim, encoder_fingerprint="benchmark", threads=threads)
    problems = index.add_all(parts)
    if problems:
        raise SystemExit(f"{problems}")
    return index


def exact(index: VectorIndex, queries: Floats, masks: list[NDArray[np.bool_] | None]) -> list[list[set[int]]]:
    """For each mask and query the numbers of the true best rows."""
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
    return [[set(row[row >= 0].tolist()) for row in found] for found in numbers]


def asked(index: VectorIndex, queries: Floats, truth: list[set[int]], allowed: RowSelection | None) -> dict[str, float]:
    """Recall and milliseconds of single queries."""
    view = index.current()
    wall, processor, hits = [], [], 0
    for number in range(len(queries)):
        query = queries[number : number + 1]
        start, start_cpu = time.perf_counter(), time.thread_time()
        found = index.search(query, K, allowed=allowed)
        wall.append((time.perf_counter() - start) * 1000)
        processor.append((time.thread_time() - start_cpu) * 1000)
        hits += len(set(view.numbers(found.part_ids[0], found.rows[0]).tolist()) & truth[number])
    total = sum(map(len, truth))
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
    start, start_cpu = time.perf_counter(), time.process_time()
    was_there = (graphs / "manifest.bin").exists()
    index.load_or_build(lambda done, rows: print(f"\rfolded {done:,} of {rows:,}", end="", file=sys.stderr))
    build = None
    if not was_there:
        seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
        build = {"seconds": round(seconds, 1), "rows_per_s": round(index.rows / seconds), "cpu_s": round(cpu, 1)}
    index.save()
    shares = {"none": None, "50 %": 0.5, "5 %": 0.05, "0.5 %": 0.005}
    selections: dict[tuple[str, str], RowSelection | None] = {}
    for name, share in shares.items():
        if share is None:
            selections[name, ""] = None
        else:
            selections.update({(name, how): chosen for how, chosen in filters(index, share).items()})
    masks = [None if chosen is None else index.current().mask(chosen)[:-1] for chosen in selections.values()]
    results: list[dict[str, Any]] = []
    for kind, queries in source.queries.items():
        index.search(queries[:5], K)
        for ((name, how), chosen), truth in zip(selections.items(), exact(index, queries, masks), strict=True):
            results.append({"queries": kind, "filter": name, "of": how, **asked(index, queries, truth, chosen)})
    answers = through_searcher(source, index, arguments.folder)
    loaded = load_in_own_process(arguments)
    size = sum(path.stat().st_size for path in graphs.iterdir())
    document = {
        "rows": index.rows,
        "slides": len(parts),
        "dim": source.dim,
        "source": {source.name: source.document},
        "segments": len(index.current().segments),
        "graphs_mb": round(size / 1e6, 1),
        "build": build,
        "load": loaded,
        "searches": results,
        "answers": answers,
        "machine": machine(),
        "load_after": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }
    write_result(f"search-{source.name}-{arguments.rows}", document)
    columns = ["queries", "filter", "of", "recall", "p50_ms", "p95_ms", "p50_cpu_ms"]
    print(table([[*(row[c] for c in columns), TARGETS_MS[row["filter"]]] for row in results], [*columns, "target_ms"]))
    print(table([list(answer.values()) for answer in answers], list(answers[0])))
    print(f"build {build}\nload {loaded}\ngraphs {size / 1e6:.0f} MB for {index.rows:,} rows")


if __name__ == "__main__":
    main()
