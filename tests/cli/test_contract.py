"""Exit codes, errors as JSON, global options in any place: what other tools rely on, without an engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plipdesk.base.paths import Workspace
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.rows import SlideFilter
from plipdesk.cli.answers import tell_result
from plipdesk.cli.index import numbers
from plipdesk.cli.main import run
from plipdesk.cli.search import parse_mix
from plipdesk.cli.session import Session
from plipdesk.search.query import (
    PicturePart,
    Query,
    RegionPart,
    Searched,
    SearchResult,
    SlidePart,
    TextPart,
    Timing,
)
from tests.catalogue.helpers import embedding, slide


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "workspace")
    with Catalogue.open(workspace) as catalogue:
        catalogue.embeddings.commit(slide(1, name="liver.svs", case="A"), [embedding(1)], collection="tumours")
        catalogue.slides.put(slide(2, name="colon.svs"))
        catalogue.jobs.submit("index", {"paths": ["/slides/1.svs"]})
    return workspace


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = run(arguments)
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "kind", "code"),
    [
        (["index"], "usage", 2),
        (["no-such-command"], "usage", 2),
        (["search", "text"], "usage", 2),
        (["search", "text", "  "], "usage", 2),
        (["search", "text", "x", "-k", "0"], "usage", 2),
        (["search", "text", "x", "--group", "house"], "usage", 2),
        (["search", "text", "x", "--patch-mpp", "fine"], "usage", 2),
        (["search", "region", "s"], "usage", 2),
        (["search", "region", "s", "--box", "1,2,3"], "usage", 2),
        (["search", "region", "s", "--box", "1,2,3,4", "--polygon", "f"], "usage", 2),
        (["search", "region", "s", "--polygon", "/none.geojson"], "not-found", 3),
        (["search", "image", "/no/picture.png"], "not-found", 3),
        (["search", "text", "x", "--in-slide", "nobody"], "not-found", 3),
        (["index", "/no/slide.svs"], "not-found", 3),
        (["index", "/", "--mpp", "0"], "usage", 2),
        (["index", "/", "--tissue", "/no/outlines.geojson"], "not-found", 3),
        (["index", "/", "--overlap", "1.5"], "usage", 2),
        (["embed", "--out", "x.npy"], "usage", 2),
        (["models", "info", "no-such-model"], "not-found", 3),
        (["slides", "info", "nobody"], "not-found", 3),
        (["slides", "set", "nobody"], "usage", 2),
        (["jobs", "cancel", "seven"], "usage", 2),
    ],
)
def test_wrong_calls_answer_with_a_document_and_a_code(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], arguments: list[str], kind: str, code: int
) -> None:
    found, document = asked(capsys, *arguments, "--json", "--workspace", str(workspace.root))
    assert set(document) == {"error"}
    assert set(document["error"]) == {"kind", "message", "path", "remedy"}
    assert (document["error"]["kind"], found) == (kind, code)
    assert document["error"]["message"]


def test_global_options_stand_before_or_after(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--workspace", str(workspace.root)]
    answers = [
        asked(capsys, *place, "--json", "slides", "list"),
        asked(capsys, "slides", "list", *place, "--json"),
        asked(capsys, "--json", "slides", "list", *place),
    ]
    assert answers[0] == answers[1] == answers[2]
    code, document = answers[0]
    assert code == 0
    assert [(row["name"], row["case"]) for row in document["slides"]] == [("colon.svs", None), ("liver.svs", "A")]
    assert document["slides"][1]["indexed"][0]["patches"] == 10


def test_the_workspace_by_environment(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLIPDESK_WORKSPACE", str(workspace.root))
    assert len(asked(capsys, "slides", "list", "--json")[1]["slides"]) == 2


@pytest.mark.parametrize(
    ("arguments", "document"),
    [
        (["slides", "list"], {"slides": []}),
        (["collections", "list"], {"collections": []}),
        (["jobs", "list"], {"jobs": []}),
    ],
)
def test_where_no_workspace_is_nothing_is_listed_and_nothing_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], document: object
) -> None:
    assert asked(capsys, *arguments, "--json", "--workspace", str(tmp_path / "none")) == (0, document)
    assert not (tmp_path / "none").exists()


def test_lists_filters_and_details(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--json", "--workspace", str(workspace.root)]
    _, document = asked(capsys, "slides", "list", "--in-collection", "tumours", *place)
    assert [row["name"] for row in document["slides"]] == ["liver.svs"]
    assert asked(capsys, "slides", "info", "liver", *place)[1]["slide_id"] == slide(1).slide_id
    assert asked(capsys, "collections", "list", *place)[1]["collections"][0]["slides"] == 1
    assert [job["state"] for job in asked(capsys, "jobs", "list", *place)[1]["jobs"]] == ["queued"]


def test_tables_for_people(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["slides", "list", "--workspace", str(workspace.root)]) == 0
    printed = capsys.readouterr().out
    assert "liver.svs" in printed
    assert "0.5 measured" in printed


def test_errors_for_people_are_one_line_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["index", str(tmp_path / "none.svs"), "--workspace", str(tmp_path)]) == 3
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"plipdesk: This file or folder does not exist. ({tmp_path / 'none.svs'}) Check the path.\n"


def test_a_mistake_of_ours_leaves_a_file_and_one_sentence(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def breaks(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a made-up mistake")

    monkeypatch.setattr(Catalogue, "open", breaks)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert run(["slides", "list", "--workspace", str(workspace.root)]) == 3
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    (report,) = tmp_path.glob("plipdesk-crash-*.txt")
    assert str(report) in printed
    assert "a made-up mistake" in report.read_text(encoding="utf-8")


def test_version_names_its_parts(capsys: pytest.CaptureFixture[str]) -> None:
    code, document = asked(capsys, "version", "--json")
    assert code == 0
    assert {"plipdesk", "python", "openslide-bin", "onnxruntime", "hnswlib"} <= set(document)


def test_numbers() -> None:
    assert numbers("0.5,1", "--patch-mpp") == [0.5, 1.0]
    assert numbers(None, "--patch-mpp") == []


def test_a_mix_of_everything(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(b"")
    mix = tmp_path / "mix.json"
    parts: list[dict[str, Any]] = [
        {"text": "fat", "weight": 2},
        {"text": "blood", "weight": -1},
        {"image": "p.png"},
        {"slide": "liver", "box": [1, 2, 3, 4], "weight": 0.5},
        {"slide": "liver", "polygon": [[0, 0], [5, 0], [5, 5]]},
        {"slide": "liver"},
    ]
    mix.write_text(json.dumps({"parts": parts}), encoding="utf-8")
    assert parse_mix(mix) == {
        "texts": (TextPart("fat", 2.0), TextPart("blood", -1.0)),
        "pictures": (PicturePart(path=str(tmp_path / "p.png")),),
        "regions": (
            RegionPart("liver", (1.0, 2.0, 3.0, 4.0), weight=0.5),
            RegionPart("liver", polygon=((0.0, 0.0), (5.0, 0.0), (5.0, 5.0))),
        ),
        "slides": (SlidePart("liver"),),
    }


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"parts": []}', '{"parts": 7}', '{"parts": [{}]}', '{"parts": [{"text": "x", "weight": "heavy"}]}',
     '{"parts": [{"slide": "x", "box": [1, 2]}]}', '{"parts": ["x"]}'],
)  # fmt: skip
def test_what_is_no_mix(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    mix = tmp_path / "mix.json"
    mix.write_text(content, encoding="utf-8")
    code, document = asked(capsys, "search", "mix", str(mix), "--json", "--workspace", str(tmp_path))
    assert code == 2
    assert document["error"]["path"] == str(mix) or content == '{"parts": []}'


@pytest.mark.parametrize(
    ("patches", "filters", "notes", "said"),
    [
        (5, SlideFilter(), (), "No hits.\n"),
        (0, SlideFilter(cases=("A",)), (), "No slide that is indexed passes the filters.\n"),
        (0, SlideFilter(), (), "Nothing is indexed yet. Start with: plipdesk index PATH\n"),
        (0, SlideFilter(), ("3 slides are plip's.",), "3 slides are plip's.\nNothing is indexed with mini.\n"),
    ],
)
def test_an_empty_answer_says_why(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    patches: int,
    filters: SlideFilter,
    notes: tuple[str, ...],
    said: str,
) -> None:
    query = Query(texts=(TextPart("fat"),), filters=filters)
    result = SearchResult(query, "mini", (), False, Searched(patches, 1), Timing(0.0, 0.0, 0.0), notes)
    tell_result(Session.of(tmp_path, False, False, None), result)
    assert capsys.readouterr().out == said
