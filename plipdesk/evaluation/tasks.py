"""What each task computes, from embedded pictures to figures (Huang et al. 2023, and its public code)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.classification import calibration_error
from plipdesk.base.progress import JobContext, Json
from plipdesk.encoders.protocol import Encoder
from plipdesk.evaluation import retrieval
from plipdesk.evaluation.data import ClassData, EvaluationProblem, PairData, Split
from plipdesk.evaluation.embedding import Embedded, embed
from plipdesk.evaluation.figures import ClassScores, Way, mean_with_interval, score_classes
from plipdesk.evaluation.protocol import Protocol
from plipdesk.labelling.label_sets import LabelClass, LabelSet, read_label_set, shipped_label_sets
from plipdesk.labelling.prompts import encode_classes
from plipdesk.labelling.scoring import probabilities
from plipdesk.probes.linear import fit_probe

PROBE_ALPHAS = (0.1, 0.01, 0.001, 0.0001)
PROBE_SEEDS = (1, 2, 3, 4, 5)
RECALLS = (1, 5, 10, 50)
_CURVE = tuple(range(1, 101))


@dataclass(frozen=True)
class Asked:
    """What an evaluation is told beside protocol and data."""

    split: str | None = None
    seed: int = 1
    way: Way = "bootstrap"
    with_query: bool = False


@dataclass
class Outcome:
    """Figures of one run, and what its report draws."""

    n: int
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    split: str | None = None
    leaks: bool = False
    confusion: tuple[tuple[str, ...], NDArray[np.int64]] | None = None
    by: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    """Break-downs: ``organ`` or ``hashtag`` → its name → figures."""
    curve: tuple[tuple[int, ...], tuple[float, ...]] | None = None
    prompts: dict[str, list[str]] | None = None
    settings: dict[str, Json] = field(default_factory=dict)
    examples: list[tuple[str, int, list[int]]] = field(default_factory=list)
    """Some queries: words (or none), the query's picture (-1: none) and the pictures found."""
    notes: list[str] = field(default_factory=list)


def zero_shot(protocol: Protocol, data: ClassData, encoder: Encoder, asked: Asked, context: JobContext) -> Outcome:
    """The class whose prompt ensemble is most like the picture."""
    labels = _label_set(protocol, data)
    prompts = encode_classes(encoder, labels, protocol.way)
    split = data.split(asked.split, asked.seed)
    embedded, numbers = _readable(embed(encoder, data.pictures, split.test, context=context), split.test)
    scores = embedded @ prompts.vectors.T
    predicted = scores.argmax(axis=1)
    outcome = _classified(data, numbers, predicted, split, asked)
    shares = probabilities(np.asarray(scores * encoder.card.logit_scale, dtype=np.float32))
    right = predicted == data.labels[numbers]
    outcome.metrics["calibration_error"] = calibration_error(shares.max(axis=1), right)
    outcome.prompts = prompts.document
    outcome.notes += [f"Cut off at the encoder's context: {prompt}" for prompt in prompts.truncated]
    return outcome


def linear_probe(_protocol: Protocol, data: ClassData, encoder: Encoder, asked: Asked, context: JobContext) -> Outcome:
    """Logistic regression on frozen embeddings: alpha by weighted F1 on a fifth kept aside, five seeds, mean and sd.

    The authors' code tells every alpha; which one its paper tells is not said, so here it is chosen without the test
    part, and the others are told beside it.
    """
    split = data.split(asked.split, asked.seed)
    if not len(split.train):
        raise EvaluationProblem(f"{data.name} has nothing to learn from here.", remedy="Add its training part.")
    train, train_numbers = _readable(embed(encoder, data.pictures, split.train, context=context), split.train)
    test, numbers = _readable(embed(encoder, data.pictures, split.test, context=context), split.test)
    names = np.array([str(label) for label in data.labels[train_numbers]])
    rng = np.random.default_rng(asked.seed)
    aside = rng.permutation(len(train)) < max(1, len(train) // 5)

    def fitted(rows: NDArray[np.bool_], alpha: float, seed: int, on: NDArray[np.float32]) -> NDArray[np.int64]:
        context.check_cancel()
        probe = fit_probe(
            train[rows], names[rows], encoder_fingerprint=encoder.fingerprint, method="sgd", strength=alpha, seed=seed
        )
        known = np.array([int(name) for name in probe.classes], dtype=np.int64)
        answers: NDArray[np.int64] = known[probe.logits(on).argmax(axis=1)]
        return answers

    every = np.ones(len(train), dtype=bool)
    table: dict[float, list[ClassScores]] = {}
    chosen, best = PROBE_ALPHAS[0], -1.0
    for step, alpha in enumerate(PROBE_ALPHAS):
        context.report(step, len(PROBE_ALPHAS), unit="strengths", note="probing")
        guess = fitted(~aside, alpha, PROBE_SEEDS[0], train[aside])
        reached = score_classes(data.labels[train_numbers][aside], guess, len(data.classes), seed=0, rounds=1).metrics[
            "weighted_f1"
        ]
        if reached > best:
            chosen, best = alpha, reached
        table[alpha] = [
            score_classes(
                data.labels[numbers], fitted(every, alpha, seed, test), len(data.classes), seed=asked.seed, rounds=1
            )
            for seed in PROBE_SEEDS
        ]
    outcome = _classified(data, numbers, fitted(every, chosen, PROBE_SEEDS[0], test), split, asked)
    for name in list(outcome.metrics):
        values = [one.metrics[name] for one in table[chosen]]
        outcome.metrics[name] = float(np.mean(values))
        outcome.metrics[f"{name}_sd"] = float(np.std(values, ddof=1))
    outcome.by["alpha"] = {
        f"{alpha:g}": {
            "weighted_f1": float(np.mean([one.metrics["weighted_f1"] for one in runs])),
            "macro_f1": float(np.mean([one.metrics["macro_f1"] for one in runs])),
        }
        for alpha, runs in table.items()
    }
    outcome.settings = {"alpha": chosen, "alphas": list(PROBE_ALPHAS), "seeds": list(PROBE_SEEDS), "kept_aside": 0.2}
    outcome.notes.append(f"Metrics are means over the seeds {PROBE_SEEDS}; intervals are of the first seed's answers.")
    return outcome


def text_to_image(data: PairData, encoder: Encoder, asked: Asked, context: JobContext) -> Outcome:
    """Recall of a caption's own picture among all pictures."""
    images, numbers = _readable(_all(encoder, data, context), np.arange(len(data.captions)))
    texts = encoder.encode_texts([data.captions[number] for number in numbers])
    ranks = retrieval.caption_ranks(images, texts)
    outcome = _recalls(ranks, len(images), asked)
    long = sum(encoder.truncated(data.captions[number]) for number in numbers)
    if long:
        outcome.notes.append(f"{long:,} captions are longer than the encoder can read; their ends are left out.")
    if data.hashtags is not None:
        hashtags = np.array([data.hashtags[number] for number in numbers])
        outcome.by["hashtag"] = {
            str(name) or "(none)": {
                "n": float((hashtags == name).sum()),
                "recall_at_10": retrieval.recall_at(ranks[hashtags == name], 10),
            }
            for name in np.unique(hashtags)
        }
    best = np.argsort(-(texts[:200] @ images.T), axis=1, kind="stable")[:, :5]
    shown = np.linspace(0, len(best) - 1, min(6, len(best))).astype(int)
    outcome.examples = [
        (data.captions[numbers[row]], int(numbers[row]), [int(numbers[place]) for place in best[row]]) for row in shown
    ]
    return outcome


def image_to_image(data: PairData, encoder: Encoder, asked: Asked, context: JobContext) -> Outcome:
    """Recall of another picture of the same post."""
    images, numbers = _readable(_all(encoder, data, context), np.arange(len(data.captions)))
    posts = data.posts or ()
    if not posts:
        raise EvaluationProblem(f"{data.name} does not tell which pictures make a post.", remedy="Add a column post.")
    ranks = retrieval.post_ranks(images, [posts[number] for number in numbers])
    if not len(ranks):
        raise EvaluationProblem(f"No post of {data.name} has two pictures.", remedy="Choose posts with several.")
    outcome = _recalls(ranks, len(images) - 1, asked)
    outcome.notes.append(f"{len(ranks):,} of {len(images):,} pictures share a post with another and are queries.")
    return outcome


def class_retrieval(
    _protocol: Protocol, data: ClassData, encoder: Encoder, asked: Asked, context: JobContext
) -> Outcome:
    """Class retrieval accuracy at K = 1…20 among the pictures that are tested on."""
    split = data.split(asked.split, asked.seed)
    images, numbers = _readable(embed(encoder, data.pictures, split.test, context=context), split.test)
    labels = data.labels[numbers]
    if len(images) < 2:
        raise EvaluationProblem(f"{data.name} has fewer than two pictures to search among.", remedy="Add pictures.")
    found = retrieval.class_neighbours(images, labels, with_query=asked.with_query)
    metrics, intervals = {}, {}
    steps = tuple(range(1, found.shape[1] + 1))
    accuracies = tuple(retrieval.class_accuracy(found, labels, k) for k in steps)
    for k in (1, 3, 5, 10, 20):
        if k <= found.shape[1]:
            metrics[f"class_accuracy_at_{k}"] = accuracies[k - 1]
            metrics[f"class_precision_at_{k}"] = retrieval.class_precision(found, labels, k)
    for k in (1, 5, 10, 20):
        if k <= found.shape[1]:
            interval = mean_with_interval((found[:, :k] == labels[:, None]).mean(axis=1), seed=asked.seed)
            intervals[f"class_precision_at_{k}"] = (interval.low, interval.high)
    outcome = Outcome(len(images), metrics, intervals, split.words, split.leaks, curve=(steps, accuracies))
    outcome.notes += [*data.notes]
    if asked.with_query:
        outcome.notes.append("The query itself counts as its first neighbour, as in the paper's figure.")
    return outcome


def _all(encoder: Encoder, data: PairData, context: JobContext) -> Embedded:
    return embed(encoder, data.pictures, np.arange(len(data.captions)), context=context)


def _readable(embedded: Embedded, numbers: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    kept = embedded.readable
    return embedded.rows[kept], numbers[kept]


def _classified(
    data: ClassData, numbers: NDArray[np.int64], predicted: NDArray[np.int64], split: Split, asked: Asked
) -> Outcome:
    actual = data.labels[numbers]
    groups = None if data.groups is None else [data.groups[number] for number in numbers]
    scores = score_classes(actual, predicted, len(data.classes), seed=asked.seed, groups=groups, way=asked.way)
    outcome = Outcome(
        n=len(numbers),
        metrics=dict(scores.metrics),
        intervals=dict(scores.intervals),
        split=split.words,
        leaks=split.leaks,
        confusion=(data.classes, scores.confusion),
    )
    lost = len(split.test) - len(numbers)
    if lost:
        outcome.notes.append(f"{lost:,} pictures of the test part could not be read and were left out.")
    outcome.notes += data.notes
    if data.organs is not None:
        organs = np.array([data.organs[number] for number in numbers])
        outcome.by["organ"] = {}
        for organ in np.unique(organs):
            own = organs == organ
            one = score_classes(actual[own], predicted[own], len(data.classes), seed=asked.seed, rounds=1)
            outcome.by["organ"][str(organ)] = {"n": float(own.sum()), "weighted_f1": one.metrics["weighted_f1"]}
    return outcome


def _recalls(ranks: NDArray[np.int64], candidates: int, asked: Asked) -> Outcome:
    metrics: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    for k in RECALLS:
        interval = mean_with_interval((ranks <= k).astype(np.float64), seed=asked.seed)
        metrics[f"recall_at_{k}"] = interval.value
        intervals[f"recall_at_{k}"] = (interval.low, interval.high)
        metrics[f"random_recall_at_{k}"] = retrieval.random_recall(candidates, k)
        metrics[f"fold_over_random_at_{k}"] = interval.value / retrieval.random_recall(candidates, k)
    metrics["median_rank"] = float(np.median(ranks))
    curve = (_CURVE, tuple(retrieval.recall_at(ranks, k) for k in _CURVE))
    return Outcome(len(ranks), metrics, intervals, "every picture is a candidate", curve=curve)


def _label_set(protocol: Protocol, data: ClassData) -> LabelSet:
    """The label set with its classes in the order of the data set's."""
    if protocol.labels is None:
        return LabelSet(name="classes", classes=tuple(LabelClass(name=name.replace("_", " ")) for name in data.classes))
    shipped = shipped_label_sets()
    if protocol.labels not in shipped:
        raise EvaluationProblem(f"There is no label set called {protocol.labels!r}.", remedy="Correct the protocol.")
    labels = read_label_set(shipped[protocol.labels])
    by_name = {name: one for one in labels.classes for name in (one.name, one.short) if name}
    if set(data.classes) - set(by_name):
        raise EvaluationProblem(
            f"The label set {labels.name} does not name all classes of {data.name}.", remedy="Correct the protocol."
        )
    return labels.model_copy(update={"classes": tuple(by_name[name] for name in data.classes)})
