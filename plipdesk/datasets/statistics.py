"""What a data set holds, counted: sources, hashtags, years, stains, organs, and how long captions are."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from plipdesk.base.progress import Json
from plipdesk.datasets.dataset import DataSet, FinishedPair
from plipdesk.encoders.vocabulary import load_vocabulary

PAPER_MEDIAN_WORDS = {"Twitter": 20, "Twitter reply": 15, "PathLAION": 9, "all": 17}
_WORD = re.compile(r"[^\W_]+(?:[&'’+-][^\W_]+)*")
_LONGEST_TERM = 4
_BINS = (1, 3, 5, 8, 12, 16, 20, 25, 30, 40, 50, 75, 100, 150, 200)


def statistics_of(made: DataSet) -> dict[str, Json]:
    """All counts as one document; medians of caption words beside the paper's where it tells them."""
    pairs = made.pairs
    return {
        "pairs": len(pairs),
        "pictures": len({pair.original_sha256 for pair in pairs}),
        "groups": len({pair.group for pair in pairs}),
        "by_source": made.document["by_source"],
        "by_hashtag": made.document["by_hashtag"],
        "by_year": dict(sorted(Counter(pair.created[:4] or "unknown" for pair in pairs).items())),
        "by_split": made.document["split"]["pairs"],
        "by_licence": _counted(pair.licence or "not stated" for pair in pairs),
        "by_class": _counted(pair.picture_class for pair in pairs if pair.picture_class),
        "by_stain": terms(pairs, "stain"),
        "by_organ": terms(pairs, "organ"),
        "by_finding": _counted(kind for pair in pairs for kind in pair.findings),
        "captions": {"all": lengths(pairs, "all")}
        | {source: lengths([pair for pair in pairs if pair.source == source], source) for source in
           made.document["by_source"]},
    }  # fmt: skip


def lengths(pairs: Sequence[FinishedPair], source: str) -> dict[str, Json]:
    """Median and histogram of the words of captions; the paper's median where it tells one of such a source."""
    counts = [len(pair.caption.split()) for pair in pairs]
    edges = (*_BINS, None)
    bins = Counter(sum(count >= low for low in _BINS) - 1 for count in counts)
    return {
        "captions": len(counts),
        "median_words": statistics.median(counts) if counts else None,
        "paper_median_words": PAPER_MEDIAN_WORDS.get(source),
        "histogram": [
            {"from": low, "below": edges[place + 1], "captions": bins.get(place, 0)} for place, low in enumerate(_BINS)
        ],
    }


def terms(pairs: Iterable[FinishedPair], category: str) -> dict[str, int]:
    """In how many captions each term of a category of the vocabulary occurs, under any of its words; most first."""
    known = _terms(category)
    found: Counter[str] = Counter()
    for pair in pairs:
        words = _WORD.findall(pair.caption.lower())
        names = {
            known[piece]
            for start in range(len(words))
            for end in range(start + 1, min(start + _LONGEST_TERM, len(words)) + 1)
            if (piece := " ".join(words[start:end])) in known
        }
        found.update(names)
    return _ordered(found)


@lru_cache(maxsize=4)
def _terms(category: str) -> Mapping[str, str]:
    known: dict[str, str] = {}
    for term in load_vocabulary().terms:
        if term.category == category:
            for word in term.english:
                known[" ".join(_WORD.findall(word.lower()))] = term.name
    return known


def _counted(values: Iterable[str]) -> dict[str, int]:
    return _ordered(Counter(values))


def _ordered(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
