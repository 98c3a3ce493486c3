"""Slides, embeddings, collections and settings through the catalogue's public interface."""

from __future__ import annotations

import dataclasses
import os
import sqlite3
from pathlib import Path

import pytest

from plipdesk.base.errors import NotFound, UsageProblem
from plipdesk.base.paths import Workspace
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.rows import JobItemRow, SlideFilter
from tests.catalogue.helpers import ENCODER, embedding, slide


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "office" / "workspace")


@pytest.fixture
def catalogue(workspace: Workspace):
    with Catalogue.open(workspace) as opened:
        yield opened


def names(catalogue: Catalogue, **conditions: object) -> list[str]:
    return [row.name for row in catalogue.slides.select(SlideFilter(**conditions))]  # type: ignore[arg-type]


def test_a_slide_comes_back_as_it_was_put(catalogue: Catalogue) -> None:
    row = slide(1, notes=("MPP was guessed.",), added_at="2026-01-01T00:00:00.000Z")
    assert catalogue.slides.put(row) == row
    assert catalogue.slides.get(row.slide_id) == row
    assert catalogue.slides.get("f" * 32) is None


def test_putting_again_moves_the_place_and_keeps_what_people_said(catalogue: Catalogue) -> None:
    first = catalogue.slides.put(slide(1))
    catalogue.slides.change(first.slide_id, case="case 7", stain="PAS", mpp_um=0.25)
    again = catalogue.slides.put(slide(1, path="/elsewhere/1.svs", mpp_um=0.5))
    assert again.path == "/elsewhere/1.svs"
    assert (again.case, again.stain) == ("case 7", "PAS")
    assert (again.mpp_um, again.mpp_source) == (0.25, "given")
    assert again.added_at == first.added_at


def test_slides_beside_the_workspace_move_with_it(catalogue: Catalogue, workspace: Workspace, tmp_path: Path) -> None:
    beside = tmp_path / "office" / "slides" / "a.svs"
    catalogue.slides.put(slide(1, path=str(beside)))
    catalogue.close()
    (tmp_path / "office").rename(tmp_path / "usb")
    with Catalogue.open(Workspace(tmp_path / "usb" / "workspace")) as moved:
        found = moved.slides.get(slide(1).slide_id)
    assert found is not None
    assert found.path == str(tmp_path / "usb" / "slides" / "a.svs")


def test_resolving_by_id_path_and_name(catalogue: Catalogue) -> None:
    one = catalogue.slides.put(slide(1, name="liver.svs"))
    catalogue.slides.put(slide(2, name="li_er.svs"))
    for text in (one.slide_id, "/slides/1.svs", "liver.svs", "liver"):
        assert catalogue.slides.resolve(text).slide_id == one.slide_id
    assert catalogue.slides.resolve("li_er").slide_id == slide(2).slide_id
    with pytest.raises(NotFound):
        catalogue.slides.resolve("kidney")
    catalogue.slides.put(slide(3, name="liver.svs"))
    with pytest.raises(UsageProblem) as caught:
        catalogue.slides.resolve("liver")
    assert one.slide_id in str(caught.value)


def test_every_filter(catalogue: Catalogue) -> None:
    put = catalogue.slides.put
    put(slide(1, name="a1.svs", case="A", stain="H&E", organ="colon", added_at="2026-01-01T00:00:00.000Z"))
    put(slide(2, name="a2.svs", case="A", stain="PAS", mpp_um=0.25, added_at="2026-02-01T00:00:00.000Z"))
    put(slide(3, name="b1.svs", case="B", stain="H&E", organ="liver", added_at="2026-03-01T00:00:00.000Z"))
    put(slide(4, name="c1.svs", mpp_um=None, mpp_source="unknown", added_at="2026-04-01T00:00:00.000Z"))
    catalogue.collections.add("tumours", [slide(1).slide_id, slide(3).slide_id])
    assert names(catalogue) == ["a1.svs", "a2.svs", "b1.svs", "c1.svs"]
    assert names(catalogue, collections=("tumours",)) == ["a1.svs", "b1.svs"]
    assert names(catalogue, cases=("A",)) == ["a1.svs", "a2.svs"]
    assert names(catalogue, not_cases=("A",)) == ["b1.svs", "c1.svs"]
    assert names(catalogue, stains=("PAS", "H&E"), organs=("liver", "colon")) == ["a1.svs", "b1.svs"]
    assert names(catalogue, slide_ids=(slide(2).slide_id,)) == ["a2.svs"]
    assert names(catalogue, not_slide_ids=(slide(2).slide_id,), cases=("A",)) == ["a1.svs"]
    assert names(catalogue, mpp_min_um=0.4) == ["a1.svs", "b1.svs"]
    assert names(catalogue, mpp_max_um=0.3) == ["a2.svs"]
    assert names(catalogue, name_globs=("a*.svs", "c*")) == ["a1.svs", "a2.svs", "c1.svs"]
    assert names(catalogue, since="2026-02-01", before="2026-04-01") == ["a2.svs", "b1.svs"]


def test_bad_changes_are_refused(catalogue: Catalogue) -> None:
    catalogue.slides.put(slide(1))
    with pytest.raises(UsageProblem):
        catalogue.slides.change(slide(1).slide_id, mpp_um=0)
    with pytest.raises(UsageProblem):
        catalogue.slides.change(slide(1).slide_id, name=" ")
    with pytest.raises(NotFound):
        catalogue.slides.change("f" * 32, case="x")
    assert catalogue.slides.change(slide(1).slide_id, case="").case is None


def test_a_commit_is_one_transaction(catalogue: Catalogue) -> None:
    job = catalogue.jobs.submit("index", {})
    item = JobItemRow(job.job_id, "/slides/1.svs", slide(1).slide_id, "indexed", None, None, 10, 1.5, 0.1, 1)
    (stored,) = catalogue.embeddings.commit(slide(1), [embedding(1)], item=item, collection="all")
    assert stored.embedding_id > 0
    assert catalogue.embeddings.find(stored.slide_id, stored.tiling_id, ENCODER) == stored
    assert [row.slides for row in catalogue.collections.all()] == [1]
    assert catalogue.jobs.items(job.job_id) == [item]
    broken = JobItemRow(99, "/slides/2.svs", None, "indexed", None, None, 1, 1.0, 0.1, 1)
    with pytest.raises(Exception, match="FOREIGN KEY"):
        catalogue.embeddings.commit(slide(2), [embedding(2)], item=broken)
    assert catalogue.slides.get(slide(2).slide_id) is None
    assert catalogue.embeddings.select() == [stored]


def test_nothing_is_committed_twice_and_ids_are_never_reused(catalogue: Catalogue) -> None:
    (first,) = catalogue.embeddings.commit(slide(1), [embedding(1)])
    (again,) = catalogue.embeddings.commit(slide(1), [embedding(1, patches=99)])
    assert again == first
    catalogue.embeddings.remove(first.embedding_id)
    (later,) = catalogue.embeddings.commit(slide(1), [embedding(1)])
    assert later.embedding_id > first.embedding_id


def test_selecting_embeddings_by_encoder_slide_and_mpp(catalogue: Catalogue) -> None:
    catalogue.embeddings.commit(slide(1), [embedding(1), embedding(1, tiling_id="u" * 16, patch_mpp_um=1.0)])
    catalogue.embeddings.commit(slide(2), [embedding(2, encoder="d" * 32)])
    assert [row.patch_mpp_um for row in catalogue.embeddings.select(ENCODER)] == [0.5, 1.0]
    assert [row.patch_mpp_um for row in catalogue.embeddings.select(ENCODER, patch_mpp_um=(0.504,))] == [0.5]
    assert catalogue.embeddings.select(ENCODER, SlideFilter(slide_ids=(slide(2).slide_id,))) == []


def test_removing_a_slide_takes_its_rows_and_names_its_files(catalogue: Catalogue, workspace: Workspace) -> None:
    (row,) = catalogue.embeddings.commit(slide(1), [embedding(1)], collection="all")
    assert catalogue.slides.remove(slide(1).slide_id) == [workspace.root / row.file]
    assert catalogue.embeddings.select() == []
    assert [collection.slides for collection in catalogue.collections.all()] == [0]
    with pytest.raises(NotFound):
        catalogue.slides.remove(slide(1).slide_id)


def test_collections(catalogue: Catalogue) -> None:
    catalogue.slides.put(slide(1))
    catalogue.collections.create("b")
    catalogue.collections.create("b")
    catalogue.collections.add("a", [slide(1).slide_id, slide(1).slide_id])
    assert [(row.name, row.slides) for row in catalogue.collections.all()] == [("a", 1), ("b", 0)]
    catalogue.collections.take_out("a", [slide(1).slide_id])
    catalogue.collections.delete("b")
    assert [(row.name, row.slides) for row in catalogue.collections.all()] == [("a", 0)]
    for missing in (lambda: catalogue.collections.delete("z"), lambda: catalogue.collections.take_out("z", [])):
        with pytest.raises(NotFound):
            missing()
    with pytest.raises(UsageProblem):
        catalogue.collections.create("  ")


def test_settings(catalogue: Catalogue) -> None:
    assert catalogue.settings.get("encoder", "default") == "default"
    catalogue.settings.set("encoder", {"id": "x"})
    catalogue.settings.set("encoder", {"id": "y"})
    assert catalogue.settings.get("encoder") == {"id": "y"}


def test_a_reader_sees_committed_rows_while_another_process_would_write(
    catalogue: Catalogue, workspace: Workspace
) -> None:
    catalogue.slides.put(slide(1))
    with Catalogue.open(workspace, readonly=True) as reader:
        with catalogue.database.writing() as connection:
            catalogue.slides.put_within(connection, slide(2))
            assert [row.slide_id for row in reader.slides.select()] == [slide(1).slide_id]
        assert len(reader.slides.select()) == 2


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused_in_words(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(Exception, match="cannot be"):
        Catalogue.open(Workspace(tmp_path / "workspace"))


def test_the_database_keeps_its_promises(catalogue: Catalogue, workspace: Workspace) -> None:
    catalogue.slides.put(slide(1))
    with sqlite3.connect(workspace.catalogue) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    with catalogue.database.reading() as reading:
        assert reading.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
        assert reading.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2


def test_forgetting_an_encoder_takes_its_rows_and_its_collections(tmp_path: Path) -> None:
    with Catalogue.open(Workspace(tmp_path)) as catalogue:
        catalogue.embeddings.commit(slide(1), [embedding(1), embedding(1, encoder="f" * 32, encoder_id="other")])
        catalogue.collections.add("mine", [slide(1).slide_id])
        catalogue.collections.set_encoder("mine", "other")
        assert [row.encoder_id for row in catalogue.embeddings.forget_encoder("other")] == ["other"]
        assert [row.encoder_id for row in catalogue.embeddings.select()] == ["null"]
        assert catalogue.collections.encoders(["mine", "none"]) == [None, None]
        with pytest.raises(NotFound):
            catalogue.collections.set_encoder("none", "null")


def test_what_a_commit_replaces_goes_with_it(tmp_path: Path) -> None:
    with Catalogue.open(Workspace(tmp_path)) as catalogue:
        (old,) = catalogue.embeddings.commit(slide(1), [embedding(1)])
        (other,) = catalogue.embeddings.commit(slide(2), [embedding(2)])
        new = dataclasses.replace(embedding(1), tiling_id="b" * 16, file="vectors/new.safetensors")
        chosen = dataclasses.replace(slide(1), channels=(0, 1, 2))
        # An id of another slide is not this slide's to replace.
        replaces = (old.embedding_id, other.embedding_id)
        (stored,) = catalogue.embeddings.commit(chosen, [new], replaces=replaces)
        assert stored.embedding_id not in replaces
        assert [row.file for row in catalogue.embeddings.select()] == [other.file, stored.file]
        kept = catalogue.slides.get(slide(1).slide_id)
        assert kept is not None
        assert kept.channels == (0, 1, 2)
