"""Labelling from the command line: drawn slides in, a document, a table and files for other programs out."""

from __future__ import annotations

import csv
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
import tifffile

from plipdesk.exchange.notice import NOTICE
from plipdesk.exchange.qupath import Feature, read_features, square, write_features
from tests.cli.test_end_to_end import Office
from tests.drawing import pyramidal_tiff
from tests.exchange.drawn_dicom import dicom_slide


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    office = Office(tmp_path_factory.mktemp("labels"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLIPDESK_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        pyramidal_tiff(office.slides / "größe 1.tif", seed=1, levels=1)
        pyramidal_tiff(office.slides / "other.tif", seed=3, levels=1)
        yield office
        office.end()


@pytest.fixture(scope="module")
def labels(office: Office) -> Path:
    path = office.folder / "mine.yaml"
    path.write_text("classes: [{name: fat}, {name: muscle, colour: '#112233'}, {name: nerve}]", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def found(office: Office, labels: Path) -> dict[str, Any]:
    """Slides that were never indexed: that comes first."""
    out = office.folder / "out"
    arguments = ["label", office.slides / "größe 1.tif", office.slides / "other.tif", "--labels", labels]
    files = ["--geojson", out / "ü.geojson", "--csv", out / "t.csv", "--patches-csv", out / "p.csv"]
    return dict(office(*arguments, "--encoder", "null", "--none-of-these", *files))


def test_the_document_is_as_agreed(office: Office, labels: Path, found: dict[str, Any]) -> None:
    assert set(found) >= {"slides", "labels", "prompts", "encoder"}
    assert (found["labels"], found["encoder"]) == ("mine", "null")
    assert found["prompts"] == {"fat": ["fat"], "muscle": ["muscle"], "nerve": ["nerve"]}
    assert len(found["encoder_fingerprint"]) == 32
    assert found["settings"]["none_of_these"] is True
    assert [Path(slide["path"]).name for slide in found["slides"]] == ["größe 1.tif", "other.tif"]
    for slide in found["slides"]:
        assert set(slide) >= {"slide_id", "path", "patches", "classes", "unsure"}
        names = [row["name"] for row in slide["classes"]]
        assert names == ["fat", "muscle", "nerve", "none of these", "unsure"]
        for row in slide["classes"]:
            assert set(row) == {"name", "patches", "area_mm2", "share", "share_low", "share_high", "mean_score"}
            assert 0 <= row["share_low"] <= row["share"] <= row["share_high"] <= 1
        assert sum(row["share"] for row in slide["classes"]) == pytest.approx(1)
        assert sum(row["patches"] for row in slide["classes"]) == slide["patches"] > 50
        assert slide["unsure"] == slide["classes"][-1]["patches"]
        # Patches of 64 px at 0.5 µm.
        assert slide["area_mm2"] == pytest.approx(slide["patches"] * 0.032**2, rel=1e-6)
    assert found["together"]["patches"] == sum(slide["patches"] for slide in found["slides"])
    assert found["failed"] == []


def test_the_same_request_gives_the_same_document_and_files(
    office: Office, labels: Path, found: dict[str, Any]
) -> None:
    out = office.folder / "again"
    names = [slide["slide_id"] for slide in found["slides"]]
    again = office(
        "label", *names, "--labels", labels, "--encoder", "null", "--none-of-these", "--geojson", out / "ü.geojson"
    )
    assert again["slides"] == found["slides"]
    assert (out / "ü.geojson").read_bytes() == (office.folder / "out" / "ü.geojson").read_bytes()


def test_geojson_tells_which_slide_and_covers_what_the_table_says(office: Office, found: dict[str, Any]) -> None:
    features = read_features(office.folder / "out" / "ü.geojson")
    for slide in found["slides"]:
        own = [one for one in features if one.metadata["slide_id"] == slide["slide_id"]]
        for row in slide["classes"]:
            area = sum(one.measurements["Area mm^2"] for one in own if one.class_name == row["name"])
            assert area == pytest.approx(row["area_mm2"], rel=1e-4)
        assert {one.object_type for one in own} == {"annotation"}
        assert {one.metadata["notice"] for one in own} == {NOTICE}
    assert next(one for one in features if one.class_name == "muscle").class_colour == (17, 34, 51)


def test_a_collection_is_labelled_as_one(office: Office, labels: Path, found: dict[str, Any]) -> None:
    office("collections", "add", "both", *(slide["slide_id"] for slide in found["slides"]))
    answer = office("label", "--in-collection", "both", "--labels", labels, "--encoder", "null", "--none-of-these")
    assert answer["together"] == found["together"]


def test_tiles_carry_measurements(office: Office, labels: Path, found: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "tiles.geojson"
    answer = office(
        "label", "other", "--labels", labels, "--encoder", "null", "--geojson", path, "--tiles", "--unsure", "1"
    )
    tiles = read_features(path)
    (slide,) = answer["slides"]
    assert "together" not in answer
    assert (len(tiles), slide["unsure"]) == (slide["patches"], 0)
    assert {one.object_type for one in tiles} == {"tile"}
    shares = [one.measurements for one in tiles]
    assert all(sum(own[f"P {name}"] for name in ("fat", "muscle", "nerve")) == pytest.approx(1, 1e-4) for own in shares)


def test_tables_as_csv(office: Office, found: dict[str, Any]) -> None:
    with (office.folder / "out" / "t.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 3 * 5
    assert {row["notice"] for row in rows} == {NOTICE}
    first = found["slides"][0]["classes"][0]
    assert float(rows[0]["area_mm2"]) == pytest.approx(first["area_mm2"], rel=1e-5)
    assert rows[-1]["slide_id"] == "all slides"
    with (office.folder / "out" / "p.csv").open(encoding="utf-8-sig", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == found["together"]["patches"]


def test_several_labels_a_hierarchy_and_smoothing(office: Office, labels: Path, found: dict[str, Any]) -> None:
    common = ["label", "other", "--labels", labels, "--encoder", "null"]
    several = office(*common, "--choice", "multi")["slides"][0]
    assert [row["name"] for row in several["classes"]] == ["fat", "muscle", "nerve", "none of these"]
    smooth = office(*common, "--smooth", "2")
    assert "averaged over neighbours up to 2" in smooth["notes"][0]
    assert smooth["settings"]["smooth"] == 2
    tree = office.folder / "tree.yaml"
    tree.write_text("[{name: soft}, {name: fat, parent: soft}, {name: muscle, parent: soft}, nerve]", encoding="utf-8")
    document = office("label", "other", "--labels", tree, "--encoder", "null", "--choice", "hierarchical")["slides"][0]
    shares = {row["name"]: row["share"] for row in document["classes"]}
    assert sum(shares.values()) == pytest.approx(1)
    assert document["groups"][0]["share"] == pytest.approx(shares["soft"] + shares["fat"] + shares["muscle"])


def test_overlapping_patches_and_several_magnifications(office: Office, labels: Path, found: dict[str, Any]) -> None:
    slide = pyramidal_tiff(office.folder / "overlapped.tif", seed=9, levels=1)
    common = ["label", slide, "--labels", labels, "--encoder", "null"]
    office("index", slide, "--encoder", "null", "--overlap", "0.5")
    overlapped = office(*common)["slides"][0]
    assert overlapped["patches"] * 0.032**2 > 2 * overlapped["area_mm2"]
    assert sum(row["share"] for row in overlapped["classes"]) == pytest.approx(1)
    # A coarser tiling that is not there yet is made first.
    both = office(*common, "--patch-mpp", "0.5,1.0")
    assert "several magnifications" in both["notes"][0]
    assert both["slides"][0]["patches"] == overlapped["patches"]


def test_one_bad_slide_never_ends_the_others(office: Office, labels: Path, found: dict[str, Any]) -> None:
    bad = office.folder / "bad.svs"
    bad.write_bytes(b"no slide")
    answer = office("label", bad, "other", "--labels", labels, "--encoder", "null", code=1)
    assert len(answer["slides"]) == 1
    assert Path(answer["failed"][0]["slide"]).name == "bad.svs"
    assert "Traceback" not in answer["failed"][0]["reason"]


def test_label_sets_are_listed_shown_checked_kept(office: Office, labels: Path, tmp_path: Path) -> None:
    listed = {row["name"]: row for row in office("labels", "list")["label_sets"]}
    assert listed["kather"]["ways"] == ["figure", "code"]
    assert [one["short"] for one in office("labels", "show", "kather")["classes"]][:2] == ["ADI", "BACK"]
    assert office("labels", "validate", labels) == {
        "valid": True, "problems": [], "name": "mine", "classes": ["fat", "muscle", "nerve"],
    }  # fmt: skip
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("classes: [{name: a}, {name: a}]", encoding="utf-8")
    assert "given twice" in office("labels", "validate", wrong, code=1)["problems"][0]
    assert office("labels", "validate", "nobody", code=3)["error"]["kind"] == "not-found"
    assert office("labels", "import", labels)["version"] == 1
    assert office("labels", "export", "mine", tmp_path / "out.yaml")["name"] == "mine"
    assert office("labels", "validate", tmp_path / "out.yaml")["valid"]


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (["other", "--labels", "nobody"], 3, "not-found"),
        (["other", "--labels", "kather:book"], 3, "labels"),
        (["/no/slide.svs", "--labels", "kather"], 3, "not-found"),
        (["other"], 2, "usage"),
        (["--labels", "kather"], 2, "usage"),
        (["--labels", "kather", "--in-collection", "nobody's"], 2, "usage"),
        (["other", "--labels", "kather", "--smooth", "99"], 2, "usage"),
        (["other", "--labels", "kather", "--choice", "all"], 2, "usage"),
    ],
)
def test_wrong_requests_say_what_is_wrong(
    office: Office, found: dict[str, Any], arguments: list[str], code: int, kind: str
) -> None:
    error = office("label", *arguments, code=code)["error"]
    assert (error["kind"], bool(error["message"])) == (kind, True)


def test_the_papers_prompts_are_asked_by_name(office: Office, found: dict[str, Any]) -> None:
    figure = office("label", "other", "--labels", "kather", "--encoder", "null")
    code = office("label", "other", "--labels", "kather:code", "--encoder", "null")
    assert figure["prompts"]["mucus"] == ["An H&E image of mucus"]
    assert code["prompts"]["mucus"] == ["An H&E image patch of mucus."]
    assert json.dumps(code["settings"]["way"]) == '"code"'


def test_annotations_come_in_from_qupath_and_go_out_again(
    office: Office, labels: Path, found: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "other.geojson"
    areas = [
        Feature(square(300, 200, 260), classes=("fat",), class_colour=(1, 2, 3), id=str(uuid.UUID(int=1))),
        Feature(square(560, 200, 260), classes=("nerve",), id=str(uuid.UUID(int=2)), name="n"),
        Feature(square(90_000, 0, 10), classes=("fat",)),
        Feature(square(0, 0, 10), "tile", classes=("fat",)),
    ]
    write_features(path, areas)
    answer = office("annotations", "import", path)
    assert (answer["imported"], answer["skipped"], len(answer["notes"])) == (2, 2, 2)
    assert office("annotations", "import", path, "--slide", "other")["imported"] == 2
    listed = office("annotations", "list", "other")["annotations"]
    assert {one["class"]: one["annotations"] for one in listed} == {"fat": 1, "nerve": 1}
    out = tmp_path / "out.geojson"
    assert office("annotations", "export", out, "other")["annotations"] == 2
    back = read_features(out)
    assert [one.geometry for one in back] == [one.geometry for one in areas[:2]]
    assert back[0].class_colour == (1, 2, 3)
    first = out.read_bytes()
    # What was exported says which slide it lies on.
    assert office("annotations", "import", out)["imported"] == 2
    office("annotations", "export", out)
    assert out.read_bytes() == first
    # The areas label the patches in them, which calibrate the scores.
    learned = office("label", "other", "--labels", labels, "--encoder", "null")
    assert learned["learned"]["examples"] >= 20
    assert "expected calibration error" in learned["notes"][-1]
    # And they are regions to search with.
    region = office("search", "region", "other", "--polygon", out, "--encoder", "null", "-k", "3")
    assert len(region["hits"]) == 3


@pytest.mark.parametrize(
    ("arguments", "code"), [(["import", "a.txt"], 2), (["import", "/no/a.geojson"], 3), (["export", "x"], 2)]
)
def test_wrong_annotation_requests(office: Office, found: dict[str, Any], arguments: list[str], code: int) -> None:
    assert office("annotations", *arguments, code=code)["error"]["message"]


def test_annotations_of_an_unknown_slide_are_refused(office: Office, found: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "nobody.geojson"
    write_features(path, [Feature(square(0, 0, 10))])
    assert "--slide" in office("annotations", "import", path, code=2)["error"]["remedy"]
    write_features(path, [Feature(square(0, 0, 10), metadata={"slide_id": "f" * 32})])
    assert office("annotations", "import", path, code=3)["error"]["kind"] == "not-found"


def test_maps_are_written_for_eyes_and_for_programs(
    office: Office, labels: Path, found: dict[str, Any], tmp_path: Path
) -> None:
    common = ["label", "other", "--labels", labels, "--encoder", "null"]
    answer = office(*common, "--heatmap", tmp_path / "maps", "--score", "cosine")
    files = {path.name for path in (tmp_path / "maps").iterdir()}
    assert files == set(answer["written"]["heatmap"]["files"])
    assert len(files) == 3 + 3
    heat = tifffile.imread(next((tmp_path / "maps").glob("*.ome.tif")))
    numbers = tifffile.imread(next((tmp_path / "maps").glob("*_labels.tif")))
    assert heat.shape == (3, *numbers.shape) == (3, 12, 16)
    assert (np.isfinite(heat[0]) == (numbers > 0)).all()
    counts = {row["name"]: row["patches"] for row in answer["slides"][0]["classes"]}
    assert [int((numbers == number).sum()) for number in (1, 2, 3, 5)] == [
        counts[name] for name in ("fat", "muscle", "nerve", "unsure")
    ]
    office(*common, "--heatmap", tmp_path / "fine", "--interpolate")
    assert tifffile.imread(next((tmp_path / "fine").glob("*.ome.tif"))).shape == (3, 48, 64)


def test_a_report_shows_pictures_tables_and_how_it_was_made(
    office: Office, labels: Path, found: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    answer = office("label", office.slides, "--labels", labels, "--encoder", "null", "--report", path)
    text = path.read_text(encoding="utf-8")
    assert text.count(NOTICE) == 2
    assert "größe 1.tif" in text
    assert "All 2 slides together" in text
    assert text.count("data:image/jpeg") > 2 * (1 + 3)
    for said in (answer["encoder_fingerprint"], "unsure ratio", "the least sure", "fat"):
        assert said in text


def test_a_slide_that_came_as_dicom_gets_dicom_results(
    office: Office, labels: Path, found: dict[str, Any], tmp_path: Path
) -> None:
    slide = dicom_slide(office.folder / "slide.dcm")
    common = ["--labels", labels, "--encoder", "null", "--dicom", tmp_path / "out"]
    answer = office("label", slide, *common)
    assert len(answer["written"]["dicom"]["files"]) == 3
    files = {path.name.rpartition("_")[2]: path for path in (tmp_path / "out").iterdir()}
    assert set(files) == {"seg.dcm", "pm.dcm", "ann.dcm"}
    counts = {row["name"]: row["patches"] for row in answer["slides"][0]["classes"] if row["patches"]}
    groups = hd.ann.annread(files["ann.dcm"]).get_annotation_groups()
    assert {group.label: group.number_of_annotations for group in groups} == counts
    matrix = hd.seg.segread(files["seg.dcm"]).get_total_pixel_matrix(combine_segments=True)
    assert (matrix > 0).sum() == answer["slides"][0]["patches"]
    refused = office("label", "other", *common, code=1)
    assert "did not come as DICOM" in refused["failed"][0]["reason"]
    assert len(refused["slides"]) == 1


def test_the_bench_compares_ways_of_asking_and_suggests_words(
    office: Office, labels: Path, found: dict[str, Any], tmp_path: Path
) -> None:
    ways = office("labels", "bench", "kather", "--encoder", "null")
    assert [one["name"] for one in ways["variants"]] == ["figure", "code", "encoder"]
    assert all(row[place] == 1 for place, row in enumerate(ways["agreement"]))
    assert (ways["patches"] > 100, ways["examples"], ways["variants"][0]["macro_f1"]) == (True, 0, None)
    areas = [
        Feature(square(280 + 200 * number, 180, 190), classes=(name,), metadata={"slide_id": slide["slide_id"]})
        for slide in found["slides"]
        for number, name in enumerate(("fat", "nerve"))
    ]
    write_features(tmp_path / "areas.geojson", areas)
    office("annotations", "import", tmp_path / "areas.geojson")
    common = ["labels", "bench", labels, "--encoder", "null", "--template", "{}", "--template", "a {}"]
    answer = office(*common, "--suggest", "--save")
    assert [one["name"] for one in answer["variants"]] == ["only “{}”", "only “a {}”", "all templates"]
    assert answer["examples"] >= 20
    assert 0 <= answer["variants"][0]["macro_f1"] <= 1
    assert answer["suggestions"]["tested_on"] > 0
    assert ("saved" in answer) == answer["suggestions"]["helps"]
    assert office("labels", "bench", labels, "--template", "no place", code=2)["error"]["kind"] == "usage"
    assert office("labels", "bench", labels, "--save", code=2)["error"]["kind"] == "usage"
