"""Slides to vectors: reading, encoding and writing overlap, and one bad slide never ends a batch.

While one slide is encoded on the calling thread, reader threads decode its next patches, another thread prepares the
next slide (identity, tissue, tiling), and a third writes and commits the last one. A slide's vectors reach the disk
whole; then one commit makes it searchable.
"""

from __future__ import annotations

import errno
import itertools
import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.errors import Bug, Cancelled, Paused, PlipdeskError
from plipdesk.base.files import DiskFull
from plipdesk.base.paths import Workspace
from plipdesk.catalogue.rows import EmbeddingRow, JobItemRow
from plipdesk.encoders.protocol import Encoder
from plipdesk.index.vectors import write_vectors
from plipdesk.indexing.desk import IndexDesk
from plipdesk.indexing.preparing import Ended, Plan, Prepared, Preparer, Twin, check_unchanged
from plipdesk.indexing.settings import IndexSettings

_LOG = logging.getLogger(__name__)
CPU_BATCH = 64
GPU_BATCH = 256


def batch_of(encoder: Encoder) -> int:
    """Patches encoded at once. Fixed for a kind of device, since it may change the last bits of an embedding."""
    return CPU_BATCH if "cpu" in encoder.runtime.split() else GPU_BATCH


@dataclass(frozen=True)
class _Encoded:
    """The vectors of one tiling, in memory."""

    plan: Plan
    embeddings: NDArray[np.float16]
    seconds: float


class Pipeline:
    """Indexes slides with one encoder and one job's settings."""

    def __init__(
        self,
        desk: IndexDesk,
        settings: IndexSettings,
        encoder: Encoder,
        workspace: Workspace,
        *,
        reader_threads: int,
    ) -> None:
        self._desk = desk
        self._settings = settings
        self._encoder = encoder
        self._workspace = workspace
        self._preparer = Preparer(
            desk, settings, encoder, workspace, batch=batch_of(encoder), reader_threads=reader_threads
        )
        self._progress = _Progress(desk)
        self._last: Future[None] | None = None

    def run(self, paths: Sequence[Path]) -> None:
        """Index ``paths``; what became of each is told to the desk.

        Raises:
            Cancelled: a person asked to stop. What is committed stays, the slide in work is dropped.
            Paused: a person asked to wait, or the disk is full, or the slides' drive is gone.
        """
        suspects = [path for path in paths if str(path) in self._desk.suspects]
        others = [path for path in paths if str(path) not in self._desk.suspects]
        self._progress.expect(len(paths))
        with ThreadPoolExecutor(1, "prepare") as ahead, ThreadPoolExecutor(1, "finish") as behind:
            again = self._run_together(others, ahead, behind)
            # One at a time: the second of twins finds the first committed, and a crash has one suspect only.
            for path in (*again, *suspects):
                self._run_together([path], ahead, behind)

    def _run_together(self, paths: Sequence[Path], ahead: ThreadPoolExecutor, behind: ThreadPoolExecutor) -> list[Path]:
        """Index slides that may overlap in time; returns those to be looked at again afterwards."""
        again: list[Path] = []
        left = iter(paths)
        upcoming: Future[Prepared | Ended | Twin] | None = self._prepare_next(left, ahead)
        try:
            while upcoming is not None:
                ready = upcoming.result()
                if isinstance(ready, Prepared):
                    self._preparer.in_work.add(ready.row.slide_id)
                upcoming = self._prepare_next(left, ahead)
                self._desk.check_cancel()
                if isinstance(ready, Twin):
                    again.append(ready.path)
                elif isinstance(ready, Ended):
                    self._end(ready)
                else:
                    self._encode_slide(ready, behind)
            self._wait_for_last()
        finally:
            if upcoming is not None:
                _close_unused(upcoming)
            if self._last is not None:
                self._last.exception()
                self._last = None
        return again

    def _prepare_next(self, left: Iterator[Path], ahead: ThreadPoolExecutor) -> Future[Prepared | Ended | Twin] | None:
        path = next(left, None)
        return None if path is None else ahead.submit(self._prepare, path)

    def _prepare(self, path: Path) -> Prepared | Ended | Twin:
        began_s = time.monotonic()
        try:
            prepared = self._preparer.prepare(path)
        except Exception as error:  # noqa: BLE001  one bad slide must not end a batch, whatever is bad about it
            return Ended(self._failure(path, error, began_s))
        return prepared

    def _encode_slide(self, prepared: Prepared, behind: ThreadPoolExecutor) -> None:
        self._progress.begin(prepared)
        try:
            encoded = [self._encode(plan) for plan in prepared.plans]
        except (Cancelled, Paused):
            prepared.close()
            raise
        except Exception as error:  # noqa: BLE001  one bad slide must not end a batch, whatever is bad about it
            prepared.close()
            self._preparer.in_work.discard(prepared.row.slide_id)
            self._progress.drop(prepared)
            self._end(Ended(self._failure(prepared.path, error, prepared.began_s, prepared.row.slide_id)))
            return
        self._wait_for_last()
        self._last = behind.submit(self._finish, prepared, encoded)

    def _encode(self, plan: Plan) -> _Encoded:
        began_s = time.monotonic()
        embeddings = np.empty((len(plan.tiling.x0_px), self._encoder.card.dim), dtype=np.float16)
        if plan.copied is not None:
            embeddings[plan.copied.places] = plan.copied.vectors
        for batch in itertools.chain(plan.first, plan.batches):
            self._desk.check_cancel()
            places = plan.places[batch.start : batch.start + len(batch.pixels)]
            embeddings[places] = self._encoder.encode_patches(batch.pixels)
            self._progress.encoded(len(batch.pixels))
        return _Encoded(plan, embeddings, time.monotonic() - began_s)

    def _finish(self, prepared: Prepared, encoded: Sequence[_Encoded]) -> None:
        """Write the vectors of a slide, then commit them; runs beside the encoding of the next slide."""
        prepared.close()
        try:
            check_unchanged(prepared)
            rows = [self._write(prepared, each) for each in encoded]
            item = self._item(prepared, sum(row.patches for row in rows))
            self._desk.commit(prepared.row, rows, item, self._settings.collection, prepared.replaces)
        except Exception as error:  # noqa: BLE001  one bad slide must not end a batch, whatever is bad about it
            self._desk.end(self._failure(prepared.path, error, prepared.began_s, prepared.row.slide_id))
        finally:
            self._preparer.in_work.discard(prepared.row.slide_id)

    def _write(self, prepared: Prepared, encoded: _Encoded) -> EmbeddingRow:
        settings, tiling = encoded.plan.settings, encoded.plan.tiling
        slide_id, fingerprint = prepared.row.slide_id, self._encoder.fingerprint
        path = self._workspace.vectors_file(slide_id, settings.tiling_id, fingerprint)
        write_vectors(
            path,
            embeddings=encoded.embeddings,
            x0_px=tiling.x0_px,
            y0_px=tiling.y0_px,
            settings={
                "slide_id": slide_id,
                "tiling": settings.document(),
                "size0_px": tiling.size0_px,
                "encoder": self._encoder.card.id,
                "encoder_fingerprint": fingerprint,
            },
        )
        return EmbeddingRow(
            slide_id=slide_id,
            tiling_id=settings.tiling_id,
            encoder_fingerprint=fingerprint,
            encoder_id=self._encoder.card.id,
            tiling=settings.document(),
            patch_mpp_um=settings.patch_mpp_um,
            size0_px=tiling.size0_px,
            file=self._workspace.relative(path),
            patches=len(tiling.x0_px),
            dim=self._encoder.card.dim,
            tissue_mm2=prepared.tissue_mm2,
            seconds=round(encoded.seconds, 3),
        )

    def _item(self, prepared: Prepared, patches: int) -> JobItemRow:
        return JobItemRow(
            job_id=self._desk.job_id,
            path=str(prepared.path),
            slide_id=prepared.row.slide_id,
            status="indexed",
            reason=None,
            remedy=None,
            patches=patches,
            tissue_mm2=prepared.tissue_mm2,
            seconds=round(time.monotonic() - prepared.began_s, 3),
            attempts=1,
        )

    def _end(self, ended: Ended) -> None:
        if ended.row is not None:
            self._desk.commit(ended.row, (), ended.item, self._settings.collection)
        else:
            self._desk.end(ended.item)
        self._progress.ended()

    def _failure(self, path: Path, error: Exception, began_s: float, slide_id: str | None = None) -> JobItemRow:
        """The item of a slide that failed; what would fail every other slide, too, stops the job instead.

        Raises:
            Paused: the disk is full, or the place where the slides lie is gone.
        """
        if isinstance(error, DiskFull):
            raise Paused(f"{error.message} {error.remedy}") from error
        if isinstance(error, OSError) and error.errno == errno.EFBIG:
            raise Paused("A file became larger than this account may write; finished work is kept.") from error
        if not path.parent.exists():
            raise Paused(
                f"The folder {path.parent} is gone. Connect its drive or share again, then resume; "
                "finished work is kept."
            ) from error
        if not isinstance(error, PlipdeskError):
            _LOG.error("a slide failed in a way nobody foresaw", exc_info=error)
            error = Bug(
                f"Something went wrong inside plipdesk that never should ({type(error).__name__}).",
                remedy="Please report it, with the worker's log file in the workspace's folder 'logs'.",
            )
        seconds = round(time.monotonic() - began_s, 3)
        return JobItemRow(
            self._desk.job_id, str(path), slide_id, "failed", error.message, error.remedy, 0, None, seconds, 1
        )

    def _wait_for_last(self) -> None:
        last, self._last = self._last, None
        if last is not None:
            last.result()
            self._progress.ended()


def _close_unused(upcoming: Future[Prepared | Ended | Twin]) -> None:
    if not upcoming.cancel() and upcoming.exception() is None:
        ready = upcoming.result()
        if isinstance(ready, Prepared):
            ready.close()


class _Progress:
    """Patches done and to come; slides that are not opened yet count as the mean of those that are."""

    def __init__(self, desk: IndexDesk) -> None:
        self._desk = desk
        self._slides = 0
        self._slides_ended = 0
        self._slides_opened = 0
        self._opened_patches = 0
        self._done = 0

    def expect(self, slides: int) -> None:
        """So many slides are to be done."""
        self._slides = slides
        self._tell()

    def begin(self, prepared: Prepared) -> None:
        """A slide is being encoded."""
        self._slides_opened += 1
        self._opened_patches += prepared.patches
        self._tell()

    def encoded(self, patches: int) -> None:
        """So many patches more are encoded."""
        self._done += patches
        self._tell()

    def drop(self, prepared: Prepared) -> None:
        """A slide failed: its patches do not count."""
        self._slides_opened -= 1
        self._opened_patches -= prepared.patches
        self._done = min(self._done, self._opened_patches)

    def ended(self) -> None:
        """A slide has ended, well or not."""
        self._slides_ended += 1
        self._tell()

    def _tell(self) -> None:
        unopened = max(0, self._slides - self._slides_ended - 1) if self._slides_opened else 0
        mean = self._opened_patches / self._slides_opened if self._slides_opened else 0
        total = self._opened_patches + round(unopened * mean)
        note = f"{self._slides_ended} of {self._slides} slides"
        self._desk.report(self._done, total, unit="patches", note=note)
