"""Linear probes: what they learn, how they are kept, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from plipdesk.probes.comparing import compare_probe
from plipdesk.probes.errors import ProbeProblem
from plipdesk.probes.folds import folds_of
from plipdesk.probes.linear import LinearProbe, Method, fit_probe
from tests.vectors import unit_vectors


def three_classes(rows: int = 300, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(5).normal(size=(3, 16))
    target = random.integers(0, 3, rows)
    vectors = centres[target] + random.normal(0, 0.6, (rows, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), np.array(list("abc"))[target]


@pytest.mark.parametrize("method", ["logistic", "sgd"])
def test_it_learns_what_can_be_learned_the_same_each_time(method: Method) -> None:
    vectors, labels = three_classes()
    probe, again = (fit_probe(vectors, labels, encoder_fingerprint="e", method=method, seed=3) for _ in range(2))
    unseen, right = three_classes(seed=1)
    guessed = np.array(probe.classes)[probe.logits(unseen).argmax(axis=1)]
    assert (guessed == right).mean() > 0.95
    np.testing.assert_array_equal(probe.weights, again.weights)
    np.testing.assert_allclose(probe.probabilities(unseen).sum(axis=1), 1, rtol=1e-5)
    assert probe.settings["examples"] == {name: int((labels == name).sum()) for name in "abc"}


def test_logits_are_those_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    vectors, labels = three_classes(90)
    probe = fit_probe(vectors, labels, encoder_fingerprint="e", strength=0.01, balanced=False)
    model = LogisticRegression(C=1 / (0.01 * 90), max_iter=10_000).fit(vectors, labels)
    np.testing.assert_allclose(probe.probabilities(vectors), model.predict_proba(vectors), atol=1e-4)
    two = labels != "c"
    probe = fit_probe(vectors[two], labels[two], encoder_fingerprint="e", strength=0.01, balanced=False)
    model = LogisticRegression(C=1 / (0.01 * two.sum()), max_iter=10_000).fit(vectors[two], labels[two])
    np.testing.assert_allclose(probe.probabilities(vectors), model.predict_proba(vectors), atol=1e-4)


def test_a_probe_is_kept_as_numbers_and_comes_back_the_same(tmp_path: Path) -> None:
    vectors, labels = three_classes()
    probe = fit_probe(vectors, labels, encoder_fingerprint="e", classes=("c", "b", "unused", "a"))
    assert probe.classes == ("c", "b", "a")
    path = tmp_path / "ü" / "probe.safetensors"
    probe.save(path)
    back = LinearProbe.load(path, encoder_fingerprint="e")
    assert (back.classes, back.settings) == (probe.classes, probe.settings)
    np.testing.assert_array_equal(back.logits(vectors), probe.logits(vectors))
    content = path.read_bytes()
    back.save(path)
    assert path.read_bytes() == content
    with pytest.raises(ProbeProblem, match="another encoder"):
        LinearProbe.load(path, encoder_fingerprint="f")


def test_a_damaged_probe_is_refused_wherever_it_is_damaged(tmp_path: Path) -> None:
    vectors, labels = three_classes(60)
    whole = tmp_path / "probe.safetensors"
    fit_probe(vectors, labels, encoder_fingerprint="e").save(whole)
    content = whole.read_bytes()
    path = tmp_path / "damaged.safetensors"
    for cut in (0, 4, 40, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:cut])
        with pytest.raises(ProbeProblem):
            LinearProbe.load(path)
    path.write_bytes(content.replace(b"plipdesk.probe", b"plipdesk.prose"))
    with pytest.raises(ProbeProblem):
        LinearProbe.load(path)
    with pytest.raises(ProbeProblem):
        LinearProbe.load(tmp_path / "none")


def test_examples_that_cannot_teach_are_refused() -> None:
    vectors, _ = three_classes(10)
    with pytest.raises(ProbeProblem, match="two classes"):
        fit_probe(vectors, ["a"] * 10, encoder_fingerprint="e")
    with pytest.raises(ProbeProblem, match="all of them known"):
        fit_probe(vectors, ["a", "b"] * 5, encoder_fingerprint="e", classes=("a", "c"))
    with pytest.raises(ProbeProblem):
        fit_probe(vectors * np.float32(np.nan), ["a", "b"] * 5, encoder_fingerprint="e")
    probe = fit_probe(vectors, ["a", "b"] * 5, encoder_fingerprint="e")
    with pytest.raises(ProbeProblem, match="16 numbers"):
        probe.logits(vectors[:, :5])


def test_folds_never_part_a_case_and_test_each_example_once() -> None:
    target = np.array([0, 1] * 30)
    cases = [f"case {number // 7}" for number in range(60)]
    tested = []
    for train, test in folds_of(target, cases, 5, seed=0):
        assert not {cases[place] for place in train} & {cases[place] for place in test}
        tested.extend(test.tolist())
    assert sorted(tested) == list(range(60))
    single = [test for _, test in folds_of(target, ["one"] * 60, 5, seed=0)]
    assert len(single) == 5
    assert all(target[test].mean() == 0.5 for test in single)


def test_a_probe_replaces_prompts_only_where_it_is_better_on_unseen_cases() -> None:
    vectors, labels = three_classes(200)
    target = np.array(["abc".index(name) for name in labels])
    cases = [f"case {number % 8}" for number in range(200)]
    bad_prompts = np.random.default_rng(9).integers(0, 3, 200)
    probe, found = compare_probe(vectors, target, bad_prompts, list("abc"), cases, encoder_fingerprint="e")
    assert found.better
    assert found.probe_f1 > 0.9 > found.before_f1
    assert "replaces the prompts" in found.words
    assert "8 cases" in found.words
    assert (probe.logits(vectors).argmax(axis=1) == target).mean() > 0.95
    _, found = compare_probe(vectors, target, target, list("abc"), cases, encoder_fingerprint="e")
    assert not found.better
    assert "prompts stay" in found.words


def test_a_probe_that_only_knows_its_cases_does_not_replace_prompts() -> None:
    # Each case has one class and a look of its own: within cases all is clear, between them nothing is.
    random = np.random.default_rng(1)
    case = np.repeat(np.arange(8), 20)
    vectors = unit_vectors(8, 64, seed=3, clusters=8)[case] + random.normal(0, 0.01, (160, 64)).astype(np.float32)
    target = (case % 2).astype(int)
    prompts = np.where(random.random(160) < 0.7, target, 1 - target)
    _, found = compare_probe(vectors, target, prompts, list("ab"), [f"{c}" for c in case], encoder_fingerprint="e")
    assert not found.better
    with pytest.raises(ProbeProblem, match="40"):
        compare_probe(vectors[:30], target[:30], prompts[:30], list("ab"), ["x"] * 30, encoder_fingerprint="e")
