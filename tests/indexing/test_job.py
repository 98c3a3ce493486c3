"""Indexing slides: what becomes of good, known, broken, moved, changing and vanishing ones."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from plipdesk.base.errors import Cancelled, NotFound, Paused, UsageProblem
from plipdesk.base.paths import Workspace
from plipdesk.encoders.null import NullEncoder
from plipdesk.index.vectors import VectorFile
from plipdesk.indexing.job import run_index_job
from plipdesk.indexing.pipeline import Pipeline
from plipdesk.indexing.settings import IndexSettings
from plipdesk.slides.fingerprint import fingerprint
from plipdesk.slides.opening import open_slide
from plipdesk.slides.patches import iter_patches
from plipdesk.slides.tiling import TilingSettings, plan_tiling
from plipdesk.slides.tissue import tissue_mask
from tests.drawing import pyramidal_tiff
from tests.indexing.memory_desk import MemoryDesk


class CountingEncoder(NullEncoder):
    """The null encoder, which counts what it encodes."""

    def __init__(self) -> None:
        super().__init__()
        self.encoded = 0

    def encode_patches(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.encoded += len(pixels)
        return super().encode_patches(pixels)


class Bench:
    """A workspace, a folder of slides, a desk and an encoder."""

    def __init__(self, folder: Path) -> None:
        self.slides = folder / "slides"
        self.slides.mkdir()
        self.workspace = Workspace(folder / "workspace")
        self.desk = MemoryDesk()
        self.encoder = CountingEncoder()

    def draw(self, name: str, *, seed: int = 0, mpp_um: float | None = 0.5, share: int = 1) -> Path:
        return pyramidal_tiff(self.slides / name, width_px=512, height_px=384, levels=2, seed=seed, mpp_um=mpp_um)

    def run(self, *paths: Path, **params: Any) -> dict[str, Any]:
        given = [str(path) for path in paths or (self.slides,)]
        return run_index_job(
            {"paths": given, **params}, self.desk.state, self.desk, lambda _: self.encoder, self.workspace
        )

    def files(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.workspace.root).as_posix(): path.read_bytes()
            for path in self.workspace.root.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def _statuses(document: Mapping[str, Any]) -> dict[str, str]:
    return {Path(slide["path"]).name: slide["status"] for slide in document["slides"]}


def _reason(document: Mapping[str, Any], name: str) -> str:
    return next(str(slide["reason"]) for slide in document["slides"] if Path(slide["path"]).name == name)


def test_the_document_says_what_became_of_each_slide(bench: Bench) -> None:
    first, second = bench.draw("a.tif", seed=1), bench.draw("b.tif", seed=2)
    document = bench.run(second, first, collection="study", case="P1")
    assert set(document) == {"slides", "patches", "seconds", "patches_per_second", "encoder"}
    assert document["encoder"] == "null"
    assert [slide["path"] for slide in document["slides"]] == [str(second), str(first)]
    for slide in document["slides"]:
        assert set(slide) == {"path", "slide_id", "status", "reason", "patches", "tissue_mm2", "seconds"}
        assert slide["slide_id"] == fingerprint(Path(slide["path"]))
        assert slide["status"] == "indexed"
        assert slide["reason"] is None
        assert slide["patches"] > 0
        assert 0 < slide["tissue_mm2"] <= 512 * 384 * 0.25e-6
    assert document["patches"] == sum(slide["patches"] for slide in document["slides"]) == bench.encoder.encoded
    assert document["patches_per_second"] == pytest.approx(document["patches"] / document["seconds"], rel=0.05)
    assert set(bench.desk.collections["study"]) == set(bench.desk.slides)
    assert {row.case for row in bench.desk.slides.values()} == {"P1"}


def test_the_vectors_are_those_of_the_patches_in_the_tilings_order(bench: Bench) -> None:
    path = bench.draw("a.tif", seed=1)
    bench.run(path)
    (row,) = bench.desk.embeddings
    card = bench.encoder.card
    with open_slide(path) as reader:
        settings = TilingSettings(patch_px=card.input_px, patch_mpp_um=card.mpp_um)
        tiling = plan_tiling(reader.info, tissue_mask(reader, "auto"), settings, mpp_um=0.5)
        pixels = np.concatenate([batch.pixels for batch in iter_patches(reader, tiling, batch=1000, reader_threads=1)])
    stored = VectorFile.open(bench.workspace.root / row.file, expect_rows=row.patches, expect_dim=32)
    np.testing.assert_array_equal(stored.embeddings, NullEncoder().encode_patches(pixels).astype(np.float16))
    np.testing.assert_array_equal(stored.x0_px, tiling.x0_px)
    np.testing.assert_array_equal(stored.y0_px, tiling.y0_px)
    assert row.tiling_id == settings.tiling_id
    assert row.tiling == settings.document()
    assert row.encoder_fingerprint == bench.encoder.fingerprint
    assert row.size0_px == 64.0
    assert bench.desk.slides[row.slide_id].mpp_source == "measured"


def test_what_is_known_is_not_encoded_again(bench: Bench) -> None:
    bench.draw("a.tif", seed=1)
    bench.run(collection="one")
    encoded = bench.encoder.encoded
    again = MemoryDesk()
    again.slides, again.embeddings = bench.desk.slides, bench.desk.embeddings
    bench.desk = again
    document = bench.run(collection="two", case="P2")
    assert _statuses(document) == {"a.tif": "unchanged"}
    assert document["patches"] == 0
    assert document["slides"][0]["patches"] == encoded == bench.encoder.encoded
    assert list(again.collections) == ["two"]
    assert [row.case for row in again.slides.values()] == ["P2"]


def _second_run(bench: Bench, *paths: Path, **params: Any) -> dict[str, Any]:
    """Another job of the same workspace."""
    desk = MemoryDesk()
    desk.slides, desk.embeddings = bench.desk.slides, bench.desk.embeddings
    bench.desk = desk
    return bench.run(*paths, **params)


def test_a_moved_slide_keeps_its_patches_and_gets_its_new_place(bench: Bench) -> None:
    path = bench.draw("a.tif")
    bench.run(path)
    moved = path.rename(path.with_name("b.tif"))
    assert _statuses(_second_run(bench, moved)) == {"b.tif": "unchanged"}
    (row,) = bench.desk.slides.values()
    assert row.path == str(moved)
    assert row.name == "a.tif"


def test_a_copy_is_not_a_move(bench: Bench) -> None:
    path = bench.draw("a.tif")
    bench.run(path)
    copy = Path(shutil.copy2(path, path.with_name("b.tif")))
    assert _statuses(_second_run(bench, copy)) == {"b.tif": "unchanged"}
    (row,) = bench.desk.slides.values()
    assert row.path == str(path)


def test_twins_in_one_batch_are_encoded_once(bench: Bench) -> None:
    path = bench.draw("a.tif")
    for name in ("b.tif", "c.tif"):
        shutil.copy2(path, path.with_name(name))
    document = bench.run()
    assert sorted(_statuses(document).values()) == ["indexed", "unchanged", "unchanged"]
    assert bench.encoder.encoded == document["patches"]
    assert len(bench.desk.embeddings) == 1


def test_a_broken_slide_fails_alone_and_is_taken_after_its_repair(bench: Bench) -> None:
    good, broken = bench.draw("good.tif", seed=1), bench.draw("broken.tif", seed=2)
    sound = broken.read_bytes()
    broken.write_bytes(sound[:100])
    document = bench.run()
    assert _statuses(document) == {"good.tif": "indexed", "broken.tif": "failed"}
    assert _reason(document, "broken.tif") != "None"
    broken.write_bytes(sound)
    # What the queue does on retry: failed items are forgotten.
    del bench.desk.ended[str(broken)]
    document = bench.run()
    assert _statuses(document) == {"good.tif": "indexed", "broken.tif": "indexed"}
    assert bench.desk.began.count(str(good)) == 1


def test_a_slide_that_does_not_tell_its_mpp_is_skipped_until_it_is_given(bench: Bench) -> None:
    bench.draw("a.tif", mpp_um=None)
    document = bench.run()
    assert _statuses(document) == {"a.tif": "skipped"}
    assert "--mpp" in _reason(document, "a.tif")
    assert bench.desk.slides == {}
    document = _second_run(bench, mpp_um=0.5)
    assert _statuses(document) == {"a.tif": "indexed"}
    (row,) = bench.desk.slides.values()
    assert (row.mpp_um, row.mpp_source) == (0.5, "given")


def test_a_slide_without_tissue_is_skipped_in_words(bench: Bench) -> None:
    white = np.full((384, 512, 3), 245, np.uint8)
    pyramidal_tiff(bench.slides / "white.tif", levels=2, pixels=white)
    document = bench.run()
    assert _statuses(document) == {"white.tif": "skipped"}
    assert "tissue" in _reason(document, "white.tif")
    assert bench.files() == {}
    document = _second_run(bench, tissue="all")
    assert _statuses(document) == {"white.tif": "indexed"}


def test_several_mpps_make_a_tiling_each_in_one_commit(bench: Bench) -> None:
    bench.draw("a.tif")
    bench.run(patch_mpp_um=[0.5])
    (first,) = bench.desk.embeddings
    commits: list[int] = []
    desk = MemoryDesk()
    desk.slides, desk.embeddings = bench.desk.slides, [first]
    desk.on_commit = lambda _: commits.append(1)
    bench.desk = desk
    document = bench.run(patch_mpp_um=[0.5, 1.0, 0.75])
    assert _statuses(document) == {"a.tif": "indexed"}
    assert [row.patch_mpp_um for row in desk.embeddings] == [0.5, 1.0, 0.75]
    assert [row.size0_px for row in desk.embeddings] == [64.0, 128.0, 96.0]
    assert len(commits) == 1
    assert document["patches"] == desk.embeddings[1].patches + desk.embeddings[2].patches
    assert len({row.file for row in desk.embeddings}) == 3


def test_the_same_slides_give_the_same_bytes_whatever_is_done_beside_them(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    one, two = Bench(tmp_path / "1"), Bench(tmp_path / "2")
    for seed in range(4):
        one.draw(f"{seed}.tif", seed=seed)
    shutil.rmtree(two.slides)
    shutil.copytree(one.slides, two.slides)
    one.run(overlap=0.5)
    for path in sorted(two.slides.iterdir(), reverse=True):
        settings = IndexSettings.from_params({"paths": [str(path)], "overlap": 0.5})
        Pipeline(two.desk, settings, two.encoder, two.workspace, reader_threads=3).run([path])
    assert one.files() == two.files()
    assert len(one.files()) == 4


def test_a_slide_that_changes_while_it_is_read_fails(bench: Bench) -> None:
    path = bench.draw("a.tif")
    bench.draw("b.tif", seed=5)

    def touch(done: int) -> None:
        if done and bench.desk.began[-1] != "touched":
            bench.desk.began.append("touched")
            os.utime(path, ns=(1, 1))

    bench.desk.on_report = touch
    document = bench.run()
    assert _statuses(document) == {"a.tif": "failed", "b.tif": "indexed"}
    assert "changed while it was read" in _reason(document, "a.tif")
    assert len(bench.files()) == 1


def test_a_file_that_vanishes_fails_alone(bench: Bench) -> None:
    bench.draw("a.tif")
    gone = bench.draw("b.tif", seed=5)
    bench.desk.on_begin = lambda path: gone.unlink(missing_ok=True)
    document = bench.run()
    assert _statuses(document) == {"a.tif": "indexed", "b.tif": "failed"}
    assert "no such file" in _reason(document, "b.tif")


def test_a_drive_that_goes_away_pauses_the_job(bench: Bench) -> None:
    bench.draw("a.tif")
    bench.draw("b.tif", seed=5)
    away = bench.slides.with_name("away")

    def leave(path: str) -> None:
        if path.endswith("b.tif"):
            bench.slides.rename(away)

    bench.desk.on_begin = leave
    with pytest.raises(Paused, match="is gone"):
        bench.run()
    assert "b.tif" not in bench.desk.status()
    with pytest.raises(Paused, match="is gone"):
        bench.run(bench.slides / "a.tif", bench.slides / "b.tif")
    away.rename(bench.slides)
    bench.desk.on_begin = lambda _: None
    assert set(_statuses(bench.run()).values()) == {"indexed"}


def test_cancelling_keeps_what_is_committed_and_resuming_does_the_rest(bench: Bench) -> None:
    for seed in range(4):
        bench.draw(f"{seed}.tif", seed=seed)

    def stop(_: object) -> None:
        bench.desk.stop = Cancelled()

    bench.desk.on_commit = stop
    with pytest.raises(Cancelled):
        bench.run()
    kept = dict(bench.desk.ended)
    assert 1 <= len(kept) < 4
    assert all(item.status == "indexed" for item in kept.values())
    assert len(bench.files()) == len(kept)
    bench.desk.stop, bench.desk.on_commit, bench.desk.began = None, lambda _: None, []
    document = bench.run()
    assert set(_statuses(document).values()) == {"indexed"}
    assert not set(kept) & set(bench.desk.began)
    assert document["patches"] == sum(row.patches for row in bench.desk.embeddings)


def test_a_full_disk_pauses_the_job_and_leaves_no_half_file(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.draw("a.tif")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(Paused, match="disk is full"):
            bench.run()
    assert bench.desk.ended == {}
    assert bench.files() == {}
    assert _statuses(bench.run()) == {"a.tif": "indexed"}


def test_nothing_is_done_beside_a_suspect(bench: Bench) -> None:
    paths = [bench.draw(f"{seed}.tif", seed=seed) for seed in range(4)]
    suspect = str(paths[1])
    bench.desk.suspects = frozenset({suspect})
    ended_at_begin: dict[str, int] = {}
    bench.desk.on_begin = lambda path: ended_at_begin.update({path: len(bench.desk.ended)})
    bench.run()
    assert bench.desk.began[-1] == suspect
    assert ended_at_begin[suspect] == 3


def test_a_bug_in_one_slide_does_not_end_the_batch(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.draw("a.tif")
    bench.draw("b.tif", seed=5)
    calls: list[int] = []

    class Faulty(CountingEncoder):
        def encode_patches(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            calls.append(1)
            if len(calls) == 1:
                raise ZeroDivisionError
            return super().encode_patches(pixels)

    bench.encoder = Faulty()
    document = bench.run()
    assert _statuses(document) == {"a.tif": "failed", "b.tif": "indexed"}
    assert "ZeroDivisionError" in _reason(document, "a.tif")
    assert "report it" in _reason(document, "a.tif")
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_progress_only_grows_and_ends_full(bench: Bench) -> None:
    for seed in range(3):
        bench.draw(f"{seed}.tif", seed=seed)
    document = bench.run()
    done = [report[0] for report in bench.desk.reports]
    assert done == sorted(done)
    assert bench.desk.reports[-1] == (document["patches"], document["patches"], "3 of 3 slides")


def test_a_missing_file_among_others_fails_alone(bench: Bench) -> None:
    there = bench.draw("a.tif")
    document = bench.run(there, bench.slides / "none.tif")
    assert _statuses(document) == {"a.tif": "indexed", "none.tif": "failed"}


def test_nothing_to_index_is_said(bench: Bench) -> None:
    with pytest.raises(NotFound, match="no such file"):
        bench.run(bench.slides / "none.tif")
    with pytest.raises(NotFound, match="No slide was found"):
        bench.run()


@pytest.mark.parametrize(
    "params",
    [{"paths": []}, {"mpp_um": 0.0}, {"mpp_um": 1000.0}, {"patch_mpp_um": [-1.0]}, {"overlap": 1.0}],
)
def test_settings_that_make_no_sense_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(UsageProblem):
        IndexSettings.from_params({"paths": ["/a"], **params})


def test_a_corrected_mask_takes_over_what_stays_and_encodes_only_what_is_new(bench: Bench) -> None:
    slide = bench.draw("a.tif")
    bench.run(slide)
    (old,) = bench.desk.embeddings
    before = VectorFile.open(bench.workspace.root / old.file)
    known = {at: row for row, at in enumerate(zip(before.x0_px, before.y0_px, strict=True))}
    encoded = bench.encoder.encoded
    left = [[[0, 0], [256, 0], [256, 384], [0, 384]]]
    rest = [[[256, 0], [512, 0], [512, 384], [256, 384]]]
    corrections = bench.workspace.root / "a.tissue.json"
    steps = [{"add": False, "polygons": [left]}, {"add": True, "polygons": [rest]}]
    corrections.write_text(json.dumps({"base": "auto", "steps": steps}))
    bench.desk.state, bench.desk.ended = {}, {}
    document = bench.run(slide, tissue=str(corrections))
    assert _statuses(document) == {"a.tif": "indexed"}
    new = bench.desk.embeddings[-1]
    assert [row.embedding_id for row in bench.desk.embeddings] == [new.embedding_id]
    after = VectorFile.open(bench.workspace.root / new.file)
    assert after.x0_px.min() >= 256 - new.size0_px
    places = list(zip(after.x0_px, after.y0_px, strict=True))
    stay = [number for number, at in enumerate(places) if at in known]
    assert bench.encoder.encoded - encoded == len(places) - len(stay) > 0
    assert stay
    for number in stay:
        assert (after.embeddings[number] == before.embeddings[known[places[number]]]).all()
    # A later run by itself does not bring back what a person took away.
    bench.desk.state, bench.desk.ended = {}, {}
    assert _statuses(bench.run(slide)) == {"a.tif": "unchanged"}


def test_broken_corrections_are_said_in_words(bench: Bench) -> None:
    slide = bench.draw("a.tif")
    corrections = bench.workspace.root / "a.tissue.json"
    corrections.parent.mkdir(parents=True, exist_ok=True)
    corrections.write_text("{")
    document = bench.run(slide, tissue=str(corrections))
    assert "corrections" in _reason(document, "a.tif")
