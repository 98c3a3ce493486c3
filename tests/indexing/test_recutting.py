"""A slide that is cut anew: at a corrected MPP, by another tiling or other channels; what goes and what is copied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from plipdesk.base.errors import UsageProblem
from plipdesk.index.vectors import VectorFile
from plipdesk.slides.opening import open_as_known
from tests.drawing import tissue_picture
from tests.indexing.memory_desk import MemoryDesk
from tests.indexing.test_job import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def again(bench: Bench, **params: Any) -> dict[str, Any]:
    """Another job of the same workspace; what it encodes is counted from 0."""
    desk = MemoryDesk()
    desk.slides, desk.embeddings = bench.desk.slides, bench.desk.embeddings
    bench.desk = desk
    bench.encoder.encoded = 0
    return bench.run(**params)


def status(document: dict[str, Any]) -> str:
    (slide,) = document["slides"]
    return str(slide["status"])


def sizes(bench: Bench) -> list[float]:
    return sorted(row.size0_px for row in bench.desk.embeddings)


def vectors(bench: Bench, number: int = 0) -> dict[tuple[int, int], NDArray[np.float16]]:
    """By top left corner, as the file of an embedding holds them."""
    file = VectorFile.open(bench.workspace.root / bench.desk.embeddings[number].file)
    corners = zip(file.x0_px.tolist(), file.y0_px.tolist(), strict=True)
    return dict(zip(corners, np.array(file.embeddings), strict=True))


def test_a_corrected_mpp_cuts_anew_and_the_old_patches_go(bench: Bench) -> None:
    """A patch is 32 pixels at 1 µm: 64 pixels of a slide at 0.5 µm, 128 of one at 0.25."""
    bench.draw("a.tif")
    bench.run()
    (before,) = bench.desk.embeddings
    document = again(bench, mpp_um=0.25)
    assert status(document) == "indexed"
    (row,) = bench.desk.embeddings
    assert row.size0_px == 2 * before.size0_px
    assert (row.file, row.tiling_id) != (before.file, before.tiling_id)
    (slide,) = bench.desk.slides.values()
    assert (slide.mpp_um, slide.mpp_source) == (0.25, "given")
    # It stays so without being given again, and nothing is encoded.
    assert status(again(bench)) == "unchanged"
    assert bench.encoder.encoded == 0
    # And back: the first settings are free again.
    assert status(again(bench, mpp_um=0.5)) == "indexed"
    assert [row.tiling_id for row in bench.desk.embeddings] == [before.tiling_id]


def test_a_corrected_mpp_takes_every_scale_with_it(bench: Bench) -> None:
    bench.draw("a.tif")
    bench.run(patch_mpp_um=[0.5, 1.0])
    assert sizes(bench) == [64.0, 128.0]
    document = again(bench, mpp_um=0.4, patch_mpp_um=[0.5])
    assert status(document) == "indexed"
    assert sizes(bench) == [80.0, 160.0]


def test_an_mpp_that_cuts_the_same_is_only_noted(bench: Bench) -> None:
    bench.draw("a.tif")
    bench.run()
    assert status(again(bench, mpp_um=0.5)) == "unchanged"
    (slide,) = bench.desk.slides.values()
    assert slide.mpp_source == "given"


def test_old_patches_stay_if_asked(bench: Bench) -> None:
    bench.draw("a.tif")
    bench.run()
    again(bench, mpp_um=0.25, keep_old=True)
    assert sizes(bench) == [64.0, 128.0]
    assert len({row.file for row in bench.desk.embeddings}) == 2
    assert status(again(bench)) == "unchanged"
    assert len(bench.desk.embeddings) == 2


def test_another_tiling_of_the_same_scale_takes_the_place_of_the_old_one(bench: Bench) -> None:
    bench.draw("a.tif")
    bench.run()
    kept = vectors(bench)
    assert status(again(bench, overlap=0.5)) == "indexed"
    (row,) = bench.desk.embeddings
    assert row.tiling["overlap"] == 0.5
    dense = vectors(bench)
    # Half a patch's step passes over every old place: what was known is copied to the last bit.
    assert kept.keys() < dense.keys()
    assert all((dense[corner] == vector).all() for corner, vector in kept.items())
    assert bench.encoder.encoded == len(dense) - len(kept)
    # Where nobody says how to cut, it stays as it is; the way back needs nothing but copies.
    assert status(again(bench)) == "unchanged"
    assert status(again(bench, overlap=0.0)) == "indexed"
    assert bench.encoder.encoded == 0
    assert {corner: vector.tobytes() for corner, vector in vectors(bench).items()} == {
        corner: vector.tobytes() for corner, vector in kept.items()
    }


def test_a_corrected_mpp_keeps_the_way_of_cutting(bench: Bench) -> None:
    bench.draw("a.tif")
    bench.run(overlap=0.5, tissue="all")
    assert status(again(bench, mpp_um=0.4)) == "indexed"
    (row,) = bench.desk.embeddings
    assert (row.tiling["overlap"], row.tiling["tissue"], row.size0_px) == (0.5, "all", 80.0)


def test_another_scale_stands_beside(bench: Bench) -> None:
    bench.draw("a.tif")
    bench.run()
    again(bench, patch_mpp_um=[1.0])
    assert sizes(bench) == [64.0, 128.0]


def test_a_tiling_without_a_patch_takes_nothing_away(bench: Bench, tmp_path: Path) -> None:
    bench.draw("a.tif")
    bench.run()
    nowhere = tmp_path / "nowhere.geojson"
    ring = [[500, 380], [503, 380], [503, 383], [500, 380]]
    nowhere.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}), encoding="utf-8")
    again(bench, tissue=str(nowhere))
    assert len(bench.desk.embeddings) == 1


def channel_slide(path: Path) -> Path:
    """Three 16-bit channels in red, green and blue of a drawn tissue."""
    planes = np.moveaxis(tissue_picture(512, 384, seed=1), -1, 0).astype(np.uint16) * 200
    metadata = {"axes": "CYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "Channel": {"Name": ["DAPI", "FITC", "Cy5"]}}
    tifffile.imwrite(path, planes, photometric="minisblack", tile=(128, 128), metadata=metadata)
    return path


def test_channels_have_to_be_chosen_and_are_kept_with_the_slide(bench: Bench) -> None:
    path = channel_slide(bench.slides / "deep.ome.tif")
    (slide,) = bench.run(tissue="all")["slides"]
    assert slide["status"] == "skipped"
    assert "3 channels (0 DAPI, 1 FITC, 2 Cy5) with --channels 0,1,2" in slide["reason"]
    assert status(again(bench, tissue="all", channels=[0, 1, 2])) == "indexed"
    (row,) = bench.desk.slides.values()
    assert row.channels == (0, 1, 2)
    assert bench.desk.embeddings[0].tiling["channels"] == [0, 1, 2]
    with open_as_known(path, mpp_um=row.mpp_um, channels=row.channels) as reader:
        assert reader.info.channels == (0, 1, 2)
    assert status(again(bench, tissue="all")) == "unchanged"
    # Other channels are other pixels: nothing is copied, the old patches go.
    first = bench.desk.embeddings[0]
    assert status(again(bench, tissue="all", channels=[2])) == "indexed"
    assert bench.encoder.encoded == first.patches
    (after,) = bench.desk.embeddings
    assert after.tiling["channels"] == [2]
    assert after.file != first.file


def test_channels_do_not_touch_slides_that_need_none(bench: Bench) -> None:
    bench.draw("a.tif")
    bench.run()
    assert status(again(bench, channels=[0])) == "unchanged"
    assert [row.channels for row in bench.desk.slides.values()] == [None]


@pytest.mark.parametrize("channels", [[0, 1], [0, 1, 2, 3], [-1]])
def test_channels_that_make_no_picture_are_refused(bench: Bench, channels: list[int]) -> None:
    bench.draw("a.tif")
    with pytest.raises(UsageProblem, match="cannot be chosen"):
        bench.run(channels=channels)
