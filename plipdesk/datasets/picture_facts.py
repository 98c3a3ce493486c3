"""What a build knows of each picture: whether it can be read, size, hashes, sharpness, and its embedding.

Files are read and decoded by threads ahead of the encoder. Facts are kept in chunks on the disk, so that a build that
was killed looks at no picture twice but those of the chunk in work.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from plipdesk.base.budget import CpuBudget
from plipdesk.base.files import atomic_write
from plipdesk.base.progress import JobContext, QuietContext
from plipdesk.datasets.pair import Pair
from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.preprocess import fit_picture
from plipdesk.encoders.protocol import Encoder
from plipdesk.slides.errors import SlideProblem
from plipdesk.slides.thumbnails import decode_picture

MAX_FILE_BYTES = 256 << 20
CHUNK = 512
"""Pictures whose facts are written together."""
_BATCH = 64
_LOOK_PX = 256
_HASH_CELLS = 8


class Facts(msgspec.Struct):
    """One picture. ``problem`` says in a few words why it cannot be used; the rest is empty then.

    ``dhash``: 32 hex digits, whether grey rises from cell to cell to the right (8 × 8) and downwards (8 × 8).
    ``row``: its embedding's row in the table, −1 without one.
    """

    path: str
    problem: str = ""
    sha256: str = ""
    form: str = ""
    size_px: tuple[int, int] = (0, 0)
    dhash: str = ""
    spread: float = 0.0
    sharpness: float = 0.0
    row: int = -1


@dataclass
class PictureTable:
    """The facts of all pictures of a build, found by the pair's path; ``embeddings`` (n, d) float16 or None."""

    facts: list[Facts]
    embeddings: NDArray[np.float16] | None = None
    encoder: str = ""
    model: Encoder | None = None
    """The encoder itself, for steps that compare with other pictures."""
    context: JobContext = field(default_factory=QuietContext)
    """Whom steps that take long tell how far they are."""
    same_as: dict[str, str] = field(default_factory=dict)
    """Pair → the pair whose picture its own repeats; filled by the step that looks for such."""
    scores: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Path → the class that the pathology filter gives it, and how sure it is that it is pathology."""

    def __post_init__(self) -> None:
        self._places = {facts.path: place for place, facts in enumerate(self.facts)}

    def place(self, path: str) -> int:
        """Where a picture stands in ``facts``."""
        return self._places[path]

    def of(self, pair: Pair) -> Facts:
        """The facts of a pair's picture."""
        return self.facts[self._places[pair.picture]]

    def vectors(self, places: Sequence[int]) -> NDArray[np.float32]:
        """Embeddings (n, d) of pictures that have one."""
        assert self.embeddings is not None
        rows = [self.facts[place].row for place in places]
        return self.embeddings[rows].astype(np.float32)


def look(path: Path) -> tuple[Facts, NDArray[np.uint8] | None]:
    """The facts of one file, and its pixels (h, w, 3) where it can be read."""
    facts = Facts(str(path))
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            facts.problem = "picture file too large"
            return facts, None
        content = path.read_bytes()
    except OSError:
        facts.problem = "picture cannot be read"
        return facts, None
    if not content:
        facts.problem = "picture file is empty"
        return facts, None
    facts.sha256 = hashlib.sha256(content).hexdigest()
    try:
        pixels = decode_picture(content)
    except SlideProblem as problem:
        facts.problem = _PROBLEMS.get(type(problem).__name__, "picture is broken")
        return facts, None
    facts.form = _form(content)
    facts.size_px = (pixels.shape[1], pixels.shape[0])
    grey = small_grey(pixels)
    facts.dhash = difference_hash(grey)
    facts.spread = float(cell_means(grey, min(64, *grey.shape)).std())
    facts.sharpness = sharpness(grey)
    return facts, pixels


_PROBLEMS = {
    "UnknownFormat": "not a picture that is read",
    "TooLarge": "picture too large",
    "ChannelsNeeded": "picture deeper than 8 bits",
}


def _form(content: bytes) -> str:
    if content[:3] == b"\xff\xd8\xff":
        return "jpg"
    if content[:4] == b"\x89PNG":
        return "png"
    return "webp" if content[:4] == b"RIFF" else "other"


def small_grey(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Grey (h, w) of a picture, averaged in squares so that its shorter side has 256 to 511 px (or fewer).

    Of large squares sixteen pixels are averaged, which is as good for hashes and a small part of the work.
    """
    factor = max(1, min(pixels.shape[:2]) // _LOOK_PX)
    height, width = (side // factor for side in pixels.shape[:2])
    sums = np.zeros((height, width), np.uint16)
    steps = sorted({step * (factor - 1) // 3 for step in range(4)})
    for y in steps:
        for x in steps:
            # Green carries most of the light and of the contrast in stained tissue, and is a third of the work.
            sums += pixels[y : y + height * factor : factor, x : x + width * factor : factor, 1]
    return np.asarray(sums / np.float32(len(steps) ** 2), dtype=np.float32)


def cell_means(grey: NDArray[np.float32], cells: int, across: int = 0) -> NDArray[np.float32]:
    """Means (cells, across or cells) of a picture divided into cells of as equal size as pixels allow."""
    columns = across or cells
    grey = np.repeat(grey, -(-cells // grey.shape[0]), axis=0) if grey.shape[0] < cells else grey
    grey = np.repeat(grey, -(-columns // grey.shape[1]), axis=1) if grey.shape[1] < columns else grey
    y_edges = np.linspace(0, grey.shape[0], cells + 1).astype(int)
    x_edges = np.linspace(0, grey.shape[1], columns + 1).astype(int)
    sums = np.add.reduceat(np.add.reduceat(grey, y_edges[:-1], axis=0), x_edges[:-1], axis=1)
    areas = np.diff(y_edges)[:, None] * np.diff(x_edges)[None, :]
    return np.asarray(sums / areas, dtype=np.float32)


def difference_hash(grey: NDArray[np.float32]) -> str:
    """The difference hash of Krawetz in both directions, 128 bits as 32 hex digits."""
    right = cell_means(grey, _HASH_CELLS, _HASH_CELLS + 1)
    down = cell_means(grey, _HASH_CELLS + 1, _HASH_CELLS)
    bits = np.concatenate([(right[:, 1:] > right[:, :-1]).ravel(), (down[1:] > down[:-1]).ravel()])
    return np.packbits(bits).tobytes().hex()


def sharpness(grey: NDArray[np.float32]) -> float:
    """Mean absolute Laplacian: near 0 out of focus, 3 to 20 in sharp histology."""
    if min(grey.shape) < 3:
        return 0.0
    middle = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float(np.abs(around - 4 * middle).mean())


def gather_facts(
    paths: Sequence[str], folder: Path, encoder: Encoder | None, context: JobContext, *, threads: int | None = None
) -> PictureTable:
    """The facts of ``paths``, taken from the chunks in ``folder`` where they are there already.

    Raises:
        Cancelled: on request; finished chunks are kept.
    """
    facts: list[Facts] = []
    parts: list[NDArray[np.float16]] = []
    rows = 0
    for start in range(0, len(paths), CHUNK):
        context.check_cancel()
        some = paths[start : start + CHUNK]
        found, vectors = _chunk(some, folder / f"{start // CHUNK:06}", encoder, threads)
        for one in found:
            if one.row >= 0:
                one.row += rows
        rows += len(vectors)
        facts += found
        parts.append(vectors)
        context.report(start + len(some), len(paths), unit="pictures", note="looking at pictures")
    embeddings = np.concatenate(parts) if parts and encoder is not None else None
    return PictureTable(facts, embeddings, encoder.fingerprint if encoder is not None else "", encoder, context)


def _chunk(
    paths: Sequence[str], place: Path, encoder: Encoder | None, threads: int | None
) -> tuple[list[Facts], NDArray[np.float16]]:
    kept = place.with_suffix(".json")
    name = hashlib.sha256("\n".join([encoder.fingerprint if encoder else "", *paths]).encode("utf-8", "surrogatepass"))
    dim = encoder.card.dim if encoder is not None else 0
    if kept.exists():
        digest, facts = msgspec.json.decode(kept.read_bytes(), type=tuple[str, list[Facts]])
        if digest == name.hexdigest():
            return facts, np.load(place.with_suffix(".npy"), allow_pickle=False)
    facts, vectors = [], []
    for batch, embeddings in _looked(paths, encoder, threads):
        facts += batch
        vectors.append(embeddings)
    rows = np.concatenate([np.empty((0, dim), np.float16), *vectors])
    count = 0
    for one in facts:
        if encoder is not None and not one.problem:
            one.row, count = count, count + 1
    with atomic_write(place.with_suffix(".npy")) as stream:
        np.save(stream, rows, allow_pickle=False)
    with atomic_write(kept) as stream:
        stream.write(msgspec.json.encode((name.hexdigest(), facts)))
    return facts, rows


def _looked(
    paths: Sequence[str], encoder: Encoder | None, threads: int | None
) -> Iterator[tuple[list[Facts], NDArray[np.float16]]]:
    """Facts and embeddings in batches; files are read ahead of the encoder by as many as two batches."""

    def one(path: str) -> tuple[Facts, NDArray[np.uint8] | None]:
        facts, pixels = look(Path(path))
        if pixels is None or encoder is None:
            return facts, None
        try:
            return facts, fit_picture(pixels, encoder.card)
        except EncoderProblem:
            facts.problem = "picture too narrow"
            return facts, None

    ahead: deque[Future[tuple[Facts, NDArray[np.uint8] | None]]] = deque()
    rest = iter(paths)
    with ThreadPoolExecutor(threads or CpuBudget.of_machine().reader_threads) as pool:
        try:
            while True:
                while len(ahead) < 3 * _BATCH and (path := next(rest, None)) is not None:
                    ahead.append(pool.submit(one, path))
                if not ahead:
                    return
                batch = [ahead.popleft().result() for _ in range(min(_BATCH, len(ahead)))]
                pixels = [fitted for _, fitted in batch if fitted is not None]
                if encoder is None or not pixels:
                    yield [facts for facts, _ in batch], np.empty((0, encoder.card.dim if encoder else 0), np.float16)
                else:
                    yield [facts for facts, _ in batch], encoder.encode_patches(np.stack(pixels)).astype(np.float16)
        finally:
            for future in ahead:
                future.cancel()
