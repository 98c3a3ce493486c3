"""Whether an answer tells something, and what that is measured by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plipdesk.base.paths import cache_folder
from plipdesk.catalogue.rows import SlideFilter
from plipdesk.search.calibration import TermVectors, random_vectors
from plipdesk.search.query import Query, RegionPart, SlidePart, TextPart
from tests.search.world import KnownEncoder, SearchWorld, unit, vocabulary_of
from tests.vectors import unit_vectors

DIM = 32


def _world(folder: Path, *, has_words: bool = True) -> SearchWorld:
    """Two thousand patches like nothing in particular, terms that are like nothing either, and one kind that is."""
    random = np.random.default_rng(0)
    words = {f"term {number}": unit(*random.normal(0, 1, DIM)) for number in range(40)}
    words["rare"] = unit(*np.eye(DIM)[0])
    world = SearchWorld(folder, dim=DIM, words=words, has_words=has_words)
    patches = random.normal(0, 1, (2000, DIM))
    patches[:, 0] *= 0.2
    patches[7:13] = 4 * np.eye(DIM)[0] + random.normal(0, 0.2, (6, DIM))
    world.add("a", (patches / np.linalg.norm(patches, axis=1, keepdims=True)).astype(np.float32))
    return world


def test_what_is_far_above_chance_stands_out_and_a_term_like_others_does_not(tmp_path: Path) -> None:
    world = _world(tmp_path)
    assert world.searcher.search(Query(texts=(TextPart("rare"),))).stands_out
    ordinary = [world.searcher.search(Query(texts=(TextPart(f"term {n}"),))).stands_out for n in range(40)]
    assert sum(ordinary) <= 5
    world.close()


def test_pictures_are_held_against_what_patches_are_to_each_other_also_without_words(tmp_path: Path) -> None:
    world = _world(tmp_path, has_words=False)
    patches = world.index.vectors(*world.index.sample(2000, 0))
    world.add("b", patches[[5, 6]])
    assert world.searcher.search(Query(slides=(SlidePart("b.svs"),))).stands_out
    # The opposite of the one kind that is there, and of all others too.
    world.add("c", [unit(*(-patches.mean(axis=0) - np.eye(DIM)[0]))])
    elsewhere = SlideFilter(not_slide_ids=("b" * 32,))
    assert not world.searcher.search(Query(slides=(SlidePart("c.svs"),), filters=elsewhere)).stands_out
    world.close()


def test_a_region_of_a_single_slide_finds_its_like_and_a_strange_one_does_not(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    kinds = np.eye(DIM)[:3]
    world = SearchWorld(tmp_path, dim=DIM, has_words=False)
    rows = [kinds[number % 3] + random.normal(0, 0.05, DIM) for number in range(54)]
    rows.append(np.eye(DIM)[9])
    vectors = np.stack([unit(*row) for row in rows])
    world.add("a", vectors)

    def stands_out(number: int) -> bool:
        region = RegionPart("a.svs", (100.0 * number, 0.0, 100.0, 100.0))
        return world.searcher.search(Query(regions=(region,))).stands_out

    assert sum(stands_out(number) for number in range(54)) >= 46
    assert not stands_out(54)
    world.close()


def test_only_what_is_not_wanted_never_stands_out(tmp_path: Path) -> None:
    world = _world(tmp_path)
    assert not world.searcher.search(Query(texts=(TextPart("rare", -1.0),))).stands_out
    world.close()


def test_random_vectors_lie_where_those_lie_that_were_seen() -> None:
    seen = unit_vectors(60, 6, spread=0.2)
    drawn = random_vectors(seen, 20_000)
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(drawn.mean(axis=0), seen.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(seen.T), atol=0.05)
    np.testing.assert_array_equal(random_vectors(seen, 10), random_vectors(seen, 10))


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
    world.close()
