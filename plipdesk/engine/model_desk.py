"""What the engine answers about encoders: which there are, what they cost, and what two say of one query."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from plipdesk.base.errors import EnvironmentProblem, UsageProblem
from plipdesk.base.paths import Workspace
from plipdesk.base.progress import Json
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.rows import EmbeddingRow, JobRow, SlideFilter
from plipdesk.encoders.fetching import licence_in_words
from plipdesk.encoders.known import KnownModel, known_models
from plipdesk.encoders.loading import EMBEDDED_ID, InstalledEncoder, list_encoders
from plipdesk.encoders.null import NULL_ID
from plipdesk.encoders.protocol import Encoder
from plipdesk.engine import messages as m
from plipdesk.engine.events import EventHub
from plipdesk.engine.jobs import JobDesk
from plipdesk.engine.shelves import EncoderShelf, IndexShelf
from plipdesk.indexing.reencoding import plan_reencoding
from plipdesk.search.comparing import compare_answers
from plipdesk.search.query import Query, SearchResult
from plipdesk.search.searcher import Searcher

Answers = dict[type[m.Message], Callable[[Any], m.Message]]
MODEL_JOBS = ("import-model", "download-model")
"""Kinds of jobs that end with one more encoder."""
_RATES_SETTING = "encoder_rates"
_ENOUGH_PATCHES = 200
"""Patches encoded in earnest whose rate is believed."""
_MEASURED_S, _MEASURED_BATCH, _MOST_BATCHES = 1.0, 4, 16


class ModelDesk:
    """Thread-safe, as the catalogue and the shelves are."""

    def __init__(
        self,
        catalogue: Catalogue,
        workspace: Workspace,
        *,
        encoders: EncoderShelf,
        indexes: IndexShelf,
        searcher: Searcher,
        jobs: JobDesk,
        events: EventHub,
        slides_changed: Callable[..., None],
    ) -> None:
        self._catalogue = catalogue
        self._workspace = workspace
        self._encoders = encoders
        self._indexes = indexes
        self._searcher = searcher
        self._jobs = jobs
        self._events = events
        self._slides_changed = slides_changed

    def slow_answers(self) -> Answers:
        """What reads files, or lets encoders work."""
        return {
            m.ListModels: lambda _: self._list(),
            m.KeepToken: self._keep_token,
            m.RemoveModel: self._remove,
            m.GetCost: self._cost,
            m.Compare: self._compare,
        }

    def changed(self) -> None:
        """There is another encoder, or another one is in use."""
        self._events.post("models", m.ModelsChanged())

    # --- which there are ----------------------------------------------------------------------------------------------

    def _list(self) -> m.ModelList:
        rows: dict[str, list[EmbeddingRow]] = {}
        for row in self._catalogue.embeddings.select():
            rows.setdefault(row.encoder_id, []).append(row)
        installed = list_encoders(self._workspace.models)
        entries = [self._installed(one, rows.get(one.card.id, [])) for one in installed]
        have = {entry.id for entry in entries}
        entries += [_known(model) for model in known_models() if model.id not in have]
        return m.ModelList(tuple(entries), self._encoders.current_id())

    def _installed(self, installed: InstalledEncoder, rows: list[EmbeddingRow]) -> m.ModelEntry:
        card = installed.card
        fingerprints = {row.encoder_fingerprint for row in rows}
        return m.ModelEntry(
            id=card.id,
            name=card.name,
            installed=True,
            embedded=installed.embedded,
            licence=card.licence,
            card=card.model_dump(mode="json"),
            fingerprint=card.fingerprint("fp32"),
            patches=sum(row.patches for row in rows),
            slides=len({row.slide_id for row in rows}),
            model_bytes=_bytes_in(installed.folder) if installed.folder is not None else 0,
            vectors_bytes=self._vectors_bytes(rows, fingerprints),
        )

    def _vectors_bytes(self, rows: list[EmbeddingRow], fingerprints: set[str]) -> int:
        files = (self._workspace.root / row.file for row in rows)
        indexes = sum(_bytes_in(self._workspace.index / fingerprint) for fingerprint in fingerprints)
        return indexes + sum(_size(file) for file in files)

    # --- removing one -------------------------------------------------------------------------------------------------

    def _remove(self, asked: m.RemoveModel) -> m.Removed:
        if asked.id in (EMBEDDED_ID, NULL_ID):
            raise UsageProblem(f"{asked.id} is part of plipdesk and cannot be removed.")
        folder = self._encoders.installed(asked.id).folder
        assert folder is not None
        busy = [job for job in self._jobs.newest(1000) if job.state in ("queued", "running", "paused")]
        if any(asked.id in _encoders_of(job) for job in busy):
            raise EnvironmentProblem(
                f"{asked.id} is at work in a job.", remedy="Wait until the job has ended, or cancel it first."
            )
        if self._encoders.current_id() == asked.id:
            self._encoders.use(EMBEDDED_ID)
        rows = self._catalogue.embeddings.forget_encoder(asked.id)
        fingerprints = {row.encoder_fingerprint for row in rows}
        freed = self._vectors_bytes(rows, fingerprints) + _bytes_in(folder)
        self._indexes.removed(rows)
        self._encoders.forget(asked.id)
        for fingerprint in fingerprints:
            self._indexes.forget(fingerprint)
            shutil.rmtree(self._workspace.index / fingerprint, ignore_errors=True)
        for row in rows:
            (self._workspace.root / row.file).unlink(missing_ok=True)
        _remove_folder(folder)
        slide_ids = {row.slide_id for row in rows}
        if slide_ids:
            self._slides_changed(*slide_ids)
        self.changed()
        return m.Removed(patches=sum(row.patches for row in rows), slides=len(slide_ids), freed_bytes=freed)

    def _keep_token(self, asked: m.KeepToken) -> m.Done:
        from plipdesk.encoders.hub_token import keep_token

        keep_token(asked.token)
        return m.Done()

    # --- what a change costs ------------------------------------------------------------------------------------------

    def _cost(self, asked: m.GetCost) -> m.Cost:
        card = self._encoders.installed(asked.id).card
        names = () if asked.collection is None else (asked.collection,)
        filters = SlideFilter(collections=names)
        plan = plan_reencoding(
            self._catalogue.slides.select(filters), self._catalogue.embeddings.select(None, filters), card
        )
        if not plan.patches:
            return m.Cost(plan.slides, plan.patches, 0.0, False, 0.0, plan.jobs, plan.notes)
        rate, measured = self._rate(asked.id, card.fingerprint("fp32"))
        return m.Cost(plan.slides, plan.patches, rate, measured, plan.patches / rate, plan.jobs, plan.notes)

    def _rate(self, encoder_id: str, fingerprint: str) -> tuple[float, bool]:
        """Patches per second on this machine, and whether it was measured just now."""
        rows = self._catalogue.embeddings.select(fingerprint)[-100:]
        patches, seconds = sum(row.patches for row in rows), sum(row.seconds for row in rows)
        if patches >= _ENOUGH_PATCHES and seconds > 0:
            return patches / seconds, False
        rates: dict[str, float] = self._catalogue.settings.get(_RATES_SETTING) or {}
        if fingerprint in rates:
            return rates[fingerprint], False
        rate = measure_rate(self._encoders.get(encoder_id))
        self._catalogue.settings.set(_RATES_SETTING, rates | {fingerprint: rate})
        return rate, True

    # --- two at once --------------------------------------------------------------------------------------------------

    def _compare(self, asked: m.Compare) -> m.Compared:
        one, other = asked.encoders
        if one == other:
            raise UsageProblem("An encoder cannot be compared with itself.", remedy="Name two encoders.")
        first, second = (self._searcher.search(dataclasses.replace(asked.query, encoder=name)) for name in (one, other))
        return m.Compared(compare_answers(first, second))

    def search(self, query: Query) -> SearchResult:
        """The answer to a query, by the encoder that its collections have chosen where it names none."""
        honoured = self._honoured(query)
        result = self._searcher.search(honoured)
        if honoured.encoder == query.encoder:
            return result
        note = f"{' and '.join(query.filters.collections)}: searched with {result.encoder}, as was chosen there."
        return dataclasses.replace(result, notes=(note, *result.notes))

    def _honoured(self, query: Query) -> Query:
        """The query with the encoder that the collections it is limited to are to be searched with."""
        if query.encoder is not None or not query.filters.collections:
            return query
        chosen = set(self._catalogue.collections.encoders(query.filters.collections))
        # Collections that disagree are searched with the workspace's default, as all slides are.
        return dataclasses.replace(query, encoder=chosen.pop()) if len(chosen) == 1 else query

    def honoured_job(self, params: dict[str, Json]) -> dict[str, Json]:
        """The parameters of an index job with the encoder of the collection that its slides go into."""
        collection = params.get("collection")
        if params.get("encoder") is not None or not isinstance(collection, str):
            return params
        return params | {"encoder": self._catalogue.collections.encoders([collection])[0]}


def measure_rate(encoder: Encoder) -> float:
    """Patches per second that an encoder does on this machine, measured for about a second after a first batch."""
    side = encoder.card.input_px
    pixels = np.random.default_rng(0).integers(0, 256, (_MEASURED_BATCH, side, side, 3), dtype=np.uint8)
    encoder.encode_patches(pixels)
    began, batches = time.perf_counter(), 0
    while batches < _MOST_BATCHES and (not batches or time.perf_counter() - began < _MEASURED_S):
        encoder.encode_patches(pixels)
        batches += 1
    return batches * _MEASURED_BATCH / max(time.perf_counter() - began, 1e-6)


def _known(model: KnownModel) -> m.ModelEntry:
    return m.ModelEntry(
        id=model.id,
        name=model.name,
        installed=False,
        embedded=False,
        licence=model.licence,
        card=model.model_dump(mode="json") | {"licence_text": licence_in_words(model)},
        obstacle=model.obstacle,
        model_bytes=model.download_bytes or 0,
    )


def _encoders_of(job: JobRow) -> set[Json]:
    """Ids of the encoders that a job names: of what it was given, and of what it has begun with."""
    state = job.checkpoint.get("state", {})
    return {job.params.get("encoder"), state.get("encoder"), job.params.get("id")}


def _bytes_in(folder: Path) -> int:
    return sum(_size(Path(place, name)) for place, _, names in os.walk(folder) for name in names)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _remove_folder(folder: Path) -> None:
    """First under a name that is no encoder's, so that a kill leaves nothing that looks whole."""
    dying = folder.with_name(f".removed-{folder.name}")
    shutil.rmtree(dying, ignore_errors=True)
    try:
        folder.rename(dying)
    except OSError as error:
        raise EnvironmentProblem(
            "The files of this encoder cannot be removed.", path=folder, remedy="Close what uses them, then try again."
        ) from error
    shutil.rmtree(dying, ignore_errors=True)
