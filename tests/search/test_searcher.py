"""Queries on small workspaces whose right answers can be told by hand."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plipdesk.base.errors import NotFound, UsageProblem
from plipdesk.catalogue.rows import SlideFilter
from plipdesk.encoders.card import EncoderProblem
from plipdesk.index.segment import IndexSettings
from plipdesk.search.query import PicturePart, Query, RegionPart, SearchResult, SlidePart, TextPart
from tests.catalogue.helpers import embedding, slide
from tests.search.world import SearchWorld, unit
from tests.vectors import unit_vectors

RED, GREEN, BLUE = unit(1, 0, 0, 0), unit(0, 1, 0, 0), unit(0, 0, 1, 0)


def _words(*texts: str, **more: object) -> Query:
    return Query(texts=tuple(TextPart(text) for text in texts), **more)  # type: ignore[arg-type]


def _places(result: SearchResult) -> list[tuple[str, int]]:
    """Letter of the slide and number of the patch of each hit."""
    return [(hit.slide_id[0], hit.x0_px // 100) for hit in result.hits]


# --- words ------------------------------------------------------------------------------------------------------------


def test_words_find_what_is_like_them_best_first(world: SearchWorld) -> None:
    world.add("a", [GREEN, unit(4, 3, 0, 0), RED], case="P1", stain="H&E", organ="colon")
    world.add("b", [unit(3, 4, 0, 0)])
    result = world.searcher.search(_words("red", k=3))
    assert _places(result) == [("a", 2), ("a", 1), ("b", 0)]
    np.testing.assert_allclose([hit.score for hit in result.hits], [1, 0.8, 0.6], atol=1e-3)
    # All four patches are the random patches: one of them scores above each but the first.
    assert [hit.percentile for hit in result.hits] == [100, 75, 50]
    first = result.hits[0]
    assert (first.rank, first.case, first.stain, first.organ) == (1, "P1", "H&E", "colon")
    assert (first.x0_px, first.y0_px, first.size0_px, first.mpp_um) == (200, 0, 100, 0.25)
    assert first.path == str(world.workspace.root / "a.svs")
    assert result.hits[2].case is None
    assert (result.searched.patches, result.searched.slides) == (4, 2)
    assert result.encoder == "known"
    times = result.timing_ms
    assert times.encode >= 0
    assert times.total == pytest.approx(times.encode + times.search)


def test_more_hits_than_patches_are_all_patches(world: SearchWorld) -> None:
    world.add("a", [RED, GREEN])
    assert len(world.searcher.search(_words("red", k=50)).hits) == 2


def test_words_that_must_not_be_there_push_away(world: SearchWorld) -> None:
    world.add("a", [unit(5, 5, 0, 1), unit(5, 0, 0, 2), GREEN, BLUE, unit(0, 1, 1, 0), unit(1, 1, 1, 1)])
    plain = world.searcher.search(_words("red", k=1))
    assert _places(plain) == [("a", 1)]
    both = Query(texts=(TextPart("red"), TextPart("green")), k=1)
    assert _places(world.searcher.search(both)) == [("a", 0)]
    without = Query(texts=(TextPart("green"), TextPart("red", -1.0)), k=2)
    assert _places(world.searcher.search(without))[0] in (("a", 2), ("a", 4))


def test_an_empty_index_has_no_hits(world: SearchWorld) -> None:
    result = world.searcher.search(_words("red"))
    assert (result.hits, result.stands_out, result.searched.patches) == ((), False, 0)
    with pytest.raises(NotFound):
        world.searcher.search(Query(slides=(SlidePart("none.svs"),)))


def test_chinese_words_are_translated_for_an_encoder_that_reads_english(world: SearchWorld) -> None:
    world.add("a", [RED, GREEN])
    result = world.searcher.search(_words("一一", k=1))
    assert _places(result) == [("a", 1)]
    assert result.notes[0] == "“一一” was read as “green”."


def test_words_that_are_too_many_are_told(world: SearchWorld) -> None:
    long = "red " * 20
    world.encoder.words[long.strip()] = RED
    world.add("a", [RED])
    assert "left out" in world.searcher.search(_words(long)).notes[0]


def test_an_encoder_without_words_cannot_be_asked_in_words(tmp_path: Path) -> None:
    world = SearchWorld(tmp_path, has_words=False)
    world.add("a", [RED, GREEN])
    with pytest.raises(EncoderProblem, match="words"):
        world.searcher.search(_words("red"))
    assert _places(world.searcher.search(Query(slides=(SlidePart("a.svs"),), include_query=True))) == [("a", 0)]
    world.close()


@pytest.mark.parametrize(
    "query",
    [
        Query(),
        Query(texts=(TextPart("red", 0.0),)),
        Query(texts=(TextPart("red", math.nan),)),
        _words("red", k=0),
        _words("red", k=10_001),
        _words("red", group="slide", per_group=0),
        _words(*["red"] * 101),
        Query(regions=(RegionPart("a.svs"),)),
        Query(regions=(RegionPart("a.svs", (0, 0, 9, 9), ((0, 0), (9, 0), (9, 9))),)),
        Query(regions=(RegionPart("a.svs", (20_000, 0, 100, 100)),)),
        Query(regions=(RegionPart("a.svs", (0, 0, -5, 100)),)),
        Query(regions=(RegionPart("a.svs", polygon=((-9, -9), (-5, -9), (-5, -5))),)),
        Query(regions=(RegionPart("a.svs", polygon=((1, 1), (5, 5))),)),
        Query(pictures=(PicturePart(),)),
    ],
)
def test_what_makes_no_sense_is_refused(world: SearchWorld, query: Query) -> None:
    world.add("a", [RED, GREEN])
    with pytest.raises(UsageProblem):
        world.searcher.search(query)


@pytest.mark.parametrize(
    "query",
    [
        Query(regions=(RegionPart("b.svs", (0, 0, 9, 9)),)),
        Query(regions=(RegionPart("/no/such/file.svs", (0, 0, 9, 9)),)),
        Query(slides=(SlidePart("b" * 32),)),
        Query(pictures=(PicturePart("/no/such/picture.png"),)),
    ],
)
def test_what_is_not_there_is_told(world: SearchWorld, query: Query) -> None:
    world.add("a", [RED, GREEN])
    with pytest.raises(NotFound):
        world.searcher.search(query)


# --- filters and groups -----------------------------------------------------------------------------------------------


def test_filters_leave_out_slides_but_not_what_scores_mean(world: SearchWorld) -> None:
    world.add("a", [RED, GREEN], case="P1", collection="mine")
    world.add("b", [unit(3, 4, 0, 0), GREEN], case="P2")
    result = world.searcher.search(_words("red", filters=SlideFilter(cases=("P2",))))
    assert _places(result) == [("b", 0), ("b", 1)]
    # Three of the four patches of the whole index score at most 0.6.
    assert result.hits[0].percentile == 75
    assert (result.searched.patches, result.searched.slides) == (2, 1)
    mine = world.searcher.search(_words("red", filters=SlideFilter(collections=("mine",))))
    assert {hit.slide_id[0] for hit in mine.hits} == {"a"}
    nothing = world.searcher.search(_words("red", filters=SlideFilter(cases=("P9",))))
    assert (nothing.hits, nothing.stands_out, nothing.searched.patches) == ((), False, 0)


def test_only_tilings_of_some_mpp(world: SearchWorld) -> None:
    world.add("a", [RED, GREEN])
    world.add("a", [RED, RED], patch_mpp_um=1.0, size0_px=200.0, at=[(500, 0), (700, 0)])
    result = world.searcher.search(_words("red", patch_mpp_um=(1.0,)))
    assert [(hit.x0_px, hit.size0_px) for hit in result.hits] == [(500, 200), (700, 200)]
    assert (result.searched.patches, result.searched.slides) == (2, 1)


def test_groups_of_slides_and_cases(world: SearchWorld) -> None:
    world.add("a", [unit(9, 1, 0, 0), unit(8, 2, 0, 0), unit(7, 3, 0, 0)], case="P1")
    world.add("b", [unit(6, 2, 0, 0), unit(6, 3, 0, 0)], case="P1")
    world.add("c", [unit(6, 4, 0, 0)])
    world.add("d", [unit(6, 5, 0, 0)])
    by_slide = world.searcher.search(_words("red", k=3, group="slide"))
    assert _places(by_slide) == [("a", 0), ("b", 0), ("c", 0)]
    assert [hit.rank for hit in by_slide.hits] == [1, 2, 3]
    two_each = world.searcher.search(_words("red", k=2, group="slide", per_group=2))
    assert _places(two_each) == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    by_case = world.searcher.search(_words("red", k=2, group="case", per_group=3))
    assert _places(by_case) == [("a", 0), ("a", 1), ("b", 0), ("c", 0)]
    assert _places(world.searcher.search(_words("red", k=9, group="case"))) == [("a", 0), ("c", 0), ("d", 0)]


def test_groups_are_found_behind_thousands_of_better_patches_of_one_slide(tmp_path: Path) -> None:
    settings_ = IndexSettings(length=5, graph_from_rows=1000, segment_rows=4000, breadth=50, candidates=50)
    world = SearchWorld(tmp_path, words={"red": RED}, settings=settings_)
    random = np.random.default_rng(0)
    near = np.abs(random.normal(0, 0.02, (6000, 4))).astype(np.float32) + RED
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    world.add("a", near)
    for letter in "bcdef":
        world.add(letter, [unit(2, 1 + ord(letter) / 1000, 0, 0)])
    world.index.load_or_build()
    assert len(world.index.current().segments) == 2
    result = world.searcher.search(_words("red", k=6, group="slide"))
    assert [hit.slide_id[0] for hit in result.hits] == list("abcdef")
    world.close()


def test_neighbours_of_one_spot_are_merged(world: SearchWorld) -> None:
    vectors = [unit(9, number, 0, 0) for number in range(4)]
    world.add("a", vectors, at=[(0, 0), (50, 0), (0, 50), (400, 0)])
    merged = world.searcher.search(_words("red"))
    assert [(hit.x0_px, hit.merged) for hit in merged.hits] == [(0, 3), (400, 1)]
    assert len(world.searcher.search(_words("red", merge_neighbours=False)).hits) == 4


def test_merging_goes_on_until_there_are_enough_spots(world: SearchWorld) -> None:
    vectors = [unit(900, number, 0, 0) for number in range(400)]
    world.add("a", vectors, at=[(number // 8, 300 * (number // 100)) for number in range(400)])
    result = world.searcher.search(_words("red", k=4))
    assert [hit.y0_px for hit in result.hits] == [0, 300, 600, 900]


# --- regions ----------------------------------------------------------------------------------------------------------


def test_a_region_uses_what_is_stored_and_leaves_itself_out(world: SearchWorld) -> None:
    world.add("a", [RED, unit(9, 1, 0, 0), GREEN])
    world.add("b", [unit(8, 2, 0, 0)])
    region = RegionPart("a.svs", box=(0, 0, 100, 100))
    result = world.searcher.search(Query(regions=(region,)))
    assert _places(result) == [("a", 1), ("b", 0), ("a", 2)]
    assert world.encoder.shown == []
    assert _places(world.searcher.search(Query(regions=(region,), include_query=True)))[0] == ("a", 0)


def test_a_region_of_many_patches_is_matched_by_the_best_or_the_mean(world: SearchWorld) -> None:
    world.add("a", [RED, GREEN, BLUE])
    world.add("b", [unit(9, 1, 0, 0), unit(1, 1, 0, 0), BLUE])
    box = (0.0, 0.0, 200.0, 100.0)
    by_best = world.searcher.search(Query(regions=(RegionPart("a.svs", box),)))
    assert _places(by_best)[:2] == [("b", 0), ("b", 1)]
    assert by_best.hits[0].score == pytest.approx(9 / math.sqrt(82), abs=1e-3)
    by_mean = world.searcher.search(Query(regions=(RegionPart("a.svs", box, combine="mean"),)))
    assert _places(by_mean)[:2] == [("b", 1), ("b", 0)]
    assert by_mean.hits[0].score == pytest.approx(math.sqrt(0.5), abs=1e-3)


def test_a_patch_belongs_to_a_region_if_more_than_half_of_it_is_inside(world: SearchWorld) -> None:
    world.add("a", [RED, GREEN, BLUE])
    result = world.searcher.search(Query(regions=(RegionPart("a.svs", (40, 0, 110, 100)),)))
    # 60 % of the first patch and exactly half of the second.
    assert set(_places(result)) == {("a", 1), ("a", 2)}
    assert result.hits[0].score == pytest.approx(0, abs=1e-3)


def test_a_polygon_takes_the_patches_inside_it(world: SearchWorld) -> None:
    world.add("a", [RED, GREEN, BLUE], at=[(0, 0), (100, 0), (0, 100)])
    world.add("b", [RED, GREEN, BLUE])
    # A triangle over all of the first patch and half each of the others: these are not more than half inside.
    triangle = ((0.0, 0.0), (200.0, 0.0), (0.0, 200.0))
    result = world.searcher.search(Query(regions=(RegionPart("a.svs", polygon=triangle),), k=1))
    assert _places(result) == [("b", 0)]


def test_a_region_larger_than_the_slide_is_cut(world: SearchWorld) -> None:
    world.add("a", [RED, GREEN])
    world.add("b", [RED])
    result = world.searcher.search(Query(regions=(RegionPart("a.svs", (-1e6, -1e6, 3e6, 3e6)),)))
    assert _places(result) == [("b", 0)]


# --- slides -----------------------------------------------------------------------------------------------------------


def test_slides_rank_by_the_median_of_their_best_matches(world: SearchWorld) -> None:
    world.add("a", [RED, GREEN, BLUE])
    # Best matches for red, green, blue: 1, 1, 0; median 1.
    world.add("b", [RED, GREEN, unit(0, 0, 0, 1)])
    # 0.8, 0.8, 0.6; median 0.8.
    world.add("c", [unit(4, 0, 3, 0), unit(0, 4, 3, 0)])
    # 1, 0, 0; median 0, although one patch is the very same.
    world.add("d", [RED, RED])
    result = world.searcher.search(Query(slides=(SlidePart("a.svs"),)))
    assert [hit.slide_id[0] for hit in result.hits] == ["b", "c", "d"]
    np.testing.assert_allclose([hit.score for hit in result.hits], [1, 0.8, 0], atol=1e-3)
    assert result.hits[1].x0_px in (0, 100)
    again = world.searcher.search(Query(slides=(SlidePart("a.svs"),), include_query=True, k=1))
    assert [hit.slide_id[0] for hit in again.hits] == ["a"]


def test_slides_grouped_by_case_show_each_case_once(world: SearchWorld) -> None:
    world.add("a", [RED, GREEN, BLUE])
    world.add("b", [RED, GREEN], case="P")
    world.add("c", [RED, GREEN, unit(0, 9, 1, 0)], case="P")
    world.add("d", [unit(1, 1, 0, 0)])
    result = world.searcher.search(Query(slides=(SlidePart("a.svs"),), group="case"))
    assert [hit.case for hit in result.hits] == ["P", None]
    two = world.searcher.search(Query(slides=(SlidePart("a.svs"),), group="slide", per_group=2, k=1))
    assert len(two.hits) == 2
    assert len({hit.slide_id for hit in two.hits}) == 1


def test_among_many_slides_the_likely_ones_are_compared(tmp_path: Path) -> None:
    world = SearchWorld(tmp_path, dim=8, words={"tissue": unit(1, 0, 0, 0, 0, 0, 0, 0)})
    letters = "0123456789abcdef"
    asked = unit_vectors(12, 8, seed=0, clusters=3)
    world.add("0", asked)
    names = []
    for number in range(224):
        name = letters[1 + number // 15] + letters[1 + number % 15]
        vectors = unit_vectors(5, 8, seed=number + 1)
        world.add(name, vectors[:, ::-1] if number else asked[::-1])
        names.append(name)
    result = world.searcher.search(Query(slides=(SlidePart("0.svs"),), k=3))
    assert result.hits[0].name == f"{names[0]}.svs"
    assert result.hits[0].score == pytest.approx(1, abs=1e-3)
    world.close()


# --- mixes ------------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 10_000), weights=st.tuples(*[st.sampled_from([-1.0, -0.5, 0.5, 1.0, 2.0])] * 3))
@settings(max_examples=15, deadline=None)
def test_a_mix_is_ranked_as_numpy_ranks_it(
    tmp_path_factory: pytest.TempPathFactory, seed: int, weights: tuple[float, float, float]
) -> None:
    words = {f"w{number}": vector for number, vector in enumerate(unit_vectors(2, 12, seed=seed))}
    world = SearchWorld(tmp_path_factory.mktemp("mix"), dim=12, words=words)
    stored = unit_vectors(150, 12, seed=seed + 1)
    world.add("a", stored)
    query = Query(
        texts=(TextPart("w0", weights[0]), TextPart("w1", weights[1])),
        regions=(RegionPart("a.svs", (0, 0, 200, 100), weight=weights[2]),),
        k=148,
        include_query=True,
    )
    result = world.searcher.search(query)
    halves = stored.astype(np.float16).astype(np.float64)
    scores = [halves @ words["w0"], halves @ words["w1"], (halves @ halves[:2].T).max(axis=1)]
    total = np.zeros(150)
    for weight, score in zip(weights, scores, strict=True):
        median = np.median(score)
        z = (score - median) / (1.4826 * np.median(np.abs(score - median)))
        total += weight * (np.maximum(z, 0) if weight < 0 < max(weights) else z)
    total /= sum(map(abs, weights))
    found = [hit.x0_px // 100 for hit in result.hits]
    np.testing.assert_allclose([hit.score for hit in result.hits], np.sort(total)[::-1][:148], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(total[found], np.sort(total)[::-1][:148], rtol=1e-3, atol=1e-3)
    world.close()


def test_a_slide_in_a_mix_scores_patches_by_their_best_match(world: SearchWorld) -> None:
    world.add("a", [RED, GREEN])
    world.add("b", [unit(1, 0, 1, 0), unit(0, 1, 0, 1), BLUE, unit(0, 0, 0, 1), unit(0, 0, 1, 1)])
    query = Query(texts=(TextPart("blue"),), slides=(SlidePart("a.svs"),), k=1)
    assert _places(world.searcher.search(query)) == [("b", 0)]


# --- change, threads --------------------------------------------------------------------------------------------------


def test_slides_come_and_go_between_queries(world: SearchWorld) -> None:
    first = world.add("a", [RED])
    assert _places(world.searcher.search(_words("red"))) == [("a", 0)]
    world.add("b", [unit(9, 1, 0, 0)])
    assert _places(world.searcher.search(_words("red"))) == [("a", 0), ("b", 0)]
    assert world.searcher.search(_words("red")).searched.slides == 2
    world.catalogue.slides.change("b" * 32, case="P7")
    assert world.searcher.search(_words("red")).hits[1].case == "P7"
    world.catalogue.slides.remove("a" * 32)
    assert _places(world.searcher.search(_words("red"))) == [("b", 0)]
    world.index.remove(first)
    result = world.searcher.search(_words("red"))
    assert (_places(result), result.searched.patches) == ([("b", 0)], 1)


def test_many_ask_at_once(world: SearchWorld) -> None:
    for number, letter in enumerate("abcdef"):
        world.add(letter, unit_vectors(40, 4, seed=number), case=f"P{number % 2}")
    queries = [
        *(_words(word, k=7) for word in world.encoder.words),
        _words("red", group="case", per_group=3),
        Query(regions=(RegionPart("a.svs", (0, 0, 500, 100)),)),
        Query(slides=(SlidePart("b.svs"),)),
        Query(texts=(TextPart("red"), TextPart("blue", -0.5)), k=9),
    ]

    def answer(query: Query) -> tuple[object, bool]:
        result = world.searcher.search(query)
        return result.hits, result.stands_out

    alone = [answer(query) for query in queries]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(answer, queries * 5))
    assert together == alone * 5


def test_slides_that_only_other_encoders_or_weights_have_seen_are_told(world: SearchWorld) -> None:
    for number, encoder_id in ((1, "known"), (2, "known"), (3, "plip")):
        other = embedding(number, encoder="0" * 32, encoder_id=encoder_id)
        world.catalogue.embeddings.commit(slide(number), [other])
    both = (
        "2 slides (20 patches) were indexed with other weights or settings of known and are not searched: index them "
        "again, or remove what is left with 'plipdesk doctor --repair'.",
        "1 slide is indexed with plip, not with known, and not searched: index with this encoder too, or search with "
        "that one.",
    )
    assert world.searcher.search(_words("red")).notes == both
    world.add("a", [RED])
    world.index.load_or_build()
    assert world.searcher.search(_words("red")).notes == both
    # A slide that this encoder has seen as well is searched: nothing to tell of it.
    for number in (1, 2, 3):
        seen = embedding(number, encoder=world.encoder.fingerprint, encoder_id="known", tiling_id="u" * 16)
        world.catalogue.embeddings.commit(slide(number), [seen])
    assert world.searcher.search(_words("red")).notes == ()


def test_an_index_that_is_loading_answers_and_says_so(world: SearchWorld) -> None:
    world.add("a", [RED])
    result = world.searcher.search(_words("red"))
    assert result.hits
    assert "still loading" in result.notes[-1]
    world.index.load_or_build()
    assert world.searcher.search(_words("red")).notes == ()
