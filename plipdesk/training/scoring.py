"""How well a model finds tissue that it never saw: by a tag's words, by other words for it, and by example.

Each figure is a macro mean over tags (or a mean over tiles) with a bootstrap by case, as tiles of one case are alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.metrics import (
    Interval,
    average_precision,
    bootstrap_by_group,
    macro_mean,
    neighbour_precision,
    ranking_precision,
)

_BEST = 10


@dataclass(frozen=True)
class HeldOut:
    """What is scored: ``labels`` bool (n, t) over the scored ``tags`` (t), ``every`` bool (n, T) over all tags (for
    neighbours), ``cases`` (n), ``synonyms``: other words for each scored tag."""

    tags: tuple[str, ...]
    labels: NDArray[np.bool_]
    every: NDArray[np.bool_]
    cases: NDArray[np.str_]
    synonyms: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Scores:
    """See :func:`score`. ``by_tag``: tag → average precision by its own words and by its synonyms."""

    figures: dict[str, Interval]
    by_tag: dict[str, tuple[float, float]]


def held_out(
    tags: Sequence[Sequence[str]],
    cases: Sequence[str],
    scored: Sequence[str],
    synonyms: Mapping[str, Sequence[str]],
    *,
    without: Sequence[str] = ("other",),
) -> HeldOut:
    """Labels of tiles from their tags; tags in ``without`` never count."""
    names = sorted({tag for row in tags for tag in row} - set(without))
    column = {name: place for place, name in enumerate(names)}
    every = np.zeros((len(tags), len(names)), dtype=bool)
    for row, row_tags in enumerate(tags):
        every[row, [column[tag] for tag in row_tags if tag in column]] = True
    return HeldOut(
        tags=tuple(scored),
        labels=every[:, [column[tag] for tag in scored]],
        every=every,
        cases=np.array(cases),
        synonyms=tuple(tuple(synonyms[tag]) for tag in scored),
    )


def tag_scores(
    truth: HeldOut, images: NDArray[np.float32], encode: Callable[[Sequence[str]], NDArray[np.float32]]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Similarity of every tile (n) to each tag's words (n, t), to each synonym (n, s), and the synonyms' tags (s)."""
    words = encode(truth.tags)
    others = encode([word for own in truth.synonyms for word in own])
    owner = np.repeat(np.arange(len(truth.tags)), [len(own) for own in truth.synonyms])
    return images @ words.T, images @ others.T, owner


def score(
    truth: HeldOut,
    by_words: NDArray[np.floating],
    by_synonyms: NDArray[np.floating] | None,
    owner: NDArray[np.int64] | None,
    images: NDArray[np.float32] | None,
    *,
    rounds: int = 200,
    seed: int = 0,
) -> Scores:
    """Figures: ``map``, ``p10`` (by a tag's words), ``synonym_map``, ``synonym_p10``, ``image_p10`` (by example)."""

    def macro(
        scores: NDArray[np.floating], of: NDArray[np.int64], one: Callable[[NDArray[np.bool_]], float]
    ) -> Interval:
        # Ranked once; a resample repeats places of the ranking, which is ten times as fast as ranking again.
        orders = [np.argsort(-scores[:, place], kind="stable") for place in range(scores.shape[1])]
        hits = [truth.labels[order, tag] for order, tag in zip(orders, of, strict=True)]

        def figure(items: NDArray[np.int64]) -> float:
            counts = np.bincount(items, minlength=len(truth.cases))
            values: list[list[float]] = [[] for _ in truth.tags]
            for tag, order, found in zip(of, orders, hits, strict=True):
                values[int(tag)].append(one(np.repeat(found, counts[order])))
            # A tag's synonyms count together, so that each tag weighs the same.
            return macro_mean([macro_mean(own) for own in values if own])

        return bootstrap_by_group(figure, truth.cases, rounds=rounds, seed=seed)

    def p10(ranking: NDArray[np.bool_]) -> float:
        return float(ranking[:_BEST].mean()) if ranking.any() else float("nan")

    own = np.arange(len(truth.tags))
    figures = {"map": macro(by_words, own, ranking_precision), "p10": macro(by_words, own, p10)}
    by_tag = {
        tag: (average_precision(by_words[:, t], truth.labels[:, t]), float("nan")) for t, tag in enumerate(truth.tags)
    }
    if by_synonyms is not None and owner is not None:
        figures["synonym_map"] = macro(by_synonyms, owner, ranking_precision)
        figures["synonym_p10"] = macro(by_synonyms, owner, p10)
        for t, tag in enumerate(truth.tags):
            values = [average_precision(by_synonyms[:, s], truth.labels[:, t]) for s in np.flatnonzero(owner == t)]
            by_tag[tag] = (by_tag[tag][0], macro_mean(values))
    if images is not None:
        shared = neighbour_precision(images, truth.every, truth.cases, _BEST)
        figures["image_p10"] = bootstrap_by_group(
            lambda items: macro_mean(shared[items]), truth.cases, rounds=rounds, seed=seed
        )
    return Scores(figures, by_tag)
