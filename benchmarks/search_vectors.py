"""What the search benchmark searches: made vectors, and real ones of the embedded encoder, multiplied.

The made ones come from benchmarks/generator.py. The real ones begin with every tile of the atlas and up to 400 tissue
patches of each real slide, encoded as they are and in two views: turned by quarters, mirrored, cut to 0.8 to 1 of the
side, shifted in brightness and colour. They are multiplied by mixing: a new vector lies between two views of one
picture and carries up to 0.35 of a picture near it, so that it stays where real vectors are. A slide shows pictures
near twelve of its own. Query pictures are 200 of the pictures as they are (only views and mixes are indexed); query
words are 200 of the vocabulary's terms, in the encoder's prompts.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.generator import Generator, Recipe
from plipdesk.encoders.loading import find_encoder, load_encoder
from plipdesk.encoders.prompts import encode_prompt
from plipdesk.encoders.protocol import Encoder
from plipdesk.encoders.vocabulary import load_vocabulary
from plipdesk.slides.opening import open_slide
from plipdesk.slides.patches import iter_patches
from plipdesk.slides.tiling import TilingSettings, plan_tiling
from plipdesk.slides.tissue import tissue_mask

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
QUERIES = 200
VIEWS = 3
OTHER_WORDS = 150
OF_SLIDE = 400
_BLOCK = 512
_NEAR = 64


@dataclasses.dataclass(frozen=True)
class Source:
    """Slides of vectors, and queries of each kind."""

    name: str
    document: dict[str, Any]
    dim: int
    slides: Callable[[int], Iterator[Floats]]
    queries: dict[str, Floats]
    other_words: Floats
    """Text queries that nothing is measured by: how broadly to look for words is found out with these."""


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
        generator.text_queries(OTHER_WORDS, seed=2),
    )


def real(folder: Path) -> Source:
    """Real vectors of the embedded encoder, multiplied; see the module's text."""
    encoder = load_encoder(find_encoder(None, None))
    images = encoded_pictures(encoder, folder)
    count, views, dim = images.shape
    random = np.random.default_rng(0)
    held = random.permutation(count)[:QUERIES]
    names = load_vocabulary().names()
    terms = [names[number] for number in random.permutation(len(names))[: QUERIES + OTHER_WORDS]]

    def slides(rows: int) -> Iterator[Floats]:
        near = _nearest(images[:, 0])
        left, number = rows, 0
        while left > 0:
            random = np.random.default_rng((1, number))
            size = min(2000, left)
            own = random.integers(0, count, 12)
            picture = near[own[random.integers(0, 12, size)], random.integers(0, _NEAR, size)]
            first, second = (images[picture, random.integers(1, views, size)] for _ in range(2))
            other = images[near[picture, random.integers(1, 8, size)], random.integers(1, views, size)]
            share = random.uniform(0, 1, (size, 1)).astype(np.float32)
            lent = random.uniform(0, 0.35, (size, 1)).astype(np.float32)
            yield _unit((1 - lent) * (share * first + (1 - share) * second) + lent * other)
            left, number = left - size, number + 1

    document = {"encoder": encoder.card.id, "fingerprint": encoder.fingerprint, "pictures": count, "views": views}
    texts = np.stack([encode_prompt(encoder, term) for term in terms])
    queries = {"image": _unit(images[held, 0]), "text": _unit(texts[:QUERIES])}
    return Source("real", document, dim, slides, queries, _unit(texts[QUERIES:]))


def real_data() -> Path:
    """Where the real slides and tiles lie, if they are there."""
    repository = Path(__file__).resolve().parent.parent
    return Path(os.environ.get("PLIPDESK_REALDATA", repository.parent / "shared" / "data"))


def encoded_pictures(encoder: Encoder, folder: Path) -> Floats:
    """Vectors (n, views, d) of tiles and patches, the first view being the picture itself.

    Kept in ``folder`` block by block, so that an encoding that was stopped goes on where it was.
    """
    kept = folder / f"pictures-{encoder.fingerprint}"
    kept.mkdir(parents=True, exist_ok=True)
    for name, pictures in _pictures(encoder):
        path = kept / f"{name}.npy"
        if not path.exists():
            blocks = [
                encoder.encode_pictures([picture, *_changed(picture, VIEWS - 1, number)])
                for number, picture in enumerate(pictures())
            ]
            partial = path.with_suffix(".part")
            with partial.open("wb") as stream:
                np.save(stream, np.stack(blocks))
            partial.replace(path)
            print(f"encoded {len(blocks):,} pictures of {name}", file=sys.stderr)
    return np.concatenate([np.load(path, allow_pickle=False) for path in sorted(kept.glob("*.npy"))])


def _pictures(encoder: Encoder) -> Iterator[tuple[str, Callable[[], Iterator[Pixels]]]]:
    """Blocks of pictures by name: the atlas's tiles, then patches of each slide."""
    data = real_data()
    with (data / "tiles" / "tiles.csv").open(encoding="utf-8", newline="") as stream:
        tiles = [data / "tiles" / row["path"] for row in csv.DictReader(stream)]
    for start in range(0, len(tiles), _BLOCK):
        yield f"tiles-{start:05d}", lambda some=tiles[start : start + _BLOCK]: map(_opened, some)  # type: ignore[misc]
    for slide in sorted((data / "slides").glob("*.tif")):
        yield f"slide-{slide.stem}", lambda path=slide: _patches(path, encoder)  # type: ignore[misc]


def _opened(path: Path) -> Pixels:
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGB"))


def _patches(path: Path, encoder: Encoder) -> Iterator[Pixels]:
    """Up to ``OF_SLIDE`` tissue patches of a slide, evenly spread over it."""
    card = encoder.card
    with open_slide(path) as reader:
        settings = TilingSettings(card.input_px, card.mpp_um)
        tiling = plan_tiling(reader.info, tissue_mask(reader, "auto"), settings, mpp_um=reader.info.mpp_um)
        chosen = np.unique(np.linspace(0, len(tiling.x0_px) - 1, OF_SLIDE).round().astype(int))
        some = dataclasses.replace(tiling, x0_px=tiling.x0_px[chosen], y0_px=tiling.y0_px[chosen])
        for batch in iter_patches(reader, some, batch=64, reader_threads=1):
            yield from batch.pixels


def _changed(pixels: Pixels, count: int, seed: int) -> list[Pixels]:
    """A picture turned, mirrored, cut to 0.8 to 1 of its side and shifted in colour."""
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


def _nearest(images: Floats) -> NDArray[np.int64]:
    """The numbers (n, 64) of the pictures nearest to each, itself the first."""
    unit = _unit(images)
    found = []
    for start in range(0, len(unit), _BLOCK):
        cosines = unit[start : start + _BLOCK] @ unit.T
        top = np.argpartition(-cosines, _NEAR, axis=1)[:, :_NEAR]
        order = np.argsort(-np.take_along_axis(cosines, top, axis=1), axis=1)
        found.append(np.take_along_axis(top, order, axis=1))
    return np.concatenate(found)


def _unit(vectors: Floats) -> Floats:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
