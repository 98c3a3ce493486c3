"""What the engine keeps loaded to answer queries: encoders, and one vector index per encoder."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from plipdesk.base.errors import NotFound, PlipdeskError
from plipdesk.base.paths import Workspace
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.rows import EmbeddingRow
from plipdesk.encoders.loading import EMBEDDED_ID, InstalledEncoder, find_encoder, list_encoders, load_encoder
from plipdesk.encoders.null import NULL_ID
from plipdesk.encoders.protocol import Encoder
from plipdesk.engine.messages import EncoderState, IndexPhase
from plipdesk.index.vector_index import VectorIndex

_LOG = logging.getLogger(__name__)
_ENCODER_SETTING = "encoder"
_FOLD_QUIET_S = 2.0
_FOLD_ROWS = 20_000
"""Rows committed since the last fold after which the next does not wait for quiet."""


class EncoderShelf:
    """The encoders that queries use, each loaded when first needed and kept. Thread-safe."""

    def __init__(self, workspace: Workspace, catalogue: Catalogue, *, threads: int) -> None:
        self._workspace = workspace
        self._settings = catalogue.settings
        self._threads = threads
        self._lock = threading.Lock()
        self._loaded: dict[str, Encoder] = {}

    def current_id(self) -> str:
        """Id of the workspace's default encoder."""
        chosen = self._settings.get(_ENCODER_SETTING)
        return chosen if isinstance(chosen, str) else EMBEDDED_ID

    def use(self, encoder_id: str) -> None:
        """Make an encoder the default.

        Raises:
            NotFound: there is none of that id.
        """
        find_encoder(encoder_id, self._workspace.models)
        self._settings.set(_ENCODER_SETTING, encoder_id)

    def installed(self, encoder_id: str | None = None) -> InstalledEncoder:
        """The encoder of this id, or the default, without loading it."""
        return find_encoder(encoder_id or self.current_id(), self._workspace.models)

    def get(self, encoder_id: str | None = None) -> Encoder:
        """The encoder of this id, or the default; loads it if need be, which may take seconds.

        Raises:
            NotFound: there is none of that id.
            EncoderProblem: it cannot be loaded.
        """
        name = encoder_id or self.current_id()
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = load_encoder(self.installed(name), threads=self._threads)
            return self._loaded[name]

    def forget(self, encoder_id: str) -> None:
        """Give back the memory of an encoder that is not there any more."""
        with self._lock:
            encoder = self._loaded.pop(encoder_id, None)
        if encoder is not None:
            encoder.close()

    def runtime(self) -> str:
        """Runtime of the default encoder in words; empty until it is loaded."""
        encoder = self._loaded.get(self.current_id())
        return "" if encoder is None else encoder.runtime

    def warm(self) -> None:
        """Load the default encoder and run it once, so that the first query need not wait.

        Raises:
            PlipdeskError: why it cannot be loaded.
        """
        encoder = self.get()
        if encoder.card.has_words:
            encoder.encode_texts(["tissue"])

    def states(self, patches: Callable[[str], int]) -> tuple[EncoderState, ...]:
        """The installed encoders, with how many patches each has encoded in this workspace."""
        return tuple(_state(installed, patches) for installed in list_encoders(self._workspace.models))

    def close(self) -> None:
        """Give back memory."""
        with self._lock:
            for encoder in self._loaded.values():
                encoder.close()
            self._loaded.clear()


def _state(installed: InstalledEncoder, patches: Callable[[str], int]) -> EncoderState:
    card = installed.card
    fingerprint = card.fingerprint("fp32")
    return EncoderState(
        id=card.id,
        name=card.name,
        fingerprint=fingerprint,
        mpp_um=card.mpp_um,
        input_px=card.input_px,
        has_words=card.has_words,
        embedded=installed.embedded,
        licence=card.licence,
        patches=patches(fingerprint),
    )


class IndexShelf:
    """One vector index per encoder fingerprint, loaded in the background when first needed. Thread-safe.

    ``changed`` is called when a phase or a count has changed.
    """

    def __init__(
        self,
        workspace: Workspace,
        catalogue: Catalogue,
        *,
        dim_of: Callable[[str], int],
        changed: Callable[[], None],
        query_threads: int,
    ) -> None:
        self._workspace = workspace
        self._catalogue = catalogue
        self._query_threads = query_threads
        self._dim_of = dim_of
        self._changed = changed
        self._lock = threading.RLock()
        self._indexes: dict[str, VectorIndex] = {}
        self._patches: dict[str, int] = {}
        for row in catalogue.embeddings.select():
            self._patches[row.encoder_fingerprint] = self._patches.get(row.encoder_fingerprint, 0) + row.patches
        self._to_fold = threading.Condition()
        self._unfolded: dict[str, int] = {}
        self._closed = False
        self._folder = threading.Thread(target=self._fold, name="fold", daemon=True)
        self._folder.start()

    def get(self, fingerprint: str) -> VectorIndex:
        """The index of an encoder; its loading goes on in the background."""
        with self._lock:
            index = self._indexes.get(fingerprint)
            if index is not None:
                return index
            rows = self._catalogue.embeddings.select(fingerprint)
            dim = rows[0].dim if rows else self._dim_of(fingerprint)
            index = VectorIndex(
                self._workspace.index / fingerprint,
                dim=dim,
                encoder_fingerprint=fingerprint,
                query_threads=self._query_threads,
            )
            self._indexes[fingerprint] = index
            problems = index.add_all((row.embedding_id, self._workspace.root / row.file, row.patches) for row in rows)
        for embedding_id, problem in problems.items():
            _left_out(embedding_id, problem)
        threading.Thread(target=self._load, args=(index,), name="load-index", daemon=True).start()
        return index

    def _load(self, index: VectorIndex) -> None:
        try:
            index.load_or_build(self._folded, self._is_closed)
        except PlipdeskError as error:
            _LOG.warning("the index cannot be kept on the disk: %s", error.message)
        self._changed()

    def _folded(self, _done: int, _all: int) -> None:
        self._changed()

    def _is_closed(self) -> bool:
        return self._closed

    def added(self, rows: Sequence[EmbeddingRow]) -> None:
        """These rows are committed: they are found from now on."""
        with self._lock:
            for row in rows:
                fingerprint = row.encoder_fingerprint
                self._patches[fingerprint] = self._patches.get(fingerprint, 0) + row.patches
                index = self._indexes.get(fingerprint)
                if index is not None:
                    try:
                        index.add(row.embedding_id, self._workspace.root / row.file, row.patches)
                    except PlipdeskError as problem:
                        _left_out(row.embedding_id, problem)
                    self._soon_fold(fingerprint, row.patches)
        self._changed()

    def removed(self, rows: Sequence[EmbeddingRow]) -> None:
        """These rows are no longer in the catalogue: they are not found any more."""
        with self._lock:
            for row in rows:
                self._patches[row.encoder_fingerprint] -= row.patches
                index = self._indexes.get(row.encoder_fingerprint)
                if index is not None:
                    index.remove(row.embedding_id)
        self._changed()

    def forget(self, fingerprint: str) -> None:
        """Let go of the index of an encoder that is not there any more."""
        with self._lock:
            self._indexes.pop(fingerprint, None)
            self._patches.pop(fingerprint, None)

    def patches(self, fingerprint: str) -> int:
        """How many patches an encoder has committed."""
        return self._patches.get(fingerprint, 0)

    def phase(self, fingerprint: str) -> IndexPhase:
        """How far an encoder's index is."""
        index = self._indexes.get(fingerprint)
        if index is None:
            return "loading" if self.patches(fingerprint) else "empty"
        return index.phase

    def close(self) -> None:
        """Fold no more."""
        with self._to_fold:
            self._closed = True
            self._to_fold.notify()
        self._folder.join(timeout=1.0)

    def _soon_fold(self, fingerprint: str, rows: int) -> None:
        with self._to_fold:
            self._unfolded[fingerprint] = self._unfolded.get(fingerprint, 0) + rows
            self._to_fold.notify()

    def _fold(self) -> None:
        """Move what is committed into the quick part of the index, once commits have paused or much has come."""
        while True:
            with self._to_fold:
                while not self._closed and not self._unfolded:
                    self._to_fold.wait()
                while not self._closed and max(self._unfolded.values()) < _FOLD_ROWS:
                    if not self._to_fold.wait(timeout=_FOLD_QUIET_S):
                        break
                if self._closed:
                    return
                due, self._unfolded = self._unfolded, {}
            for fingerprint in due:
                index = self._indexes.get(fingerprint)
                if index is None:  # its encoder was removed meanwhile
                    continue
                try:
                    index.fold(self._folded, self._is_closed)
                except PlipdeskError as error:
                    _LOG.warning("the index cannot be kept on the disk: %s", error.message)
                self._changed()


def _left_out(embedding_id: int, problem: PlipdeskError) -> None:
    # One damaged file must not hide all others; 'plipdesk doctor' finds and repairs it.
    _LOG.warning("embedding %d is left out of the index: %s", embedding_id, problem.message)


def dim_of_installed(workspace: Workspace, fingerprint: str) -> int:
    """Dimension of the installed encoder with this fingerprint.

    Raises:
        NotFound: there is none.
    """
    null = find_encoder(NULL_ID, workspace.models)
    if null.card.fingerprint("fp32") == fingerprint:
        return null.card.dim
    for installed in list_encoders(workspace.models):
        if installed.card.fingerprint("fp32") == fingerprint:
            return installed.card.dim
    raise NotFound("The encoder of these vectors is not installed.", remedy="See 'plipdesk models list'.")
