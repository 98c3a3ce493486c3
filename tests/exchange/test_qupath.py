"""QuPath's GeoJSON: the exact dialect, byte-stable, read back, and older or wrong files."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plipdesk.base.errors import NotFound
from plipdesk.base.geojson import read_outlines
from plipdesk.exchange.errors import ExchangeProblem
from plipdesk.exchange.qupath import Feature, feature_json, polygons, read_features, square, write_features

TUMOUR = Feature(
    square(0, 0, 224.5), "annotation", classes=("tumour",), class_colour=(200, 0, 0), name="A",
    measurements={"area µm²": 12.5, "patches": 3}, metadata={"slide_id": "ab"},
)  # fmt: skip


def test_a_feature_is_to_the_byte_what_qupath_expects() -> None:
    feature = Feature(
        square(0, 0, 224.5), "tile", id="6f3c9a52-8b1e-4f64-9d0a-70c1a6b5e2d4", classes=("tumour",),
        class_colour=(200, 0, 0), measurements={"score": 0.25, "n": 3.0}, metadata={"slide_id": "ab"},
    )  # fmt: skip
    assert feature_json(feature) == (
        '{"type":"Feature","id":"6f3c9a52-8b1e-4f64-9d0a-70c1a6b5e2d4","geometry":{"type":"Polygon","coordinates":'
        '[[[0,0],[224.5,0],[224.5,224.5],[0,224.5],[0,0]]]},"properties":{"objectType":"tile","classification":'
        '{"name":"tumour","color":[200,0,0]},"measurements":{"score":0.25,"n":3},"metadata":{"slide_id":"ab"}}}'
    )


def test_only_what_the_dialect_knows_is_written(tmp_path: Path) -> None:
    locked = Feature(square(1, 2, 3), locked=True, colour=(1, 2, 3), classes=("a", "b"))
    assert write_features(tmp_path / "ü.geojson", [TUMOUR, locked]) == 2
    document = json.loads((tmp_path / "ü.geojson").read_text(encoding="utf-8"))
    assert set(document) == {"type", "features"}
    first, second = document["features"]
    for feature in (first, second):
        assert list(feature) == ["type", "id", "geometry", "properties"]
        uuid.UUID(feature["id"])
        assert feature["geometry"]["coordinates"][0][0] == feature["geometry"]["coordinates"][0][-1]
    assert "isLocked" not in first["properties"]
    assert second["properties"] == {
        "objectType": "annotation", "color": [1, 2, 3], "classification": {"names": ["a", "b"]}, "isLocked": True,
    }  # fmt: skip


def test_writing_is_stable_to_the_byte_and_reading_back_gives_the_same(tmp_path: Path) -> None:
    path, again = tmp_path / "a.geojson", tmp_path / "b.geojson"
    write_features(path, [TUMOUR])
    write_features(again, [TUMOUR])
    assert path.read_bytes() == again.read_bytes()
    (back,) = read_features(path)
    assert (back.classes, back.class_colour, back.name) == (("tumour",), (200, 0, 0), "A")
    assert (dict(back.measurements), dict(back.metadata)) == ({"area µm²": 12.5, "patches": 3}, {"slide_id": "ab"})
    write_features(again, read_features(path))
    assert path.read_bytes() == again.read_bytes()
    assert [outline.outer[2] for outline in read_outlines(path)] == [(224.5, 224.5)]


def test_one_polygon_is_never_written_as_several() -> None:
    ring = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
    assert polygons([(ring, ())])["type"] == "Polygon"
    assert polygons([(ring, ()), (ring, ())])["type"] == "MultiPolygon"
    with pytest.raises(ExchangeProblem):
        feature_json(Feature({"type": "MultiPolygon", "coordinates": [[[[0, 0], [1, 0], [1, 1], [0, 0]]]]}))


def test_files_of_older_versions_are_read(tmp_path: Path) -> None:
    ring = [[0, 0], [10, 0], [10, 10], [0, 0]]
    old = [
        {
            "type": "Feature", "id": "PathAnnotationObject",
            "geometry": {"type": "MultiPolygon", "coordinates": [[ring]]},
            "properties": {
                "object_type": "annotation", "classification": {"name": "Tumor", "colorRGB": -3670016},
                "isLocked": False, "measurements": [{"name": "Area", "value": 3}],
            },
        },
        {"type": "Feature", "geometry": None, "properties": {"objectType": "root"}},
        {"type": "Polygon", "coordinates": [ring]},
        {
            "type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2], "plane": {"c": -1}},
            "properties": None,
        },
    ]  # fmt: skip
    (tmp_path / "old.json").write_text(json.dumps(old), encoding="utf-8-sig")
    first, second, third = read_features(tmp_path / "old.json")
    assert first.geometry["type"] == "Polygon"
    assert (first.class_name, first.class_colour, first.measurements) == ("Tumor", (200, 0, 0), {"Area": 3.0})
    uuid.UUID(first.id)
    assert (second.classes, second.id) == ((), "")
    assert third.geometry == {"type": "Point", "coordinates": [1.0, 2.0]}


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[1]", '"x"', "{}", '{"type": "Topology"}', '{"type": "FeatureCollection", "features": 3}',
        '[{"type": "Feature", "geometry": {"type": "Circle", "coordinates": []}}]',
        '[{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}}]',
        '[{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": []}}]',
        '[{"type": "Point", "coordinates": [1e999, 2]}]',
        '[{"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]},'
        ' "properties": {"objectType": "x"}}]',
        '[{"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]},'
        ' "properties": {"color": [300, 0, 0]}}]',
        "[" * 2000,
    ],
)  # fmt: skip
def test_what_is_no_geojson_is_refused_in_words(tmp_path: Path, content: str) -> None:
    path = tmp_path / "wrong.geojson"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ExchangeProblem) as caught:
        read_features(path)
    assert caught.value.remedy
    with pytest.raises(NotFound):
        read_features(tmp_path / "none")


_point = st.tuples(*[st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 2))] * 2)
_features = st.builds(
    Feature,
    geometry=st.lists(st.tuples(st.lists(_point, min_size=3, max_size=6), st.just(())), min_size=1, max_size=3).map(
        polygons
    ),
    object_type=st.sampled_from(["annotation", "tile", "detection"]),
    name=st.none() | st.text(min_size=1, max_size=5),
    classes=st.lists(st.text(min_size=1, max_size=5), max_size=2).map(tuple),
    locked=st.booleans(),
    measurements=st.dictionaries(st.text(max_size=4), st.integers(-1000, 1000).map(float), max_size=2),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(_features, max_size=4))
def test_any_features_come_back_and_are_written_the_same(tmp_path: Path, features: list[Feature]) -> None:
    path = tmp_path / "any.geojson"
    write_features(path, features)
    content = path.read_bytes()
    back = read_features(path)
    assert [one.classes for one in back] == [one.classes for one in features]
    write_features(path, back)
    assert path.read_bytes() == content
