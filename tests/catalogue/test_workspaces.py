"""Workspaces of other versions, foreign and damaged files, network shares, leftovers and repair."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.base.paths import Workspace
from plipdesk.catalogue import connection as catalogue_connection
from plipdesk.catalogue import migrations
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.errors import CatalogueProblem, WorkspaceDamaged, WorkspaceTooNew
from plipdesk.catalogue.rows import EmbeddingRow
from plipdesk.catalogue.upkeep import check, repair, sweep
from tests.catalogue.helpers import ENCODER, embedding, slide

GOLDEN = Path(__file__).parent.parent / "golden" / "workspaces"


def released_workspace(version: int, folder: Path) -> Workspace:
    """The workspace that a released version left behind, from its committed SQL dump."""
    connection = sqlite3.connect(folder / "catalogue.sqlite")
    connection.executescript((GOLDEN / f"version-{version}.sql").read_text(encoding="utf-8"))
    connection.close()
    return Workspace(folder)


@pytest.mark.parametrize("version", range(1, migrations.NEWEST + 1))
def test_the_workspace_of_every_released_version_opens(version: int, tmp_path: Path) -> None:
    with Catalogue.open(released_workspace(version, tmp_path)) as catalogue:
        found = catalogue.slides.resolve("colon")
        assert (found.case, found.mpp_um, found.mpp_source) == ("case 7", 0.25, "given")
        assert [row.patches for row in catalogue.embeddings.select()] == [10]
        assert [(row.name, row.slides, row.encoder) for row in catalogue.collections.all()] == [("tumours", 1, None)]
        catalogue.collections.set_encoder("tumours", "plip")
        assert catalogue.collections.encoders(["tumours"]) == ["plip"]
        assert catalogue.settings.get("encoder") == "plipdesk-mini"
        assert [(job.kind, job.state) for job in catalogue.jobs.all()] == [("index", "paused")]
        assert [item.status for item in catalogue.jobs.items(1)] == ["indexed"]
        assert catalogue.annotations.of_slide(found.slide_id) == []
        assert catalogue.corrections.select("kather") == []
        with catalogue.database.reading() as connection:
            assert migrations.version_of(connection) == migrations.NEWEST


def test_a_newer_workspace_is_refused_and_left_alone(tmp_path: Path) -> None:
    Catalogue.open(Workspace(tmp_path)).close()
    connection = sqlite3.connect(tmp_path / "catalogue.sqlite")
    connection.execute(f"PRAGMA user_version = {migrations.NEWEST + 1}")
    connection.commit()
    connection.close()
    with pytest.raises(WorkspaceTooNew, match="newer plipdesk"):
        Catalogue.open(Workspace(tmp_path))


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to be one" * 50, b"SQLite format 3\0" * 99]
)
def test_a_file_that_is_no_database_is_said_in_words(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "catalogue.sqlite").write_bytes(content)
    with pytest.raises(WorkspaceDamaged) as caught:
        Catalogue.open(Workspace(tmp_path))
    assert caught.value.remedy


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "catalogue.sqlite")
    connection.execute("CREATE TABLE somebody (x)")
    connection.commit()
    connection.close()
    with pytest.raises(WorkspaceDamaged, match="does not belong"):
        Catalogue.open(Workspace(tmp_path))


def test_reading_where_no_workspace_is_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CatalogueProblem, match="no workspace here yet"):
        Catalogue.open(Workspace(tmp_path / "none"), readonly=True)
    assert not (tmp_path / "none").exists()


def test_a_network_share_is_refused_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Partition:
        mountpoint = str(tmp_path)
        fstype = "CIFS"

    import psutil

    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [Partition()])
    with pytest.raises(CatalogueProblem, match="network share"):
        Catalogue.open(Workspace(tmp_path / "deep" / "workspace"))
    assert catalogue_connection.file_system_of(Path("/nowhere")) == ""


def test_leftovers_are_swept_and_committed_files_kept(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with Catalogue.open(workspace) as catalogue:
        (row,) = catalogue.embeddings.commit(slide(1), [embedding(1)])
        kept = workspace.root / row.file
        kept.parent.mkdir(parents=True)
        kept.write_bytes(b"vectors")
        uncommitted = kept.with_name("0-1-2.safetensors")
        half = kept.with_name("0-1-2.safetensors.77.partial")
        for path in (uncommitted, half):
            path.write_bytes(b"")
        assert sorted(sweep(workspace, catalogue)) == sorted([uncommitted, half])
        assert kept.exists()
        assert sweep(workspace, catalogue) == []


def test_the_doctor_finds_and_repairs(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)

    def opens(path: Path, row: EmbeddingRow) -> None:
        if path.read_bytes() != b"sound":
            raise EnvironmentProblem("This vectors file is damaged.", path=path)

    with Catalogue.open(workspace) as catalogue:
        for number, content in ((1, b"sound"), (2, b"damaged"), (3, None)):
            here = tmp_path / f"{number}.svs"
            here.write_bytes(b"")
            (row,) = catalogue.embeddings.commit(slide(number, path=str(here)), [embedding(number)])
            path = workspace.root / row.file
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is not None:
                path.write_bytes(content)
        (tmp_path / "1.svs").unlink()
        encoders = {"null": {ENCODER}}
        found = check(workspace, catalogue, open_vectors=opens, encoders=encoders)
        assert sorted(finding.kind for finding in found) == ["slide-missing", "vectors-damaged", "vectors-missing"]
        assert len(repair(found, catalogue)) == 2
        assert [row.slide_id for row in catalogue.embeddings.select()] == [slide(1).slide_id]
        left = check(workspace, catalogue, open_vectors=opens, encoders=encoders)
        assert [finding.kind for finding in left] == ["slide-missing"]


def test_vectors_that_no_encoder_can_be_asked_about_are_told_and_freed(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with Catalogue.open(workspace) as catalogue:
        for number, encoder, encoder_id in ((1, "a" * 32, "null"), (2, "a" * 32, "null"), (3, "b" * 32, "gone")):
            here = tmp_path / f"{number}.svs"
            here.write_bytes(b"")
            row = embedding(number, encoder=encoder, encoder_id=encoder_id)
            catalogue.embeddings.commit(slide(number, path=str(here)), [row])
            path = workspace.root / row.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        found = check(workspace, catalogue, open_vectors=lambda *_: None, encoders={"null": {ENCODER}})
        assert [(finding.kind, finding.repairable) for finding in found] == [
            ("encoder-missing", False), ("vectors-outdated", True),
        ]  # fmt: skip
        assert found[1].message.startswith("20 patches of 2 slides were made with other weights or settings of null")
        assert repair(found, catalogue) == [found[1]]
        assert [row.encoder_id for row in catalogue.embeddings.select()] == ["gone"]
        assert len(list(workspace.vectors.rglob("*.safetensors"))) == 1
