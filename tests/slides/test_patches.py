"""Reading patches: in blocks as one by one, in order, within a bound of memory, around damage, with no thread left."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from plipdesk.base.errors import Bug
from plipdesk.encoders.loading import find_encoder, load_encoder
from plipdesk.slides.errors import DamagedSlide, SlideProblem
from plipdesk.slides.opening import open_slide
from plipdesk.slides.patches import AHEAD_BYTES, BLOCK_PX, PatchBatch, iter_patches, read_patch, read_scaled
from plipdesk.slides.protocol import SlideReader
from plipdesk.slides.resampling import grid_for, read_squares, window
from plipdesk.slides.tiling import Tiling, TilingSettings, plan_tiling
from plipdesk.slides.tissue import all_tissue, tissue_mask
from tests.drawing import pyramidal_tiff, tissue_picture
from tests.slides.array_reader import ArrayReader

Pixels = NDArray[np.uint8]
PICTURE = tissue_picture(1024, 768, seed=2)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def tiling_of(reader: SlideReader, wanted: TilingSettings) -> Tiling:
    return plan_tiling(reader.info, all_tissue(reader.info), wanted, mpp_um=reader.info.mpp_um)


def read_all(
    reader: SlideReader, tiling: Tiling, *, batch: int = 7, threads: int = 2, start: int = 0
) -> list[PatchBatch]:
    return list(iter_patches(reader, tiling, batch=batch, reader_threads=threads, start=start))


def one_by_one(reader: SlideReader, tiling: Tiling) -> Pixels:
    size, out = tiling.size0_px, tiling.settings.patch_px
    places = zip(tiling.x0_px.tolist(), tiling.y0_px.tolist(), strict=True)
    return np.stack([read_patch(reader, x0, y0, size, out) for x0, y0 in places])


WANTED = [
    TilingSettings(64, 0.5),
    TilingSettings(64, 1.0, overlap=0.5),
    TilingSettings(64, 0.65),
    TilingSettings(50, 1.3, overlap=0.3),
    TilingSettings(64, 3.1),
    TilingSettings(64, 0.2),
    TilingSettings(900, 0.5),
]


@pytest.mark.parametrize("wanted", WANTED)
def test_patches_read_in_blocks_equal_patches_read_one_by_one(wanted: TilingSettings) -> None:
    reader = ArrayReader(PICTURE, levels=3)
    tiling = tiling_of(reader, wanted)
    together = np.concatenate([each.pixels for each in read_all(reader, tiling)])
    assert np.array_equal(together, one_by_one(reader, tiling))


@pytest.mark.parametrize("wanted", WANTED[:5])
def test_the_same_on_a_slide_read_by_openslide(tmp_path: Path, wanted: TilingSettings) -> None:
    path = pyramidal_tiff(tmp_path / "größe.tif", width_px=1024, height_px=768, levels=3)
    with open_slide(path) as reader:
        tiling = tiling_of(reader, wanted)
        together = np.concatenate([each.pixels for each in read_all(reader, tiling)])
        assert np.array_equal(together, one_by_one(reader, tiling))


def test_fewer_reads_than_patches() -> None:
    reader = ArrayReader(PICTURE)
    tiling = tiling_of(reader, TilingSettings(32, 0.5))
    assert len(tiling.x0_px) == 768
    read_all(reader, tiling)
    assert len(reader.reads) <= 768 / 16
    assert max(width * height for *_, width, height in reader.reads) <= BLOCK_PX


def test_scattered_patches_are_not_read_with_all_that_lies_between() -> None:
    reader = ArrayReader(PICTURE)
    grid = tiling_of(reader, TilingSettings(32, 0.5))
    few = Tiling(grid.settings, grid.x0_px[::50].copy(), grid.y0_px[::50].copy(), grid.size0_px)
    read_all(reader, few)
    assert sum(width * height for *_, width, height in reader.reads) <= 1.5 * len(few.x0_px) * 32**2


def test_batches_are_full_in_order_and_all_there() -> None:
    reader = ArrayReader(PICTURE)
    tiling = tiling_of(reader, TilingSettings(128, 0.5))
    batches = read_all(reader, tiling, batch=7)
    assert [each.start for each in batches] == [0, 7, 14, 21, 28, 35, 42]
    assert [len(each.pixels) for each in batches] == [7, 7, 7, 7, 7, 7, 6]
    assert all(each.pixels.dtype == np.uint8 for each in batches)


@pytest.mark.parametrize("start", [0, 1, 5, 20, 47, 48])
def test_reading_goes_on_from_anywhere(start: int) -> None:
    reader = ArrayReader(PICTURE)
    tiling = tiling_of(reader, TilingSettings(128, 0.55))
    every = np.concatenate([each.pixels for each in read_all(reader, tiling)])
    start = min(start, len(every))
    rest = read_all(reader, tiling, start=start, batch=4)
    assert sum(len(each.pixels) for each in rest) == len(every) - start
    for each in rest:
        assert np.array_equal(each.pixels, every[each.start : each.start + len(each.pixels)])


def test_nothing_is_read_before_the_first_batch_is_asked_for() -> None:
    reader = ArrayReader(PICTURE)
    batches = iter_patches(reader, tiling_of(reader, TilingSettings(128, 0.5)), batch=4, reader_threads=2)
    assert reader.reads == []
    next(batches)
    assert reader.reads
    batches.close()


def test_leaving_early_stops_the_threads() -> None:
    reader = ArrayReader(np.repeat(np.repeat(PICTURE, 4, axis=0), 4, axis=1))
    tiling = tiling_of(reader, TilingSettings(256, 0.5))
    batches = iter_patches(reader, tiling, batch=4, reader_threads=3)
    next(batches)
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("plipdesk-reader")]
    assert len(reader.reads) < 12


def test_reading_ahead_is_bounded() -> None:
    # A reader whose blocks are all wanted at once: however slow the taker, no more than the bound is decoded.
    reader = ArrayReader.blank(8192, levels=1)
    tiling = tiling_of(reader, TilingSettings(256, 0.5))
    batches = iter_patches(reader, tiling, batch=1, reader_threads=8)
    next(batches)
    block_bytes = max(width * height for *_, width, height in reader.reads) * 6
    batches.close()
    assert len(reader.reads) * block_bytes <= AHEAD_BYTES


def test_damage_on_one_level_is_read_from_another() -> None:
    def damaged(level: int, box: tuple[int, int, int, int]) -> bool:
        x0, y0, x1, y1 = box
        return level == 1 and x0 < 220 and x1 > 200 and y0 < 120 and y1 > 100

    whole = ArrayReader(PICTURE, levels=3)
    broken = ArrayReader(PICTURE, levels=3, damage=damaged)
    tiling = tiling_of(whole, TilingSettings(64, 1.0))
    expected = np.concatenate([each.pixels for each in read_all(whole, tiling)])
    found = np.concatenate([each.pixels for each in read_all(broken, tiling)])
    assert np.array_equal(found, expected), "the finer level gives the same pixels"
    levels = [level for level, *_ in broken.reads]
    assert 0 in levels
    assert levels.count(0) <= 2, "only the patches that lie on the damage"


def test_a_damaged_finest_level_is_read_from_a_coarser_one() -> None:
    def damaged(level: int, box: tuple[int, int, int, int]) -> bool:
        return level == 0 and box[0] < 300 and box[1] < 300

    broken = ArrayReader(PICTURE, levels=3, damage=damaged)
    sharp = read_patch(ArrayReader(PICTURE, levels=3), 64, 64, 128, 128)
    blurred = read_patch(broken, 64, 64, 128, 128)
    assert np.corrcoef(sharp.ravel(), blurred.ravel())[0, 1] > 0.8


def test_damage_on_every_level_is_told_in_its_place() -> None:
    def damaged(level: int, box: tuple[int, int, int, int]) -> bool:
        scale = 2**level
        return box[2] * scale > 700 and box[3] * scale > 500

    broken = ArrayReader(PICTURE, levels=2, damage=damaged)
    tiling = tiling_of(broken, TilingSettings(64, 0.5))
    batches = iter_patches(broken, tiling, batch=1, reader_threads=2)
    first_bad = next(
        number
        for number, (x0, y0) in enumerate(zip(tiling.x0_px.tolist(), tiling.y0_px.tolist(), strict=True))
        if x0 + 64 > 700 and y0 + 64 > 500
    )
    with pytest.raises(SlideProblem, match="damaged") as caught:
        for each in batches:
            assert each.start < first_bad
    assert isinstance(caught.value, DamagedSlide)
    assert caught.value.remedy


def test_too_coarse_a_level_does_not_stand_in() -> None:
    reader = ArrayReader(PICTURE, levels=5, damage=lambda level, _box: level < 3)
    with pytest.raises(SlideProblem):
        read_patch(reader, 0, 0, 64, 64)
    assert {level for level, *_ in reader.reads} == {0, 1, 2}


def test_a_whole_slide_is_not_read_from_its_finest_level_because_of_one_damaged_tile() -> None:
    reader = ArrayReader.blank(9216, levels=6, damage=lambda _level, _box: True)
    with pytest.raises(SlideProblem):
        read_scaled(reader, 0, 0, 9216, 9216, 288, 288)
    assert {level for level, *_ in reader.reads} == {5, 4, 3, 2, 1}


@pytest.mark.parametrize(("batch", "start"), [(0, 0), (4, -1), (4, 49)])
def test_wrong_calls(batch: int, start: int) -> None:
    reader = ArrayReader(PICTURE)
    with pytest.raises(Bug):
        iter_patches(reader, tiling_of(reader, TilingSettings(128, 0.5)), batch=batch, reader_threads=1, start=start)


@pytest.mark.parametrize("box", [(0, 0, 0, 10, 5, 5), (0, 0, 10, 10, 0, 5), (0, 0, float("nan"), 10, 5, 5)])
def test_a_region_without_pixels(box: tuple[float, float, float, float, int, int]) -> None:
    with pytest.raises(Bug):
        read_scaled(ArrayReader(PICTURE), *box)


def test_an_empty_tiling_gives_no_batch() -> None:
    reader = ArrayReader(PICTURE)
    none = np.zeros(0, dtype=np.int32)
    assert read_all(reader, Tiling(TilingSettings(64, 0.5), none, none, 64.0)) == []


def test_embeddings_agree_between_neighbouring_levels(tmp_path: Path) -> None:
    path = pyramidal_tiff(tmp_path / "slide.tif", width_px=2048, height_px=1536, levels=3, seed=9)
    encoder = load_encoder(find_encoder(None, None), threads=1)
    with open_slide(path) as reader:
        pixels = reader.read_region(0, 0, 0, 2048, 1536)
        # The best level for the first two is the second, for the others the third: here each lacks its best one.
        for patch_mpp_um, levels in ((1.0, 1), (1.35, 1), (2.0, 2), (2.7, 2)):
            tiling = tiling_of(reader, TilingSettings(224, patch_mpp_um))
            few = Tiling(tiling.settings, tiling.x0_px[:2], tiling.y0_px[:2], tiling.size0_px)
            one, other = (
                encoder.encode_patches(np.concatenate([each.pixels for each in read_all(source, few)]))
                for source in (ArrayReader(pixels, levels=levels), reader)
            )
            assert np.sum(one * other, axis=1).min() >= 0.999
    encoder.close()


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["stomach_helicobacter_HE", "lung_scc_HE2", "duodenum_tubular_adenoma_HE"])
def test_real_slides_agree_as_far_as_their_levels_do(realdata: Path, name: str) -> None:
    """Levels were compressed one by one: no kernel makes them equal, and ours comes near the best linear one."""
    with open_slide(realdata / "slides" / f"{name}.tif") as reader:
        mpp_um = reader.info.mpp_um
        assert mpp_um is not None
        mask = tissue_mask(reader, "auto")
        tiling = plan_tiling(reader.info, mask, TilingSettings(224, 2 * mpp_um, min_tissue=0.8), mpp_um=mpp_um)
        correlations = []
        for number in np.linspace(0, len(tiling.x0_px) - 1, 12).astype(int):
            corner = float(tiling.x0_px[number]), float(tiling.y0_px[number])
            read = []
            for level in (0, 1):
                grid = grid_for(reader.info, 2.0, level)
                wanted = window(grid, *corner, 448, 448, (224, 224))
                read.append(read_squares(reader, grid, wanted.squares).cut(wanted, (224, 224)))
            correlations.append(np.corrcoef(read[0].ravel(), read[1].ravel())[0, 1])
        assert np.median(correlations) > 0.95
