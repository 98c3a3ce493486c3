"""Building from end to end: pictures judged and exported, work resumed, nothing told that does not add up."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from plipdesk.base.errors import Cancelled, NotFound, UsageProblem
from plipdesk.base.progress import QuietContext
from plipdesk.datasets.build import BuildPlan, build
from plipdesk.datasets.counts import CountProblem
from plipdesk.datasets.dataset import DataSet, Layout
from plipdesk.datasets.flow import Flow, read_flow
from plipdesk.datasets.manifest import read_manifest
from plipdesk.datasets.sources.kinds import parse_source
from plipdesk.encoders.null import NullEncoder
from plipdesk.slides.thumbnails import encode_jpeg
from tests.datasets.exports import draw, page, tissue


def tweet(number: int, text: str = "Fibroadenoma of the breast", **changes: Any) -> dict[str, Any]:
    return {
        "id": str(number), "author_id": str(number % 5), "text": f"{text} {number} #BreastPath",
        "created_at": f"2020-01-{number % 28 + 1:02}T00:00:00.000Z", "lang": "en",
        "attachments": {"media_keys": [f"3_{number}"]}, **changes,
    }  # fmt: skip


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Twelve posts with sharp pictures, one with a reply, and one of each kind that must go."""
    media = tmp_path / "media"
    items = [tweet(number) for number in range(100, 112)]
    for number in range(100, 112):
        draw(media, f"3_{number}.jpg", number)
    answer = {"id": "900", "author_id": "9", "text": "What a lovely picture of it", "lang": "en",
              "created_at": "2020-02-01T00:00:00.000Z",
              "referenced_tweets": [{"type": "replied_to", "id": "100"}]}  # fmt: skip
    # Missing, empty, truncated, no picture, small, blank, out of focus, the same file, the same picture smaller.
    items += [tweet(number) for number in range(200, 209)]
    (media / "3_201.jpg").write_bytes(b"")
    (media / "3_202.jpg").write_bytes((media / "3_100.jpg").read_bytes()[:3000])
    (media / "3_203.jpg").write_bytes(b"no picture at all" * 20)
    draw(media, "3_204.jpg", 204, side_px=90)
    (media / "3_205.jpg").write_bytes(encode_jpeg(np.full((256, 256, 3), 240, np.uint8)))
    soft = Image.fromarray(tissue(206)).resize((6, 6)).resize((256, 256), Image.Resampling.BICUBIC)
    (media / "3_206.jpg").write_bytes(encode_jpeg(np.asarray(soft)))
    (media / "3_207.jpg").write_bytes((media / "3_101.jpg").read_bytes())
    smaller = Image.fromarray(tissue(102)).resize((208, 208), Image.Resampling.LANCZOS)
    (media / "3_208.jpg").write_bytes(encode_jpeg(np.asarray(smaller), quality=70))
    for number in (207, 208):
        items[number - 200 + 12]["created_at"] = "2021-01-01T00:00:00.000Z"
    (tmp_path / "posts.jsonl").write_bytes(page([*items, answer]) + b'\n{"data": [{"id": "1", "te\n')
    return tmp_path


def plan(export: Path, out: Path, **changes: Any) -> BuildPlan:
    sources = changes.pop("sources", None) or (f"x-api-v2:{export / 'posts.jsonl'}",)
    given: dict[str, Any] = {"media": (export / "media",), "flow": read_flow(), **changes}
    return BuildPlan(sources=tuple(map(parse_source, sources)), out=out, **given)


def by_reason(made: DataSet) -> dict[str, dict[str, int]]:
    return {step.name: dict(step.reasons) for step in made.steps() if step.reasons}


def test_every_picture_that_cannot_be_used_goes_with_its_reason(export: Path, tmp_path: Path) -> None:
    made = build(plan(export, tmp_path / "out"), NullEncoder(), QuietContext())
    assert by_reason(made) == {
        "files": {
            "picture is not in the export": 1, "picture file is empty": 1, "picture is broken": 1,
            "not a picture that is read": 1,
        },
        "size": {"shorter side below 200 px": 1},
        "quality": {"blank": 1, "out of focus": 1},
        "near-duplicates": {"same picture (file)": 1, "same picture (perceptual hash)": 1},
    }  # fmt: skip
    assert made.document["pairs"] == 13
    assert made.document["formed"] == 22
    assert made.document["by_source"] == {"Twitter": 12, "Twitter reply": 1}
    assert made.document["by_hashtag"] == {"BreastPath": 13}
    assert made.document["read"]["problems"] == {"broken line": 1}
    assert {pair.post_id for pair in made.pairs} == {str(number) for number in range(100, 112)}
    dropped = parquet.read_table(tmp_path / "out" / "dropped.parquet").to_pylist()
    assert len(dropped) == 9
    assert {
        "id": "x-200-3_200",
        "source": "Twitter",
        "step": "files",
        "reason": "picture is not in the export",
    } in dropped
    assert not (tmp_path / "out" / ".work").exists()


def test_manifest_shards_and_splits_agree(export: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = build(plan(export, out), NullEncoder(), QuietContext())
    rows = read_manifest(out / "manifest.parquet").rows
    assert [(row.caption, row.split, row.sha256) for row in rows] == [
        (pair.caption, pair.split, pair.sha256) for pair in made.pairs
    ]
    assert made.document["split"]["leaks"] == 0
    assert sum(made.document["split"]["pairs"].values()) == 13
    samples: dict[str, set[str]] = {}
    for name in made.document["shards"]:
        with tarfile.open(out / "shards" / name) as tar:
            for member in tar.getmembers():
                key, _, ending = member.name.partition(".")
                samples.setdefault(key, set()).add(ending)
    assert samples == {pair.id: {"jpg", "txt", "json"} for pair in made.pairs}
    assert np.load(out / "embeddings.npy").shape == (12, 32)


def test_the_same_export_gives_the_same_data_set(export: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        build(plan(export, tmp_path / name), None, QuietContext())
    one, two = (
        {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        for folder in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two


class StopAt(QuietContext):
    """Cancels at the ``n``-th moment at which work may be cancelled."""

    def __init__(self, n: int) -> None:
        self.left = n

    def check_cancel(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Cancelled


def test_a_build_goes_on_where_it_was_stopped(export: Path, tmp_path: Path) -> None:
    whole = build(plan(export, tmp_path / "whole"), NullEncoder(), QuietContext())
    stopped = 0
    for moment in range(20):
        try:
            made = build(plan(export, tmp_path / "out"), NullEncoder(), StopAt(moment))
            break
        except Cancelled:
            stopped += 1
            with pytest.raises(NotFound, match="not finished"):
                DataSet.open(tmp_path / "out")
    assert stopped > 2
    assert made.document == whole.document
    assert made.pairs == whole.pairs


def test_another_build_in_the_same_folder_needs_a_word(export: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(plan(export, out), None, QuietContext())
    steps = tuple(step for step in read_flow().steps if step.name != "quality")
    other = plan(export, out, flow=Flow(steps=steps))
    with pytest.raises(UsageProblem, match="other sources or settings"):
        build(other, None, QuietContext())
    assert build(other, None, QuietContext(), fresh=True).document["pairs"] == 15
    strange = tmp_path / "strange"
    (strange / "holiday").mkdir(parents=True)
    with pytest.raises(UsageProblem, match="not empty"):
        build(plan(export, strange), None, QuietContext())


def test_a_data_set_whose_counts_do_not_add_up_is_refused(export: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(plan(export, out), None, QuietContext())
    document = json.loads((out / "dataset.json").read_text())
    document["steps"][3]["in"] += 1
    document["steps"][3]["kept"] += 1
    (out / "dataset.json").write_text(json.dumps(document))
    with pytest.raises(CountProblem, match="do not add up at retweets"):
        DataSet.open(out)


def _exif_jpeg(seed: int, orientation: int | None) -> bytes:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x010F] = "Secret Camera"
    exif[0x013B] = "Dr. Jane Doe"
    if orientation:
        exif[0x0112] = orientation
    image = Image.fromarray(tissue(seed)[:, :210])
    image.save(stream, "JPEG", exif=exif, comment=b"Secret comment", quality=92, icc_profile=b"profile")
    return stream.getvalue() + b"Secret trailer"


def _folder(tmp_path: Path) -> Iterator[bytes]:
    source = tmp_path / "teaching"
    source.mkdir()
    for name, content in (("plain.jpg", _exif_jpeg(1, None)), ("turned.jpg", _exif_jpeg(2, 6))):
        (source / name).write_bytes(content)
        yield content
    for form in ("PNG", "WEBP", "TIFF"):
        stream = io.BytesIO()
        exif = Image.Exif()
        exif[0x010F] = "Secret Camera"
        Image.fromarray(tissue(len(form) + ord(form[0]))).save(stream, form, exif=exif, lossless=True)
        (source / f"{form}.{form.lower()}").write_bytes(stream.getvalue())
        yield stream.getvalue()
    for file in list(source.iterdir()):
        file.with_suffix(".txt").write_text(f"Adenoma of the colon, {file.name[:3]}", encoding="utf-8")


def test_exported_pictures_carry_pixels_and_nothing_else(tmp_path: Path) -> None:
    originals = list(_folder(tmp_path))
    assert all(b"Secret" in content for content in originals)
    made = build(
        plan(tmp_path, tmp_path / "out", sources=(f"folder:{tmp_path / 'teaching'}",), media=()),
        None, QuietContext(),
    )  # fmt: skip
    assert made.document["pairs"] == 5
    for pair in made.pairs:
        place = tmp_path / "out" / pair.image
        assert b"Secret" not in place.read_bytes()
        assert b"Jane" not in place.read_bytes()
        name = pair.text_id.rpartition("-")[0] + "." + pair.text_id.rpartition("-")[2]
        with Image.open(place) as shown, Image.open(tmp_path / "teaching" / name) as original:
            if name == "turned.jpg":
                turned = np.asarray(original.transpose(Image.Transpose.ROTATE_270), dtype=float)
                assert np.abs(np.asarray(shown, dtype=float) - turned).mean() < 6
            else:
                assert np.array_equal(np.asarray(shown.convert("RGB")), np.asarray(original.convert("RGB")))
            if name == "plain.jpg":
                assert shown.info["icc_profile"] == b"profile"


def test_laion_tables_find_their_pictures_by_key_or_address(tmp_path: Path) -> None:
    media = tmp_path / "media"
    urls = [f"https://a.example/{name}.jpg" for name in ("one", "two", "three", "gone")]
    for number, name in enumerate(("one.jpg", "000000002.jpg", "three.jpg")):
        draw(media, name, number)
    table = {
        "URL": [*urls, "https://b.example/three.jpg", None],
        "TEXT": [*(f"Skin {n}?" for n in range(5)), "no address"],
        "similarity": [0.3] * 6,
        "key": [None, "000000002", None, None, None, None],
    }
    parquet.write_table(pa.table(table), tmp_path / "laion.parquet")
    sources = (f"laion:{tmp_path / 'laion.parquet'}",)
    made = build(plan(tmp_path, tmp_path / "out", sources=sources), None, QuietContext())
    assert by_reason(made) == {"files": {"one file for several addresses": 2, "picture is not in the export": 1}}
    assert made.document["by_hashtag"] == {"----": 2}
    assert made.document["read"]["problems"] == {"row without address or caption": 1}


def test_hostile_names_lead_nowhere(tmp_path: Path) -> None:
    draw(tmp_path, "secret.jpg", 1)
    source = tmp_path / "in"
    draw(source, "fine.jpg", 2)
    (source / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    names = ["../secret.jpg", str(tmp_path / "secret.jpg"), "..\\secret.jpg", "C:secret.jpg", "link.jpg", "fine.jpg"]
    lines = "".join(f'"{name}","Colon {number}"\n' for number, name in enumerate(names))
    (source / "captions.csv").write_text("file,caption\n" + lines, encoding="utf-8")
    sources = (f"folder:{source}",)
    made = build(plan(tmp_path, tmp_path / "out", sources=sources, media=()), None, QuietContext())
    assert by_reason(made) == {"files": {"path leaves its folder": 5}}
    assert [pair.caption for pair in made.pairs] == ["Colon 5"]
    assert Layout(tmp_path / "out").pictures.is_dir()
