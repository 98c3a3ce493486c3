"""Whole runs on drawn data: figures worked by hand, splits told, documents and reports that hold every number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plipdesk.base.errors import Cancelled, NotFound
from plipdesk.base.progress import QuietContext
from plipdesk.cli.main import run
from plipdesk.evaluation import embedding
from plipdesk.evaluation.data import EvaluationProblem
from plipdesk.evaluation.figures import score_classes
from plipdesk.evaluation.protocol import find_protocol, read_protocol, shipped_protocols
from plipdesk.evaluation.readers.kather import CLASSES, read_kather
from plipdesk.evaluation.report.comparing import comparison
from plipdesk.evaluation.report.page import write_report
from plipdesk.evaluation.running import document, run_protocol
from plipdesk.evaluation.tasks import Asked
from tests.evaluation.colours import COLOURS, ColourEncoder, paint

WORDS = (
    "adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle", "normal colon", "stroma", "carcinoma",
)  # fmt: skip
KATHER_WORDS = dict(zip(WORDS, COLOURS, strict=True))


@pytest.fixture
def kather(tmp_path: Path) -> Path:
    for number, name in enumerate(CLASSES):
        for place in range(4):
            paint(tmp_path / "NCT-CRC-HE-100K" / name / f"{place}.tif", list(COLOURS)[number], seed=place)
            paint(tmp_path / "CRC-VAL-HE-7K" / name / f"{place}.tif", list(COLOURS)[number], seed=50 + place)
    # One picture of fat that looks like muscle, and one that is none.
    paint(tmp_path / "CRC-VAL-HE-7K" / "ADI" / "0.tif", list(COLOURS)[CLASSES.index("MUS")])
    (tmp_path / "CRC-VAL-HE-7K" / "TUM" / "0.tif").write_bytes(b"II*\x00 nothing")
    return tmp_path


def test_every_shipped_protocol_is_sound() -> None:
    found = {one.name for one in shipped_protocols()}
    assert {"kather-zero-shot", "pannuke-zero-shot", "kather-linear-probe", "text-to-image-retrieval"} <= found
    with pytest.raises(NotFound, match="no protocol called"):
        find_protocol("../kather-zero-shot")


def test_zero_shot_by_hand(kather: Path, tmp_path: Path) -> None:
    encoder = ColourEncoder(KATHER_WORDS)
    protocol = find_protocol("kather-zero-shot")
    asked = Asked()
    outcome, data = run_protocol(protocol, kather, encoder, asked)
    assert outcome.n == 35
    assert outcome.metrics["accuracy"] == pytest.approx(34 / 35)
    # ADI: 3 right of 4, precision 1: F1 6/7. MUS: 4 right, one more named: F1 8/9. All others 1.
    assert outcome.metrics["macro_f1"] == pytest.approx((7 + 6 / 7 + 8 / 9) / 9)
    weighted = (4 * 6 / 7 + 4 * 8 / 9 + 27) / 35
    assert outcome.metrics["weighted_f1"] == pytest.approx(weighted)
    low, high = outcome.intervals["weighted_f1"]
    assert low < weighted <= high <= 1
    assert outcome.prompts is not None
    assert outcome.prompts["mucus"] == ["An H&E image patch of mucus."]
    assert any("1 pictures of the test part could not be read" in note for note in outcome.notes)

    numbers = document(protocol, encoder, outcome, asked, None)
    assert numbers["confusion"]["rows"][0][CLASSES.index("MUS")] == 1
    plip = next(row for row in numbers["paper"] if row["model"] == "PLIP" and row["metric"] == "weighted_f1")
    assert plip["paper"] == 0.565
    assert plip["not_comparable_because"] == "the paper tested on 7,180 pictures, this run on 35"
    page = write_report(tmp_path / "report", protocol, outcome, numbers, data.pictures).read_text(encoding="utf-8")
    assert "For research use only. Not for diagnosis." in page
    assert "Not comparable, because the paper tested on 7,180" in page
    assert 'src="http' not in page
    assert json.loads((tmp_path / "report" / "result.json").read_text(encoding="utf-8")) == numbers
    assert (tmp_path / "report" / "confusion.csv").read_text(encoding="utf-8").startswith("actual,ADI,BACK")


def test_linear_probing(kather: Path) -> None:
    outcome, _ = run_protocol(find_protocol("kather-linear-probe"), kather, ColourEncoder(), Asked())
    assert outcome.metrics["weighted_f1"] > 0.9
    assert outcome.metrics["weighted_f1_sd"] >= 0
    assert set(outcome.by["alpha"]) == {"0.1", "0.01", "0.001", "0.0001"}
    again, _ = run_protocol(find_protocol("kather-linear-probe"), kather, ColourEncoder(), Asked())
    assert again.metrics == outcome.metrics


def test_retrieval_by_caption_and_by_post(tmp_path: Path) -> None:
    lines = ["image,caption,post,hashtag"]
    for number, name in enumerate(COLOURS):
        for place in range(2):
            paint(tmp_path / f"{name}-{place}.png", name, seed=place)
            lines.append(f"{name}-{place}.png,a {name} field,{number},{'GIPath' if place else 'dermpath'}")
    (tmp_path / "posts.csv").write_text("\n".join(lines), encoding="utf-8")
    encoder = ColourEncoder()
    outcome, _ = run_protocol(find_protocol("text-to-image-retrieval"), tmp_path, encoder, Asked())
    # Each caption stands for two pictures: its own is first or second, and never both are first.
    assert outcome.metrics["recall_at_5"] == 1.0
    assert outcome.metrics["recall_at_1"] == 0.5
    assert outcome.metrics["random_recall_at_10"] == pytest.approx(10 / 18)
    assert set(outcome.by["hashtag"]) == {"GIPath", "dermpath"}
    outcome, _ = run_protocol(find_protocol("image-to-image-retrieval"), tmp_path, encoder, Asked())
    assert outcome.metrics["recall_at_1"] == 1.0
    assert outcome.n == 18


def test_class_retrieval_with_and_without_the_query(kather: Path) -> None:
    protocol = find_protocol("kather-class-retrieval")
    outcome, _ = run_protocol(protocol, kather, ColourEncoder(), Asked())
    # The one picture of fat that looks like muscle finds muscle; all others find their own.
    assert outcome.metrics["class_accuracy_at_3"] == pytest.approx(34 / 35)
    with_query, _ = run_protocol(protocol, kather, ColourEncoder(), Asked(with_query=True))
    assert with_query.curve is not None
    assert with_query.curve[1][:2] == (1.0, 1.0)
    assert with_query.metrics["class_accuracy_at_5"] < 1


def test_words_are_not_asked_of_an_encoder_that_only_sees(kather: Path) -> None:
    class Blind(ColourEncoder):
        @property
        def card(self) -> Any:
            plain = super().card
            tokenizer = plain.tokenizer.model_copy(update={"kind": "none"})
            return plain.model_copy(update={"tokenizer": tokenizer, "context_length": 0, "prompt_templates": ()})

    with pytest.raises(EvaluationProblem, match="only sees pictures"):
        run_protocol(find_protocol("kather-zero-shot"), kather, Blind(), Asked())


def test_what_was_encoded_is_kept_when_work_is_stopped(kather: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "_PART", 8)
    monkeypatch.setattr(embedding, "_AT_ONCE", 4)
    data = read_kather(kather)
    seen: list[int] = []

    class Counting(ColourEncoder):
        def encode_pictures(self, pictures: Any) -> Any:
            seen.append(len(pictures))
            return super().encode_pictures(pictures)

    class Stopping(QuietContext):
        def check_cancel(self) -> None:
            if len(seen) >= 5:
                raise Cancelled

    numbers = np.arange(30)
    with pytest.raises(Cancelled):
        embedding.embed(Counting(), data.pictures, numbers, context=Stopping())
    seen.clear()
    whole = embedding.embed(Counting(), data.pictures, numbers)
    assert sum(seen) < 30
    seen.clear()
    assert np.array_equal(embedding.embed(Counting(), data.pictures, numbers).rows, whole.rows, equal_nan=True)
    assert seen == []


def test_intervals_of_counts_are_those_of_pictures() -> None:
    rng = np.random.default_rng(3)
    actual, predicted = rng.integers(0, 3, 400), rng.integers(0, 3, 400)
    wide = score_classes(actual, predicted, 3, seed=1)
    narrow = score_classes(actual, predicted, 3, seed=1, way="subsample")
    share = wide.metrics["accuracy"]
    width, narrow_width = (high - low for low, high in (wide.intervals["accuracy"], narrow.intervals["accuracy"]))
    # The binomial's own limits, and those of 70 % drawn without replacement: √(1 / 0.7 - 1) of them.
    assert width == pytest.approx(2 * 1.96 * np.sqrt(share * (1 - share) / 400), rel=0.12)
    assert narrow_width / width == pytest.approx(np.sqrt(1 / 0.7 - 1), abs=0.1)
    by_group = score_classes(actual, predicted, 3, seed=1, groups=["a"] * 200 + ["b"] * 200)
    assert by_group.metrics == wide.metrics


def test_two_runs_side_by_side() -> None:
    base = {"protocol": "p", "title": "P", "encoder": "a", "n": 5, "split": "s", "seed": 1, "intervals": {}}
    other = {**base, "encoder": "b", "n": 6, "metrics": {"accuracy": 0.75}}
    found = comparison({**base, "metrics": {"accuracy": 0.5}}, other)
    assert found["metrics"][0]["change"] == pytest.approx(0.25)
    assert found["not_comparable_because"] == ["the numbers of pictures differ: 5 and 6"]


def test_the_command(kather: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "out"
    asked = ["evaluate", "run", "--protocol", "kather-class-retrieval", "--data", str(kather), "--encoder", "null"]
    assert run([*asked, "--report", str(report), "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["report"] == str(report / "index.html")
    assert (report / "index.html").is_file()
    assert run(["evaluate", "compare", str(report), str(report), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["not_comparable_because"] == []
    assert run(["evaluate", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["protocols"]
    assert {"name", "title", "task"} == set(listed[0])
    assert run(["evaluate", "run", "--protocol", "nothing", "--data", str(kather), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "not-found"


def test_a_protocol_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    text = "schema_version: 1\nname: mine\ntitle: Mine\ntask: zero-shot\ndata: {}\n"
    path.write_text(text.format("captions"), encoding="utf-8")
    with pytest.raises(EvaluationProblem, match="zero-shot cannot be done on captions"):
        read_protocol(path)
    path.write_text(text.format("class-folders"), encoding="utf-8")
    assert find_protocol(str(path)).name == "mine"
