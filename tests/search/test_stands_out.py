"""Whether an answer tells something, and what that is measured by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plipdesk.base.paths import cache_folder
from plipdesk.search.calibration import TermVectors
from plipdesk.search.query import Query, SlidePart, TextPart
from tests.search.world import KnownEncoder, SearchWorld, unit, vocabulary_of
from tests.vectors import unit_vectors

DIM = 32


def _world(folder: Path, *, has_words: bool = True) -> SearchWorld:
    """Two thousand patches like nothing in particular, terms that are like nothing either, and one rare kind."""
    random = np.random.default_rng(0)
    words = {f"term {number}": unit(*random.normal(0, 1, DIM)) for number in range(40)}
    words["rare"] = unit(*np.eye(DIM)[0])
    world = SearchWorld(folder, dim=DIM, words=words, has_words=has_words)
    patches = random.normal(0, 1, (2000, DIM))
    patches[:, 0] *= 0.2
    patches[7] = 4 * np.eye(DIM)[0] + random.normal(0, 0.2, DIM)
    world.add("a", (patches / np.linalg.norm(patches, axis=1, keepdims=True)).astype(np.float32))
    return world


def test_what_is_far_above_chance_stands_out_and_a_term_like_others_does_not(tmp_path: Path) -> None:
    world = _world(tmp_path)
    assert world.searcher.search(Query(texts=(TextPart("rare"),))).stands_out
    ordinary = [world.searcher.search(Query(texts=(TextPart(f"term {n}"),))).stands_out for n in range(40)]
    assert sum(ordinary) <= 3
    world.catalogue.close()


def test_without_words_chance_is_a_normal_distribution(tmp_path: Path) -> None:
    world = _world(tmp_path, has_words=False)
    world.add("b", unit_vectors(5, DIM, seed=1))
    result = world.searcher.search(Query(slides=(SlidePart("b.svs"),)))
    assert not result.stands_out
    world.catalogue.close()


def test_terms_are_encoded_once_and_kept(tmp_path: Path) -> None:
    words = {f"term {number}": vector for number, vector in enumerate(unit_vectors(700, 8))}
    encoder = KnownEncoder(words, 8)
    vocabulary = vocabulary_of(list(words))
    terms = TermVectors(vocabulary, tmp_path)
    vectors = terms.of(encoder)
    assert terms.names == vocabulary.names()[::3]
    np.testing.assert_allclose(vectors, np.stack([words[name] for name in terms.names]), atol=1e-6)
    encoder.words.clear()
    np.testing.assert_array_equal(TermVectors(vocabulary, tmp_path).of(encoder), vectors)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY nonsense", b"x" * 10_000_000])
def test_a_damaged_cache_of_terms_is_made_again(tmp_path: Path, content: bytes) -> None:
    words = {f"term {number}": vector for number, vector in enumerate(unit_vectors(5, 8))}
    encoder, vocabulary = KnownEncoder(words, 8), vocabulary_of(list(words))
    vectors = TermVectors(vocabulary, tmp_path).of(encoder)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(content)
    np.testing.assert_array_equal(TermVectors(vocabulary, tmp_path).of(encoder), vectors)
    assert np.load(kept).shape == (5, 8)


def test_warming_up_does_what_the_first_query_would_wait_for(tmp_path: Path) -> None:
    world = _world(tmp_path)
    world.searcher.warm()
    assert list((cache_folder() / "vocabulary").glob(f"{world.encoder.fingerprint}-*.npy"))
    world.catalogue.close()
