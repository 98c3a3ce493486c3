"""Maps of labelled slides: what is where, at which size, in which colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.cells import CellGrid
from plipdesk.labelling.deciding import Decision
from plipdesk.labelling.features import class_polygons, patch_tiles
from plipdesk.labelling.label_sets import parse_label_set
from plipdesk.labelling.labelled import LabelledSlide
from plipdesk.labelling.maps import SlideMap, colour_ramp, interpolated, label_colours, over_picture
from tests.catalogue.helpers import embedding, slide

AB = parse_label_set("[a, b]", name="ab")


def labelled(
    points: list[tuple[int, int]], label: list[int], size: float = 64.0, probability: list[float] | None = None
) -> LabelledSlide:
    x, y = (np.array(axis, dtype=np.int32) for axis in zip(*points, strict=True)) if points else (np.zeros(0, int),) * 2
    own = np.array(label, dtype=np.int32)
    sure = np.array(probability or [1.0] * len(own), dtype=np.float32)
    decision = Decision(own, own, sure, sure, np.stack([sure, 1 - sure], axis=1) if len(own) else np.zeros((0, 2)))
    cells = CellGrid.of(x, y, size, width0_px=320, height0_px=200)
    row = embedding(1, size0_px=size)
    area = cells.own_areas_px2() * (64 * 0.5 / size / 1000) ** 2
    return LabelledSlide(slide(1, width_px=320, height_px=200), row, x, y, decision, sure, cells, area)


def test_a_pixel_for_each_patch_and_nothing_outside() -> None:
    found = SlideMap.of(labelled([(0, 0), (64, 0), (0, 64)], [0, 1, 3]))
    assert (found.pixel0_px, found.shape) == (64, (4, 5))
    labels = found.labels(4)
    assert labels[:2, :3].tolist() == [[0, 1, -1], [3, -1, -1]]
    assert (labels[2:] == -1).all()
    values = found.values(np.array([0.5, 0.25, 1.0]))
    np.testing.assert_allclose(values[0, :2], [0.5, 0.25])
    assert np.isnan(values[3, 4])


def test_overlapping_patches_are_averaged_and_the_surer_one_has_the_place() -> None:
    found = SlideMap.of(labelled([(0, 0), (32, 0)], [0, 1], probability=[0.9, 0.6]))
    assert (found.pixel0_px, found.shape) == (32, (7, 10))
    assert found.labels(4)[0, :4].tolist() == [0, 0, 1, -1]
    np.testing.assert_allclose(found.values(np.array([1.0, 2.0]))[0, :3], [1, 1.5, 2])


def test_a_slide_without_patches_has_an_empty_map() -> None:
    found = SlideMap.of(labelled([], []))
    assert (found.labels(4) == -1).all()
    assert np.isnan(found.values(np.zeros(0))).all()
    assert list(class_polygons(labelled([], []), AB, encoder="e")) == []


def test_neighbours_of_one_class_are_one_polygon_and_corners_part_them() -> None:
    one = labelled([(0, 0), (64, 0), (128, 64), (64, 64)], [0, 0, 0, 1])
    found = {}
    for feature in class_polygons(one, AB, encoder="e"):
        found.setdefault(feature.class_name, []).append(feature)
    assert sorted((name, len(own)) for name, own in found.items()) == [("a", 2), ("b", 1)]
    assert sum(own.measurements["Area mm^2"] for own in found["a"]) == np.float64(3 * 0.032**2)
    tiles = list(patch_tiles(one, AB, encoder="e"))
    assert [tile.classes for tile in tiles] == [("a",), ("a",), ("a",), ("b",)]
    assert tiles[0].measurements["P a"] == 1.0


def test_interpolation_keeps_middles_and_edges() -> None:
    values = np.array([[0.0, 1.0], [np.nan, 1.0]], dtype=np.float32)
    fine = interpolated(values, 3)
    assert fine.shape == (6, 6)
    assert fine[1, 1] == 0.0
    assert np.isnan(fine[3:, :3]).all()
    assert (fine[4, 3:] == 1.0).all()
    assert 0 < fine[1, 2] < fine[1, 3] < 1


def test_colours_of_values_and_labels() -> None:
    found = colour_ramp(np.array([0.0, 1.0, 5.0, np.nan], dtype=np.float32), 0, 1)
    assert found.tolist() == [[0x44, 0x01, 0x54], [0xFD, 0xE7, 0x25], [0xFD, 0xE7, 0x25], [255, 255, 255]]
    assert label_colours(np.array([[1, -1]]), ["#000000", "#0a0b0c"]).tolist() == [[[10, 11, 12], [255, 255, 255]]]


def test_a_map_lies_where_its_patches_lie() -> None:
    picture: NDArray[np.uint8] = np.full((20, 32, 3), 100, dtype=np.uint8)
    colours = np.zeros((4, 5, 3), dtype=np.uint8)
    shown = np.zeros((4, 5), dtype=bool)
    shown[0, 1] = True
    found = over_picture(picture, colours, shown, slide_px=(320, 200), pixel0_px=64, opacity=0.5)
    changed = np.argwhere((found != 100).any(axis=2))
    assert changed.min(axis=0).tolist() == [0, 6]
    assert changed.max(axis=0).tolist() == [5, 12]
    assert found[2, 8].tolist() == [50, 50, 50]
