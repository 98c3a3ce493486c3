"""The filter "is this a pathology picture", and pictures like those given."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from plipdesk.base.progress import QuietContext
from plipdesk.base.resources import resource_path
from plipdesk.datasets.build import BuildPlan, build
from plipdesk.datasets.dataset import DataSet
from plipdesk.datasets.drawn_pictures import DRAWABLE, draw_picture
from plipdesk.datasets.flow import flow_of
from plipdesk.datasets.looking import bands_of
from plipdesk.datasets.near_duplicates import HashFinder, nearest, normalised
from plipdesk.datasets.pathology_filter import (
    CLASSES,
    SHIPPED,
    FilterProblem,
    filter_for,
    gather_examples,
    learn_filter,
    save_filter,
)
from plipdesk.datasets.reviewing import to_look_at, unsure_bounds
from plipdesk.datasets.sources.kinds import parse_source
from plipdesk.encoders.loading import find_encoder
from plipdesk.encoders.null import NullEncoder
from plipdesk.probes.errors import ProbeProblem
from plipdesk.slides.thumbnails import encode_png
from tests.datasets.exports import tissue

ENCODER = NullEncoder()


def stained(seed: int) -> np.ndarray:
    """A picture with the colours of stained tissue, which the null encoder tells from paper."""
    picture = tissue(seed).astype(float)
    return (picture * [0.2, 0.1, 0.2] + [170, 90, 160]).clip(0, 255).astype(np.uint8)


def examples(folder: Path) -> Path:
    for case in range(10):
        place = folder / "histology" / f"case{case}"
        place.mkdir(parents=True)
        for number in range(4):
            (place / f"{number}.png").write_bytes(encode_png(stained(100 * case + number)))
    (folder / "histology" / "case0" / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filter")
    found = gather_examples(examples(folder / "examples"), ENCODER, QuietContext(), drawn_each=60)
    probe, card = learn_filter(found, ENCODER)
    save_filter(folder / "filter", probe, card)
    return folder / "filter"


def test_a_card_says_what_was_measured_and_what_was_drawn(learned: Path) -> None:
    card = json.loads((learned / "filter.json").read_text())
    assert set(card["classes"]) == set(CLASSES)
    assert card["classes"]["histology"]["origin"] == "given"
    assert {name for name in CLASSES if card["classes"][name]["origin"] == "drawn"} == set(DRAWABLE)
    assert card["classes"]["people"]["origin"].startswith("no examples")
    # Three of ten cases are held out, whole.
    assert (card["classes"]["histology"]["learned_from"], card["classes"]["histology"]["held_out"]) == (28, 12)
    at_half = next(one for one in card["pathology"] if one["threshold"] == 0.5)
    assert at_half["recall"] > 0.9
    assert at_half["precision"] > 0.8


def test_learning_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    folder = examples(tmp_path / "examples")
    files = []
    for name in ("one", "two"):
        found = gather_examples(folder, ENCODER, QuietContext(), seed=3, drawn_each=20)
        save_filter(tmp_path / name, *learn_filter(found, ENCODER, seed=3))
        files.append([file.read_bytes() for file in sorted((tmp_path / name).iterdir())])
    assert files[0] == files[1]
    with pytest.raises(FilterProblem, match="no pathology pictures"):
        gather_examples(tmp_path / "one", ENCODER, QuietContext())


def _candidates(folder: Path) -> Path:
    folder.mkdir()
    for number in range(6):
        (folder / f"tissue{number}.png").write_bytes(encode_png(stained(5000 + number)))
        (folder / f"tissue{number}.txt").write_text(f"Adenoma of the colon, case {number}")
    for number, kind in enumerate(("chart", "screenshot", "chart")):
        (folder / f"drawn{number}.png").write_bytes(encode_png(draw_picture(kind, 10_000 + number)))
        (folder / f"drawn{number}.txt").write_text(f"Survival of the patients, figure {number}")
    return folder


def _build(tmp_path: Path, *steps: object) -> DataSet:
    source = parse_source(f"folder:{_candidates(tmp_path / 'in')}")
    flow = flow_of({"steps": ["cleaning", "files", *steps]})
    return build(BuildPlan((source,), (), tmp_path / "out", flow), ENCODER, QuietContext())


def test_charts_and_screenshots_go_and_tissue_stays(tmp_path: Path, learned: Path) -> None:
    made = _build(tmp_path, {"pathology": {"filter": str(learned), "margin": 0.0}})
    (step,) = (step for step in made.steps() if step.name == "pathology")
    assert step.reasons["not pathology: chart"] + step.reasons["not pathology: screenshot"] == 3
    assert step.kept == 6
    assert all(pair.picture_class == "histology" and pair.pathology > 0.5 for pair in made.pairs)


def test_unsure_ones_are_kept_for_a_person(tmp_path: Path, learned: Path) -> None:
    made = _build(tmp_path, {"pathology": {"filter": str(learned), "threshold": 0.5, "margin": 0.5}})
    assert len(made.pairs) == 9
    assert made.document["steps"][-1]["notes"]["unsure, kept for review"] >= 8
    assert unsure_bounds(made) == (0.0, 1.0)
    listed = to_look_at(made, unsure=unsure_bounds(made))
    distances = [abs(made.pairs[number].pathology - 0.5) for number in listed]
    assert distances == sorted(distances)


def test_without_a_filter_for_the_encoder_nothing_is_judged_and_that_is_said(tmp_path: Path) -> None:
    made = _build(tmp_path, "pathology")
    assert made.document["steps"][-1]["notes"] == {"not judged, for want of a filter for this encoder": 9}
    assert filter_for("0" * 32, None) is None


def test_a_filter_of_another_encoder_is_refused(learned: Path) -> None:
    with pytest.raises(ProbeProblem, match="another encoder"):
        filter_for("0" * 32, learned)


def test_the_shipped_filter_is_the_embedded_encoders() -> None:
    # Where the embedded model changed: python -m benchmarks.pathology_filter --write
    card = json.loads((resource_path(SHIPPED) / "filter.json").read_text())
    assert filter_for(find_encoder(None, None).card.fingerprint(), None) is not None
    assert next(one for one in card["pathology"] if one["threshold"] == 0.5)["recall"] >= 0.95


def test_candidates_like_the_given_pictures_stay(tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    for number in range(5):
        (given / f"{number}.png").write_bytes(encode_png(stained(9000 + number)))
    settings = {"examples": str(given), "least_cosine": 0.9, "families": ["local"]}
    made = _build(tmp_path, {"alike": settings})
    assert {pair.caption[:7] for pair in made.pairs} == {"Adenoma"}
    assert dict(made.steps()[-1].reasons) == {"unlike the pictures given": 3}
    page = bands_of(made, given, ENCODER, tmp_path / "page.html", QuietContext())
    assert sum(page["by_cosine"].values()) == page["candidates"] == 6
    assert "data:image/jpeg" in (tmp_path / "page.html").read_text()


def test_hashes_are_found_within_their_distance_and_not_beyond() -> None:
    rng = np.random.default_rng(1)
    finder = HashFinder(6)
    values = [int.from_bytes(rng.bytes(16)) for _ in range(200)]
    assert [finder.find_or_add(value, place) for place, value in enumerate(values)] == [None] * 200
    for place, value in enumerate(values):
        bits = rng.choice(128, 7, replace=False).tolist()
        near = value ^ sum(1 << bit for bit in bits[:6])
        assert finder.find_or_add(near, 1000) == place
        far = HashFinder(6)
        far.find_or_add(value, 0)
        assert far.find_or_add(value ^ sum(1 << bit for bit in bits), 1) is None


def test_nearest_rows_are_those_of_a_full_comparison() -> None:
    rng = np.random.default_rng(2)
    vectors = normalised(rng.normal(size=(300, 16)).astype(np.float32))
    found = nearest(vectors[:20], vectors, 5, "e")
    expected = np.argsort(-(vectors[:20] @ vectors.T), axis=1)[:, :5]
    assert [[row for row, _ in near] for near in found] == expected.tolist()


def test_text_in_pictures_is_read_where_the_extra_is_there_and_else_that_is_said(tmp_path: Path) -> None:
    made = _build(tmp_path, "burnt-in")
    (step,) = (step for step in made.steps() if step.name == "burnt-in")
    if importlib.util.find_spec("rapidocr_onnxruntime") is None:
        assert step.notes == {"not read, for want of the extra ocr": 9}
    assert step.kept == 9


def test_names_written_into_a_picture_are_found(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr_onnxruntime", reason="the extra ocr is not installed", exc_type=ImportError)
    from PIL import Image, ImageDraw

    folder = tmp_path / "in"
    folder.mkdir()
    picture = Image.fromarray(stained(1)).resize((600, 400))
    drawing = ImageDraw.Draw(picture)
    drawing.rectangle((0, 0, 600, 60), fill="white")
    drawing.text((10, 10), "MRN: 00123456 12.03.2019", fill="black", font_size=36)
    picture.save(folder / "named.png")
    (folder / "named.txt").write_text("Adenoma of the colon")
    flow = flow_of({"steps": ["files", "burnt-in"]})
    made = build(BuildPlan((parse_source(f"folder:{folder}"),), (), tmp_path / "out", flow), None, QuietContext())
    assert next(iter(made.steps()[-1].reasons)).startswith("a person's")
