"""The filter "is this a pathology picture": a probe on embeddings, learned from examples, with its card beside it."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.base.files import atomic_write
from plipdesk.base.progress import JobContext, Json
from plipdesk.base.resources import resource_path
from plipdesk.datasets.drawn_pictures import DRAWABLE, draw_picture
from plipdesk.encoders.embed import embed_pictures
from plipdesk.encoders.protocol import Encoder
from plipdesk.probes.linear import LinearProbe, fit_probe
from plipdesk.slides.errors import SlideProblem
from plipdesk.slides.thumbnails import decode_picture

CLASSES = (
    "histology", "immunohistochemistry", "cytology", "gross", "radiology", "chart", "screenshot", "people", "other",
)  # fmt: skip
PATHOLOGY = ("histology", "immunohistochemistry", "cytology")
PROBE, CARD = "filter.safetensors", "filter.json"
SHIPPED = "datasets/pathology-filter"
_PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
_MOST_EACH = 4000
_HELD_OUT_SHARE = 0.3


class FilterProblem(EnvironmentProblem):
    """A filter cannot be learned or used."""

    kind = "filter"


@dataclass(frozen=True)
class Examples:
    """Embeddings (n, d) with their classes and groups; a group (a case, a folder) never lies on both sides."""

    vectors: NDArray[np.float32]
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    origins: Mapping[str, str]
    """Class → *given* or *drawn*."""


def gather_examples(
    folder: Path, encoder: Encoder, context: JobContext, *, seed: int = 0, drawn_each: int = 240
) -> Examples:
    """Examples from ``folder/CLASS/[GROUP/…]picture``; classes that can be drawn are, where none is given,
    ``drawn_each`` pictures of each.

    A picture directly in its class's folder is a group of its own. Pictures that cannot be read are left out.

    Raises:
        FilterProblem: no folder of a known class with a picture in it.
        Cancelled: on request.
    """
    files: list[tuple[Path, str, str]] = []
    for name in CLASSES:
        found = sorted(file for file in (folder / name).rglob("*") if file.suffix.lower() in _PICTURES)
        for file in found[:: max(1, -(-len(found) // _MOST_EACH))]:
            parts = file.relative_to(folder / name).parts
            files.append((file, name, f"{name}/{parts[0]}" if len(parts) == 1 else parts[0]))
    if not any(name in PATHOLOGY for _, name, _ in files):
        raise FilterProblem(
            "There are no pathology pictures to learn from here.",
            path=folder,
            remedy=f"Put pictures into folders called {', '.join(CLASSES)}.",
        )
    given = {name for _, name, _ in files}
    drawn = [name for name in DRAWABLE if name not in given]
    kept: list[tuple[str, str]] = []

    def pictures() -> Any:
        for file, name, group in files:
            try:
                pixels = decode_picture(file)
            except SlideProblem:
                continue
            kept.append((name, group))
            yield pixels
        for name in drawn:
            for number in range(drawn_each):
                kept.append((name, f"drawn/{name}/{number}"))
                yield draw_picture(name, seed * drawn_each + number)

    vectors = embed_pictures(encoder, pictures(), total=len(files) + drawn_each * len(drawn), context=context)
    origins = dict.fromkeys(given, "given") | dict.fromkeys(drawn, "drawn")
    return Examples(vectors, tuple(name for name, _ in kept), tuple(group for _, group in kept), origins)


def learn_filter(
    examples: Examples,
    encoder: Encoder,
    *,
    seed: int = 0,
    held_out: Sequence[str] | None = None,
    strength: float = 1e-4,
) -> tuple[LinearProbe, dict[str, Json]]:
    """A filter and its card. What the card tells is measured on groups that took no part (``held_out``, else 30 % by
    the seed); the filter that is kept is then learned from all.

    Raises:
        ProbeProblem: fewer than two classes.
    """  # fmt: skip
    aside = _aside(examples, seed, held_out)
    names = np.asarray(examples.classes)

    def fit(rows: NDArray[np.bool_]) -> LinearProbe:
        return fit_probe(
            examples.vectors[rows], names[rows], encoder_fingerprint=encoder.fingerprint, classes=CLASSES,
            strength=strength, seed=seed,
        )  # fmt: skip

    tried = fit(~aside)
    card = measure(tried, examples.vectors[aside], [name for name, out in zip(names, aside, strict=True) if out])
    card |= {
        "encoder": encoder.card.id,
        "encoder_fingerprint": encoder.fingerprint,
        "seed": seed,
        "classes": {
            name: {
                "origin": examples.origins.get(name, "no examples: give some of your own"),
                "learned_from": int((names[~aside] == name).sum()),
                "held_out": int((names[aside] == name).sum()),
                **card["classes"].get(name, {}),
            }
            for name in CLASSES
        },
        "note": "Measured on held-out groups (cases). Drawn classes stand in for real ones and say little of "
        "photographs; classes without examples are never recognised. For research use only. Not for diagnosis.",
    }
    return fit(np.ones(len(names), dtype=bool)), card


def measure(probe: LinearProbe, vectors: NDArray[np.float32], names: Sequence[str]) -> dict[str, Any]:
    """Precision and recall of each class, and of *pathology* as a whole at several thresholds."""
    shares = probe.probabilities(vectors)
    said = np.asarray(probe.classes)[shares.argmax(axis=1)]
    truth = np.asarray(names)
    is_pathology = np.isin(truth, PATHOLOGY)
    share = pathology_share(probe, shares)
    thresholds = [
        {"threshold": threshold, **_rates(share >= threshold, is_pathology)}
        for threshold in (0.3, 0.4, 0.5, 0.6, 0.7, 0.9)
    ]
    return {
        "classes": {name: _rates(said == name, truth == name) for name in sorted(set(names))},
        "pathology": thresholds,
    }


def _rates(said: NDArray[np.bool_], truth: NDArray[np.bool_]) -> dict[str, Json]:
    right = int((said & truth).sum())
    return {
        "precision": round(right / int(said.sum()), 4) if said.any() else None,
        "recall": round(right / int(truth.sum()), 4) if truth.any() else None,
    }


def pathology_share(
    probe: LinearProbe, shares: NDArray[np.float32], wanted: Sequence[str] = PATHOLOGY
) -> NDArray[np.float32]:
    """How probable it is (n,) that pictures are of one of the ``wanted`` classes."""
    columns = [place for place, name in enumerate(probe.classes) if name in wanted]
    return np.asarray(shares[:, columns].sum(axis=1), dtype=np.float32)


def _aside(examples: Examples, seed: int, held_out: Sequence[str] | None) -> NDArray[np.bool_]:
    """Which examples are kept aside: whole groups, of each class about as many."""
    if held_out is not None:
        chosen = set(held_out)
        drawn = {
            group for group in examples.groups if group.startswith("drawn/") and _number(seed, group) < _HELD_OUT_SHARE
        }
        return np.asarray([group in chosen or group in drawn for group in examples.groups])
    of_class: dict[str, set[str]] = defaultdict(set)
    for name, group in zip(examples.classes, examples.groups, strict=True):
        of_class[name].add(group)
    out: set[str] = set()
    for groups in of_class.values():
        order = sorted(groups, key=lambda group: _number(seed, group))
        if len(order) > 1:
            out.update(order[: max(1, round(_HELD_OUT_SHARE * len(order)))])
    return np.asarray([group in out for group in examples.groups])


def _number(seed: int, group: str) -> float:
    """A number from 0 to 1 that depends on seed and group only."""
    digest = hashlib.sha256(f"{seed}:{group}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6]) / 2**48


def save_filter(folder: Path, probe: LinearProbe, card: Mapping[str, Json]) -> None:
    """Write filter and card into ``folder``.

    Raises:
        EnvironmentProblem: it cannot be written to.
    """
    probe.save(folder / PROBE)
    with atomic_write(folder / CARD) as stream:
        stream.write(json.dumps(card, ensure_ascii=False, indent=1).encode() + b"\n")


def filter_for(encoder_fingerprint: str, folder: Path | None) -> LinearProbe | None:
    """The filter in ``folder``, or (None) the shipped one; None where the shipped one is another encoder's.

    Raises:
        ProbeProblem: the filter in ``folder`` cannot be read, or is another encoder's.
    """
    if folder is not None:
        return LinearProbe.load(folder / PROBE, encoder_fingerprint=encoder_fingerprint)
    probe = LinearProbe.load(resource_path(f"{SHIPPED}/{PROBE}"))
    return probe if probe.encoder_fingerprint == encoder_fingerprint else None
