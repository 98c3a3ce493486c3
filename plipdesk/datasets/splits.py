"""Dividing pairs so that no author, and no picture under another name, lies on two sides; and proving it."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.base.progress import Json
from plipdesk.datasets.flow import SplitRule
from plipdesk.datasets.near_duplicates import HashFinder, nearest, normalised

_HASH_BITS = 10
_COSINE = 0.97
_TOLD = 100


class SplitProblem(EnvironmentProblem):
    """Pairs cannot be divided as asked."""

    kind = "split"


@dataclass(frozen=True)
class Divisible:
    """What dividing needs to know of a pair. ``row`` is its picture's row among the embeddings, −1 without one."""

    id: str
    group: str
    source: str
    given: str
    sha256: str
    dhash: str
    row: int = -1


@dataclass(frozen=True)
class Leak:
    """Two pairs in different splits that share a group or a picture."""

    kind: str
    first: str
    second: str


def divide(
    pairs: Sequence[Divisible], rule: SplitRule, embeddings: NDArray[np.floating] | None = None
) -> tuple[list[str], list[Leak]]:
    """The split of each pair, and what leaks between splits all the same (nothing, except with splits as *given*).

    Groups whose pictures are alike are kept together. Shares are met as well as whole groups allow.

    Raises:
        SplitProblem: ``given`` was asked for and a pair has none.
    """
    alike = _alike(pairs, embeddings)
    if rule.by == "given":
        if any(not pair.given for pair in pairs):
            raise SplitProblem("Not every pair brings a split of its own.", remedy="Divide by author or by source.")
        splits = [pair.given for pair in pairs]
    else:
        keys = [pair.group if rule.by == "author" else pair.source.removesuffix(" reply") for pair in pairs]
        joined = _Joined(keys)
        for first, second, _ in alike:
            joined.join(keys[first], keys[second])
        # A post and its replies have one group and, as sources, must not part either.
        by_group: dict[str, str] = {}
        for pair, key in zip(pairs, keys, strict=True):
            joined.join(by_group.setdefault(pair.group, key), key)
        roots = [joined.root(key) for key in keys]
        chosen = _choose(Counter(roots), rule)
        splits = [chosen[root] for root in roots]
    return splits, _leaks(pairs, splits, alike)


def _choose(sizes: Mapping[str, int], rule: SplitRule) -> dict[str, str]:
    """Group → split: groups in an order that the seed gives, each to the split that lacks most of its share."""
    total = sum(sizes.values())
    filled = dict.fromkeys(rule.shares, 0)

    def place(group: str) -> bytes:
        return hashlib.sha256(f"{rule.seed}:{group}".encode("utf-8", "surrogatepass")).digest()

    chosen = {}
    for group in sorted(sizes, key=place):
        # Whole groups: the one that lacks most takes the next, so that small splits get some.
        best = max(filled, key=lambda name: rule.shares[name] * total - filled[name])
        filled[best] += sizes[group]
        chosen[group] = best
    return chosen


class _Joined:
    """Names that belong together."""

    def __init__(self, names: Sequence[str]) -> None:
        self._parent = {name: name for name in names}

    def root(self, name: str) -> str:
        while self._parent[name] != name:
            self._parent[name] = self._parent[self._parent[name]]
            name = self._parent[name]
        return name

    def join(self, first: str, second: str) -> None:
        low, high = sorted((self.root(first), self.root(second)))
        self._parent[high] = low


def _alike(pairs: Sequence[Divisible], embeddings: NDArray[np.floating] | None) -> list[tuple[int, int, str]]:
    """Pairs of pairs whose pictures are the same file or alike."""
    found: list[tuple[int, int, str]] = []
    by_digest: dict[str, int] = {}
    hashes = HashFinder(_HASH_BITS)
    firsts = []
    for number, pair in enumerate(pairs):
        first = by_digest.setdefault(pair.sha256, number)
        if first != number:
            found.append((first, number, "file"))
            continue
        firsts.append(number)
        near = hashes.find_or_add(int(pair.dhash or "0", 16), number) if pair.dhash else None
        if near is not None:
            found.append((near, number, "perceptual hash"))
    rows = [number for number in firsts if pairs[number].row >= 0]
    if embeddings is not None and len(rows) > 1:
        vectors = normalised(np.asarray(embeddings[[pairs[number].row for number in rows]], dtype=np.float32))
        for place, near_rows in enumerate(nearest(vectors, vectors, 8, "")):
            found += [
                (rows[other], rows[place], "embedding")
                for other, score in near_rows
                if other < place and score >= _COSINE and _hashes_agree(pairs[rows[other]], pairs[rows[place]])
            ]
    return found


def _hashes_agree(first: Divisible, second: Divisible) -> bool:
    return (int(first.dhash or "0", 16) ^ int(second.dhash or "0", 16)).bit_count() <= 44


def _leaks(pairs: Sequence[Divisible], splits: Sequence[str], alike: list[tuple[int, int, str]]) -> list[Leak]:
    leaks = []
    sides: dict[str, tuple[str, int]] = {}
    for number, (pair, split) in enumerate(zip(pairs, splits, strict=True)):
        side, first = sides.setdefault(pair.group, (split, number))
        if side != split:
            leaks.append(Leak("group", pairs[first].id, pair.id))
    leaks += [
        Leak(f"picture ({how})", pairs[first].id, pairs[second].id)
        for first, second, how in alike
        if splits[first] != splits[second]
    ]
    return leaks


def split_document(
    pairs: Sequence[Divisible], splits: Sequence[str], rule: SplitRule, leaks: list[Leak]
) -> dict[str, Json]:
    """The split as ``dataset.json`` keeps it."""
    groups: dict[str, set[str]] = defaultdict(set)
    for pair, split in zip(pairs, splits, strict=True):
        groups[split].add(pair.group)
    return {
        **rule.model_dump(mode="json"),
        "pairs": dict(sorted(Counter(splits).items())),
        "groups": {name: len(names) for name, names in sorted(groups.items())},
        "leaks": len(leaks),
        "leaking": [{"kind": leak.kind, "first": leak.first, "second": leak.second} for leak in leaks[:_TOLD]],
    }
