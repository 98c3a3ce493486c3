"""How long labels take over stored vectors: 100,000 patches, 40 classes, two cores.

    python -m benchmarks.labelling [--patches N] [--classes N] [--dim N]

Beside it, in turns: what a short script would do (NumPy: widen, one product, softmax, argmax) and a loop over patches.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import in_pairs, machine, percentile, seconds, write_result
from plipdesk.base.cells import CellGrid
from plipdesk.encoders.null import NullEncoder
from plipdesk.labelling.background import calibrate_background
from plipdesk.labelling.label_sets import LabelClass, LabelSet
from plipdesk.labelling.labeller import Labeller
from plipdesk.labelling.prompts import ClassPrompts
from plipdesk.labelling.settings import LabelSettings
from plipdesk.labelling.smoothing import smoothed
from plipdesk.labelling.tables import tabulate

SCALE = 20.0
GOAL_S = 0.5
_LOOPED = 2000


def unit(rows: int, dim: int, seed: int) -> NDArray[np.float32]:
    """Random unit vectors."""
    vectors = np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def short_script(embeddings: NDArray[np.float16], classes: NDArray[np.float32]) -> NDArray[np.int64]:
    """What one would write in three lines."""
    logits = SCALE * (embeddings.astype(np.float32) @ classes.T)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    found: NDArray[np.int64] = shares.argmax(axis=1)
    return found


def loop(embeddings: NDArray[np.float16], classes: NDArray[np.float32]) -> list[int]:
    """One patch after the other."""
    return [int((classes @ row.astype(np.float32)).argmax()) for row in embeddings]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patches", type=int, default=100_000)
    parser.add_argument("--classes", type=int, default=40)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args(arguments)

    embeddings = unit(options.patches, options.dim, 1).astype(np.float16)
    vectors = unit(options.classes, options.dim, 2)
    names = tuple(f"class {number}" for number in range(options.classes))
    labels = LabelSet(name="benchmark", classes=tuple(LabelClass(name=name) for name in names))
    prompts = ClassPrompts(names, tuple((name,) for name in names), vectors)
    labeller = Labeller(labels, LabelSettings(), prompts, SCALE)
    side = int(np.ceil(options.patches**0.5))
    x, y = (axis.ravel()[: options.patches].astype(np.int32) for axis in np.meshgrid(*[np.arange(side) * 224] * 2))

    def ours() -> NDArray[np.int32]:
        return labeller.decide(labeller.score(embeddings)).label

    agree = float((labeller.decide(labeller.score(embeddings)).best == short_script(embeddings, vectors)).mean())
    pairs = in_pairs(lambda: short_script(embeddings, vectors), ours, pairs=options.pairs)
    looped_s = seconds(lambda: loop(embeddings[:_LOOPED], vectors)) * options.patches / _LOOPED
    scores = labeller.score(embeddings)
    decision = labeller.decide(scores)
    area = CellGrid.of(x, y, 224.0).own_areas_px2()
    null = NullEncoder()
    small = unit(options.patches, null.card.dim, 3)
    words = [f"word {number}" for number in range(200)]
    background = calibrate_background(null, small[: options.classes], words, small[:2000])
    document = {
        "machine": machine(),
        "settings": {name: getattr(options, name) for name in ("patches", "classes", "dim")},
        "label_s": {
            "median": round(percentile(pairs.second_s, 0.5), 3),
            "best": round(min(pairs.second_s), 3),
            "processor_median": round(percentile(pairs.second_cpu_s, 0.5), 3),
            "goal": GOAL_S,
            "met": percentile(pairs.second_s, 0.5) <= GOAL_S,
        },
        "against_short_script": pairs.document(items=options.patches, names=("script", "plipdesk")),
        "same_answers": agree,
        "loop_over_patches_s": round(looped_s, 2),
        "again_with_other_threshold_s": round(min(seconds(lambda: labeller.decide(scores)) for _ in range(5)), 3),
        "smoothing_radius_2_s": round(
            min(seconds(lambda: smoothed(scores.similarity, x, y, 224.0, 2)) for _ in range(3)), 3
        ),
        "none_of_these_200_words_32_numbers_s": round(
            min(seconds(lambda: background.limits(small)) for _ in range(3)), 3
        ),
        "table_with_intervals_s": round(
            min(
                seconds(lambda: tabulate(names, decision.label, decision.probability, area, none_of_these=False))
                for _ in range(3)
            ),
            3,
        ),
    }
    write_result("labelling", document)


if __name__ == "__main__":
    main()
