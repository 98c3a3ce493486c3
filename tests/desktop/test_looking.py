"""Rotation, kinetic movement, looks and rasters: plain numbers, no Qt."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plipdesk.desktop.viewer.camera import Camera, Rect, Viewport
from plipdesk.desktop.viewer.look import Look
from plipdesk.desktop.viewer.motion import SLOWING_S, Glide, Hand
from plipdesk.desktop.viewer.rasters import heat_colours, mask_raster, patch_raster

VIEW = Viewport(800, 600)
WHOLE = Camera.fitting(20_000, 15_000, VIEW)


def test_a_quarter_turn_brings_the_top_to_the_right() -> None:
    turned = Camera(20_000, 15_000, 10_000, 7_500, 0.1).turned(90)
    assert turned.to_screen(10_000, 6_500, VIEW) == pytest.approx((500, 300))
    assert turned.to_screen(11_000, 7_500, VIEW) == pytest.approx((400, 400))
    seen = turned.seen(VIEW)
    assert (seen.width, seen.height) == pytest.approx((6_000, 8_000))
    assert turned.turned(270).rotation_deg == 0


@given(st.floats(0, 359), st.floats(0, 800), st.floats(0, 600), st.floats(1, 10))
def test_screen_and_slide_agree_at_every_angle(angle: float, x: float, y: float, factor: float) -> None:
    camera = WHOLE.moved_to(9_000, 8_000).turned(angle)
    there = camera.to_slide(x, y, VIEW)
    assert camera.to_screen(*there, VIEW) == pytest.approx((x, y), abs=1e-6)
    on_slide = 0 <= there[0] <= 20_000 and 0 <= there[1] <= 15_000
    if on_slide:
        assert camera.zoomed(factor, x, y, VIEW).to_slide(x, y, VIEW) == pytest.approx(there, abs=1)


def test_panning_follows_the_screen_whatever_the_angle() -> None:
    camera = Camera(20_000, 15_000, 10_000, 7_500, 0.5).turned(90).panned(100, 0)
    assert (camera.x0_px, camera.y0_px) == pytest.approx((10_000, 7_300))


def test_a_turned_slide_fits_whole() -> None:
    turned = WHOLE.turned(30)
    turned = turned.with_zoom(turned.fit_zoom(VIEW), VIEW)
    for x, y in ((0, 0), (20_000, 0), (20_000, 15_000), (0, 15_000)):
        right, down = turned.to_screen(x, y, VIEW)
        assert 0 <= right <= 800
        assert 0 <= down <= 600


def test_objectives_step_up_and_down_exactly() -> None:
    camera = WHOLE.at_magnification(7, 0.25, VIEW)
    up = camera.next_objective(1, 0.25, VIEW)
    assert up.magnification(0.25, VIEW) == pytest.approx(10)
    assert up.next_objective(1, 0.25, VIEW).magnification(0.25, VIEW) == pytest.approx(20)
    assert up.next_objective(-1, 0.25, VIEW).magnification(0.25, VIEW) == pytest.approx(5)


def test_a_thrown_slide_glides_and_comes_to_rest() -> None:
    hand = Hand()
    for tenth in range(5):
        hand.at(100 + 10 * tenth, 50, tenth * 0.01)
    glide = hand.let_go(0.04)
    assert glide is not None
    assert glide.x_px_per_s == pytest.approx(1000)
    assert glide.way_px(0.04) == (0, 0)
    assert glide.way_px(100)[0] == pytest.approx(1000 * SLOWING_S)
    assert not glide.at_rest(0.1)
    assert glide.at_rest(2.0)


def test_who_stops_before_letting_go_does_not_throw() -> None:
    hand = Hand()
    hand.at(0, 0, 0.0)
    hand.at(200, 0, 0.05)
    hand.at(200, 0, 0.3)
    assert hand.let_go(0.31) is None
    assert Hand().let_go(1.0) is None
    assert Glide(1, 0, 0).at_rest(0)


def test_a_neutral_look_changes_nothing_and_others_what_they_say() -> None:
    pixels = bytes(range(256))
    assert Look().neutral
    assert Look().applied(pixels) == pixels
    assert Look(brightness=100).applied(b"\x00\x80\xff") == bytes([128, 255, 255])
    assert set(Look(contrast=-100).applied(pixels)) == {128}
    assert Look(gamma=2.0).applied(b"\x40")[0] == round((64 / 255) ** 0.5 * 255)
    steep = Look(contrast=50).table()
    assert steep[0] == 0
    assert steep[255] == 255
    assert list(steep) == sorted(steep)


def test_patches_become_a_picture_of_one_pixel_each() -> None:
    x0 = np.array([0, 100, 200], np.int32)
    y0 = np.array([0, 0, 100], np.int32)
    colours = np.array([[1, 2, 3, 255], [4, 5, 6, 255], [7, 8, 9, 255]], np.uint8)
    raster = patch_raster(x0, y0, 100.0, colours)
    assert raster is not None
    assert raster.rect == Rect(0, 0, 300, 200)
    assert raster.rgba.shape == (2, 3, 4)
    assert raster.rgba[1, 2].tolist() == [7, 8, 9, 255]
    assert raster.rgba[1, 0].tolist() == [0, 0, 0, 0]
    assert patch_raster(x0[:0], y0[:0], 100.0, colours[:0]) is None


def test_overlapping_patches_get_finer_cells() -> None:
    x0 = np.arange(0, 500, 50, dtype=np.int32)
    raster = patch_raster(x0, np.zeros_like(x0), 100.0, np.array([9, 9, 9, 9], np.uint8))
    assert raster is not None
    assert raster.rgba.shape == (2, 11, 4)
    assert (raster.rgba[..., 3] == 9).all()


def test_heat_runs_from_dark_to_bright() -> None:
    colours = heat_colours(np.array([-1.0, 0.0, 0.5, 1.0, 2.0]), low=0, high=1)
    assert colours[0].tolist() == colours[1].tolist() == [68, 1, 84, 200]
    assert colours[3].tolist() == colours[4].tolist() == [253, 231, 37, 200]


def test_a_mask_has_a_line_around_it() -> None:
    mask = np.zeros((8, 8), bool)
    mask[1:7, 1:7] = True
    raster = mask_raster(mask, 4.0, (0, 200, 0))
    assert raster.rgba[0, 0, 3] == 0
    assert raster.rgba[1, 1, 3] == 255
    assert raster.rgba[3, 3, 3] == 50
    assert raster.rect == Rect(0, 0, 32, 32)
