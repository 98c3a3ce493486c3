"""The prompt bench: variants of prompts side by side on the same patches.

Agreement between variants needs no labels. With labelled patches each variant has a macro F1 and an accuracy, the
effect of each template is told by leaving it out, and words are suggested by what they score. What is chosen by score
is scored again on a part that was kept apart, whole cases at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.classification import accuracy, class_figures, confusion_matrix, macro_f1
from plipdesk.base.progress import Json
from plipdesk.encoders.prompts import prompts_of
from plipdesk.encoders.protocol import Encoder
from plipdesk.encoders.vocabulary import Vocabulary
from plipdesk.labelling.label_sets import LabelClass, LabelProblem, LabelSet
from plipdesk.labelling.learning import Examples
from plipdesk.labelling.prompts import encode_classes, encode_texts, ensemble
from plipdesk.labelling.scoring import cosines
from plipdesk.probes.folds import folds_of

Float32s = NDArray[np.float32]
Numbers = NDArray[np.int64]

LEAST_EXAMPLES = 20
COMMON_TEMPLATES = (
    "{}", "an H&E image of {}", "a histopathology image of {}", "an image of {} tissue", "microscopy of {}",
)  # fmt: skip
_TEST_FOLDS = 3
_MOST_SUGGESTED = 5
_GAIN = 0.01


@dataclass(frozen=True)
class Variant:
    """A way of asking: a label set (its classes may have other words) and templates; none: those of the label set."""

    name: str
    labels: LabelSet
    templates: tuple[str, ...] | None = None


@dataclass(frozen=True)
class VariantScore:
    """Macro F1 and accuracy on labelled patches (None without any), and the F1 of each class."""

    name: str
    macro_f1: float | None
    accuracy: float | None
    f1: Mapping[str, float]
    templates: tuple[str, ...]


@dataclass(frozen=True)
class Bench:
    """``agreement`` (v, v): share of patches that two variants give the same class."""

    variants: tuple[VariantScore, ...]
    agreement: tuple[tuple[float, ...], ...]
    patches: int
    examples: int

    def document(self) -> dict[str, Json]:
        """As ``--json`` prints it."""
        return {
            "variants": [asdict(one) for one in self.variants], "agreement": [list(row) for row in self.agreement],
            "patches": self.patches, "examples": self.examples,
        }  # fmt: skip


def variants_of(labels: LabelSet, encoder: Encoder) -> list[Variant]:
    """The variants that a label set offers by itself: each of its ways, the encoder's own templates, names alone."""
    found = [Variant(name, labels, way.templates) for name, way in labels.ways.items()]
    if labels.templates:
        found.append(Variant("label set", labels, labels.templates))
    found.append(Variant("encoder", labels, encoder.card.prompt_templates))
    plain = LabelSet(name=labels.name, classes=tuple(LabelClass(name=one.name) for one in labels.classes))
    found.append(Variant("names alone", plain, ("{}",)))
    unique: dict[tuple[object, ...], Variant] = {}
    for one in found:
        unique.setdefault((one.templates, tuple(own.synonyms + own.prompts for own in one.labels.classes)), one)
    return list(unique.values())


def template_variants(labels: LabelSet, templates: Sequence[str]) -> list[Variant]:
    """The effect of each template: each alone, all together, and all but each."""
    every = tuple(dict.fromkeys(templates))
    found = [Variant(f"only “{one}”", labels, (one,)) for one in every]
    if len(every) > 1:
        found.append(Variant("all templates", labels, every))
    if len(every) > 2:
        found += [Variant(f"all but “{one}”", labels, tuple(t for t in every if t != one)) for one in every]
    return found


def compare_variants(
    encoder: Encoder, variants: Sequence[Variant], patches: NDArray[np.floating], examples: Examples
) -> Bench:
    """Label ``patches`` (n, d) with every variant, and score it on the examples.

    Raises:
        LabelProblem: variants of different classes.
    """
    if len({one.labels.names for one in variants}) != 1:
        raise LabelProblem("Variants of prompts are of the same classes.", remedy="Compare ways of asking of one set.")
    given, scored = [], []
    for one in variants:
        prompts = encode_classes(encoder, one.labels, templates=one.templates)
        given.append(cosines(patches, prompts.vectors).argmax(axis=1))
        scored.append(_scored(one, prompts.vectors, examples))
    agreement = tuple(tuple(float((one == other).mean()) if len(one) else 1.0 for other in given) for one in given)
    return Bench(tuple(scored), agreement, len(patches), len(examples))


def _scored(variant: Variant, vectors: Float32s, examples: Examples) -> VariantScore:
    names = variant.labels.names
    templates = variant.templates or ()
    if not len(examples):
        return VariantScore(variant.name, None, None, {}, templates)
    confusion = _confusion(vectors, examples.vectors, examples.target)
    f1 = class_figures(confusion).f1
    known = np.unique(examples.target)
    own = {names[number]: float(f1[number]) for number in known.tolist()}
    return VariantScore(variant.name, macro_f1(confusion), accuracy(confusion), own, templates)


def _confusion(vectors: Float32s, rows: Float32s, target: Numbers) -> NDArray[np.int64]:
    return confusion_matrix(target, cosines(rows, vectors).argmax(axis=1).astype(np.int64), len(vectors))


@dataclass(frozen=True)
class Suggestion:
    """Words for one class, and macro F1 with and without them on the part that was kept apart."""

    class_name: str
    words: tuple[str, ...]
    f1_before: float
    f1_after: float


@dataclass(frozen=True)
class Suggestions:
    """What was suggested, and what all of it together is worth on the part kept apart."""

    suggestions: tuple[Suggestion, ...]
    macro_f1_before: float
    macro_f1_after: float
    learned_on: int
    tested_on: int
    by_case: bool

    @property
    def helps(self) -> bool:
        """Whether the suggestions together are better on what they were not chosen on."""
        return self.macro_f1_after > self.macro_f1_before

    def document(self) -> dict[str, Json]:
        """As ``--json`` prints it."""
        return asdict(self) | {"helps": self.helps}


def suggest_prompts(
    encoder: Encoder,
    labels: LabelSet,
    vocabulary: Vocabulary,
    examples: Examples,
    *,
    templates: Sequence[str] | None = None,
    seed: int = 0,
) -> Suggestions:
    """For each class words of the vocabulary that, asked beside its own, tell its patches best from the others.

    Words are chosen on two thirds of the cases, one after the other, while they raise the macro F1 there; the last
    third tells what they are worth.

    Raises:
        LabelProblem: fewer than 20 labelled patches.
    """
    if len(examples) < LEAST_EXAMPLES:
        raise LabelProblem(
            f"Suggesting prompts needs at least {LEAST_EXAMPLES} labelled patches; there are {len(examples)}.",
            remedy="Correct some patches, or import annotations of these classes.",
        )
    train, test = next(iter(folds_of(examples.target, examples.cases, _TEST_FOLDS, seed)))
    chosen_templates = tuple(templates) if templates is not None else labels.way_named(None)
    asked = chosen_templates or encoder.card.prompt_templates
    base = encode_classes(encoder, labels, templates=chosen_templates)
    terms = [term.name for term in vocabulary.terms]
    rows = encode_texts(encoder, [prompt for term in terms for prompt in prompts_of(encoder, term, asked)])
    vectors = rows.reshape(len(terms), len(asked), -1).mean(axis=1)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    fit, fit_target = examples.vectors[train], examples.target[train]
    score = cosines(fit, vectors.astype(np.float32))
    now = base.vectors.copy()
    words: dict[int, list[int]] = {}
    for number in np.unique(fit_target).tolist():
        inside = fit_target == number
        if not inside.any() or inside.all():
            continue
        # The words that lie nearest to the class's patches, compared with all others.
        spread = np.maximum(score.std(axis=0), 1e-6)
        gain = (score[inside].mean(axis=0) - score[~inside].mean(axis=0)) / spread
        best = macro_f1(_confusion(now, fit, fit_target))
        for term in np.argsort(-gain, kind="stable")[: 4 * _MOST_SUGGESTED].tolist():
            own = words.get(number, [])
            if len(own) == _MOST_SUGGESTED:
                break
            tried = now.copy()
            tried[number] = ensemble(np.stack([base.vectors[number], *(vectors[one] for one in [*own, term])]))
            found = macro_f1(_confusion(tried, fit, fit_target))
            if found > best + _GAIN:
                now, best = tried, found
                words[number] = [*own, term]
    before = _confusion(base.vectors, examples.vectors[test], examples.target[test])
    after = _confusion(now, examples.vectors[test], examples.target[test])
    f1 = class_figures(before).f1, class_figures(after).f1
    return Suggestions(
        tuple(
            Suggestion(
                labels.names[number], tuple(terms[one] for one in own), float(f1[0][number]), float(f1[1][number])
            )
            for number, own in words.items()
        ),
        macro_f1(before), macro_f1(after), len(train), len(test), len(set(examples.cases)) > 1,
    )  # fmt: skip


def with_suggestions(labels: LabelSet, found: Suggestions) -> LabelSet:
    """The label set with the suggested words as synonyms, as its next version."""
    words = {one.class_name: one.words for one in found.suggestions}
    classes = tuple(
        one.model_copy(update={"synonyms": tuple(dict.fromkeys([*one.synonyms, *words.get(one.name, ())]))})
        for one in labels.classes
    )
    return labels.model_copy(update={"classes": classes, "version": labels.version + 1})
