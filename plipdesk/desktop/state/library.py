"""Slides, and files on their way to becoming slides, as one list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from plipdesk.catalogue.rows import EmbeddingRow, JobItemRow, SlideRow
from plipdesk.desktop.state.jobs import JobsState, JobView, job_paths, short_name

EntryState = Literal["indexed", "indexing", "queued", "paused", "failed", "skipped", "known"]


@dataclass(frozen=True)
class Entry:
    """A line of the slide list. ``known``: in the catalogue, but without patches of the encoder in use."""

    key: str
    """The slide's id, or the path of what is not a slide yet."""
    path: str
    name: str
    state: EntryState
    slide: SlideRow | None = None
    patches: int = 0
    share: float | None = None
    reason: str | None = None
    remedy: str | None = None
    job_id: int | None = None


class LibraryState:
    """Merges what the catalogue says with what jobs are doing; ``encoder`` is the id whose patches count."""

    def __init__(self) -> None:
        self.slides: dict[str, SlideRow] = {}
        self.encoder: str | None = None
        self._patches: dict[tuple[str, str], int] = {}

    def replace(self, slides: Iterable[SlideRow], embeddings: Iterable[EmbeddingRow]) -> None:
        """The whole catalogue was listed."""
        self.slides.clear()
        self._patches.clear()
        self._add(slides, embeddings)

    def update(self, asked: Iterable[str], slides: Iterable[SlideRow], embeddings: Iterable[EmbeddingRow]) -> None:
        """These slide ids were asked for; those not among the answers are gone."""
        gone = set(asked)
        for slide_id in gone:
            self.slides.pop(slide_id, None)
        for key in [key for key in self._patches if key[0] in gone]:
            del self._patches[key]
        self._add(slides, embeddings)

    def patches_of(self, slide_id: str) -> int:
        """How many patches of the encoder in use a slide has."""
        if self.encoder is None:
            return sum(count for key, count in self._patches.items() if key[0] == slide_id)
        return self._patches.get((slide_id, self.encoder), 0)

    def entries(self, jobs: JobsState, *, only: frozenset[str] | None = None, contains: str = "") -> list[Entry]:
        """The list, by name: slides of ``only`` (all if None), then files under way or refused that are no slides.

        ``contains`` keeps names that hold these letters.
        """
        trouble, waiting = _items_of(jobs)
        lines = []
        known_paths = set()
        for slide in self.slides.values():
            known_paths.add(slide.path)
            if only is None or slide.slide_id in only:
                lines.append(self._entry_of(slide, trouble.get(slide.path), waiting.get(slide.path)))
        if only is None:
            lines += [_entry_of_item(item) for path, item in trouble.items() if path not in known_paths | set(waiting)]
            lines += [_entry_waiting(path, view) for path, view in waiting.items() if path not in known_paths]
        wanted = contains.strip().casefold()
        return sorted(
            (line for line in lines if wanted in line.name.casefold()),
            key=lambda line: (line.name.casefold(), line.key),
        )

    def _add(self, slides: Iterable[SlideRow], embeddings: Iterable[EmbeddingRow]) -> None:
        for slide in slides:
            self.slides[slide.slide_id] = slide
        for row in embeddings:
            key = (row.slide_id, row.encoder_id)
            self._patches[key] = self._patches.get(key, 0) + row.patches

    def _entry_of(self, slide: SlideRow, item: JobItemRow | None, view: JobView | None) -> Entry:
        patches = self.patches_of(slide.slide_id)
        state: EntryState = "indexed" if patches else "known"
        if view is not None and not patches:
            return _entry_waiting(slide.path, view, slide)
        if item is not None and not patches:
            state = "skipped" if item.status == "skipped" else "failed"
        return Entry(
            slide.slide_id,
            slide.path,
            slide.name,
            state,
            slide,
            patches,
            reason=None if item is None else item.reason,
            remedy=None if item is None else item.remedy,
            job_id=None if item is None else item.job_id,
        )


def _items_of(jobs: JobsState) -> tuple[dict[str, JobItemRow], dict[str, JobView]]:
    """The items in trouble by path (the newest job has the last word), and the paths that jobs have yet to do."""
    trouble: dict[str, JobItemRow] = {}
    settled: set[str] = set()
    waiting: dict[str, JobView] = {}
    for view in jobs.newest_first():
        for path, item in view.items.items():
            if path not in settled:
                settled.add(path)
                if item.status in ("failed", "skipped"):
                    trouble[path] = item
        if view.active or view.job.state == "paused":
            for path in job_paths(view.job):
                if path not in view.items and path not in waiting:
                    waiting[path] = view
    return trouble, waiting


def _entry_of_item(item: JobItemRow) -> Entry:
    state: EntryState = "skipped" if item.status == "skipped" else "failed"
    return Entry(
        item.slide_id or item.path,
        item.path,
        short_name(item.path),
        state,
        reason=item.reason,
        remedy=item.remedy,
        job_id=item.job_id,
    )


def _entry_waiting(path: str, view: JobView, slide: SlideRow | None = None) -> Entry:
    # Slides are encoded in the order given, so the first that has not ended is the one in work.
    paths = job_paths(view.job)
    in_work = view.job.state == "running" and path == next((one for one in paths if one not in view.items), None)
    state: EntryState = "indexing" if in_work else "paused" if view.job.state == "paused" else "queued"
    return Entry(
        path if slide is None else slide.slide_id,
        path,
        short_name(path) if slide is None else slide.name,
        state,
        slide,
        share=view.share if in_work and len(paths) == 1 else None,
        job_id=view.job.job_id,
    )
