"""The camera, the scale bar and the pyramid: plain numbers, no Qt."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plipdesk.desktop.viewer.camera import MAX_ZOOM, Camera, Rect, Viewport, rect_between
from plipdesk.desktop.viewer.pyramid import Pyramid, TileKey
from plipdesk.desktop.viewer.scale import length_label, scale_bar

VIEW = Viewport(800, 600)
WHOLE = Camera.fitting(20_000, 15_000, VIEW)


def test_fitting_shows_the_whole_slide_in_the_middle() -> None:
    seen = WHOLE.seen(VIEW)
    assert WHOLE.to_screen(10_000, 7_500, VIEW) == (400, 300)
    assert seen.x < 0
    assert seen.y < 0
    assert seen.right > 20_000
    assert seen.bottom > 15_000


def test_a_point_under_the_cursor_stays_there_while_zooming() -> None:
    before = WHOLE.to_slide(120, 430, VIEW)
    closer = WHOLE.zoomed(8, 120, 430, VIEW)
    assert closer.zoom == pytest.approx(8 * WHOLE.zoom)
    assert closer.to_slide(120, 430, VIEW) == pytest.approx(before)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["pan", "zoom"]), st.floats(-5000, 5000), st.floats(-5000, 5000), st.floats(0.01, 100)
        ),
        max_size=12,
    )
)
def test_no_movement_loses_the_slide_from_sight(steps: list[tuple[str, float, float, float]]) -> None:
    camera = WHOLE
    for kind, x, y, factor in steps:
        camera = camera.panned(x, y) if kind == "pan" else camera.zoomed(factor, x, y, VIEW)
    seen = camera.seen(VIEW)
    assert seen.clipped(Rect(0, 0, 20_000, 15_000)) is not None
    assert 0 < camera.zoom <= MAX_ZOOM


@given(st.floats(0, 20_000), st.floats(0, 15_000), st.floats(0.03, 16))
def test_screen_and_slide_are_inverse(x: float, y: float, zoom: float) -> None:
    camera = Camera(20_000, 15_000, 8_000, 7_000, zoom)
    assert camera.to_slide(*camera.to_screen(x, y, VIEW), VIEW) == pytest.approx((x, y), abs=1e-6)


def test_objectives_are_exact_in_device_pixels() -> None:
    # A slide scanned at 0.25 µm/px shows at 40x one slide pixel on one pixel of the display.
    plain, doubled = Viewport(800, 600, 1.0), Viewport(800, 600, 2.0)
    assert WHOLE.at_magnification(40, 0.25, plain).zoom == 1.0
    assert WHOLE.at_magnification(40, 0.25, doubled).zoom == 0.5
    assert WHOLE.at_magnification(20, 0.25, plain).magnification(0.25, plain) == pytest.approx(20)


def test_showing_a_patch_centres_it() -> None:
    camera = WHOLE.showing(Rect(1000, 2000, 448, 448), VIEW, share=0.4)
    assert (camera.x0_px, camera.y0_px) == (1224, 2224)
    assert 448 * camera.zoom == pytest.approx(0.4 * 600)


def test_boxes_are_cut_at_the_edges() -> None:
    assert rect_between(5, 9, -3, 2) == Rect(-3, 2, 8, 7)
    assert rect_between(5, 9, -3, 2).clipped(Rect(0, 0, 4, 4)) == Rect(0, 2, 4, 2)
    assert Rect(0, 0, 2, 2).clipped(Rect(2, 0, 4, 4)) is None


@pytest.mark.parametrize(
    ("um_per_px", "length_um", "label"),
    [(0.25, 20, "20 µm"), (0.5, 50, "50 µm"), (1.0, 100, "100 µm"), (20, 2000, "2 mm"), (0.01, 1, "1 µm")],
)
def test_scale_bars_are_round(um_per_px: float, length_um: float, label: str) -> None:
    bar = scale_bar(um_per_px, 120)
    assert bar.length_um == pytest.approx(length_um)
    assert bar.label == label
    assert bar.length_px == pytest.approx(length_um / um_per_px)


@given(st.floats(1e-3, 1e4), st.floats(20, 400))
def test_a_scale_bar_fits_and_is_not_tiny(um_per_px: float, longest_px: float) -> None:
    bar = scale_bar(um_per_px, longest_px)
    assert longest_px * 0.39 < bar.length_px <= longest_px * 1.0001
    first = bar.length_um / 10 ** math.floor(math.log10(bar.length_um) + 1e-9)
    assert round(first, 6) in (1, 2, 5)


def test_lengths_have_units() -> None:
    assert [length_label(value) for value in (0.5, 12.0, 999, 1500)] == ["0.5 µm", "12 µm", "999 µm", "1.5 mm"]


def test_the_top_tile_holds_the_whole_slide() -> None:
    pyramid = Pyramid(20_000, 15_000, 512)
    assert pyramid.top == TileKey(6, 0, 0)
    assert pyramid.rect(pyramid.top) == Rect(0, 0, 20_000, 15_000)
    assert max(pyramid.size_px(pyramid.top)) <= 512
    assert Pyramid(300, 200, 512).top == TileKey(0, 0, 0)


@pytest.mark.parametrize(("zoom", "level"), [(4, 0), (1, 0), (0.75, 0), (0.5, 1), (0.3, 1), (0.25, 2), (1e-9, 6)])
def test_tiles_are_never_enlarged_below_full_resolution(zoom: float, level: int) -> None:
    assert Pyramid(20_000, 15_000, 512).level_for(zoom) == level


def test_tiles_cover_the_view_nearest_first_and_edges_are_cut() -> None:
    pyramid = Pyramid(1200, 900, 512)
    keys = pyramid.covering(0, Rect(500, 500, 100, 100))
    assert set(keys) == {TileKey(0, 0, 0), TileKey(0, 1, 0), TileKey(0, 0, 1), TileKey(0, 1, 1)}
    assert keys[0] == TileKey(0, 1, 1)
    assert pyramid.rect(TileKey(0, 2, 1)) == Rect(1024, 512, 176, 388)
    assert pyramid.size_px(TileKey(0, 2, 1)) == (176, 388)
    assert pyramid.covering(0, Rect(5000, 5000, 10, 10)) == []
    assert pyramid.ancestor(TileKey(0, 5, 3), 2) == TileKey(2, 1, 0)


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(0, 4), st.data())
def test_every_seen_point_lies_in_a_tile(width: int, height: int, level: int, data: st.DataObject) -> None:
    pyramid = Pyramid(width, height, 256)
    x, y = data.draw(st.floats(0, width - 0.5)), data.draw(st.floats(0, height - 0.5))
    keys = pyramid.covering(level, Rect(x - 10, y - 10, 30, 30))
    assert any(rect.x <= x <= rect.right and rect.y <= y <= rect.bottom for rect in (pyramid.rect(key) for key in keys))
