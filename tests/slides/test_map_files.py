"""Maps as files: read back by the libraries that others read them with."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from plipdesk.base.errors import Bug
from plipdesk.slides.map_files import Legend, png_with_legend, write_heatmap_ome, write_label_tiff

NOTICE = "For research use only. Not for diagnosis."


def test_heat_maps_come_back_with_names_and_size(tmp_path: Path) -> None:
    planes = np.random.default_rng(0).random((3, 20, 30)).astype(np.float32)
    planes[0, 0, 0] = np.nan
    path = tmp_path / "ü.ome.tif"
    write_heatmap_ome(path, planes, ["fat", "größe", "n"], pixel_um=128.0, description=NOTICE)
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        np.testing.assert_array_equal(file.asarray(), planes)
        said = file.ome_metadata or ""
    assert 'Name="größe"' in said
    assert 'PhysicalSizeX="128.0"' in said
    assert NOTICE in said
    with pytest.raises(Bug):
        write_heatmap_ome(path, planes, ["one"], pixel_um=1.0, description="")


@pytest.mark.parametrize(("classes", "dtype"), [(3, np.uint8), (300, np.uint16)])
def test_labels_come_back_with_names_and_colours(tmp_path: Path, classes: int, dtype: type[np.generic]) -> None:
    labels = np.array([[-1, 0], [1, classes - 1]])
    colours = [(number % 256, 5, 6) for number in range(classes)]
    path = tmp_path / "labels.tif"
    names = [f"class {number}" for number in range(classes)]
    write_label_tiff(path, labels, names, colours, pixel_um=64.0, description=NOTICE)
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        np.testing.assert_array_equal(page.asarray(), (labels + 1).astype(dtype))
        said = json.loads(page.description)  # type: ignore[union-attr]
    assert said["description"] == NOTICE
    assert said["labels"]["2"] == "class 1"
    if classes < 256:
        assert np.asarray(Image.open(path).convert("RGB"))[1, 0].tolist() == [1, 5, 6]
    with pytest.raises(Bug):
        write_label_tiff(path, labels, names[:1], colours, pixel_um=1.0, description="")


def test_a_png_has_its_legend_beside_and_the_notice_below() -> None:
    picture = np.full((50, 80, 3), 7, dtype=np.uint8)
    legend = Legend("title", (((255, 0, 0), "red things"), ((0, 0, 255), "blue ones")), NOTICE)
    with Image.open(io.BytesIO(png_with_legend(picture, legend))) as image:
        pixels = np.asarray(image.convert("RGB"))
        assert image.info["Disclaimer"] == NOTICE  # type: ignore[attr-defined]
    np.testing.assert_array_equal(pixels[:50, :80], picture)
    assert pixels.shape[0] > 50
    assert pixels.shape[1] > 80 + 150
    beside = pixels[:, 80:].reshape(-1, 3)
    assert {(255, 0, 0), (0, 0, 255)} <= set(map(tuple, beside.tolist()))
    assert (pixels[-20:, :80] < 100).any()
