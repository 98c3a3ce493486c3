"""Real engines, workers and readers, at work on a workspace of drawn slides."""

from __future__ import annotations

import dataclasses
import queue
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil

from plipdesk.base.paths import Workspace
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.engine import messages as m
from plipdesk.engine.client import EngineClient
from plipdesk.search.query import Query, RegionPart, TextPart
from tests.drawing import pyramidal_tiff

WAIT_S = 60.0
"""Longer than anything here takes on a busy machine; only a hang waits so long."""
Reply = TypeVar("Reply", bound=m.Message)


def draw_slides(folder: Path, count: int) -> list[Path]:
    """``count`` small slides, each another."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        pyramidal_tiff(folder / f"slide-{number:03}.tif", width_px=512, height_px=384, levels=2, seed=number)
        for number in range(count)
    ]


class Site:
    """A workspace in a folder, the clients of its engine, and its processes as the system sees them."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace(root)
        self._clients: list[EngineClient] = []

    def connect(self, **options: Any) -> Watcher:
        """Attach to the engine, or start it."""
        options.setdefault("role", "command")
        client = EngineClient.connect(self.workspace, **options)
        self._clients.append(client)
        return Watcher(client)

    def processes(self, kind: str | None = None) -> list[psutil.Process]:
        """The living processes whose command line names this workspace; ``kind``: engine, worker or reader."""
        found = []
        module = {None: "plipdesk.engine", "engine": "plipdesk.engine"}.get(kind, f"plipdesk.engine.{kind}")
        for process in psutil.process_iter(["cmdline", "status"]):
            line = process.info["cmdline"] or []
            if str(self.workspace.root) not in line or "--workspace" not in line:
                continue
            if kind is None or module in line:
                found.append(process)
        return found

    def kill(self, *kinds: str | None) -> list[psutil.Process]:
        """Kill every process of these kinds at once; returns them."""
        victims = [process for kind in kinds for process in self.processes(kind)]
        for process in victims:
            with _gone_is_fine():
                process.kill()
        return victims

    def close(self) -> None:
        """End what runs, and see that it does end."""
        for client in self._clients:
            client.close()
        left = self.processes()
        _, alive = psutil.wait_procs(left, timeout=WAIT_S)
        for process in alive:
            process.kill()
        assert not alive, f"processes outlived their last client: {alive}"


@contextmanager
def _gone_is_fine() -> Iterator[None]:
    try:
        yield
    except psutil.NoSuchProcess:
        return


class Watcher:
    """A client that keeps the events it hears, so that a test can wait for one."""

    def __init__(self, client: EngineClient) -> None:
        self.client = client
        self._events: queue.Queue[m.Message | None] = queue.Queue()
        self.lost = False
        client.on_event(self._events.put)
        client.on_lost(lambda: self._events.put(None))
        client.request(m.Subscribe())

    def ask(self, message: m.Message, reply: type[Reply]) -> Reply:
        """A request whose reply must be of a type."""
        answer = self.client.request(message, timeout_s=WAIT_S)
        assert isinstance(answer, reply)
        return answer

    def submit(self, *paths: Path, priority: int = 0, **params: Any) -> int:
        """Queue indexing with the null encoder; returns the job's number."""
        params = {"paths": [str(path) for path in paths], "encoder": "null", **params}
        return self.ask(m.SubmitJob("index", params, priority), m.JobReply).job.job_id

    def job(self, job_id: int) -> m.JobReply:
        """The job as it is now."""
        return self.ask(m.GetJob(job_id), m.JobReply)

    def next_event(self, timeout_s: float = WAIT_S) -> m.Message | None:
        """The next event; None when the engine is lost.

        Raises:
            queue.Empty: none came.
        """
        if self.lost:
            return None
        event = self._events.get(timeout=timeout_s)
        self.lost = event is None
        return event

    def wait_for(self, wanted: Callable[[m.Message], bool]) -> m.Message:
        """The next event that is wanted."""
        while True:
            event = self.next_event()
            assert event is not None, "the engine was lost"
            if wanted(event):
                return event

    def wait_for_end(self, job_id: int, *states: str) -> m.JobReply:
        """Wait until the job is in one of ``states`` (any in which it does not go on by itself)."""
        wanted = states or ("done", "failed", "cancelled", "paused")
        while (reply := self.job(job_id)).job.state not in wanted:
            self.wait_for(lambda event: isinstance(event, m.JobChanged) and event.job.job_id == job_id)
        return reply

    def wait_for_item(self, job_id: int) -> m.JobItemDone:
        """The next slide of the job that ends."""
        event = self.wait_for(lambda event: isinstance(event, m.JobItemDone) and event.item.job_id == job_id)
        assert isinstance(event, m.JobItemDone)
        return event


def snapshot(workspace: Workspace) -> dict[str, Any]:
    """All that is committed, without what may differ between two runs: times, numbers of rows, attempts."""
    with Catalogue.open(workspace, readonly=True) as catalogue:
        slides = {row.slide_id: dataclasses.replace(row, added_at="") for row in catalogue.slides.select()}
        embeddings = sorted(
            (
                dataclasses.replace(row, embedding_id=0, committed_at="", seconds=0.0)
                for row in catalogue.embeddings.select()
            ),
            key=lambda row: row.file,
        )
        jobs = catalogue.jobs.all()
        items = [
            dataclasses.replace(item, attempts=0, seconds=0.0)
            for job in jobs
            for item in catalogue.jobs.items(job.job_id)
        ]
        collections = [(row.name, row.slides) for row in catalogue.collections.all()]
        found = {
            "slides": slides,
            "embeddings": embeddings,
            "items": items,
            "collections": collections,
            "states": [job.state for job in jobs],
        }
    files = {
        path.relative_to(workspace.root).as_posix(): path.read_bytes()
        for path in sorted(workspace.vectors.rglob("*"))
        if path.is_file()
    }
    return {**found, "files": files}


def answers(watcher: Watcher, slides: list[Path]) -> list[list[tuple[Any, ...]]]:
    """What the index answers to some words and to a region, hit by hit."""
    queries = [
        Query(texts=(TextPart("pink tissue"),), k=50, encoder="null"),
        Query(texts=(TextPart("nuclei"), TextPart("white", weight=-0.5)), k=50, group="slide", encoder="null"),
        Query(regions=(RegionPart(str(slides[0]), box=(200.0, 150.0, 64.0, 64.0)),), k=50, encoder="null"),
    ]
    found = []
    for query in queries:
        result = watcher.ask(m.Search(query), m.SearchAnswer).result
        found.append(
            sorted((round(hit.score, 6), hit.slide_id, hit.x0_px, hit.y0_px, hit.size0_px) for hit in result.hits)
        )
    return found


def fresh(root: Path) -> Path:
    """An empty place for a workspace."""
    shutil.rmtree(root, ignore_errors=True)
    return root
