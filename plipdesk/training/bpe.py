"""Learning a byte-pair vocabulary in the file format that open_clip's ``SimpleTokenizer`` reads.

Source of the method: Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units" (2016), on the
bytes of lower-cased words, with ``</w>`` at a word's end, as CLIP does it.
"""

from __future__ import annotations

import gzip
import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import regex

from plipdesk.base.files import atomic_write

_WORDS = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", regex.IGNORECASE)
HEADER = "#version: plipdesk 1"


def _byte_letters() -> dict[int, str]:
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    letters = {byte: chr(byte) for byte in plain}
    letters.update({byte: chr(256 + place) for place, byte in enumerate(b for b in range(256) if b not in letters)})
    return letters


def learn_merges(texts: Iterable[str], count: int) -> list[tuple[str, str]]:
    """The ``count`` most useful merges over ``texts``, most frequent pair first; equal counts go by spelling.

    Fewer come back when no pair occurs twice any more.
    """
    letters = _byte_letters()
    words: Counter[str] = Counter(word for text in texts for word in _WORDS.findall(text.lower()))
    spelled: list[list[str]] = []
    weights: list[int] = []
    for word, number in sorted(words.items()):
        parts = [letters[byte] for byte in word.encode()]
        parts[-1] += "</w>"
        spelled.append(parts)
        weights.append(number)
    pairs: Counter[tuple[str, str]] = Counter()
    where: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for place, parts in enumerate(spelled):
        for pair in itertools.pairwise(parts):
            pairs[pair] += weights[place]
            where[pair].add(place)
    # Counts in the heap may be stale: each change pushes the new count, and what no longer agrees is skipped.
    heap = [(-number, pair) for pair, number in pairs.items()]
    heapq.heapify(heap)
    merges: list[tuple[str, str]] = []
    while heap and len(merges) < count:
        number, best = heapq.heappop(heap)
        if -number != pairs[best]:
            continue
        if -number < 2:
            break
        merges.append(best)
        changed: set[tuple[str, str]] = set()
        for place in where.pop(best):
            parts, weight = spelled[place], weights[place]
            for pair in itertools.pairwise(parts):
                pairs[pair] -= weight
                changed.add(pair)
            spelled[place] = parts = _merged(parts, best)
            for pair in itertools.pairwise(parts):
                pairs[pair] += weight
                where[pair].add(place)
                changed.add(pair)
        del pairs[best]
        for pair in changed - {best}:
            heapq.heappush(heap, (-pairs[pair], pair))
    return merges


def _merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
    joined: list[str] = []
    place = 0
    while place < len(parts):
        if tuple(parts[place : place + 2]) == pair:
            joined.append("".join(pair))
            place += 2
        else:
            joined.append(parts[place])
            place += 1
    return joined


def write_merges(path: Path, merges: Iterable[tuple[str, str]]) -> None:
    """Write the merges, gzipped as open_clip wants them, the same bytes each time: a header, then one pair a line.

    No newline at the end: open_clip would count it as a token.
    """
    content = "\n".join([HEADER, *(" ".join(pair) for pair in merges)]).encode("utf-8")
    with atomic_write(path) as stream:
        stream.write(gzip.compress(content, mtime=0))
