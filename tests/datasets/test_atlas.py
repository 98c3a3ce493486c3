"""The atlas manifest and the committed split."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plipdesk.base.resources import resource_path
from plipdesk.datasets.atlas import build_atlas_manifest
from plipdesk.datasets.holdout import HoldoutProblem, HoldoutRule, choose_held_out, read_held_out, scorable_tags
from plipdesk.datasets.manifest import ManifestProblem, read_manifest


def atlas(folder: Path) -> Path:
    """A folder like the atlas's, with two cases."""
    for case in ("one", "two"):
        (folder / "tiles" / case).mkdir(parents=True)
        (folder / "tiles" / case / "t.jpg").write_bytes(case.encode())
    notes = [{"path": f"{case}/t.jpg", "tags": ["fat"], "caption": f"fat of {case}"} for case in ("one", "two")]
    (folder / "tiles" / "annotations.jsonl").write_text("\n".join(map(json.dumps, notes)), encoding="utf-8")
    (folder / "overviews").mkdir()
    (folder / "overviews" / "o.jpg").write_bytes(b"overview")
    (folder / "overviews" / "captions.csv").write_text("file,case,caption_en\no.jpg,two,Fat.\n", encoding="utf-8")
    (folder / "micrographs").mkdir()
    (folder / "micrographs" / "m.jpg").write_bytes(b"micrograph")
    (folder / "micrographs" / "captions.csv").write_text("file,title,caption\nm.jpg,Fat,Cells.\n", encoding="utf-8")
    return folder


def test_the_atlas_becomes_a_manifest(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    assert build_atlas_manifest(atlas(tmp_path / "data"), ["two"], out) == 4
    rows = read_manifest(out).rows
    assert {(row.source, row.group, row.split) for row in rows} == {
        ("atlas-tiles", "one", "train"),
        ("atlas-tiles", "two", "heldout"),
        ("atlas-overviews", "two", "heldout"),
        ("openstax", "openstax-m.jpg", "train"),
    }
    first = out.read_bytes()
    build_atlas_manifest(tmp_path / "data", ["two"], out)
    assert out.read_bytes() == first


def test_an_unknown_case_or_a_missing_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestProblem, match="three"):
        build_atlas_manifest(atlas(tmp_path / "data"), ["three"], tmp_path / "out.parquet")
    (tmp_path / "data" / "overviews" / "captions.csv").unlink()
    with pytest.raises(ManifestProblem, match="cannot be read"):
        build_atlas_manifest(tmp_path / "data", ["two"], tmp_path / "out.parquet")


def test_tags_are_scored_where_enough_tiles_come_from_enough_cases() -> None:
    tags = [["a", "b"], ["a"], ["b"], ["b"]]
    assert scorable_tags(tags, ["x", "y", "x", "x"], min_tiles=2, min_cases=2) == ["a"]


def test_the_search_finds_the_half_that_can_be_scored() -> None:
    # Only if a and c (or b and d) lie apart is the tag on both sides twice.
    counts = {case: {"fat": 30} for case in "abcd"} | {case: {"rare": 1} for case in "ef"}
    tiles = dict.fromkeys("abcdef", 30)
    rule = HoldoutRule(held_tiles=10, held_cases=2, train_tiles=20, train_cases=2)
    held = choose_held_out(counts, tiles, n_cases=3, seed=1, rounds=200, rule=rule)
    assert held == choose_held_out(counts, tiles, n_cases=3, seed=1, rounds=200, rule=rule)
    assert len(set(held) & set("abcd")) == 2
    with pytest.raises(HoldoutProblem, match="cannot be held out"):
        choose_held_out(counts, tiles, n_cases=6, seed=1)


def test_a_split_file_without_cases_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "split.yaml"
    for content in ("held_out: []", "[", "- a"):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(HoldoutProblem):
            read_held_out(path)


@pytest.mark.realdata
def test_the_committed_split_is_what_the_procedure_chose(realdata: Path) -> None:
    held = read_held_out(resource_path("splits/atlas-heldout.yaml"))
    counts: dict[str, dict[str, int]] = {}
    tiles: dict[str, int] = {}
    for line in (realdata / "tiles" / "annotations.jsonl").read_text(encoding="utf-8").splitlines():
        note = json.loads(line)
        case = note["path"].split("/")[0]
        tiles[case] = tiles.get(case, 0) + 1
        own = counts.setdefault(case, {})
        for tag in set(note["tags"]) - {"other"}:
            own[tag] = own.get(tag, 0) + 1
    assert held == choose_held_out(counts, tiles, n_cases=29, seed=20261123)
