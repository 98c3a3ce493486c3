"""The patch grid: positions checked by hand, edges, shares of tissue, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from plipdesk.base.errors import UsageProblem
from plipdesk.slides.errors import SlideProblem
from plipdesk.slides.tiling import EDGE_STRIP, Tiling, TilingSettings, plan_tiling
from plipdesk.slides.tissue import TissueMask, all_tissue
from tests.slides.array_reader import info_of


def tiled(
    width_px: int,
    height_px: int,
    wanted: TilingSettings,
    *,
    mpp_um: float | None = 0.5,
    mask: TissueMask | None = None,
) -> Tiling:
    info = info_of(width_px, height_px, mpp_um=mpp_um)
    return plan_tiling(info, mask or all_tissue(info), wanted, mpp_um=mpp_um)


def corners(tiling: Tiling) -> set[tuple[int, int]]:
    return set(zip(tiling.x0_px.tolist(), tiling.y0_px.tolist(), strict=True))


def test_a_grid_by_hand() -> None:
    # 100 px at 1 µm on a slide of 0.5 µm: 200 level-0 pixels each.
    tiling = tiled(600, 400, TilingSettings(100, 1.0))
    assert tiling.size0_px == 200
    assert corners(tiling) == {(0, 0), (200, 0), (400, 0), (0, 200), (200, 200), (400, 200)}
    assert tiling.x0_px.dtype == np.int32
    assert tiling.y0_px.dtype == np.int32
    assert tiling.notes == ()


def test_neighbours_follow_each_other() -> None:
    tiling = tiled(400, 400, TilingSettings(100, 0.5))
    places = list(zip((tiling.x0_px // 100).tolist(), (tiling.y0_px // 100).tolist(), strict=True))
    assert places[:8] == [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (3, 0), (2, 1), (3, 1)]


def test_overlap_by_hand() -> None:
    tiling = tiled(400, 100, TilingSettings(100, 0.5, overlap=0.25))
    assert sorted(tiling.x0_px.tolist()) == [0, 75, 150, 225, 300]


def test_a_broad_strip_at_the_far_edge_gets_patches_flush_with_it() -> None:
    assert sorted(tiled(240, 100, TilingSettings(100, 0.5)).x0_px.tolist()) == [0, 100, 140]
    assert sorted(tiled(220, 100, TilingSettings(100, 0.5)).x0_px.tolist()) == [0, 100]


def test_a_fractional_size_is_rounded_position_by_position() -> None:
    # 100 px at 0.5 µm on a slide of 0.3 µm: 166.67 level-0 pixels each; errors do not add up.
    tiling = tiled(1000, 167, TilingSettings(100, 0.5), mpp_um=0.3)
    assert tiling.size0_px == pytest.approx(500 / 3)
    assert sorted(tiling.x0_px.tolist()) == [0, 167, 333, 500, 667, 833]


def test_patches_of_a_whole_number_of_pixels_lie_on_whole_pixels_of_their_level() -> None:
    tiling = tiled(4000, 3000, TilingSettings(100, 2.0, overlap=0.333))
    assert set((tiling.x0_px % 4).tolist()) == {0}
    assert set((tiling.y0_px % 4).tolist()) == {0}


@pytest.mark.parametrize(
    ("width_px", "height_px", "expected"),
    [(60, 80, {(-20, -10)}), (60, 300, {(-20, 0), (-20, 100), (-20, 200)}), (100, 100, {(0, 0)})],
)
def test_a_slide_smaller_than_a_patch_gets_one_centred_over_it(
    width_px: int, height_px: int, expected: set[tuple[int, int]]
) -> None:
    assert corners(tiled(width_px, height_px, TilingSettings(100, 0.5))) == expected


def test_no_patch_on_a_small_slide_without_tissue() -> None:
    mask = TissueMask(np.zeros((8, 6), dtype=bool), 10, "auto", 60, 80)
    assert len(tiled(60, 80, TilingSettings(100, 0.5), mask=mask).x0_px) == 0


def test_share_of_tissue_is_exact() -> None:
    # Tissue is x < 150: the second patch has half its area.
    mask = TissueMask(np.array([[True, True, True, False, False, False]]), 50, "auto", 300, 50)
    shares = {0.49: [0, 100], 0.5: [0, 100], 0.51: [0]}
    for share, expected in shares.items():
        found = tiled(300, 50, TilingSettings(50, 1.0, min_tissue=share), mask=mask)
        assert sorted(found.x0_px.tolist()) == expected
        assert found.y0_px.tolist() == [-25] * len(expected)


def test_mask_pixels_that_hang_over_the_edge_count_for_what_is_on_the_slide() -> None:
    mask = TissueMask(np.array([[False, True]]), 80, "auto", 100, 100)
    assert mask.area_mm2(1.0) == pytest.approx(20 * 80 / 1e6)
    settings_at = TilingSettings(100, 1.0, min_tissue=0.15)
    assert len(tiled(100, 100, settings_at, mpp_um=1.0, mask=mask).x0_px) == 1
    fewer = dataclasses.replace(settings_at, min_tissue=0.17)
    assert len(tiled(100, 100, fewer, mpp_um=1.0, mask=mask).x0_px) == 0


def test_a_fragment_as_small_as_a_patch_is_never_lost() -> None:
    # A round fragment, 100 px wide, centred where four patches meet: each holds a fifth of its area's share.
    y, x = np.mgrid[0:200, 0:200] + 0.5
    mask = TissueMask(np.hypot(x - 100, y - 100) <= 50, 1, "auto", 200, 200)
    assert len(tiled(200, 200, TilingSettings(100, 0.5), mask=mask).x0_px) == 4
    strand = TissueMask(np.broadcast_to(np.abs(x - 100) <= 25, (200, 200)).copy(), 1, "auto", 200, 200)
    assert len(tiled(200, 200, TilingSettings(100, 0.5), mask=strand).x0_px) == 4


def test_zero_share_still_takes_no_empty_patch() -> None:
    mask = TissueMask(np.array([[True, False, False, False]]), 100, "auto", 400, 100)
    assert tiled(400, 100, TilingSettings(100, 0.5, min_tissue=0), mask=mask).x0_px.tolist() == [0]


def test_unknown_mpp_is_refused_with_the_remedy() -> None:
    with pytest.raises(SlideProblem, match="not known") as caught:
        tiled(600, 400, TilingSettings(100, 1.0), mpp_um=None)
    assert caught.value.remedy is not None
    assert "--mpp" in caught.value.remedy


def test_enlargement_is_noted_and_bounded() -> None:
    assert tiled(400, 400, TilingSettings(100, 0.5), mpp_um=0.505).notes == ()
    (note,) = tiled(400, 400, TilingSettings(100, 0.5), mpp_um=1.0).notes
    assert "enlarged 2 times" in note
    assert tiled(400, 400, TilingSettings(100, 0.5), mpp_um=2.0).notes
    with pytest.raises(SlideProblem, match="too coarse"):
        tiled(400, 400, TilingSettings(100, 0.5), mpp_um=2.01)


@pytest.mark.parametrize(
    ("wanted", "word"),
    [
        ({"overlap": 1.0}, "overlap"),
        ({"overlap": -0.1}, "overlap"),
        ({"overlap": float("nan")}, "overlap"),
        ({"min_tissue": 1.5}, "share"),
        ({"patch_mpp_um": 0.0}, "MPP"),
        ({"patch_mpp_um": float("inf")}, "MPP"),
        ({"patch_px": 0}, "pixel"),
    ],
)
def test_settings_out_of_range(wanted: dict[str, float], word: str) -> None:
    with pytest.raises(UsageProblem, match=word):
        TilingSettings(**{"patch_px": 100, "patch_mpp_um": 0.5, **wanted})  # type: ignore[arg-type]


def test_an_overlap_that_leaves_no_step_or_absurdly_many_patches() -> None:
    with pytest.raises(UsageProblem, match="less than a pixel"):
        tiled(400, 400, TilingSettings(100, 0.5, overlap=0.995))
    with pytest.raises(UsageProblem, match="into"):
        tiled(100_000, 100_000, TilingSettings(100, 0.5, overlap=0.98))


def test_the_id_names_what_matters_and_nothing_else() -> None:
    base = TilingSettings(224, 0.5)
    assert len(base.tiling_id) == 16
    assert base.tiling_id == TilingSettings(224, 0.5, mask_sha256="aa").tiling_id, "the mask follows from the slide"
    drawn = dataclasses.replace(base, tissue="drawn", mask_sha256="aa")
    others = [
        dataclasses.replace(base, patch_px=256),
        dataclasses.replace(base, patch_mpp_um=0.25),
        dataclasses.replace(base, overlap=0.5),
        dataclasses.replace(base, min_tissue=0.3),
        dataclasses.replace(base, tissue="all"),
        drawn,
        dataclasses.replace(drawn, mask_sha256="bb"),
    ]
    assert len({base.tiling_id, *(other.tiling_id for other in others)}) == len(others) + 1
    assert TilingSettings(224, 1).tiling_id == TilingSettings(224, 1.0).tiling_id


def test_the_grid_does_not_depend_on_the_mask() -> None:
    whole = corners(tiled(1000, 800, TilingSettings(100, 0.6)))
    mask = TissueMask(np.eye(10, dtype=bool), 100, "drawn", 1000, 800)
    assert corners(tiled(1000, 800, TilingSettings(100, 0.6), mask=mask)) < whole


def test_a_huge_slide() -> None:
    side_px = 1_990_000
    info = info_of(side_px, side_px, mpp_um=0.25)
    y, x = np.mgrid[0:2048, 0:2048]
    mask = TissueMask(np.hypot(x - 1024, y - 1024) < 900, side_px / 2048, "auto", side_px, side_px)
    tiling = plan_tiling(info, mask, TilingSettings(224, 2.0), mpp_um=0.25)
    assert tiling.x0_px.min() >= 0
    assert tiling.x0_px.max() + tiling.size0_px <= side_px
    expected = np.pi * (900 * side_px / 2048) ** 2 / 1792**2
    assert len(tiling.x0_px) == pytest.approx(expected, rel=0.01)


@st.composite
def slides(draw: st.DrawFn) -> tuple[int, int, NDArray[np.bool_], TilingSettings, float]:
    width_px, height_px = draw(st.integers(1, 3000)), draw(st.integers(1, 3000))
    shape = (draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    bits = draw(st.lists(st.booleans(), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    wanted = TilingSettings(
        patch_px=draw(st.integers(32, 512)),
        patch_mpp_um=draw(st.floats(0.2, 2.0)),
        overlap=draw(st.floats(0, 0.8)),
        min_tissue=draw(st.floats(0, 1)),
    )
    return width_px, height_px, np.array(bits).reshape(shape), wanted, draw(st.floats(0.2, 1.0))


@settings(max_examples=200, deadline=None)
@given(slides())
def test_every_patch_lies_on_the_slide_and_holds_enough_tissue(
    slide: tuple[int, int, NDArray[np.bool_], TilingSettings, float],
) -> None:
    width_px, height_px, bits, wanted, mpp_um = slide
    if mpp_um > 4 * wanted.patch_mpp_um:
        return
    mask = TissueMask(bits, max(width_px, height_px) / max(bits.shape), "drawn", width_px, height_px)
    info = info_of(width_px, height_px, mpp_um=mpp_um)
    tiling = plan_tiling(info, mask, wanted, mpp_um=mpp_um)
    size = tiling.size0_px
    assert len(corners(tiling)) == len(tiling.x0_px), "no patch twice"
    for starts, side_px in ((tiling.x0_px, width_px), (tiling.y0_px, height_px)):
        if side_px < size:
            assert np.all(np.abs(starts + size / 2 - side_px / 2) <= 0.5)
        else:
            assert np.all(starts >= 0)
            assert np.all(starts + size <= side_px + 1e-6)
    rows, columns = mask.edges0_px()
    for x0, y0 in zip(tiling.x0_px[:20].tolist(), tiling.y0_px[:20].tolist(), strict=True):
        across = np.clip(np.minimum(columns[1:], x0 + size) - np.maximum(columns[:-1], x0), 0, None)
        down = np.clip(np.minimum(rows[1:], y0 + size) - np.maximum(rows[:-1], y0), 0, None)
        on_slide = (min(x0 + size, width_px) - max(x0, 0)) * (min(y0 + size, height_px) - max(y0, 0))
        assert down @ bits @ across / on_slide >= wanted.min_tissue - 1e-6


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 5000), st.integers(16, 300), st.floats(0, 0.9))
def test_no_broad_strip_of_a_slide_is_left_out(width_px: int, patch_px: int, overlap: float) -> None:
    tiling = tiled(width_px, 50, TilingSettings(patch_px, 0.5, overlap=overlap))
    starts = np.sort(tiling.x0_px)
    assert np.all(np.diff(starts) <= patch_px)
    assert width_px - (starts[-1] + tiling.size0_px) < EDGE_STRIP * tiling.size0_px + 1
