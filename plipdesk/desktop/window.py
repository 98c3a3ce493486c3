"""The main window: puts the panels together and carries wishes from one to the other."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from pathlib import Path

from PySide6.QtCore import QByteArray, QSettings, Qt, QTimer, Signal
from PySide6.QtGui import (
    QAction,
    QCloseEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QPaintEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QDockWidget,
    QFileDialog,
    QLabel,
    QMainWindow,
    QMessageBox,
    QSplitter,
    QToolBar,
    QVBoxLayout,
    QWidget,
)

from plipdesk import __version__
from plipdesk.desktop import actions, words
from plipdesk.desktop.adding import Adding
from plipdesk.desktop.closing import Closing
from plipdesk.desktop.dropping import local_paths
from plipdesk.desktop.jobs.controller import JobsController
from plipdesk.desktop.jobs.panel import JobPanel
from plipdesk.desktop.labelling.controller import LabelController
from plipdesk.desktop.labelling.joining import LabelJoint
from plipdesk.desktop.labelling.panel import LabelPanel
from plipdesk.desktop.library.controller import LibraryController
from plipdesk.desktop.library.panel import LibraryPanel
from plipdesk.desktop.link import Link
from plipdesk.desktop.models.controller import ModelsController
from plipdesk.desktop.models.manager import BUNDLE_ENDING, ModelManager
from plipdesk.desktop.notices import NoticeBar
from plipdesk.desktop.pictures import PictureStore
from plipdesk.desktop.search.bar import SearchBar
from plipdesk.desktop.search.controller import SearchController
from plipdesk.desktop.search.examples import ExampleSearch
from plipdesk.desktop.search.results import ResultsPanel
from plipdesk.desktop.state.library import Entry
from plipdesk.desktop.state.query_draft import QueryDraft
from plipdesk.desktop.status import StatusLine
from plipdesk.desktop.theme import Choice, Theme
from plipdesk.desktop.viewer.camera import Rect
from plipdesk.desktop.viewer.panel import SlideToShow, ViewerPanel
from plipdesk.engine import messages as m
from plipdesk.search.query import Hit, RegionPart, SlidePart

LAYOUT_VERSION = 1


class MainWindow(QMainWindow):
    """The window of one workspace; everything it needs is handed in."""

    painted = Signal()
    """The first paint is done."""

    def __init__(self, link: Link, theme: Theme, settings: QSettings) -> None:
        super().__init__()
        self.link = link
        self.theme = theme
        self._settings = settings
        self._status: m.Status | None = None
        self._was_painted = False
        self.setWindowTitle("plipdesk")
        self.setAcceptDrops(True)
        self.store = PictureStore(link, parent=self)
        self.jobs = JobsController(link, self)
        self.library = LibraryController(link, self.jobs, self)
        self.search = SearchController(link, self)
        self.models = ModelsController(link, self.jobs, self)
        self.manager: ModelManager | None = None
        self.adding = Adding(self.jobs, self.library, self)
        self.closing = Closing(link, self.jobs, self)
        self.notices = NoticeBar(theme)
        self.examples = ExampleSearch(self.search, self.library, self.notices, self)
        self.search_bar = SearchBar(self.search, self.store, theme)
        self.search_bar.path_of_slide = self.library.path_of
        self.results = ResultsPanel(self.search, self.store, theme)
        self.viewer = ViewerPanel(link, theme)
        self.viewer.hide()
        self.library_panel = LibraryPanel(self.library, self.jobs, self.store, theme)
        self.job_panel = JobPanel(self.jobs, theme)
        self.labels = LabelController(link, self)
        self.label_panel = LabelPanel(self.labels, self.jobs, self.store, theme)
        self.label_joint = LabelJoint(link, self.labels, self.label_panel, self.viewer, self)
        self.status_line = StatusLine()
        self.footer = QLabel("")
        self.footer.setObjectName("muted")
        self.footer.setWordWrap(True)
        self.footer.setContentsMargins(10, 3, 10, 3)
        self.viewer_action: QAction
        self._lay_out()
        actions.fill_menus(self)
        self._connect()
        self._restore()
        self._show_footer()

    # --- putting together ---

    def _lay_out(self) -> None:
        bar = QToolBar(self.tr("Search"))
        bar.setObjectName("searchToolBar")
        bar.setMovable(False)
        bar.setFloatable(False)
        bar.toggleViewAction().setEnabled(False)
        bar.addWidget(self.search_bar)
        self.addToolBar(Qt.ToolBarArea.TopToolBarArea, bar)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.addWidget(self.results)
        self.splitter.addWidget(self.viewer)
        self.splitter.setStretchFactor(0, 4)
        self.splitter.setStretchFactor(1, 5)
        centre = QWidget()
        column = QVBoxLayout(centre)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.notices)
        column.addWidget(self.splitter, 1)
        column.addWidget(self.footer)
        self.setCentralWidget(centre)
        self.library_dock = self._dock(
            self.tr("Slides"), "libraryDock", self.library_panel, Qt.DockWidgetArea.LeftDockWidgetArea
        )
        self.jobs_dock = self._dock(self.tr("Jobs"), "jobsDock", self.job_panel, Qt.DockWidgetArea.BottomDockWidgetArea)
        self.jobs_dock.hide()
        self.labels_dock = self._dock(
            self.tr("Labels"), "labelsDock", self.label_panel, Qt.DockWidgetArea.RightDockWidgetArea
        )
        self.labels_dock.hide()
        self.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
        self.statusBar().addWidget(self.status_line, 1)
        self.statusBar().setSizeGripEnabled(False)
        self._drop_mark = QLabel(
            self.tr("Drop here to add slides.\nDrop on the search bar to search with a slide or picture."), self
        )
        self._drop_mark.setObjectName("dropMark")
        self._drop_mark.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._drop_mark.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._drop_mark.hide()
        self.setTabOrder(self.search_bar, self.library_panel)
        self.setTabOrder(self.library_panel, self.results)
        self.setTabOrder(self.results, self.viewer)

    def _dock(self, title: str, name: str, panel: QWidget, area: Qt.DockWidgetArea) -> QDockWidget:
        dock = QDockWidget(title, self)
        dock.setObjectName(name)
        dock.setWidget(panel)
        self.addDockWidget(area, dock)
        return dock

    def _connect(self) -> None:
        link, search = self.link, self.search
        link.connected.connect(self._on_connected)
        link.lost.connect(self._on_lost)
        link.start_failed.connect(self._on_start_failed)
        link.problem.connect(lambda failure: self.notices.failure(failure))
        link.event_arrived.connect(self._on_event)
        search.started.connect(lambda: self.notices.take_back("search"))
        search.failed.connect(lambda failure: self.notices.failure(failure, key="search"))
        self.search_bar.files_dropped.connect(self.examples.with_file)
        self.search_bar.image_dropped.connect(self.examples.with_image)
        self.search_bar.image_pasted.connect(self.examples.with_clipboard)
        self.examples.add_wanted.connect(self.add_paths)
        self.results.hit_opened.connect(self.open_hit)
        self.results.open_wanted.connect(self.choose_files)
        search.answered.connect(lambda: self.viewer.set_hits(search.result.hits if search.result else ()))
        self.results.compare_wanted.connect(self.compare_hit)
        self.viewer.similar_wanted.connect(self._find_similar)
        self.viewer.close_wanted.connect(self.viewer_closed)
        self.viewer.not_saved.connect(lambda failure: self.notices.failure(failure, key="annotations"))
        self.viewer.unkept.connect(self._say_unkept)
        self.viewer.tissue_corrected.connect(self._say_corrected)
        panel = self.library_panel
        panel.opened.connect(self.open_entry)
        panel.add_wanted.connect(self.choose_files)
        panel.retry_wanted.connect(self.adding.retry)
        panel.whole_wanted.connect(self.adding.take_all)
        panel.answer_wanted.connect(self.adding.ask)
        panel.remove_wanted.connect(self._ask_remove)
        panel.similar_wanted.connect(
            lambda entry: search.ask(search.draft.like(SlidePart(entry.slide.slide_id), entry.name))
        )
        panel.only_wanted.connect(self._search_only)
        panel.collection_chosen.connect(self._search_in)
        self.library.changed.connect(self._on_library)
        self.library.encoder_changed.connect(self._show_footer)
        self.library.encoder_changed.connect(self._show_status)
        self.jobs.changed.connect(lambda _: self._on_jobs())
        self.jobs.progressed.connect(lambda _: self.status_line.show_jobs(self.jobs.state))
        self.status_line.jobs_wanted.connect(self._show_jobs)

    def _restore(self) -> None:
        geometry, state = self._settings.value("geometry"), self._settings.value(f"layout{LAYOUT_VERSION}")
        if not (isinstance(geometry, QByteArray) and self.restoreGeometry(geometry)):
            self.resize(1280, 800)
        if isinstance(state, QByteArray):
            self.restoreState(state, LAYOUT_VERSION)

    def _save(self) -> None:
        self._settings.setValue("geometry", self.saveGeometry())
        self._settings.setValue(f"layout{LAYOUT_VERSION}", self.saveState(LAYOUT_VERSION))
        self._settings.setValue("theme", self.theme.choice)
        self._settings.sync()

    # --- the engine ---

    def _on_connected(self) -> None:
        self.notices.take_back("engine")
        self.link.ask(m.GetStatus(), self._on_status)
        self._on_library()

    def _on_lost(self) -> None:
        self._status = None
        self._show_status()
        self.notices.say(
            "engine",
            "warning",
            self.tr("The engine stopped. It is being started again; nothing is lost."),
            closable=False,
        )

    def _on_start_failed(self, failure: m.Failed) -> None:
        self.notices.take_back("engine")
        notice = self.notices.failure(failure, key="engine")
        notice.add_action(self.tr("Start again"), self._start_again)

    def _start_again(self) -> None:
        self.notices.take_back("engine")
        self.link.start()

    def _on_event(self, event: m.Message) -> None:
        if isinstance(event, m.StatusChanged):
            self._on_status(event.status)

    def _on_status(self, status: m.Message) -> None:
        if isinstance(status, m.Status):
            self._status = status
            self.search.set_indexed(status.encoder, status.patches)
            self.results.set_index(status.index)
            self._show_status()

    def _show_status(self) -> None:
        self.status_line.show_status(self._status, self.library.encoder)

    def _show_footer(self) -> None:
        text = self.tr("For research use only. Not for diagnosis.")
        encoder = self.library.encoder
        if encoder is not None and encoder.embedded:
            text = (
                self.tr("{name} is for trying the application; not for diagnosis.").format(name=encoder.name)
                + " "
                + text
            )
        self.footer.setText(text)

    def _on_library(self) -> None:
        self.results.set_library(
            len(self.library.state.slides),
            indexing=bool(self.jobs.state.active()),
            connected=self.link.is_connected,
        )

    def _on_jobs(self) -> None:
        self.status_line.show_jobs(self.jobs.state)
        self._on_library()

    def _show_jobs(self) -> None:
        self.jobs_dock.show()
        self.jobs_dock.raise_()

    # --- adding ---

    def choose_files(self) -> None:
        """File > Open."""
        paths, _ = QFileDialog.getOpenFileNames(self, self.tr("Add slides or pictures"))
        self.add_paths(paths)

    def choose_folder(self) -> None:
        """File > Open a folder."""
        path = QFileDialog.getExistingDirectory(self, self.tr("Add all slides of a folder"))
        self.add_paths([path] if path else [])

    def add_paths(self, paths: list[str]) -> None:
        """Index files and folders; exported encoders are imported."""
        bundles = [path for path in paths if path.endswith(BUNDLE_ENDING)]
        if bundles:
            self.manage_encoders()
        for path in bundles:
            self.models.import_path(path)
        paths = [path for path in paths if path not in bundles]
        if paths:
            self.adding.add(paths)
            self._show_jobs()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Files and folders can be dropped anywhere; a bare picture only on the search bar."""
        if local_paths(event.mimeData()) and event.source() is None:
            event.acceptProposedAction()
            self._place_drop_mark()
            self._drop_mark.raise_()
            self._drop_mark.show()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:  # noqa: N802
        """The drag went elsewhere."""
        self._drop_mark.hide()
        super().dragLeaveEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Add what was dropped."""
        self._drop_mark.hide()
        event.acceptProposedAction()
        self.add_paths(local_paths(event.mimeData()))

    def _ask_remove(self, entry: Entry) -> None:
        box = QMessageBox(
            QMessageBox.Icon.Question,
            self.tr("Remove from the workspace"),
            self.tr("Remove {name} from the workspace?").format(name=entry.name),
            parent=self,
        )
        box.setInformativeText(
            self.tr(
                "Its {patches} are forgotten and would have to be made again. The file itself is not touched."
            ).format(patches=words.patches(entry.patches))
        )
        remove = box.addButton(self.tr("Remove"), QMessageBox.ButtonRole.DestructiveRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        slide_id = entry.key
        box.buttonClicked.connect(lambda button: self.library.remove(slide_id) if button is remove else None)
        box.open()

    # --- searching ---

    def focus_search(self) -> None:
        """Type words."""
        self.search_bar.line.setFocus()
        self.search_bar.line.selectAll()

    def clear_search(self) -> None:
        """An empty question, with the settings of the last one."""
        draft = self.search.draft
        self.search.ask(QueryDraft(k=draft.k, group=draft.group, collection=draft.collection))
        self.focus_search()

    def search_for(self, text: str) -> None:
        """Search for words, as if they were typed."""
        self.search.ask(replace(self.search.draft, words=text, example=None, example_name=""))

    def _search_only(self, entry: Entry) -> None:
        draft = replace(self.search.draft, only_slide=(entry.key, entry.name))
        self.search.ask(draft) if not draft.empty else self.search.change(draft)
        self.focus_search()

    def _search_in(self, collection: str | None) -> None:
        self.search.change(replace(self.search.draft, collection=collection))
        if self.search.asked is not None:
            self.search.search()

    def _find_similar(self, slide: SlideToShow, box: Rect) -> None:
        part = RegionPart(slide.slide_id or slide.path, (box.x, box.y, box.width, box.height))
        self.search.ask(self.search.draft.like(part, slide.name))

    # --- encoders ---

    def manage_encoders(self) -> None:
        """Encoder > Manage."""
        if self.manager is None:
            self.manager = ModelManager(self.models, self.library, self.search, self.store, self.theme, self)
        self.manager.show()
        self.manager.raise_()
        self.manager.activateWindow()

    # --- the viewer ---

    def open_hit(self, hit: Hit) -> None:
        """Open a hit's slide with its patch outlined."""
        self._open(self._slide_of(hit), _patch_of(hit))

    def _slide_of(self, hit: Hit) -> SlideToShow:
        row = self.library.state.slides.get(hit.slide_id)
        given = row.mpp_um if row is not None and row.mpp_source == "given" else None
        return SlideToShow(hit.path, hit.name, hit.slide_id, given)

    def compare_hit(self, hit: Hit) -> None:
        """A hit beside what was searched with (a region, a slide), or else beside the best hit."""
        example = self.search.asked.example if self.search.asked is not None else None
        box: Rect | None = None
        if isinstance(example, RegionPart | SlidePart):
            path = self.library.path_of(example.slide) or example.slide
            slide_id = next((key for key, row in self.library.state.slides.items() if row.path == path), None)
            query = SlideToShow(path, Path(path).name, slide_id)
            if isinstance(example, RegionPart) and example.box is not None:
                box = Rect(*example.box)
        elif self.search.result is not None and self.search.result.hits:
            best = self.search.result.hits[0]
            query, box = self._slide_of(best), _patch_of(best)
        else:
            return
        self._show_viewer()
        self.viewer.compare((query, box), (self._slide_of(hit), _patch_of(hit)))

    def open_entry(self, entry: Entry) -> None:
        """Open a slide of the list."""
        row = entry.slide
        given = row.mpp_um if row is not None and row.mpp_source == "given" else None
        self._open(SlideToShow(entry.path, entry.name, None if row is None else row.slide_id, given), None)

    def _open(self, slide: SlideToShow, patch: Rect | None) -> None:
        self._show_viewer()
        self.viewer.show_slide(slide, patch=patch)

    def _show_viewer(self) -> None:
        first = not self.viewer.isVisible()
        self.viewer.show()
        self.viewer_action.setChecked(True)
        if first and self.splitter.sizes()[1] < self.viewer.minimumSizeHint().width() + 40:
            width = self.splitter.width()
            self.splitter.setSizes([round(width * 0.42), round(width * 0.58)])

    def _say_unkept(self) -> None:
        text = self.tr(
            "This slide is not in the workspace: what you draw on it is lost when it is closed. Add it first."
        )
        self.notices.say("annotations", "warning", text)

    def _say_corrected(self, name: str) -> None:
        text = self.tr("The tissue of {name} is corrected. Only patches that are new are encoded.").format(name=name)
        self.notices.say("tissue", "info", text)

    def viewer_closed(self) -> None:
        """Give the viewer's place to the hits."""
        self.viewer.hide()
        self.viewer_action.setChecked(False)
        self.results.view.setFocus()

    def toggle_viewer(self) -> None:
        """Show or hide the viewer."""
        self.viewer.setVisible(not self.viewer.isVisible())
        self.viewer_action.setChecked(self.viewer.isVisible())

    # --- the window itself ---

    def toggle_full_screen(self) -> None:
        """F11."""
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)

    def choose_theme(self, choice: Choice) -> None:
        """Follow the system, or always be light or dark."""
        self.theme.choose(choice)

    def show_keys(self) -> None:
        """Help > Keys."""
        rows = "".join(
            f"<tr><td><b>{escape(key)}</b>&nbsp;&nbsp;&nbsp;</td><td>{escape(what)}</td></tr>"
            for key, what in actions.keys(self)
        )
        self._say_box(self.tr("Keys"), f"<table>{rows}</table>", Qt.TextFormat.RichText)

    def show_about(self) -> None:
        """Help > About."""
        encoder = self.library.encoder
        lines = [
            self.tr("plipdesk {version}").format(version=__version__),
            self.tr("Finds tissue in whole-slide images by words, by region and by picture, on this machine alone."),
            self.tr("For research use only. Not for diagnosis."),
            self.tr("Apache License 2.0"),
        ]
        if encoder is not None:
            lines.append(self.tr("Model: {name} ({licence})").format(name=encoder.name, licence=encoder.licence))
        self._say_box(self.tr("About plipdesk"), "\n\n".join(lines))

    def _say_box(self, title: str, text: str, kind: Qt.TextFormat = Qt.TextFormat.PlainText) -> None:
        box = QMessageBox(QMessageBox.Icon.NoIcon, title, text, QMessageBox.StandardButton.Close, self)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setTextFormat(kind)
        box.open()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Tell when the window was first seen."""
        super().paintEvent(event)
        if not self._was_painted:
            self._was_painted = True
            QTimer.singleShot(0, self.painted.emit)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Keep the drop mark in place."""
        super().resizeEvent(event)
        self._place_drop_mark()

    def _place_drop_mark(self) -> None:
        """Over everything but the search bar, where a drop means something else."""
        top = self.search_bar.mapTo(self, self.search_bar.rect().bottomLeft()).y()
        self._drop_mark.setGeometry(self.rect().adjusted(12, top + 12, -12, -12))

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        """Ask what becomes of jobs that run; save the layout."""
        if not self.closing.may_close():
            event.ignore()
            return
        self._save()
        self.viewer.save()
        self.link.close()
        event.accept()


def _patch_of(hit: Hit) -> Rect:
    return Rect(hit.x0_px, hit.y0_px, hit.size0_px, hit.size0_px)
