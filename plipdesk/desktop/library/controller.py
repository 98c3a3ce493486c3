"""Keeps the list of slides and collections true to what the engine tells."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

from plipdesk.catalogue.rows import CollectionRow, SlideFilter
from plipdesk.desktop.jobs.controller import JobsController
from plipdesk.desktop.link import Link
from plipdesk.desktop.state.library import Entry, LibraryState
from plipdesk.desktop.state.query_draft import Turn
from plipdesk.engine import messages as m

REFRESH_MS = 200
"""Lists are worked out at most five times a second, however fast slides are committed."""
MOST_IDS_ASKED = 500


class LibraryController(QObject):
    """Slides, collections and encoders of the workspace."""

    changed = Signal()
    """:meth:`entries` has changed."""
    collections_changed = Signal()
    encoder_changed = Signal()

    def __init__(self, link: Link, jobs: JobsController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._link = link
        self._jobs = jobs
        self._turn = Turn()
        self._stale: set[str] = set()
        self._members: frozenset[str] | None = None
        self.state = LibraryState()
        self.collections: tuple[CollectionRow, ...] = ()
        self.collection: str | None = None
        """The collection that is looked at; None: all slides."""
        self.encoder: m.EncoderState | None = None
        self.contains = ""
        self._refresh = QTimer(self)
        self._refresh.setSingleShot(True)
        self._refresh.setInterval(REFRESH_MS)
        self._refresh.timeout.connect(self._tell)
        link.connected.connect(self.load)
        link.event_arrived.connect(self._on_event)
        jobs.changed.connect(lambda _: self._soon())

    def load(self) -> None:
        """Ask for everything."""
        self._link.ask(m.ListEncoders(), self._on_encoders)
        self._link.ask(m.ListSlides(), self._on_all)
        self._load_collections()

    def entries(self) -> list[Entry]:
        """The lines to show."""
        return self.state.entries(self._jobs.state, only=self._members, contains=self.contains)

    def name_like(self, letters: str) -> None:
        """Keep to names with these letters."""
        self.contains = letters
        self._tell()

    def look_at(self, collection: str | None) -> None:
        """Keep to a collection."""
        self.collection = collection
        if collection is None:
            self._turn.next()
            self._members = None
            self._tell()
        else:
            self._load_members()

    def edit(self, edit: m.EditCollection) -> None:
        """Create, delete, fill or thin out a collection."""
        self._link.ask(edit, self._on_collections)

    def remove(self, slide_id: str) -> None:
        """Forget a slide; the file stays."""
        self._link.ask(m.RemoveSlide(slide_id), lambda _: self._ask_for({slide_id}))

    def path_of(self, slide: str) -> str | None:
        """Where a slide lies, by its id; anything else is taken as a path."""
        row = self.state.slides.get(slide)
        return row.path if row is not None else (slide if "/" in slide or "\\" in slide else None)

    def row_at(self, path: str) -> str | None:
        """The id of the slide at a path."""
        return next((row.slide_id for row in self.state.slides.values() if row.path == path), None)

    def _on_event(self, event: m.Message) -> None:
        if isinstance(event, m.SlidesChanged):
            self._stale.update(event.slide_ids)
            self._soon()
        elif isinstance(event, m.ModelsChanged):
            self._link.ask(m.ListEncoders(), self._on_encoders)
            self._load_collections()

    def _soon(self) -> None:
        if not self._refresh.isActive():
            self._refresh.start()

    def _tell(self) -> None:
        if self._stale:
            stale, self._stale = self._stale, set()
            self._ask_for(stale)
            self._load_collections()
        self.changed.emit()

    def _ask_for(self, slide_ids: set[str]) -> None:
        if len(slide_ids) > MOST_IDS_ASKED:
            self._link.ask(m.ListSlides(), self._on_all)
            return

        def some(reply: m.Message) -> None:
            if isinstance(reply, m.SlideList):
                self.state.update(slide_ids, reply.slides, reply.embeddings)
                self.changed.emit()

        self._link.ask(m.ListSlides(SlideFilter(slide_ids=tuple(sorted(slide_ids)))), some)

    def _on_all(self, reply: m.Message) -> None:
        if isinstance(reply, m.SlideList):
            self.state.replace(reply.slides, reply.embeddings)
            self.changed.emit()

    def _on_encoders(self, reply: m.Message) -> None:
        if isinstance(reply, m.EncoderList):
            self.encoder = next((one for one in reply.encoders if one.id == reply.current), None)
            self.state.encoder = reply.current
            self.encoder_changed.emit()
            self.changed.emit()

    def _load_collections(self) -> None:
        self._link.ask(m.ListCollections(), self._on_collections)

    def _on_collections(self, reply: m.Message) -> None:
        if not isinstance(reply, m.CollectionList):
            return
        self.collections = reply.collections
        if self.collection is not None and all(row.name != self.collection for row in reply.collections):
            self.look_at(None)
        elif self.collection is not None:
            self._load_members()
        self.collections_changed.emit()

    def _load_members(self) -> None:
        turn, name = self._turn.next(), self.collection
        assert name is not None

        def members(reply: m.Message) -> None:
            if self._turn.is_latest(turn) and isinstance(reply, m.SlideList):
                self._members = frozenset(row.slide_id for row in reply.slides)
                self.changed.emit()

        self._link.ask(m.ListSlides(SlideFilter(collections=(name,))), members)
