"""Which tiles are asked for, in which order, and what is kept: no Qt."""

from __future__ import annotations

from plipdesk.desktop.state.lru import Lru
from plipdesk.desktop.viewer.camera import Rect
from plipdesk.desktop.viewer.pyramid import Pyramid, TileKey
from plipdesk.desktop.viewer.scheduler import TileScheduler

PYRAMID = Pyramid(20_000, 15_000, 512)
VIEW = Rect(8_000, 6_000, 1_000, 800)


def scheduler(cache: set[TileKey], **options: int) -> TileScheduler:
    return TileScheduler(PYRAMID, cache.__contains__, **options)


def answer_all(tiles: TileScheduler, cache: set[TileKey]) -> list[TileKey]:
    """Answer every request until nothing is due; returns the order."""
    order = []
    while due := tiles.due():
        for key in due:
            cache.add(key)
            tiles.answered(key, "pixels")
        order += due
    return order


def test_coarse_comes_before_sharp_and_sharp_before_the_ring() -> None:
    cache: set[TileKey] = set()
    tiles = scheduler(cache)
    tiles.look(VIEW, 1.0)
    order = answer_all(tiles, cache)
    levels = [key.level for key in order]
    assert order[0] == PYRAMID.top
    coarse, sharp = levels.index(2), levels.index(0)
    assert coarse < sharp
    seen = set(PYRAMID.covering(0, VIEW))
    first_guess = next(place for place, key in enumerate(order) if key.level == 0 and key not in seen)
    assert seen <= set(order[:first_guess])
    assert tiles.at_rest()


def test_no_more_requests_are_open_than_allowed() -> None:
    tiles = scheduler(set(), open_limit=4)
    tiles.look(VIEW, 1.0)
    assert len(tiles.due()) == 4
    assert tiles.due() == []


def test_neighbours_are_fetched_one_at_a_time_once_all_is_sharp() -> None:
    cache = {PYRAMID.top, *PYRAMID.covering(0, VIEW), *PYRAMID.covering(2, VIEW)}
    tiles = scheduler(cache)
    tiles.look(VIEW, 1.0)
    assert tiles.at_rest()
    assert len(tiles.due()) == 1
    assert tiles.due() == []


def test_a_movement_makes_a_generation_and_forgets_what_is_out_of_sight() -> None:
    cache: set[TileKey] = set()
    tiles = scheduler(cache, open_limit=3)
    tiles.look(VIEW, 1.0)
    first = tiles.due()
    before = tiles.generation
    elsewhere = Rect(1_000, 1_000, 600, 600)
    tiles.look(elsewhere, 1.0)
    assert tiles.generation == before + 1
    for key in first:
        tiles.answered(key, "dropped")
    order = answer_all(tiles, cache)
    wanted = set(PYRAMID.covering(0, elsewhere)) | set(PYRAMID.covering(2, elsewhere)) | {PYRAMID.top}
    assert wanted <= set(order)
    assert set(PYRAMID.covering(0, VIEW)).isdisjoint(order)


def test_looking_at_the_same_tiles_keeps_the_generation() -> None:
    tiles = scheduler(set())
    tiles.look(VIEW, 1.0)
    before = tiles.generation
    tiles.look(Rect(VIEW.x + 3, VIEW.y, VIEW.width, VIEW.height), 1.0)
    assert tiles.generation == before


def test_a_dropped_tile_that_is_still_wanted_is_asked_again() -> None:
    tiles = scheduler(set(), open_limit=1)
    tiles.look(VIEW, 1.0)
    (key,) = tiles.due()
    tiles.answered(key, "dropped")
    assert tiles.due() == [key]


def test_an_unreadable_tile_is_not_asked_again_and_does_not_keep_the_view_from_rest() -> None:
    cache: set[TileKey] = set()
    tiles = scheduler(cache)
    tiles.look(VIEW, 1.0)
    broken = PYRAMID.covering(0, VIEW)[0]
    asked = []
    while due := tiles.due():
        for key in due:
            asked.append(key)
            if key != broken:
                cache.add(key)
            tiles.answered(key, "failed" if key == broken else "pixels")
    assert asked.count(broken) == 1
    assert tiles.at_rest()


def test_the_cache_forgets_what_was_not_used_for_longest() -> None:
    cache: Lru[str, int] = Lru(3)
    for name in "abc":
        cache.put(name, 1, 1)
    assert cache.get("a") == 1
    cache.put("d", 1, 1)
    assert "b" not in cache
    assert list(cache) == ["c", "a", "d"]
    assert cache.cost == 3


def test_pinned_values_stay_and_the_newest_is_always_kept() -> None:
    cache: Lru[str, int] = Lru(3)
    cache.put("top", 1, 1)
    cache.pinned.add("top")
    cache.put("huge", 1, 10)
    assert "top" in cache
    assert "huge" in cache
    cache.put("huge", 2, 2)
    assert cache.cost == 3
    cache.clear()
    assert len(cache) == 0
    assert cache.cost == 0
