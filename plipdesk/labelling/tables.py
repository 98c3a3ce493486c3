"""Tables: area and share of each class, with bootstrap intervals over patches. Shares add up to 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.progress import Json
from plipdesk.labelling.label_sets import NONE_OF_THESE, UNSURE

Floats = NDArray[np.float64]

ROUNDS = 1000
_MOST_KINDS = 4096


@dataclass(frozen=True)
class ClassRow:
    """A row of the table. ``share`` is of the area; None where there is nothing to take a share or a mean of."""

    name: str
    patches: int
    area_mm2: float
    share: float | None
    share_low: float | None
    share_high: float | None
    mean_score: float | None


@dataclass(frozen=True)
class Table:
    """Rows of all classes, of "none of these" where that was asked, and of "unsure"; ``groups`` sums up a hierarchy."""

    patches: int
    area_mm2: float
    rows: tuple[ClassRow, ...]
    groups: tuple[ClassRow, ...] = ()

    @property
    def unsure(self) -> int:
        """Number of unsure patches."""
        return sum(row.patches for row in self.rows if row.name == UNSURE)

    def document(self) -> dict[str, Json]:
        """As ``--json`` prints it."""
        found: dict[str, Json] = {
            "patches": self.patches,
            "area_mm2": self.area_mm2,
            "classes": [asdict(row) for row in self.rows],
            "unsure": self.unsure,
        }
        if self.groups:
            found["groups"] = [asdict(row) for row in self.groups]
        return found


def row_names(names: Sequence[str], *, none_of_these: bool, unsure: bool) -> tuple[str, ...]:
    """The names of a table's rows."""
    return (*names, *((NONE_OF_THESE,) if none_of_these else ()), *((UNSURE,) if unsure else ()))


def tabulate(
    names: Sequence[str],
    label: NDArray[np.integer],
    score: NDArray[np.floating],
    area_mm2: Floats,
    *,
    none_of_these: bool,
    unsure: bool = True,
    groups: Mapping[str, Sequence[int]] | None = None,
    members: NDArray[np.bool_] | None = None,
    seed: int = 0,
    rounds: int = ROUNDS,
) -> Table:
    """The table of patches with a ``label`` (n; c: none of these, c + 1: unsure), a ``score`` and an own ``area_mm2``.

    Args:
        names: the c classes.
        none_of_these: whether that was asked for and gets a row; so does "unsure" with ``unsure``.
        groups: for names of groups, the numbers of the classes in each.
        members: (n, c) the classes of each patch where it may have several; shares then need not add up to 1.
    """
    count = len(names)
    keys = [*range(count), *([count] if none_of_these or members is not None else []), *([count + 1] if unsure else [])]
    said = [*names, NONE_OF_THESE, UNSURE]
    total = float(area_mm2.sum())
    masks = {key: label == key for key in keys}
    if members is not None:
        masks |= {key: members[:, key] for key in range(count)}
    if members is None:
        low, high = _intervals(label, area_mm2, count + 2, seed=seed, rounds=rounds)
    rows = []
    for key in keys:
        mask = masks[key]
        if members is not None:
            own_low, own_high = _intervals(mask.astype(np.int64), area_mm2, 2, seed=seed, rounds=rounds)
            bounds = (own_low[1], own_high[1])
        else:
            bounds = (low[key], high[key])
        rows.append(_row(said[key], mask, score, area_mm2, total, bounds))
    summed = []
    for name, numbers in (groups or {}).items():
        mask = np.isin(label, numbers)
        own_low, own_high = _intervals(mask.astype(np.int64), area_mm2, 2, seed=seed, rounds=rounds)
        summed.append(_row(name, mask, score, area_mm2, total, (own_low[1], own_high[1])))
    return Table(len(label), total, tuple(rows), tuple(summed))


def _row(
    name: str,
    mask: NDArray[np.bool_],
    score: NDArray[np.floating],
    area_mm2: Floats,
    total_mm2: float,
    bounds: tuple[float, float],
) -> ClassRow:
    area = float(area_mm2[mask].sum())
    known = total_mm2 > 0
    finite = score[mask][np.isfinite(score[mask])]
    return ClassRow(
        name=name,
        patches=int(mask.sum()),
        area_mm2=area,
        share=area / total_mm2 if known else None,
        share_low=float(bounds[0]) if known else None,
        share_high=float(bounds[1]) if known else None,
        mean_score=float(finite.mean(dtype=np.float64)) if len(finite) else None,
    )


def _intervals(
    label: NDArray[np.integer], area: Floats, count: int, *, seed: int, rounds: int, level: float = 0.95
) -> tuple[Floats, Floats]:
    """Percentile limits (count,) of each label's share of the area, over patches drawn with replacement.

    Patches of one label and one area are alike, so that a resample is a draw of how many of each kind there are.
    """
    nothing = np.zeros(count)
    if not len(label) or not area.sum() > 0:
        return nothing, nothing
    rounded = np.round(area / area.max(), 3)
    kinds, member = np.unique(label.astype(np.float64) * 4 + rounded, return_inverse=True)
    if len(kinds) > _MOST_KINDS:
        rounded = np.round(rounded, 1)
        kinds, member = np.unique(label.astype(np.float64) * 4 + rounded, return_inverse=True)
    sizes = np.bincount(member)
    mean_area = np.bincount(member, weights=area) / sizes
    of_kind = np.zeros(len(kinds), dtype=np.int64)
    of_kind[member] = label
    drawn = np.random.default_rng(seed).multinomial(len(label), sizes / sizes.sum(), size=rounds) * mean_area
    to_label = np.zeros((len(kinds), count))
    to_label[np.arange(len(kinds)), of_kind] = 1
    shares = (drawn @ to_label) / drawn.sum(axis=1, keepdims=True)
    low, high = np.quantile(shares, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high
