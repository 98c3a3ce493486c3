"""Jobs in real processes: pause, cancel, priority, retry, crashes, a full disk."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from plipdesk.engine import messages as m
from tests.drawing import pyramidal_tiff, tissue_picture
from tests.processes.harness import WAIT_S, Site, draw_slides


def test_pause_resume_and_cancel(site: Site, drawn: list[Path]) -> None:
    watcher = site.connect()
    job = watcher.submit(*drawn)
    watcher.wait_for_item(job)
    watcher.ask(m.ControlJob(job, "pause"), m.JobReply)
    paused = watcher.wait_for_end(job, "paused")
    kept = {item.path for item in paused.items}
    assert 1 <= len(kept) < len(drawn)
    watcher.ask(m.ControlJob(job, "resume"), m.JobReply)
    watcher.wait_for_item(job)
    watcher.ask(m.ControlJob(job, "cancel"), m.JobReply)
    cancelled = watcher.wait_for_end(job, "cancelled")
    slides = watcher.ask(m.ListSlides(), m.SlideList)
    assert kept < {item.path for item in cancelled.items}
    assert len(slides.slides) == len(cancelled.items) == len(slides.embeddings)
    watcher.ask(m.ControlJob(job, "retry"), m.JobReply)
    done = watcher.wait_for_end(job, "done")
    assert {item.status for item in done.items} == {"indexed"}
    assert len(done.items) == len(drawn)
    assert done.job.result["patches"] == sum(item.patches for item in done.items)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_cancels_the_commands_job_and_keeps_what_is_committed(site: Site, drawn: list[Path]) -> None:
    watcher = site.connect()
    words = ["--workspace", str(site.workspace.root), "--json", "--quiet"]
    command = [sys.executable, "-m", "plipdesk", *words, "index", str(drawn[0].parent), "--encoder", "null"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        first = watcher.wait_for(lambda event: isinstance(event, m.JobItemDone))
        assert isinstance(first, m.JobItemDone)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    assert json.loads(said)["error"]["kind"] == "cancelled"
    cancelled = watcher.wait_for_end(first.item.job_id, "cancelled")
    kept = watcher.ask(m.ListSlides(), m.SlideList).slides
    assert first.item.slide_id in {row.slide_id for row in kept}
    assert len(kept) == len(cancelled.items) < len(drawn)


def test_urgent_work_goes_first(site: Site, drawn: list[Path]) -> None:
    watcher = site.connect()
    long = watcher.submit(*drawn[:20])
    watcher.wait_for_item(long)
    urgent = watcher.submit(*drawn[20:22], priority=10)
    watcher.wait_for_end(urgent, "done")
    assert watcher.job(long).job.state in ("queued", "running")
    done = watcher.wait_for_end(long, "done")
    assert {item.status for item in done.items} == {"indexed"}


def test_search_sees_each_slide_as_soon_as_it_is_committed(site: Site, drawn: list[Path]) -> None:
    from plipdesk.search.query import Query, TextPart

    watcher = site.connect()
    query = m.Search(Query(texts=(TextPart("tissue"),), k=500, merge_neighbours=False, encoder="null"))
    assert watcher.ask(query, m.SearchAnswer).result.hits == ()
    job = watcher.submit(*drawn[:10])
    seen: set[str] = set()
    for _ in range(10):
        item = watcher.wait_for_item(job).item
        assert item.slide_id is not None
        seen.add(item.slide_id)
        hits = watcher.ask(query, m.SearchAnswer).result.hits
        assert seen <= {hit.slide_id for hit in hits}
    watcher.wait_for_end(job, "done")


def test_a_broken_slide_fails_alone_and_is_taken_on_retry(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "slides"
    slides = draw_slides(folder, 3)
    sound = slides[1].read_bytes()
    slides[1].write_bytes(sound[: len(sound) // 50])
    watcher = site.connect()
    job = watcher.submit(folder)
    first = watcher.wait_for_end(job, "done")
    assert [slide["status"] for slide in first.job.result["slides"]] == ["indexed", "failed", "indexed"]
    assert first.items[1].reason
    slides[1].write_bytes(sound)
    watcher.ask(m.ControlJob(job, "retry"), m.JobReply)
    again = watcher.wait_for_end(job, "done")
    assert [slide["status"] for slide in again.job.result["slides"]] == ["indexed"] * 3


def test_a_job_that_cannot_be_done_fails_in_words(site: Site, drawn: list[Path]) -> None:
    watcher = site.connect()
    job = watcher.submit(*drawn[:1], encoder="none-such")
    failed = watcher.wait_for_end(job, "failed").job
    assert "none-such" in str(failed.reason)
    assert failed.result["error"]["kind"] == "not-found"
    assert failed.result["exit_code"] == 3


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_slide_that_crashes_native_code_twice_fails_alone(site: Site, tmp_path: Path) -> None:
    # So large that it is still in work when the signal comes, and has far more patches than all others together.
    pixels = np.tile(tissue_picture(512, 512, seed=1), (7, 7, 1))
    evil = pyramidal_tiff(tmp_path / "evil.tif", levels=2, pixels=pixels, lossless=False)
    good = draw_slides(tmp_path / "good", 2)
    watcher = site.connect()
    job = watcher.submit(evil, *good, overlap=0.5)

    def in_evil(event: m.Message, attempt: int) -> bool:
        if not isinstance(event, m.JobChanged) or event.progress is None:
            return False
        return event.job.attempts == attempt and event.job.state == "running" and event.progress.done > 500

    for attempt in (1, 2):
        watcher.wait_for(partial(in_evil, attempt=attempt))
        (worker,) = site.processes("worker")
        worker.send_signal(signal.SIGSEGV)
    done = watcher.wait_for_end(job, "done")
    items = {item.path: item for item in done.items}
    assert items[str(evil)].status == "failed"
    assert "crashed the worker process 2 times" in str(items[str(evil)].reason)
    assert {items[str(path)].status for path in good} == {"indexed"}
    assert (site.workspace.logs / "worker.crash.log").read_bytes().startswith(b"Fatal Python error: Segmentation fault")


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process can be set on Linux only")
def test_a_disk_that_takes_no_more_pauses_the_job_in_words(site: Site, drawn: list[Path]) -> None:
    watcher = site.connect()
    first = watcher.submit(drawn[0])
    watcher.wait_for_end(first, "done")
    (worker,) = site.processes("worker")
    _, hard = worker.rlimit(psutil.RLIMIT_FSIZE)
    worker.rlimit(psutil.RLIMIT_FSIZE, (100, hard))
    job = watcher.submit(*drawn[1:4])
    paused = watcher.wait_for_end(job, "paused")
    assert "larger than this account may write" in str(paused.job.reason)
    assert paused.items == ()
    assert not list(site.workspace.vectors.rglob("*.partial"))
    worker.rlimit(psutil.RLIMIT_FSIZE, (hard, hard))
    watcher.ask(m.ControlJob(job, "resume"), m.JobReply)
    done = watcher.wait_for_end(job, "done")
    assert {item.status for item in done.items} == {"indexed"}


def test_removing_and_moving_slides(site: Site, tmp_path: Path) -> None:
    slides = draw_slides(tmp_path / "slides", 2)
    watcher = site.connect()
    job = watcher.submit(*slides, collection="study")
    watcher.wait_for_end(job, "done")
    moved = slides[0].rename(tmp_path / "moved.tif")
    with pytest.raises(Exception, match="another slide"):
        watcher.client.request(m.RelinkSlide(slides[0].name, str(slides[1])))
    relinked = watcher.ask(m.RelinkSlide(slides[0].name, str(moved)), m.SlideList)
    assert relinked.slides[0].path == str(moved)
    said = watcher.ask(m.SetSlide(slides[1].name, case="P7", stain="PAS"), m.SlideList)
    assert (said.slides[0].case, said.slides[0].stain) == ("P7", "PAS")
    watcher.ask(m.RemoveSlide(slides[1].name), m.Done)
    left = watcher.ask(m.ListSlides(), m.SlideList)
    assert [row.path for row in left.slides] == [str(moved)]
    assert len([path for path in site.workspace.vectors.rglob("*") if path.is_file()]) == 1
    collections = watcher.ask(m.ListCollections(), m.CollectionList).collections
    assert [(row.name, row.slides) for row in collections] == [("study", 1)]
    assert slides[1].exists()
    shutil.rmtree(tmp_path / "slides")


def test_counts_and_events_tell_what_happens(site: Site, drawn: list[Path]) -> None:
    watcher = site.connect()
    job = watcher.submit(*drawn[:5])
    kinds: set[type[m.Message]] = set()
    changes: list[m.JobChanged] = []
    while True:
        event = watcher.next_event()
        assert event is not None
        kinds.add(type(event))
        if isinstance(event, m.JobChanged):
            changes.append(event)
            if event.job.state == "done":
                break
    assert kinds >= {m.JobChanged, m.JobItemDone, m.SlidesChanged, m.StatusChanged}
    last = changes[-1]
    assert last.job.job_id == job
    assert last.job.done == last.job.total > 0
    status = watcher.ask(m.GetStatus(), m.Status)
    assert (status.slides, status.jobs_running, status.jobs_queued) == (5, 0, 0)
