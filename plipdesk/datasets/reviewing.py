"""Looking pairs over: how well picture and caption agree, decisions that are logged and can be taken back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.errors import EnvironmentProblem, NotFound
from plipdesk.base.files import disk_problems_in_words
from plipdesk.datasets.counts import StepCount
from plipdesk.datasets.dataset import DataSet, FinishedPair, Layout
from plipdesk.datasets.exporting import write_manifest_of
from plipdesk.encoders.protocol import Encoder

Kind = Literal["keep", "drop", "caption", "undo"]
STEP = "review"
_AT_ONCE = 256


class ReviewProblem(EnvironmentProblem):
    """A decision cannot be taken or taken back."""

    kind = "review"


@dataclass(frozen=True)
class Decision:
    """What a person decided of some pairs. ``words``: the new caption, or why they were dropped."""

    kind: Kind
    ids: tuple[str, ...]
    words: str = ""
    at: str = ""


@dataclass(frozen=True)
class Reviewed:
    """The decisions that stand. ``captions`` and ``dropped`` by pair; ``kept`` were looked at and stay."""

    dropped: dict[str, str]
    captions: dict[str, str]
    kept: frozenset[str]


def decisions_of(layout: Layout) -> list[Decision]:
    """The log, oldest first; a line that was cut short by a crash is passed over."""
    found: list[Decision] = []
    if layout.decisions.exists():
        for line in layout.decisions.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError, KeyError, TypeError):
                said = json.loads(line)
                found.append(Decision(said["kind"], tuple(said["ids"]), said["words"], said["at"]))
    return found


def log(made: DataSet, kind: Kind, ids: Sequence[str], words: str = "") -> Decision:
    """Append a decision to the log.

    Raises:
        ReviewProblem: an unknown pair, a caption without words, or nothing to undo.
    """
    known = {pair.id for pair in made.pairs} | set(standing(decisions_of(made.layout)).dropped)
    unknown = set(ids) - known
    if unknown:
        raise ReviewProblem(f"There is no pair {min(unknown)} here.", path=made.layout.root, remedy="Check the id.")
    if kind == "caption" and not words.strip():
        raise ReviewProblem("A caption needs words.", remedy="Drop the pair instead.")
    if kind == "undo" and not _undoable(decisions_of(made.layout)):
        raise ReviewProblem("There is nothing to undo.")
    decision = Decision(kind, tuple(ids), words.strip(), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"))
    line = json.dumps({"kind": kind, "ids": list(ids), "words": decision.words, "at": decision.at}, ensure_ascii=False)
    with disk_problems_in_words(made.layout.decisions), made.layout.decisions.open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")
    return decision


def _undoable(decisions: Iterable[Decision]) -> list[Decision]:
    stack: list[Decision] = []
    for decision in decisions:
        if decision.kind == "undo":
            if stack:
                stack.pop()
        else:
            stack.append(decision)
    return stack


def standing(decisions: Iterable[Decision]) -> Reviewed:
    """What stands after all decisions; each *undo* takes back the last one that still stood."""
    dropped: dict[str, str] = {}
    captions: dict[str, str] = {}
    kept: set[str] = set()
    for decision in _undoable(decisions):
        for name in decision.ids:
            if decision.kind == "drop":
                dropped[name] = decision.words or "dropped by a person"
                kept.discard(name)
            elif decision.kind == "keep":
                dropped.pop(name, None)
                kept.add(name)
            elif decision.kind == "caption":
                captions[name] = decision.words
                kept.add(name)
    return Reviewed(dropped, captions, frozenset(kept))


def apply(made: DataSet) -> dict[str, Any]:
    """Bring the data set to what its decisions say, counted as a last step *review*; embeddings and pictures stay.

    Pairs that were dropped go from pairs and manifest; undone ones come back, since all are kept in the build's own
    table. The webdataset would still hold what was dropped: it is removed, and written anew when asked for.

    Raises:
        CountProblem: the counts do not add up.
    """
    everything = _everything(made)
    found = standing(decisions_of(made.layout))
    count = StepCount(STEP, taken=len(everything))
    kept = []
    for pair in everything:
        why = found.dropped.get(pair.id)
        if why is not None:
            count.reasons[why] += 1
            continue
        caption = found.captions.get(pair.id)
        if caption is not None:
            pair.caption = caption
            count.notes["captions edited"] += 1
        kept.append(pair)
    count.kept = len(kept)
    steps = [step for step in made.document["steps"] if step["name"] != STEP]
    made.document["steps"] = [*steps, count.document()]
    made.pairs[:] = kept
    splits: dict[str, int] = {}
    for pair in kept:
        splits[pair.split] = splits.get(pair.split, 0) + 1
    made.document["split"]["pairs"] = dict(sorted(splits.items()))
    write_manifest_of(made)
    if "shards" in made.document:
        made.document["shards"] = []
        shutil.rmtree(made.layout.shards, ignore_errors=True)
    made.write()
    return count.document()


def _everything(made: DataSet) -> list[FinishedPair]:
    """All pairs that the flow left, those dropped in review as well; kept aside at the first decision."""
    from plipdesk.datasets.dataset import read_pairs, write_pairs

    place = made.layout.root / "pairs-before-review.parquet"
    if not place.exists():
        write_pairs(place, made.pairs)
    everything = read_pairs(place)
    # The data set may have been divided anew since.
    sides = {pair.group: pair.split for pair in made.pairs}
    for pair in everything:
        pair.split = sides.get(pair.group, pair.split)
    return everything


def agreement(made: DataSet, encoder: Encoder) -> NDArray[np.float32]:
    """Cosine of each pair's picture and caption by the data set's own encoder; NaN for pairs without an embedding.

    Raises:
        ReviewProblem: built without an encoder, with another one, or with one that has no words.
    """
    embeddings = made.embeddings()
    if embeddings is None or made.document["encoder"]["fingerprint"] != encoder.fingerprint:
        raise ReviewProblem(
            "This data set has no embeddings of this encoder.", path=made.layout.root,
            remedy="Build it with this encoder, or choose the one it was built with.",
        )  # fmt: skip
    scores = np.full(len(made.pairs), np.nan, np.float32)
    rows = [number for number, pair in enumerate(made.pairs) if pair.row >= 0]
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        words = encoder.encode_texts([made.pairs[number].caption for number in some])
        pictures = np.asarray(embeddings[[made.pairs[number].row for number in some]], dtype=np.float32)
        scores[some] = (words * pictures).sum(axis=1)
    return scores


def to_look_at(
    made: DataSet, *, scores: NDArray[np.float32] | None = None, unsure: tuple[float, float] | None = None
) -> list[int]:
    """Numbers of pairs that nobody decided on yet: least agreement first, or (``unsure``) those whose picture may or
    may not be pathology."""
    found = standing(decisions_of(made.layout))
    left = [number for number, pair in enumerate(made.pairs) if pair.id not in found.kept]
    if unsure is not None:
        low, high = unsure
        left = [number for number in left if low <= made.pairs[number].pathology <= high]
        return sorted(left, key=lambda number: abs(made.pairs[number].pathology - (low + high) / 2))
    if scores is not None:
        return sorted(left, key=lambda number: (bool(np.isnan(scores[number])), float(scores[number])))
    return left


def pair_called(made: DataSet, name: str) -> FinishedPair:
    """The pair with this id.

    Raises:
        NotFound: none.
    """
    for pair in made.pairs:
        if pair.id == name:
            return pair
    raise NotFound(f"There is no pair {name} here.", path=made.layout.root, remedy="Check the id.")


def unsure_bounds(made: DataSet) -> tuple[float, float]:
    """Between which shares of *pathology* the filter of the data set's flow was unsure."""
    for step in made.document["flow"]["steps"]:
        for name, settings in step.items():
            if name == "pathology":
                return settings["threshold"] - settings["margin"], settings["threshold"] + settings["margin"]
    return 0.3, 0.7
