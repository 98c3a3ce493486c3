"""What is done with a finished data set: counted, told, divided, released, joined again, looked over."""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plipdesk.base.progress import QuietContext
from plipdesk.cli.main import run
from plipdesk.datasets import reviewing
from plipdesk.datasets.build import BuildPlan, build
from plipdesk.datasets.dataset import DataSet
from plipdesk.datasets.flow import SplitRule, read_flow
from plipdesk.datasets.manifest import read_manifest
from plipdesk.datasets.releasing import ReleaseProblem, read_release, rehydrate, write_release
from plipdesk.datasets.report import write_report
from plipdesk.datasets.sources.kinds import parse_source
from plipdesk.datasets.splits import Divisible, divide
from plipdesk.encoders.null import NullEncoder
from tests.datasets.exports import draw, page

CAPTIONS = (
    "Melanoma of the skin, H&E", "Colon adenoma, a polyp of the colon", "PAS stain of a kidney with crescents here",
    "Immunohistochemistry for cytokeratin in the lung", "Liver biopsy with fatty change and some fibrosis",
    "Lymph node with metastasis", "Thyroid nodule, papillary", "Breast carcinoma, Ki-67",
)  # fmt: skip


def tweet(number: int) -> dict[str, Any]:
    return {
        "id": str(number), "author_id": str(number % 4), "text": f"{CAPTIONS[number % 8]} #SurgPath", "lang": "en",
        "created_at": f"20{10 + number % 3}-01-02T00:00:00.000Z", "attachments": {"media_keys": [f"3_{number}"]},
    }  # fmt: skip


def answer(number: int) -> dict[str, Any]:
    return {
        "id": str(number + 500), "author_id": "77", "text": f"Thank you for picture {number}", "lang": "en",
        "created_at": "2013-01-02T00:00:00.000Z",
        "referenced_tweets": [{"type": "replied_to", "id": str(number)}],
    }  # fmt: skip


def export(folder: Path, numbers: range) -> Path:
    items = [made for number in numbers for made in (tweet(number), answer(number))]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "posts.jsonl").write_bytes(page(items))
    for number in numbers:
        draw(folder / "media", f"3_{number}.jpg", number)
    return folder


@pytest.fixture
def made(tmp_path: Path) -> DataSet:
    folder = export(tmp_path / "export", range(100, 116))
    source = parse_source(f"x-api-v2:{folder / 'posts.jsonl'}")
    return build(
        BuildPlan((source,), (folder / "media",), tmp_path / "out", read_flow()), NullEncoder(), QuietContext()
    )


def test_statistics_count_words_of_stains_and_organs(made: DataSet) -> None:
    found = write_report(made)
    assert (found["pairs"], found["pictures"], found["groups"]) == (32, 16, 4)
    assert found["by_year"] == {"2010": 5, "2011": 6, "2012": 5, "2013": 16}
    assert found["by_organ"]["colon"] == 2
    assert found["by_organ"]["kidney"] == 2
    assert any("periodic acid" in name.lower() or "PAS" in name for name in found["by_stain"])
    assert found["captions"]["Twitter reply"]["median_words"] == 5
    assert found["captions"]["Twitter"]["paper_median_words"] == 20
    for one in found["captions"].values():
        assert sum(bar["captions"] for bar in one["histogram"]) == one["captions"]


def test_the_report_needs_nothing_else_and_its_numbers_add_up(made: DataSet) -> None:
    write_report(made)
    page_text = made.layout.report.read_text(encoding="utf-8")
    assert not re.search(r'(?:src|href)="(?!data:)', page_text)
    assert "<script" not in page_text
    assert "For research use only. Not for diagnosis." in page_text
    through = [tuple(map(int, found)) for found in re.findall(r"([\d,]+) in, ([\d,]+) kept", page_text)]
    assert through[0][0] == made.document["formed"]
    assert all(kept == taken for (_, kept), (taken, _) in itertools.pairwise(through))
    assert through[-1][1] == made.document["pairs"]
    card = made.layout.card.read_text(encoding="utf-8")
    assert "| near-duplicates |" in card
    assert "median 5" in card


def test_a_release_holds_ids_and_links_only(made: DataSet, tmp_path: Path) -> None:
    document = write_release(made, tmp_path / "release")
    assert document["pairs"] == 32
    table = (tmp_path / "release" / "release.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(table.splitlines()))
    assert list(rows[0]) == ["source", "hashtag", "weblink", "id", "media_id", "split"]
    assert rows[0]["weblink"].startswith("https://twitter.com/")
    whole = table + (tmp_path / "release" / "release.json").read_text(encoding="utf-8")
    for pair in made.pairs:
        assert pair.caption not in whole
    assert str(tmp_path) not in whole
    assert {file.name for file in (tmp_path / "release").iterdir()} == {"release.csv", "release.json"}


def test_a_release_is_joined_again_and_deletions_are_told(made: DataSet, tmp_path: Path) -> None:
    write_release(made, tmp_path / "release")
    # Posts 100 to 103 were deleted since, with the replies to them; the picture of 104 is not there any more.
    folder = export(tmp_path / "later", range(104, 120))
    (folder / "media" / "3_104.jpg").unlink()
    source = parse_source(f"x-api-v2:{folder / 'posts.jsonl'}")
    report = rehydrate(tmp_path / "release", [source], [folder / "media"], tmp_path / "again", None, QuietContext())
    assert (report["released"], report["pairs"], report["deleted"]) == (32, 22, 8)
    assert report["incomplete"] == {"picture is not in the export": 2}
    assert {entry["id"] for entry in report["deleted_ids"]} == {
        *(str(number) for number in range(100, 104)), *(str(number) for number in range(600, 604))
    }  # fmt: skip
    again = DataSet.open(tmp_path / "again")
    before = {pair.id: (pair.caption, pair.split, pair.sha256, pair.hashtag) for pair in made.pairs}
    assert all(before[pair.id] == (pair.caption, pair.split, pair.sha256, pair.hashtag) for pair in again.pairs)
    (tmp_path / "release" / "release.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ReleaseProblem, match="columns are others"):
        read_release(tmp_path / "release")


def divisible(number: int, group: str, source: str = "Twitter", *, picture: int | None = None) -> Divisible:
    rng = np.random.default_rng(number if picture is None else picture)
    return Divisible(str(number), group, source, "", rng.bytes(32).hex(), rng.bytes(16).hex())


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=150), st.integers(0, 99), st.sampled_from(["author", "source"])
)
@settings(max_examples=60, deadline=None)
def test_a_split_never_parts_a_group_and_depends_on_its_seed_only(groups: list[int], seed: int, by: str) -> None:
    pairs = [divisible(number, f"g{group}", f"s{group % 3}") for number, group in enumerate(groups)]
    rule = SplitRule(by=by, seed=seed)  # type: ignore[arg-type]
    splits, leaks = divide(pairs, rule)
    assert (splits, leaks) == divide(pairs, rule)
    assert leaks == []
    sides: dict[str, set[str]] = {}
    for pair, split in zip(pairs, splits, strict=True):
        sides.setdefault(pair.group, set()).add(split)
    assert all(len(found) == 1 for found in sides.values())


def test_shares_are_met_and_pictures_under_other_names_stay_together() -> None:
    pairs = [divisible(number, f"g{number}") for number in range(1000)]
    pairs += [divisible(2000 + number, f"h{number}", picture=number) for number in range(50)]
    splits, leaks = divide(pairs, SplitRule(seed=3))
    assert leaks == []
    counts = Counter(splits)
    assert abs(counts["train"] - 840) < 15
    assert abs(counts["test"] - 105) < 15
    assert [splits[number] for number in range(50)] == splits[1000:]
    given_splits = [
        Divisible(
            pair.id, pair.group, pair.source, "test" if pair.id.startswith("20") else "train", pair.sha256, pair.dhash
        )
        for pair in pairs
    ]
    _, leaks = divide(given_splits, SplitRule(by="given"))
    assert {leak.kind for leak in leaks} == {"picture (file)"}


def test_decisions_are_logged_applied_counted_and_taken_back(made: DataSet) -> None:
    first, second, third = (pair.id for pair in made.pairs[:3])
    before = made.pairs[1].caption
    reviewing.log(made, "drop", [first, third], "a drawing")
    reviewing.log(made, "caption", [second], "Another caption")
    document = reviewing.apply(made)
    assert (document["name"], document["in"], document["kept"], document["reasons"]) == (
        "review",
        32,
        30,
        {"a drawing": 2},
    )
    again = DataSet.open(made.layout.root)
    assert first not in {pair.id for pair in again.pairs}
    assert reviewing.pair_called(again, second).caption == "Another caption"
    assert len(read_manifest(made.layout.manifest).rows) == 30
    assert not made.layout.shards.exists()
    assert reviewing.pair_called(again, second) not in [again.pairs[n] for n in reviewing.to_look_at(again)]
    for left in (30, 32):
        reviewing.log(again, "undo", ())
        reviewing.apply(again)
        assert len(again.pairs) == left
    assert reviewing.pair_called(again, second).caption == before
    with pytest.raises(reviewing.ReviewProblem, match="nothing to undo"):
        reviewing.log(again, "undo", ())
    with pytest.raises(reviewing.ReviewProblem, match="no pair nobody"):
        reviewing.log(again, "drop", ["nobody"])
    assert [decision.kind for decision in reviewing.decisions_of(again.layout)] == ["drop", "caption", "undo", "undo"]


def test_least_agreement_comes_first(made: DataSet) -> None:
    encoder = NullEncoder()
    scores = reviewing.agreement(made, encoder)
    order = reviewing.to_look_at(made, scores=scores)
    assert sorted(scores[order].tolist()) == scores[order].tolist()
    words = encoder.encode_texts([made.pairs[5].caption])[0]
    embeddings = made.embeddings()
    assert embeddings is not None
    assert scores[5] == pytest.approx(float(words @ embeddings[made.pairs[5].row].astype(np.float32)), abs=1e-5)


def test_every_command_answers_in_json(made: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(made.layout.root)

    def ask(*words: str) -> Any:
        assert run(["--json", "--quiet", "dataset", *words]) == 0
        return json.loads(capsys.readouterr().out)

    built = ask("build", "--source", f"x-api-v2:{tmp_path / 'export' / 'posts.jsonl'}", "--media",
                str(tmp_path / "export" / "media"), "--out", str(tmp_path / "cli"), "--encoder", "none")  # fmt: skip
    assert set(built) >= {"steps", "pairs", "by_source", "by_hashtag", "out"}
    assert set(built["steps"][0]) >= {"name", "in", "kept", "dropped", "reasons"}
    assert built["pairs"] == 32
    assert ask("stats", out)["pairs"] == 32
    assert ask("split", out, "--seed", "5", "--shares", "train=0.5,test=0.5")["leaks"] == 0
    assert ask("release", out, "--out", str(tmp_path / "r"))["pairs"] == 32
    again = ask("rehydrate", str(tmp_path / "r"), "--source", f"x-api-v2:{tmp_path / 'export' / 'posts.jsonl'}",
                "--media", str(tmp_path / "export" / "media"), "--out", str(tmp_path / "again"))  # fmt: skip
    assert (again["pairs"], again["deleted"]) == (32, 0)
    listed = ask("review", out, "--encoder", "null", "--limit", "3")
    assert len(listed["pairs"]) == 3
    assert ask("review", out, "--drop", listed["pairs"][0]["id"], "--why", "dull")["pairs"] == 31
    assert ask("review", out, "--undo")["pairs"] == 32
    assert run(["--json", "dataset", "split", out, "--shares", "train=2"]) == 2
    assert run(["--json", "dataset", "stats", str(tmp_path / "nothing")]) == 3
