"""Queries by pixels: pictures, regions that are not indexed, and hits saved as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from plipdesk.base.errors import UsageProblem
from plipdesk.search.asking import crops_of
from plipdesk.search.pictures import save_hit_pictures
from plipdesk.search.query import PicturePart, Query, RegionPart, TextPart
from plipdesk.slides.errors import SlideProblem
from tests.drawing import pyramidal_tiff
from tests.search.world import KnownEncoder, SearchWorld, unit

RED, GREEN, BLUE = unit(1, 0, 0, 0), unit(0, 1, 0, 0), unit(0, 0, 1, 0)


def _field(width: int, height: int, left: tuple[int, int, int], right: tuple[int, int, int]) -> np.ndarray:
    """A field whose left and right halves have two colours, with a little noise."""
    pixels = np.empty((height, width, 3), dtype=np.int16)
    pixels[:, : width // 2], pixels[:, width // 2 :] = left, right
    pixels += np.random.default_rng(0).integers(-20, 21, (height, width, 1), dtype=np.int16)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _slide(path: Path) -> Path:
    return pyramidal_tiff(path, pixels=_field(1024, 512, (230, 20, 20), (20, 230, 20)), levels=2)


def _names(world: SearchWorld, query: Query) -> list[str]:
    return [hit.slide_id[0] for hit in world.searcher.search(query).hits]


def test_a_picture_file_or_its_content(world: SearchWorld, tmp_path: Path) -> None:
    world.add("a", [GREEN])
    world.add("b", [RED])
    path = tmp_path / "red.png"
    Image.fromarray(_field(80, 80, (230, 20, 20), (230, 20, 20))).save(path)
    assert _names(world, Query(pictures=(PicturePart(str(path)),))) == ["b", "a"]
    assert _names(world, Query(pictures=(PicturePart(content=path.read_bytes()),))) == ["b", "a"]
    with pytest.raises(SlideProblem):
        world.searcher.search(Query(pictures=(PicturePart(content=b"no picture"),)))


def test_a_picture_that_is_indexed_is_left_out(world: SearchWorld, tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    Image.fromarray(_field(80, 80, (230, 20, 20), (230, 20, 20))).save(path)
    world.add("a", [RED], path=path)
    world.add("b", [RED])
    query = Query(pictures=(PicturePart(str(path)),))
    assert _names(world, query) == ["b"]
    assert sorted(_names(world, Query(pictures=query.pictures, include_query=True))) == ["a", "b"]


def test_a_picture_of_known_mpp_is_seen_in_patches_of_the_right_size() -> None:
    encoder = KnownEncoder({}, 4, mpp_um=0.5)
    picture = _field(640, 320, (230, 20, 20), (20, 230, 20))
    # 64 pixels at 0.5 µm are 128 pixels at 0.25 µm: five by two.
    crops = crops_of(picture, encoder, 0.25)
    assert [crop.shape for crop in crops] == [(128, 128, 3)] * 10
    assert [crop.shape for crop in crops_of(picture, encoder, None)] == [(320, 320, 3)] * 2
    assert crops_of(picture, encoder, 2.0)[0].shape == (16, 16, 3)
    assert len(crops_of(picture, encoder, 2.0)) == 64
    assert [crop.shape for crop in crops_of(picture[:100, :110], encoder, 0.1)] == [(100, 100, 3)]
    for mpp_um in (0.0, float("nan"), 1000.0):
        with pytest.raises(UsageProblem):
            crops_of(picture, encoder, mpp_um)


def test_empty_crops_are_left_out_unless_all_are() -> None:
    encoder = KnownEncoder({}, 4, mpp_um=0.5)
    picture = np.full((64, 192, 3), 250, np.uint8)
    picture[:, 64:128] = _field(64, 64, (230, 20, 20), (20, 230, 20))
    assert len(crops_of(picture, encoder, 0.5)) == 1
    assert len(crops_of(np.full((64, 192, 3), 250, np.uint8), encoder, 0.5)) == 1


def test_a_region_that_is_not_indexed_is_read_from_the_slide(world: SearchWorld, tmp_path: Path) -> None:
    path = _slide(tmp_path / "s.tif")
    world.add("a", [BLUE], path=path, at=[(900, 400)], width_px=1024, height_px=512)
    world.add("b", [RED])
    world.add("c", [GREEN])
    left = RegionPart("a" * 32, box=(100, 100, 150, 150))
    result = world.searcher.search(Query(regions=(left,), k=1))
    assert result.hits[0].slide_id[0] == "b"
    assert len(world.encoder.shown) == 1  # 64 px at 0.5 µm are 128 px of a slide at 0.25 µm: one fits
    right = RegionPart("a" * 32, polygon=((600, 0), (1000, 0), (1000, 300), (600, 300)))
    assert world.searcher.search(Query(regions=(right,), k=1)).hits[0].slide_id[0] == "c"


def test_a_region_of_a_slide_that_is_not_in_the_workspace(world: SearchWorld, tmp_path: Path) -> None:
    path = _slide(tmp_path / "s.tif")
    world.add("b", [RED])
    world.add("c", [GREEN])
    region = RegionPart(str(path), box=(0, 0, 512, 512))
    assert _names(world, Query(regions=(region,), k=1)) == ["b"]
    assert len(world.encoder.shown) == 64  # the slide says 0.5 µm itself: eight by eight
    tiny = RegionPart(str(path), polygon=((900, 300), (910, 300), (905, 310)))
    assert _names(world, Query(regions=(tiny,), k=1)) == ["c"]
    assert len(world.encoder.shown) == 65


def test_a_slide_whose_mpp_nobody_knows(world: SearchWorld, tmp_path: Path) -> None:
    path = pyramidal_tiff(tmp_path / "s.tif", mpp_um=None)
    world.add("b", [RED])
    with pytest.raises(UsageProblem, match="not known"):
        world.searcher.search(Query(regions=(RegionPart(str(path), box=(0, 0, 100, 100)),)))


def test_hits_are_saved_as_pictures(world: SearchWorld, tmp_path: Path) -> None:
    path = _slide(tmp_path / "s.tif")
    world.add("a", [RED, GREEN], path=path, at=[(0, 0), (900, 400)], width_px=1024, height_px=512)
    hits = world.searcher.search(Query(texts=(TextPart("red"),))).hits
    saved = save_hit_pictures(hits, tmp_path / "hits")
    assert [one.name for one in saved] == [f"1_{'a' * 32}_0_0.png", f"2_{'a' * 32}_900_400.png"]
    first, second = (np.asarray(Image.open(one).convert("RGB")) for one in saved)
    assert first.shape == second.shape == (100, 100, 3)
    assert first.mean(axis=(0, 1)).argmax() == 0
    assert second.mean(axis=(0, 1)).argmax() == 1
