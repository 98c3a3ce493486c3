"""Searching with something instead of words: a file, a picture, a region, a whole slide."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QGuiApplication, QImage

from plipdesk.desktop.dropping import dropped_image, local_paths, png_of
from plipdesk.desktop.library.controller import LibraryController
from plipdesk.desktop.notices import NoticeBar
from plipdesk.desktop.search.controller import SearchController
from plipdesk.desktop.state.jobs import short_name
from plipdesk.desktop.state.query_draft import is_picture_name
from plipdesk.search.query import PicturePart, SlidePart


class ExampleSearch(QObject):
    """Makes a question of what was dropped or pasted."""

    add_wanted = Signal(list)
    """The person wants these paths indexed first."""

    def __init__(
        self, search: SearchController, library: LibraryController, notices: NoticeBar, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._search = search
        self._library = library
        self._notices = notices

    def with_file(self, paths: list[str]) -> None:
        """Search with a slide or a picture file; of several the first."""
        path = paths[0]
        name, slide_id = short_name(path), self._library.row_at(path)
        draft = self._search.draft
        if slide_id is not None:
            self._search.ask(draft.like(SlidePart(slide_id), name))
        elif is_picture_name(path):
            self._search.ask(draft.like(PicturePart(path=path), name))
        else:
            self._notices.say(
                "search",
                "info",
                self.tr("{name} is not indexed yet. Add it first; then search with it.").format(name=name),
                action=(self.tr("Add it"), partial(self.add_wanted.emit, [path])),
            )

    def with_image(self, image: QImage, name: str | None = None) -> None:
        """Search with a picture that is no file."""
        part = PicturePart(content=png_of(image))
        self._search.ask(self._search.draft.like(part, name or self.tr("dropped")))

    def with_clipboard(self) -> None:
        """Search with the picture, or the picture file, on the clipboard."""
        mime = QGuiApplication.clipboard().mimeData()
        image = None if mime is None else dropped_image(mime)
        paths = [] if mime is None else local_paths(mime)
        if image is not None:
            self.with_image(image, self.tr("pasted"))
        elif paths:
            self.with_file(paths)
        else:
            self._notices.say("search", "info", self.tr("There is no picture on the clipboard to search with."))
