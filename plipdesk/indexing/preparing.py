"""Before the first patch is encoded: who a slide is, whether it is known, where its tissue lies, how it is cut."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.errors import EnvironmentProblem
from plipdesk.base.paths import Workspace
from plipdesk.catalogue.rows import EmbeddingRow, ItemStatus, JobItemRow, SlideRow
from plipdesk.encoders.protocol import Encoder
from plipdesk.indexing.cutting import Copied, Cutting, copied_of, plan_cutting
from plipdesk.indexing.desk import IndexDesk
from plipdesk.indexing.settings import IndexSettings
from plipdesk.slides.errors import ChannelsNeeded
from plipdesk.slides.files import reading_problem
from plipdesk.slides.finding import files_of
from plipdesk.slides.fingerprint import fingerprint
from plipdesk.slides.opening import open_as_known
from plipdesk.slides.openslide_reader import shared_tile_cache
from plipdesk.slides.patches import PatchBatch, iter_patches
from plipdesk.slides.protocol import SlideReader
from plipdesk.slides.tiling import Tiling, TilingSettings, plan_tiling
from plipdesk.slides.tissue import TissueMask, tissue_mask

MPP_UNKNOWN = "The file does not say how many micrometres a pixel is wide."
FileState = tuple[tuple[str, int, int], ...]


class SlideChanged(EnvironmentProblem):
    """A slide's file was written to while it was read."""

    kind = "slide-changed"


@dataclass(frozen=True)
class Plan:
    """One tiling of a slide, with its patches on their way.

    ``copied`` holds what is known of it already; ``places`` int64 numbers the patches of the tiling that come, in their
    order. ``first`` holds the first batch where it has been read already, so that its reader threads are at work before
    the encoder is free; ``batches`` the others.
    """

    settings: TilingSettings
    tiling: Tiling
    copied: Copied | None
    places: NDArray[np.int64]
    first: tuple[PatchBatch, ...]
    batches: Iterator[PatchBatch]


@dataclass(frozen=True)
class Prepared:
    """A slide ready to be encoded; whoever has it closes it. ``replaces``: embeddings (ids) that go with its commit."""

    path: Path
    row: SlideRow
    reader: SlideReader
    plans: tuple[Plan, ...]
    replaces: tuple[int, ...]
    tissue_mm2: float
    files: FileState
    began_s: float

    @property
    def patches(self) -> int:
        """Patches to encode."""
        return sum(len(plan.places) for plan in self.plans)

    def close(self) -> None:
        """Stop reading and close the slide."""
        for plan in self.plans:
            plan.batches.close()  # type: ignore[attr-defined]
        self.reader.close()


@dataclass(frozen=True)
class Ended:
    """A slide that needs no encoding; ``row``: what to bring up to date in the catalogue."""

    item: JobItemRow
    row: SlideRow | None = None


@dataclass(frozen=True)
class Twin:
    """A slide with the same content as one that is in work; to be looked at once that one is done."""

    path: Path


class Preparer:
    """Prepares slides for one encoder and one job's settings."""

    def __init__(
        self,
        desk: IndexDesk,
        settings: IndexSettings,
        encoder: Encoder,
        workspace: Workspace,
        *,
        batch: int,
        reader_threads: int,
    ) -> None:
        self._desk = desk
        self._workspace = workspace
        self._settings = settings
        self._encoder = encoder
        self._batch = batch
        self._reader_threads = reader_threads
        self.in_work: set[str] = set()
        """Ids of the slides that are being encoded; the pipeline keeps it."""

    def prepare(self, path: Path) -> Prepared | Ended | Twin:
        """Look at a slide as far as can be done without encoding.

        Raises:
            PlipdeskError: why it cannot be read.
        """
        began_s = time.monotonic()
        self._desk.begin(str(path))
        files = state_of(path)
        slide_id = fingerprint(path)
        if slide_id in self.in_work:
            return Twin(path)
        known, rows = self._desk.known(slide_id)
        rows = [row for row in rows if row.encoder_fingerprint == self._encoder.fingerprint]
        mpp_um = self._settings.mpp_um
        if mpp_um is None and known is not None and known.mpp_source == "given":
            mpp_um = known.mpp_um
        channels = None if known is None else known.channels
        if channels is not None or known is None:
            channels = self._settings.channels or channels
        if known is not None and self._settings.mask_needs_no_slide:
            # The usual case of a slide that is known: not even opened.
            cutting = self._cutting(None, channels, rows, mpp_um or known.mpp_um)
            if not cutting.missing:
                return self._known(path, files, known, cutting, began_s)
        # Decoded tiles of slides that are done are of no use to the next one: it gets a cache of its own.
        shared_tile_cache.cache_clear()
        try:
            reader = open_as_known(path, mpp_um=mpp_um, channels=channels)
        except ChannelsNeeded as refusal:
            item = self._item(path, slide_id, "skipped", began_s, reason=refusal.message, remedy=refusal.remedy)
            if not refusal.choosable:
                raise
            return Ended(item)
        try:
            return self._open(path, slide_id, files, known, rows, reader, began_s)
        except BaseException:
            reader.close()
            raise

    def _open(
        self,
        path: Path,
        slide_id: str,
        files: FileState,
        known: SlideRow | None,
        rows: Sequence[EmbeddingRow],
        reader: SlideReader,
        began_s: float,
    ) -> Prepared | Ended:
        info = reader.info
        if info.mpp_um is None:
            reader.close()
            remedy = "Give it with --mpp, for example --mpp 0.25 for a scan at 40×."
            return Ended(self._item(path, slide_id, "skipped", began_s, reason=MPP_UNKNOWN, remedy=remedy))
        mask = tissue_mask(reader, self._settings.tissue)
        cutting = self._cutting(mask.sha256, info.channels, rows, info.mpp_um)
        if known is not None and not cutting.missing:
            reader.close()
            return self._known(path, files, known, cutting, began_s)
        tissue_mm2 = mask.area_mm2(info.mpp_um) or 0.0
        tilings = [plan_tiling(info, mask, settings, mpp_um=info.mpp_um) for settings in cutting.missing]
        tilings = [tiling for tiling in tilings if len(tiling.x0_px)]
        if not tilings:
            reader.close()
            return Ended(self._no_tissue(path, slide_id, mask, tissue_mm2, began_s))
        notes = [*info.notes, *(note for tiling in tilings for note in tiling.notes)]
        row = SlideRow(
            slide_id=slide_id,
            path=str(path),
            name=known.name if known is not None else path.name,
            format=info.format,
            vendor=info.vendor,
            width_px=info.width_px,
            height_px=info.height_px,
            mpp_um=info.mpp_um,
            mpp_source=info.mpp_source,
            objective_power=info.objective_power,
            file_bytes=files[0][1],
            file_mtime_ns=files[0][2],
            tissue_mm2=tissue_mm2,
            case=self._settings.case,
            notes=tuple(dict.fromkeys(notes)),
            channels=info.channels,
        )
        replaces = tuple(row.embedding_id for row in cutting.replaced([tiling.settings for tiling in tilings]))
        plans = tuple(self._plan(reader, tiling, rows, ahead=number == 0) for number, tiling in enumerate(tilings))
        return Prepared(path, _at_home(row, known), reader, plans, replaces, tissue_mm2, files, began_s)

    def _cutting(
        self,
        mask_sha256: str | None,
        channels: tuple[int, ...] | None,
        rows: Sequence[EmbeddingRow],
        mpp_um: float | None,
    ) -> Cutting:
        wanted = self._settings.tilings(self._encoder.card, mask_sha256, channels)
        return plan_cutting(wanted, rows, mpp_um, keep_old=self._settings.keep_old, loosely=self._settings.loosely)

    def _plan(self, reader: SlideReader, tiling: Tiling, rows: Sequence[EmbeddingRow], *, ahead: bool) -> Plan:
        copied = copied_of(self._workspace, tiling, rows)
        places = np.arange(len(tiling.x0_px))
        if copied is not None:
            places = np.delete(places, copied.places)
        left = dataclasses.replace(tiling, x0_px=tiling.x0_px[places], y0_px=tiling.y0_px[places])
        batches = iter_patches(reader, left, batch=self._batch, reader_threads=self._reader_threads)
        first = (next(batches),) if ahead and len(places) else ()
        return Plan(tiling.settings, tiling, copied, places, first, batches)

    def _known(
        self,
        path: Path,
        files: FileState,
        known: SlideRow,
        cutting: Cutting,
        began_s: float,
    ) -> Ended:
        row = dataclasses.replace(
            known,
            path=str(path),
            file_bytes=files[0][1],
            file_mtime_ns=files[0][2],
            case=self._settings.case or known.case,
        )
        if self._settings.mpp_um is not None:
            row = dataclasses.replace(row, mpp_um=self._settings.mpp_um, mpp_source="given")
        patches = sum(row.patches for row in cutting.there)
        item = self._item(path, known.slide_id, "unchanged", began_s, patches=patches, tissue_mm2=known.tissue_mm2)
        return Ended(item, _at_home(row, known))

    def _no_tissue(self, path: Path, slide_id: str, mask: TissueMask, tissue_mm2: float, began_s: float) -> JobItemRow:
        if mask.rule == "all":
            reason, remedy = "The slide is smaller than one patch.", "Choose smaller patches."
        else:
            reason, remedy = "No tissue was found on it.", "If there is some, index it with --tissue all."
        return self._item(path, slide_id, "skipped", began_s, reason=reason, remedy=remedy, tissue_mm2=tissue_mm2)

    def _item(
        self,
        path: Path,
        slide_id: str | None,
        status: ItemStatus,
        began_s: float,
        *,
        reason: str | None = None,
        remedy: str | None = None,
        patches: int = 0,
        tissue_mm2: float | None = None,
    ) -> JobItemRow:
        seconds = round(time.monotonic() - began_s, 3)
        return JobItemRow(
            self._desk.job_id, str(path), slide_id, status, reason, remedy, patches, tissue_mm2, seconds, 1
        )


def state_of(path: Path) -> FileState:
    """Name, size and time of change of every file of a slide, the main one first.

    Raises:
        SlideProblem: one is not there, or may not be looked at.
    """
    try:
        stats = [(file.name, file.stat()) for file in files_of(path)]
    except OSError as error:
        raise reading_problem(path, error) from error
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def check_unchanged(prepared: Prepared) -> None:
    """Make sure that what was read is what the fingerprint names.

    Raises:
        SlideChanged: the file was written to meanwhile.
        SlideProblem: it is gone.
    """
    if state_of(prepared.path) != prepared.files:
        raise SlideChanged(
            "The slide changed while it was read.",
            path=prepared.path,
            remedy="Wait until it is copied or scanned completely, then retry.",
        )


def _at_home(row: SlideRow, known: SlideRow | None) -> SlideRow:
    """``row`` with the place that is known already, where the slide still lies there too: a copy is not a move."""
    if known is None or known.path == row.path:
        return row
    try:
        stat = Path(known.path).stat()
    except OSError:
        return row
    if (stat.st_size, stat.st_mtime_ns) != (known.file_bytes, known.file_mtime_ns):
        return row
    return dataclasses.replace(row, path=known.path, file_bytes=known.file_bytes, file_mtime_ns=known.file_mtime_ns)
