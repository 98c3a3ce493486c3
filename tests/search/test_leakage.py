"""The leakage meter on indexes whose neighbours can be counted by hand."""

from __future__ import annotations

import pytest

from plipdesk.search.leakage import scanner_of, site_of
from plipdesk.search.query import Query, TextPart
from tests.catalogue.helpers import slide
from tests.search.world import SearchWorld, unit
from tests.vectors import unit_vectors

RED, GREEN = unit(1, 0, 0, 0), unit(0, 1, 0, 0)


def _red(k: int = 1, *, leakage: bool = True) -> Query:
    return Query(texts=(TextPart("red"),), k=k, leakage=leakage)


def test_it_is_measured_only_where_asked_for(world: SearchWorld) -> None:
    world.add("a", [RED, GREEN])
    assert world.searcher.search(_red(leakage=False)).leakage is None


def test_all_neighbours_are_counted_where_there_are_few(world: SearchWorld) -> None:
    # Of the best hit, a's first: three others, of which two are of slide a, all of one collection, none of a scanner.
    world.add("a", [RED, unit(4, 1, 0, 0), GREEN], collection="colon")
    world.add("b", [unit(3, 1, 0, 0)], collection="colon")
    leakage = world.searcher.search(_red()).leakage
    assert leakage is not None
    assert leakage.neighbours == 10
    assert leakage.slide is not None
    assert (leakage.slide.share, leakage.slide.chance, leakage.slide.hits) == pytest.approx((2 / 3, 2 / 3, 1))
    assert leakage.site is not None
    assert (leakage.site.share, leakage.site.chance) == (1, 1)
    assert leakage.scanner is None


def test_slides_that_keep_to_themselves_leak_far_above_chance(world: SearchWorld) -> None:
    # Twelve patches each of four slides; each slide lies on an axis of its own, red is the first.
    for number, letter in enumerate("abcd"):
        axis = [float(number == place) for place in range(4)]
        near = [unit(*(value + 0.01 * step for value in axis)) for step in range(12)]
        world.add(letter, near, case=f"TCGA-A{number // 2}-000{number}")
    leakage = world.searcher.search(_red(5)).leakage
    assert leakage is not None
    assert leakage.slide is not None
    assert leakage.slide.share == 1
    assert leakage.slide.chance == pytest.approx(11 / 47)
    assert leakage.slide.hits == 5
    assert leakage.site is not None
    assert (leakage.site.share, leakage.site.chance) == pytest.approx((1, 23 / 47))


def test_patches_on_the_hits_own_spot_are_no_neighbours(world: SearchWorld) -> None:
    # The second shares half of the hit; left out, three remain, of which one is of slide a.
    world.add("a", [RED, unit(9, 1, 0, 0), GREEN], at=[(0, 0), (50, 0), (300, 0)])
    world.add("b", [unit(3, 1, 0, 0), GREEN])
    leakage = world.searcher.search(_red()).leakage
    assert leakage is not None
    assert leakage.slide is not None
    assert (leakage.slide.share, leakage.slide.chance) == pytest.approx((1 / 3, 1 / 3))


def test_what_does_not_know_of_slides_is_at_chance(world: SearchWorld) -> None:
    vectors = unit_vectors(600, 4)
    for number, letter in enumerate("abc"):
        world.add(letter, vectors[number * 200 : (number + 1) * 200], width_px=30_000)
    leakage = world.searcher.search(_red(40)).leakage
    assert leakage is not None
    assert leakage.slide is not None
    assert leakage.slide.chance == pytest.approx(199 / 599)
    assert abs(leakage.slide.share - leakage.slide.chance) < 0.1


def test_nobody_is_left_to_be_a_neighbour(world: SearchWorld) -> None:
    world.add("a", [RED])
    leakage = world.searcher.search(_red()).leakage
    assert leakage is not None
    assert (leakage.slide, leakage.site) == (None, None)


@pytest.mark.parametrize(
    ("case", "name", "collections", "site"),
    [
        ("TCGA-3L-AA1B", "x.svs", ("colon",), "TCGA-3L"),
        (None, "TCGA-3l-aa1b-01Z-00-DX1.svs", (), "TCGA-3L"),
        ("C3L-00081", "x.svs", ("colon",), "c3l"),
        ("P1", "x.svs", ("colon",), "colon"),
        ("P1", "x.svs", ("colon", "all"), None),
        (None, "x.svs", (), None),
    ],
)
def test_sites_are_read_from_barcodes_prefixes_and_collections(
    case: str | None, name: str, collections: tuple[str, ...], site: str | None
) -> None:
    assert site_of(slide(1, case=case, name=name), collections) == site


def test_a_format_is_no_scanner() -> None:
    assert scanner_of(slide(1, vendor="Hamamatsu")) == "hamamatsu"
    assert scanner_of(slide(1, vendor="generic-tiff")) is None
    assert scanner_of(slide(1, vendor=None)) is None
