"""How right labels are on tiles of held-out cases: top-1, top-3, macro F1, calibration; beside what needs no words.

    python -m benchmarks.labelling_quality [--data DIR] [--model DIR] [--baselines]

The classes are the tags with enough held-out tiles (resources/splits/atlas-heldout.yaml). A tile's class is its first
tag among them; top-1 and top-3 count a guess as right if the tile has that tag at all. Calibration is fitted on one
half of the held-out cases and told of the other, and the other way round. Beside it: always guessing the most frequent
class of the training cases, and linear probes learned on them, on the model's own vectors and (``--baselines``, needs
plipdesk[train-mini]) on frozen ImageNet features. Intervals are a bootstrap over cases.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from benchmarks.common import machine, table, write_result
from benchmarks.embedded_model import frozen_features, read_notes, read_pixels
from plipdesk.base.classification import calibration_error, confusion_matrix, macro_f1
from plipdesk.base.metrics import bootstrap_by_group
from plipdesk.base.resources import resource_path
from plipdesk.encoders.card import load_card
from plipdesk.encoders.loading import InstalledEncoder, load_encoder
from plipdesk.labelling.label_sets import LabelClass, LabelSet
from plipdesk.labelling.prompts import encode_classes
from plipdesk.labelling.scoring import cosines
from plipdesk.probes.calibration import fit_calibration, softmax
from plipdesk.probes.linear import fit_probe

REPOSITORY = Path(__file__).resolve().parent.parent
ROUNDS = 300
Floats = NDArray[np.float64]


class Truth:
    """Held-out tiles: ``has`` (n, c) whether a tile has a tag, ``first`` (n) its class, and their ``cases``."""

    def __init__(self, tags: Sequence[Sequence[str]], cases: Sequence[str], classes: Sequence[str]) -> None:
        number = {name: place for place, name in enumerate(classes)}
        self.has = np.zeros((len(tags), len(classes)), dtype=bool)
        for row, own in enumerate(tags):
            self.has[row, [number[tag] for tag in own if tag in number]] = True
        self.first = np.array([next(number[tag] for tag in own if tag in number) for own in tags])
        self.cases = np.array(cases)

    def figures(self, shares: Floats) -> dict[str, list[float]]:
        """Each figure of guesses (n, c) with its interval."""
        order = np.argsort(-shares, axis=1, kind="stable")
        rows = np.arange(len(order))
        hit = self.has[rows[:, None], order[:, :3]]
        count = self.has.shape[1]

        def told(figure: Any) -> list[float]:
            found = bootstrap_by_group(figure, self.cases, rounds=ROUNDS, seed=0)
            return [round(value, 4) for value in (found.value, found.low, found.high)]

        return {
            "top_1": told(lambda items: float(hit[items, 0].mean())),
            "top_3": told(lambda items: float(hit[items].any(axis=1).mean())),
            "macro_f1": told(lambda items: macro_f1(confusion_matrix(self.first[items], order[items, 0], count))),
        }

    def calibration(self, shares: Floats) -> float:
        """Expected calibration error; right is a guess that is the tile's class."""
        return round(calibration_error(shares.max(axis=1), shares.argmax(axis=1) == self.first), 4)


def calibrated(logits: Floats, truth: Truth) -> Floats:
    """Probabilities of each half of the cases after calibration on the other half."""
    names = np.unique(truth.cases)
    half = np.isin(truth.cases, np.random.default_rng(0).permutation(names)[: len(names) // 2])
    shares = np.empty_like(logits)
    for fit in (half, ~half):
        found = fit_calibration(logits[fit], truth.first[fit], groups=truth.cases[fit].tolist())
        shares[~fit] = softmax(found.calibration.apply(logits[~fit]))
    return shares


def probe_shares(
    features: NDArray[np.float32],
    first: Sequence[str | None],
    held: NDArray[np.bool_],
    classes: Sequence[str],
    places: NDArray[np.int64],
    strength: float,
) -> Floats:
    """Probabilities (n, c) of a linear probe, learned on the training cases' tiles that have a class."""  # fmt: skip
    train = np.flatnonzero(~held & np.array([name is not None for name in first]))
    normal = (features - features[train].mean(axis=0)) / (features[train].std(axis=0) + 1e-4)
    probe = fit_probe(
        normal[train],
        [str(first[place]) for place in train],
        encoder_fingerprint="",
        classes=classes,
        strength=strength,
    )
    shares = np.zeros((len(places), len(classes)))
    shares[:, [list(classes).index(name) for name in probe.classes]] = probe.probabilities(normal[places])
    return shares


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("PLIPDESK_REALDATA", REPOSITORY.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--model", type=Path, default=resource_path("models/plipdesk-mini"))
    parser.add_argument("--baselines", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    if not (options.data / "tiles").is_dir():
        print(f"Labels are judged on real tiles; none at {options.data}: set PLIPDESK_REALDATA.")
        return

    split = yaml.safe_load(resource_path("splits/atlas-heldout.yaml").read_text("utf-8"))
    classes: list[str] = split["scored_tags"]
    card = load_card(options.model)
    paths, tags, _, cases = read_notes(options.data)
    held = np.isin(cases, split["held_out"])
    first = [next((tag for tag in own if tag in classes), None) for own in tags]
    places = np.array([place for place in np.flatnonzero(held) if first[place] is not None])
    truth = Truth([tags[place] for place in places], [cases[place] for place in places], classes)

    encoder = load_encoder(InstalledEncoder(card, options.model, True), runtime="onnx", threads=options.threads)
    pixels = read_pixels(paths, card)
    images = np.concatenate([encoder.encode_patches(pixels[s : s + 64]) for s in range(0, len(pixels), 64)])
    labels = LabelSet(name="tags", classes=tuple(LabelClass(name=name) for name in classes))
    logits = (cosines(images[places], encode_classes(encoder, labels).vectors) * card.logit_scale).astype(np.float64)
    guesses: dict[str, Floats] = {f"{card.id}, zero-shot": softmax(logits), "calibrated": calibrated(logits, truth)}
    frequent = Counter(name for place, name in enumerate(first) if name is not None and not held[place])
    majority = np.zeros(logits.shape)
    for name, number in frequent.items():
        majority[:, classes.index(name)] = number / frequent.total()
    guesses["majority guess"] = majority
    guesses[f"linear probe on {card.id}"] = probe_shares(images, first, held, classes, places, 1.0)
    if options.baselines:
        features = frozen_features(pixels, card, options.threads)
        guesses["linear probe on frozen ImageNet"] = probe_shares(features, first, held, classes, places, 1.0)
    figures = {name: truth.figures(shares) | {"ece": truth.calibration(shares)} for name, shares in guesses.items()}
    rows = [
        (name, *(f"{own[key][0]:.3f} [{own[key][1]:.3f}, {own[key][2]:.3f}]" for key in ("top_1", "top_3", "macro_f1")),
         f"{own['ece']:.3f}")
        for name, own in figures.items()
    ]  # fmt: skip
    print(f"{len(places)} tiles of {len(set(truth.cases))} held-out cases, {len(classes)} classes")
    print(table(rows, ("", "top-1", "top-3", "macro F1", "ECE")))
    document = {
        "machine": machine(), "settings": {"tiles": len(places), "cases": len(set(truth.cases)), "model": card.id},
        "figures": figures,
    }  # fmt: skip
    write_result("labelling_quality", document)


if __name__ == "__main__":
    main()
