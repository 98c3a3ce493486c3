"""The main job from the command line: index drawn slides, search them in every way, change and remove them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from plipdesk.base.paths import Workspace
from plipdesk.cli.main import run
from plipdesk.engine import messages
from plipdesk.engine.client import EngineClient, NoEngine
from tests.drawing import picture, pyramidal_tiff, tissue_picture

LINGER_S = "600"


class Office:
    """A workspace with its slides, and the command line to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.slides = folder / "slides"
        self.slides.mkdir(parents=True)
        self.workspace = Workspace(folder / "workspace µ")

    def __call__(self, *arguments: object, code: int = 0) -> Any:
        out, err = StringIO(), StringIO()
        words = [str(word) for word in arguments]
        with redirect_stdout(out), redirect_stderr(err):
            found = run([*words, "--json", "--workspace", str(self.workspace.root), "--linger", LINGER_S])
        assert found == code, (words, out.getvalue(), err.getvalue())
        assert "Traceback" not in err.getvalue()
        return json.loads(out.getvalue())

    def end(self) -> None:
        try:
            with EngineClient.connect(self.workspace, role="command", start=False) as engine:
                engine.request(messages.Shutdown(), timeout_s=30)
        except NoEngine:
            return


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    office = Office(tmp_path_factory.mktemp("office"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLIPDESK_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        for number in (1, 2):
            pyramidal_tiff(office.slides / f"größe {number}.tif", seed=number)
        pyramidal_tiff(office.slides / "other.tif", seed=3)
        yield office
        office.end()


@pytest.fixture(scope="module")
def indexed(office: Office) -> dict[str, Any]:
    first, second, third = sorted(office.slides.glob("*.tif"))
    mine = office("index", first, second, "--encoder", "null", "--case", "A", "--collection", "mine")
    theirs = office("index", third, "--encoder", "null", "--case", "B")
    assert theirs["slides"][0]["status"] == "indexed"
    return dict(mine)


def overlaps(one: dict[str, Any], box: tuple[int, int, int, int]) -> bool:
    x, y, width, height = box
    side = one["size0_px"]
    return bool(
        x < one["x0_px"] + side and one["x0_px"] < x + width and y < one["y0_px"] + side and one["y0_px"] < y + height
    )


def test_indexing_answers_as_agreed(office: Office, indexed: dict[str, Any]) -> None:
    assert set(indexed) == {"slides", "patches", "seconds", "patches_per_second", "encoder"}
    assert indexed["encoder"] == "null"
    for slide in indexed["slides"]:
        assert set(slide) == {"path", "slide_id", "status", "reason", "patches", "tissue_mm2", "seconds"}
        assert slide["status"] == "indexed"
        assert slide["reason"] is None
        assert len(slide["slide_id"]) == 32
        assert slide["patches"] > 50
        # 60 % of 1024 × 768 px at 0.5 µm/px is 0.118 mm².
        assert slide["tissue_mm2"] == pytest.approx(0.118, rel=0.1)
        assert Path(slide["path"]).is_absolute()
    assert indexed["patches"] == sum(slide["patches"] for slide in indexed["slides"])


def test_nothing_is_encoded_twice(office: Office, indexed: dict[str, Any], tmp_path: Path) -> None:
    again = office("index", office.slides, "--encoder", "null")
    assert {slide["status"] for slide in again["slides"]} == {"unchanged"}
    assert again["patches"] == 0
    moved = tmp_path / "renamed.tif"
    moved.write_bytes((office.slides / "other.tif").read_bytes())
    renamed = office("index", moved, "--encoder", "null")
    assert renamed["slides"][0]["status"] == "unchanged"
    office("slides", "relink", renamed["slides"][0]["slide_id"], office.slides / "other.tif")


def test_one_bad_file_fails_alone(office: Office, indexed: dict[str, Any], tmp_path: Path) -> None:
    broken, good, no_mpp = tmp_path / "broken.svs", tmp_path / "good.tif", tmp_path / "no mpp.png"
    broken.write_bytes(b"II*\x00 this is no slide")
    pyramidal_tiff(good, seed=9, levels=1, width_px=512, height_px=512)
    picture(no_mpp)
    answer = office("index", tmp_path / "nothing.svs", broken, good, no_mpp, "--encoder", "null", code=1)
    status = {Path(slide["path"]).name: (slide["status"], slide["reason"]) for slide in answer["slides"]}
    assert status["good.tif"] == ("indexed", None)
    assert status["broken.svs"][0] == "failed"
    assert status["nothing.svs"][0] == "failed"
    assert status["no mpp.png"][0] == "skipped"
    assert all(reason and "Traceback" not in reason for name, (_, reason) in status.items() if name != "good.tif")
    assert office("index", no_mpp, "--encoder", "null", "--mpp", "0.5")["slides"][0]["status"] == "indexed"
    for name in ("good.tif", "no mpp.png"):
        office("slides", "remove", name)


def test_words(office: Office, indexed: dict[str, Any]) -> None:
    answer = office("search", "text", "smooth muscle", "--encoder", "null", "-k", "7")
    assert set(answer) >= {"query", "encoder", "hits", "stands_out", "searched", "timing_ms"}
    assert set(answer["timing_ms"]) == {"encode", "search", "total"}
    assert answer["searched"]["slides"] == 3
    assert isinstance(answer["stands_out"], bool)
    assert [hit["rank"] for hit in answer["hits"]] == list(range(1, 8))
    scores = [hit["score"] for hit in answer["hits"]]
    assert scores == sorted(scores, reverse=True)
    for hit in answer["hits"]:
        assert set(hit) == {
            "rank", "score", "percentile", "slide_id", "path", "case", "x0_px", "y0_px", "size0_px", "mpp_um",
        }  # fmt: skip
        assert 0 <= hit["percentile"] <= 100
        assert hit["mpp_um"] == pytest.approx(0.5)
        assert hit["size0_px"] == pytest.approx(64)


def test_a_region_finds_itself_only_when_asked_to(office: Office, indexed: dict[str, Any]) -> None:
    box = (512, 320, 64, 64)
    region = ["search", "region", "größe 1", "--box", ",".join(map(str, box)), "--encoder", "null", "--no-merge"]
    slide_id = office("slides", "info", "größe 1")["slide_id"]
    own = [hit for hit in office(*region)["hits"] if hit["slide_id"] == slide_id and overlaps(hit, box)]
    assert all(
        max(0, min(hit["x0_px"] + 64, box[0] + 64) - max(hit["x0_px"], box[0]))
        * max(0, min(hit["y0_px"] + 64, box[1] + 64) - max(hit["y0_px"], box[1]))
        <= 64 * 64 / 2
        for hit in own
    )
    best = office(*region, "--include-query")["hits"][0]
    assert best["slide_id"] == slide_id
    assert (best["x0_px"], best["y0_px"]) == box[:2]
    assert best["score"] == pytest.approx(1.0, abs=1e-3)


def test_a_polygon(office: Office, indexed: dict[str, Any], tmp_path: Path) -> None:
    ring = [[400, 300], [600, 300], [600, 450], [400, 450], [400, 300]]
    outline = tmp_path / "umriß.geojson"
    outline.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}), encoding="utf-8")
    answer = office("search", "region", "other.tif", "--polygon", outline, "--encoder", "null", "-k", "5")
    assert len(answer["hits"]) == 5
    far = tmp_path / "far.geojson"
    far.write_text(
        json.dumps({"type": "Polygon", "coordinates": [[[x + 90_000, y] for x, y in ring]]}), encoding="utf-8"
    )
    assert office("search", "region", "other.tif", "--polygon", far, "--encoder", "null", code=2)["error"]["message"]


def test_a_picture_finds_where_it_was_cut(office: Office, indexed: dict[str, Any], tmp_path: Path) -> None:
    cut = tissue_picture(1024, 768, seed=2)[320:384, 512:576]
    Image.fromarray(cut).save(tmp_path / "cut.png")
    best = office("search", "image", tmp_path / "cut.png", "--encoder", "null", "-k", "1")["hits"][0]
    assert (Path(best["path"]).name, best["x0_px"], best["y0_px"]) == ("größe 2.tif", 512, 320)


def test_slides_like_a_slide_leave_it_out(office: Office, indexed: dict[str, Any]) -> None:
    answer = office("search", "slide", "other", "--encoder", "null", "--group", "slide")
    assert [Path(hit["path"]).name for hit in answer["hits"]] != []
    assert "other.tif" not in [Path(hit["path"]).name for hit in answer["hits"]]
    assert len({hit["slide_id"] for hit in answer["hits"]}) == len(answer["hits"]) == 2


def test_a_mix(office: Office, indexed: dict[str, Any], tmp_path: Path) -> None:
    mix = tmp_path / "mix.json"
    parts = [
        {"text": "nuclei"},
        {"slide": "other", "box": [512, 320, 64, 64], "weight": 2},
        {"text": "fat", "weight": -1},
    ]
    mix.write_text(json.dumps({"parts": parts}), encoding="utf-8")
    assert len(office("search", "mix", mix, "--encoder", "null", "-k", "4")["hits"]) == 4


def test_groups_and_filters(office: Office, indexed: dict[str, Any]) -> None:
    text = ["search", "text", "fibrous stroma", "--encoder", "null"]
    assert len(office(*text, "--group", "slide")["hits"]) == 3
    by_case = office(*text, "--group", "case")["hits"]
    assert sorted(hit["case"] for hit in by_case) == ["A", "B"]
    assert len(office(*text, "--group", "slide", "--per-group", "2", "-k", "2")["hits"]) == 4
    assert {hit["case"] for hit in office(*text, "--in-case", "B")["hits"]} == {"B"}
    assert {hit["case"] for hit in office(*text, "--not-case", "B")["hits"]} == {"A"}
    assert {hit["case"] for hit in office(*text, "--in-collection", "mine")["hits"]} == {"A"}
    assert {Path(hit["path"]).name for hit in office(*text, "--name", "oth*")["hits"]} == {"other.tif"}
    assert "other.tif" not in {Path(hit["path"]).name for hit in office(*text, "--not-slide", "other")["hits"]}
    assert office(*text, "--mpp-min", "0.6")["hits"] == []
    assert office(*text, "--patch-mpp", "2")["hits"] == []
    assert office(*text, "--before", "2020-01-01")["hits"] == []


def test_saved_pictures_show_the_hits(office: Office, indexed: dict[str, Any], tmp_path: Path) -> None:
    hits = office("search", "text", "x", "--encoder", "null", "-k", "3", "--save-dir", tmp_path / "hits")["hits"]
    saved = sorted((tmp_path / "hits").glob("*.png"))
    assert len(saved) == 3
    first = np.asarray(Image.open(saved[0]).convert("RGB")).astype(float)
    slide = tissue_picture(1024, 768, seed={"größe 1.tif": 1, "größe 2.tif": 2}.get(Path(hits[0]["path"]).name, 3))
    x, y = hits[0]["x0_px"], hits[0]["y0_px"]
    wanted = np.asarray(Image.fromarray(slide[y : y + 64, x : x + 64]).resize(first.shape[1::-1])).astype(float)
    assert np.abs(first - wanted).mean() < 3


def test_several_scales_are_a_tiling_each(office: Office, indexed: dict[str, Any]) -> None:
    answer = office("index", office.slides / "other.tif", "--encoder", "null", "--patch-mpp", "0.5,1.0")
    assert answer["slides"][0]["status"] == "indexed"
    text = ["search", "text", "x", "--encoder", "null", "--in-slide", "other"]
    assert {hit["size0_px"] for hit in office(*text, "--patch-mpp", "1.0")["hits"]} == {128.0}
    assert {hit["size0_px"] for hit in office(*text, "--patch-mpp", "0.5")["hits"]} == {64.0}


def test_a_corrected_scale_is_never_mixed_with_the_old_one(office: Office, tmp_path: Path) -> None:
    slide = pyramidal_tiff(tmp_path / "wrong scale.tif", seed=21)
    office("index", slide, "--encoder", "null", "--case", "scale")
    text = ["search", "text", "x", "--encoder", "null", "--in-case", "scale"]
    assert {hit["size0_px"] for hit in office(*text)["hits"]} == {64.0}
    anew = office("index", slide, "--encoder", "null", "--mpp", "0.25")["slides"][0]
    assert anew["status"] == "indexed"
    assert {(hit["size0_px"], hit["mpp_um"]) for hit in office(*text)["hits"]} == {(128.0, 0.25)}
    assert office("slides", "info", slide)["mpp_source"] == "given"
    office("slides", "remove", slide)


def test_slides_collections_and_jobs_can_be_changed(office: Office, indexed: dict[str, Any]) -> None:
    changed = office("slides", "set", "other", "--stain", "PAS", "--organ", "liver")["slides"][0]
    assert (changed["stain"], changed["organ"], changed["case"]) == ("PAS", "liver", "B")
    assert {hit["case"] for hit in office("search", "text", "x", "--encoder", "null", "--stain", "PAS")["hits"]} == {
        "B"
    }
    office("collections", "add", "both", "other", "größe 1")
    office("collections", "remove", "both", "other")
    assert {row["name"]: row["slides"] for row in office("collections", "list")["collections"]} == {
        "both": 1,
        "mine": 2,
    }
    office("collections", "remove", "both")
    jobs = office("jobs", "list")["jobs"]
    assert jobs
    assert {job["state"] for job in jobs} == {"done"}
    assert office("jobs", "watch", jobs[0]["job_id"])["state"] == "done"
    assert office("jobs", "cancel", jobs[0]["job_id"], code=2)["error"]["kind"] == "usage"
    assert office("jobs", "cancel", 9999, code=3)["error"]["kind"] == "not-found"


def test_the_doctor_finds_everything_sound(office: Office, indexed: dict[str, Any]) -> None:
    report = office("doctor")
    assert report["findings"] == []
    assert report["engine_running"] is True
    assert office("doctor", "--repair", code=3)["error"]["remedy"]


def test_an_empty_workspace_answers_with_no_hits(tmp_path: Path) -> None:
    empty = Office(tmp_path)
    try:
        answer = empty("search", "text", "anything", "--encoder", "null")
        assert (answer["hits"], answer["stands_out"], answer["searched"]) == ([], False, {"patches": 0, "slides": 0})
    finally:
        empty.end()
