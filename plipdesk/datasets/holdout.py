"""Choosing which cases are held out: a seeded search for a tag-balanced half.

Tiles of one case look alike (same section, same stain, same scanner), so a split by tile would measure memory. Whole
cases are held out, and among random halves the one is kept that leaves the most tags both testable and learnable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plipdesk.base.errors import EnvironmentProblem


class HoldoutProblem(EnvironmentProblem):
    """A list of held-out cases could not be read or chosen."""


@dataclass(frozen=True, slots=True)
class HoldoutRule:
    """What makes a tag testable and learnable.

    ``held_tiles`` and ``held_cases``: the least number of tiles and of cases among the held-out cases;
    ``train_tiles`` and ``train_cases``: the same among the others.
    """

    held_tiles: int = 10
    held_cases: int = 2
    train_tiles: int = 20
    train_cases: int = 2


def scorable_tags(
    tags: Sequence[Sequence[str]], cases: Sequence[str], *, min_tiles: int = 10, min_cases: int = 2
) -> list[str]:
    """Tags with at least ``min_tiles`` tiles that come from at least ``min_cases`` cases, sorted by name."""
    tiles: Counter[str] = Counter()
    where: dict[str, set[str]] = {}
    for tile_tags, case in zip(tags, cases, strict=True):
        for tag in set(tile_tags):
            tiles[tag] += 1
            where.setdefault(tag, set()).add(case)
    return sorted(tag for tag, count in tiles.items() if count >= min_tiles and len(where[tag]) >= min_cases)


def choose_held_out(
    tag_counts: Mapping[str, Mapping[str, int]],
    tiles_per_case: Mapping[str, int],
    *,
    n_cases: int,
    seed: int,
    rounds: int = 20_000,
    rule: HoldoutRule | None = None,
) -> tuple[str, ...]:
    """The half of the cases to hold out, by seeded random search.

    ``tag_counts`` maps case → tag → number of tiles. Each round draws ``n_cases`` cases; its worth is the number of
    tags that are testable and learnable at once, then (a tenth each) the number of tags with enough training tiles at
    all, minus the distance of the held-out share of tiles from ``n_cases / all cases``. The first best draw wins.
    """
    rule = rule or HoldoutRule()
    cases = sorted(tag_counts)
    if not 0 < n_cases < len(cases):
        raise HoldoutProblem(
            f"{n_cases} of {len(cases)} cases cannot be held out.", remedy="Hold out at least one case and not all."
        )
    names = sorted({tag for counts in tag_counts.values() for tag in counts})
    counts = np.array([[tag_counts[case].get(tag, 0) for tag in names] for case in cases])
    tiles = np.array([tiles_per_case[case] for case in cases])
    total, total_cases = counts.sum(0), (counts > 0).sum(0)
    rng = np.random.default_rng(seed)
    best: tuple[float, tuple[str, ...]] | None = None
    for _ in range(rounds):
        drawn = np.sort(rng.choice(len(cases), n_cases, replace=False))
        held, held_in = counts[drawn].sum(0), (counts[drawn] > 0).sum(0)
        testable = (held >= rule.held_tiles) & (held_in >= rule.held_cases)
        learnable = (total - held >= rule.train_tiles) & (total_cases - held_in >= rule.train_cases)
        share = abs(tiles[drawn].sum() / tiles.sum() - n_cases / len(cases))
        worth = float((testable & learnable).sum() + 0.1 * (total - held >= rule.train_tiles).sum() - share)
        if best is None or worth > best[0]:
            best = (worth, tuple(cases[i] for i in drawn))
    assert best is not None
    return best[1]


def read_held_out(path: Path) -> tuple[str, ...]:
    """The case names under ``held_out:`` of a split file (YAML)."""
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise HoldoutProblem(
            f"The list of held-out cases cannot be read: {error}", path=path, remedy="Give a YAML file with held_out:."
        ) from error
    names = document.get("held_out") if isinstance(document, dict) else None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise HoldoutProblem(
            "The split file names no held-out cases.", path=path, remedy="List the case names under held_out:."
        )
    return tuple(names)
