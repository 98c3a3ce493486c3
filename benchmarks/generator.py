"""Embeddings that behave like those of an image-text model, made from a seed, for the search benchmarks.

What is stated, and can be changed:

- ``clusters`` kinds of tissue. Their centres lie in a space of ``intrinsic_dim`` dimensions whose spread falls off as
  a power law, so that some directions tell much and most tell little, as in real embeddings.
- Within a cluster patches spread in the same space with ``spread`` times the spread of the centres, and by ``noise``
  (length) in all dimensions alike: what no shorter projection can hold.
- Patches come slide by slide. A slide shows few clusters, in runs of neighbours, and carries an offset of its own
  (stain, scanner) of length ``slide_shift``.
- All images share a mean direction (the cone of such models) and all texts another; ``gap`` is the Euclidean distance
  between the mean image and the mean text on the unit sphere. A text query leans from the texts' mean towards one
  cluster's centre, so that its best images have cosines of about 0.3 while image queries have about 0.9.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Recipe:
    """The figures of the generator; see the module's text."""

    dim: int = 512
    clusters: int = 2000
    intrinsic_dim: int = 256
    decay: float = 0.6
    spread: float = 0.65
    noise: float = 0.3
    slide_shift: float = 0.15
    slide_patches: int = 2000
    slide_clusters: int = 12
    cone: float = 1.0
    gap: float = 1.0
    seed: int = 20240
    text_spread: float = 0.5
    """Share of a text query that leans towards what it names; the rest is the texts' mean and noise."""


class Generator:
    """Slides of embeddings and queries, each from its own seed: any block can be made alone, in any order."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        random = np.random.default_rng(recipe.seed)
        axes, _ = np.linalg.qr(random.standard_normal((recipe.dim, recipe.intrinsic_dim + 2)))
        self._basis = np.ascontiguousarray(axes[:, : recipe.intrinsic_dim].T, dtype=np.float32)
        scale = np.arange(1, recipe.intrinsic_dim + 1, dtype=np.float32) ** -recipe.decay
        self._scale = scale / np.linalg.norm(scale)
        self._centres = random.standard_normal((recipe.clusters, recipe.intrinsic_dim)).astype(np.float32) * self._scale
        self._weights = random.dirichlet(np.full(recipe.clusters, 0.5))
        # Two unit vectors at the distance that the gap asks for.
        angle = 2 * np.arcsin(recipe.gap / 2)
        self._image_mean = axes[:, -2].astype(np.float32)
        self._text_mean = (np.cos(angle) * axes[:, -2] + np.sin(angle) * axes[:, -1]).astype(np.float32)

    def slides(self, rows: int) -> Iterator[Floats]:
        """Slides of about ``slide_patches`` embeddings float32 (n, dim), ``rows`` in all."""
        number, left = 0, rows
        while left > 0:
            block = self.slide(number)[:left]
            yield block
            number, left = number + 1, left - len(block)

    def slide(self, number: int) -> Floats:
        """The embeddings (n, dim) of slide ``number``."""
        recipe = self.recipe
        random = np.random.default_rng((recipe.seed, 1, number))
        count = int(recipe.slide_patches * random.uniform(0.5, 1.5))
        kinds = random.choice(recipe.clusters, recipe.slide_clusters, replace=False, p=self._weights)
        runs = np.repeat(random.choice(kinds, count // 8 + 1), 8)[:count]
        shift = random.standard_normal(recipe.intrinsic_dim).astype(np.float32) * self._scale * recipe.slide_shift
        return self._images(runs, random, shift)

    def image_queries(self, count: int, *, seed: int) -> Floats:
        """Query patches (count, dim) of slides that are not among the indexed ones."""
        random = np.random.default_rng((self.recipe.seed, 2, seed))
        kinds = random.choice(self.recipe.clusters, count, p=self._weights)
        shift = random.standard_normal((count, self.recipe.intrinsic_dim)).astype(np.float32)
        return self._images(kinds, random, shift * self._scale * self.recipe.slide_shift)

    def text_queries(self, count: int, *, seed: int) -> Floats:
        """Text-like queries (count, dim): the texts' mean, leaning towards one cluster each."""
        recipe = self.recipe
        random = np.random.default_rng((recipe.seed, 3, seed))
        kinds = random.choice(recipe.clusters, count, p=self._weights)
        towards = self._centres[kinds] + random.standard_normal((count, recipe.intrinsic_dim)).astype(
            np.float32
        ) * self._scale * (0.5 * recipe.spread)
        noise = random.standard_normal((count, recipe.dim)).astype(np.float32) / np.sqrt(recipe.dim)
        return _unit(self._text_mean + recipe.text_spread * (towards @ self._basis) + recipe.noise * noise)

    def _images(self, kinds: NDArray[np.int64], random: np.random.Generator, shift: Floats) -> Floats:
        recipe = self.recipe
        inside = random.standard_normal((len(kinds), recipe.intrinsic_dim), dtype=np.float32) * self._scale
        place = self._centres[kinds] + recipe.spread * inside + shift
        noise = random.standard_normal((len(kinds), recipe.dim), dtype=np.float32) / np.float32(np.sqrt(recipe.dim))
        return _unit(recipe.cone * self._image_mean + place @ self._basis + recipe.noise * noise)


def _unit(vectors: Floats) -> Floats:
    scaled: Floats = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return scaled
