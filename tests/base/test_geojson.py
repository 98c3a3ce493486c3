"""Outlines from GeoJSON: every container, and every way in which a file can be wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plipdesk.base.errors import EnvironmentProblem, NotFound
from plipdesk.base.geojson import Outline, OutlineProblem, read_outlines

SQUARE = [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]]
OUTER = ((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0))
HOLE = [[2, 2], [4, 2], [4, 4], [2, 2]]
POLYGON = {"type": "Polygon", "coordinates": SQUARE}


def written(folder: Path, document: Any) -> Path:
    path = folder / "umriß.geojson"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "document",
    [
        POLYGON,
        {"type": "Feature", "geometry": POLYGON, "properties": {}},
        {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": POLYGON}]},
        [{"type": "Feature", "geometry": POLYGON}, {"type": "Feature", "geometry": None}],
        {"type": "GeometryCollection", "geometries": [POLYGON, {"type": "Point", "coordinates": [1, 1]}]},
        {"type": "MultiPolygon", "coordinates": [SQUARE]},
    ],
)
def test_every_container_gives_the_same_outline(tmp_path: Path, document: Any) -> None:
    assert read_outlines(written(tmp_path, document)) == [Outline(OUTER)]


def test_holes_and_open_rings(tmp_path: Path) -> None:
    document = {"type": "Polygon", "coordinates": [SQUARE[0][:-1], HOLE]}
    assert read_outlines(written(tmp_path, document)) == [Outline(OUTER, (((2.0, 2.0), (4.0, 2.0), (4.0, 4.0)),))]


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{",
        "[" * 100_000,
        "42",
        {"type": "Topology"},
        {"no": "type"},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]},
        {"type": "Polygon", "coordinates": []},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, "x"], [2, 2]]]},
        '{"type": "Polygon", "coordinates": [[[0, 0], [1, NaN], [2, 2]]]}',
        {"type": "FeatureCollection", "features": []},
        {"type": "Point", "coordinates": [1, 1]},
    ],
)
def test_wrong_files_are_refused_in_words(tmp_path: Path, document: Any) -> None:
    with pytest.raises(OutlineProblem) as caught:
        read_outlines(written(tmp_path, document))
    assert isinstance(caught.value, EnvironmentProblem)
    assert caught.value.remedy


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_outlines(tmp_path / "none.geojson")
