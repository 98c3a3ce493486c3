"""The prompt bench: agreement, F1, the effect of templates, suggestions judged on what they were not chosen on."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from plipdesk.encoders.null import NullEncoder
from plipdesk.encoders.vocabulary import load_vocabulary
from plipdesk.labelling.bench import (
    Variant,
    compare_variants,
    suggest_prompts,
    template_variants,
    variants_of,
    with_suggestions,
)
from plipdesk.labelling.label_sets import LabelProblem, parse_label_set, read_label_set, shipped_label_sets
from plipdesk.labelling.learning import Examples

ENCODER = NullEncoder()
LABELS = parse_label_set("[first thing, second thing]", name="two")


def near(words: list[str], count: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64], tuple[str, ...]]:
    """Patches that look like one of the words each, in six cases."""
    random = np.random.default_rng(seed)
    target = random.integers(0, len(words), count)
    vectors = ENCODER.encode_texts(words)[target] + random.normal(0, 0.12, (count, 32))
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit, target, tuple(f"case {number % 6}" for number in range(count))


def test_variants_that_ask_the_same_agree_wholly() -> None:
    vectors, target, cases = near(["first thing", "second thing"], 90)
    variants = [Variant("a", LABELS, ("{}",)), Variant("b", LABELS, ("{}",)), Variant("c", LABELS, ("thing {}",))]
    bench = compare_variants(ENCODER, variants, vectors, Examples(vectors, target, cases))
    assert bench.agreement[0][1] == 1.0
    assert bench.agreement[0][2] == bench.agreement[2][0] <= 1.0
    assert bench.variants[0].macro_f1 is not None
    assert bench.variants[0].macro_f1 > 0.9
    assert set(bench.variants[0].f1) == {"first thing", "second thing"}
    assert bench.document()["examples"] == 90


def test_without_labels_there_is_agreement_only() -> None:
    vectors, _, _ = near(["first thing", "second thing"], 20)
    none = Examples(np.zeros((0, 32), np.float32), np.zeros(0, np.int64), ())
    bench = compare_variants(ENCODER, [Variant("a", LABELS, ("{}",))], vectors, none)
    assert bench.variants[0].macro_f1 is None
    with pytest.raises(LabelProblem):
        compare_variants(ENCODER, [Variant("a", LABELS), Variant("b", parse_label_set("[x]", name="x"))], vectors, none)


def test_a_label_set_offers_its_ways_as_variants() -> None:
    kather = read_label_set(shipped_label_sets()["kather"])
    found = variants_of(kather, ENCODER)
    assert [one.name for one in found] == ["figure", "code", "encoder"]
    effect = template_variants(LABELS, ["{}", "a {}", "the {}"])
    assert [one.name for one in effect][3:] == ["all templates", "all but “{}”", "all but “a {}”", "all but “the {}”"]


def test_words_that_fit_are_suggested_and_judged_on_unseen_cases() -> None:
    # The classes' own words say nothing about these patches; two terms of the vocabulary say all.
    vectors, target, cases = near(["adipose tissue", "smooth muscle"], 240)
    found = suggest_prompts(ENCODER, LABELS, load_vocabulary(), Examples(vectors, target, cases))
    assert found.helps
    assert found.macro_f1_after > 0.9
    assert (found.learned_on, found.tested_on, found.by_case) == (160, 80, True)
    suggested = {one.class_name: one.words for one in found.suggestions}
    assert any("adipose" in word or "fat" in word for word in suggested.get("first thing", ())) or any(
        "muscle" in word for word in suggested.get("second thing", ())
    )
    better = with_suggestions(LABELS, found)
    assert better.version == 2
    assert set(suggested.get("first thing", ())) <= set(better.classes[0].synonyms)


def test_noise_suggests_nothing_that_helps_by_much() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(120, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    examples = Examples(vectors, random.integers(0, 2, 120), tuple(f"case {n % 6}" for n in range(120)))
    found = suggest_prompts(ENCODER, LABELS, load_vocabulary(), examples)
    # What looks good on the part that was learned from is told as what it is on the other.
    assert found.macro_f1_after < 0.7
    with pytest.raises(LabelProblem, match="at least 20"):
        suggest_prompts(ENCODER, LABELS, load_vocabulary(), Examples(vectors[:5], examples.target[:5], ("a",) * 5))
