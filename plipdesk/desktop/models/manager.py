"""The model manager: every encoder with its card, and what can be done with it."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMenu,
    QMessageBox,
    QPushButton,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from plipdesk.catalogue.rows import JobRow
from plipdesk.desktop import words
from plipdesk.desktop.dropping import local_paths
from plipdesk.desktop.library.controller import LibraryController
from plipdesk.desktop.models import wording
from plipdesk.desktop.models.card_view import CardView
from plipdesk.desktop.models.compare_dialog import CompareDialog
from plipdesk.desktop.models.controller import ModelsController
from plipdesk.desktop.models.import_dialog import ImportDialog
from plipdesk.desktop.models.licence_dialog import LicenceDialog
from plipdesk.desktop.models.model_list import ModelList
from plipdesk.desktop.models.progress_strip import ProgressStrip
from plipdesk.desktop.models.use_dialog import UseDialog
from plipdesk.desktop.notices import NoticeBar, failure_text
from plipdesk.desktop.pictures import PictureStore
from plipdesk.desktop.search.controller import SearchController
from plipdesk.desktop.state.models import Action, target_of
from plipdesk.desktop.theme import Theme
from plipdesk.engine import messages as m

BUNDLE_ENDING = ".plipdesk-model"


class ModelManager(QDialog):
    """A window of its own beside the main one; everything in it goes through messages to the engine."""

    def __init__(
        self,
        controller: ModelsController,
        library: LibraryController,
        search: SearchController,
        store: PictureStore,
        theme: Theme,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._controller = controller
        self._library = library
        self._search = search
        self._store = store
        self._theme = theme
        self.dialog: QDialog | None = None
        """The one question that is open now."""
        self.setWindowTitle(self.tr("Encoders"))
        self.setObjectName("modelManager")
        self.setAcceptDrops(True)
        self.resize(960, 640)
        self.notices = NoticeBar(theme)
        self.list = ModelList()
        self.card = CardView()
        self.progress = ProgressStrip(controller)
        self._lay_out()
        self.list.chosen.connect(lambda _: self._show_chosen())
        self.list.opened.connect(self._open)
        controller.changed.connect(self._show)
        controller.job_ended.connect(self._on_job_ended)
        library.collections_changed.connect(self._show_chosen)
        QShortcut(QKeySequence(QKeySequence.StandardKey.Delete), self.list, self.ask_remove)
        controller.load()
        self._show()

    def _lay_out(self) -> None:
        self.import_button = QPushButton(self.tr("&Import…"))
        self.import_button.setToolTip(
            self.tr("From this computer: a model's folder, its weights file, or an exported one")
        )
        menu = QMenu(self.import_button)
        menu.addAction(self.tr("An exported encoder or a weights &file…"), self.choose_file)
        menu.addAction(self.tr("A model's f&older…"), self.choose_folder)
        self.import_button.setMenu(menu)
        self.buttons: dict[Action, QPushButton] = {}
        self._tools = QHBoxLayout()
        self._tools.setContentsMargins(16, 8, 16, 8)
        self._tools.setSpacing(8)
        for action, text, tip, do in (
            ("use", self.tr("&Use…"), self.tr("Use it for everything, or for one collection"), self.ask_use),
            ("download", self.tr("&Download…"), self.tr("Its licence is shown first"), self.ask_download),
            ("compare", self.tr("&Compare…"), self.tr("Ask it and another one the same"), self.open_comparison),
            (
                "export",
                self.tr("&Export…"),
                self.tr("Into one file, for a computer without network"),
                self.choose_export,
            ),
            ("remove", self.tr("&Remove…"), self.tr("With everything that it has encoded"), self.ask_remove),
        ):
            button = QPushButton(text)
            button.setToolTip(tip)
            button.setAutoDefault(False)
            button.clicked.connect(lambda _=False, do=do: do())
            self.buttons[action] = button  # type: ignore[index]
            self._tools.addWidget(button)
        self._tools.addStretch(1)
        self.import_button.setAutoDefault(False)
        left = QWidget()
        left_column = QVBoxLayout(left)
        left_column.setContentsMargins(0, 0, 0, 0)
        left_column.addWidget(self.list, 1)
        bottom = QHBoxLayout()
        bottom.setContentsMargins(12, 8, 12, 8)
        bottom.addWidget(self.import_button)
        drop_here = QLabel(self.tr("or drop it here"))
        drop_here.setObjectName("muted")
        bottom.addWidget(drop_here)
        bottom.addStretch(1)
        left_column.addLayout(bottom)
        right = QWidget()
        right_column = QVBoxLayout(right)
        right_column.setContentsMargins(0, 0, 0, 0)
        right_column.setSpacing(0)
        right_column.addWidget(self.card, 1)
        right_column.addLayout(self._tools)
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setChildrenCollapsible(False)
        splitter.addWidget(left)
        splitter.addWidget(right)
        splitter.setStretchFactor(0, 2)
        splitter.setStretchFactor(1, 3)
        splitter.setSizes([350, 610])
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.notices)
        column.addWidget(splitter, 1)
        column.addWidget(self.progress)

    @property
    def entry(self) -> m.ModelEntry | None:
        """The encoder that is looked at."""
        return self._controller.state.entry(self.list.current_id())

    def look_at(self, model_id: str) -> None:
        """Show the card of an encoder."""
        self.list.choose(model_id)

    def _show(self) -> None:
        self.list.show_state(self._controller.state)

    def _show_chosen(self) -> None:
        entry = self.entry
        self.card.show_entry(entry, self._library.collections)
        allowed = frozenset() if entry is None else self._controller.state.allowed(entry)
        for action, button in self.buttons.items():
            button.setEnabled(action in allowed)
            wanted = (
                ("download",) if entry is not None and not entry.installed else ("use", "compare", "export", "remove")
            )
            button.setVisible(action in wanted)

    def _open(self, _: str) -> None:
        entry = self.entry
        if entry is None:
            return
        allowed = self._controller.state.allowed(entry)
        if "use" in allowed:
            self.ask_use()
        elif "download" in allowed:
            self.ask_download()

    def _ask(self, dialog: QDialog) -> None:
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.dialog = dialog
        dialog.finished.connect(self._answered)
        dialog.open()

    def _answered(self) -> None:
        self.dialog = None

    # --- using --------------------------------------------------------------------------------------------------------

    def ask_use(self) -> None:
        """Ask where the encoder is to be used, with what that costs."""
        entry = self.entry
        if entry is None or "use" not in self._controller.state.allowed(entry):
            return
        dialog = UseDialog(self._controller, entry, self._library.collections, self._library.collection, self)
        dialog.accepted.connect(
            lambda: self._controller.use(
                entry.id, dialog.collection, dialog.work, lambda failure: self._fail(failure, "use")
            )
        )
        self._ask(dialog)

    # --- bringing -----------------------------------------------------------------------------------------------------

    def choose_file(self) -> None:
        """Choose an exported encoder or a weights file."""
        path, _ = QFileDialog.getOpenFileName(
            self,
            self.tr("Import an encoder"),
            "",
            self.tr("Encoders (*{ending} *.pt *.pth *.bin *.ckpt *.safetensors)").format(ending=BUNDLE_ENDING)
            + ";;"
            + self.tr("All files (*)"),
        )
        self.import_path(path)

    def choose_folder(self) -> None:
        """Choose a model's folder."""
        self.import_path(QFileDialog.getExistingDirectory(self, self.tr("Import a model's folder")))

    def import_path(self, path: str) -> None:
        """Import what lies at ``path``; what its files may not say is asked first, but of an exported encoder."""
        if not path:
            return
        if path.endswith(BUNDLE_ENDING):
            self._controller.import_path(path)
            return
        dialog = ImportDialog(path, self)
        dialog.accepted.connect(lambda: self._controller.import_path(path, **dialog.given()))
        self._ask(dialog)

    def ask_download(self) -> None:
        """Show the licence; download once it is accepted."""
        entry = self.entry
        if entry is None or "download" not in self._controller.state.allowed(entry):
            return
        dialog = LicenceDialog(entry, self)
        dialog.accepted.connect(lambda: self._download(entry, dialog.token.text().strip()))
        self._ask(dialog)

    def _download(self, entry: m.ModelEntry, token: str) -> None:
        def start() -> None:
            self._controller.download(entry.id, entry.licence)

        if token:
            self._controller.keep_token(token, start, lambda failure: self._fail(failure, "token"))
        else:
            start()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """One file or folder of this computer."""
        if len(local_paths(event.mimeData())) == 1 and event.source() is None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Import what was dropped."""
        event.acceptProposedAction()
        self.import_path(local_paths(event.mimeData())[0])

    # --- carrying and removing ----------------------------------------------------------------------------------------

    def choose_export(self) -> None:
        """Choose where the exported file goes."""
        entry = self.entry
        if entry is not None and "export" in self._controller.state.allowed(entry):
            path, _ = QFileDialog.getSaveFileName(
                self, self.tr("Export {name}").format(name=entry.name), entry.id + BUNDLE_ENDING
            )
            if path:
                self._controller.export(entry.id, path)

    def ask_remove(self) -> None:
        """Remove the encoder once the person knows what goes with it."""
        entry = self.entry
        if entry is None or "remove" not in self._controller.state.allowed(entry):
            return
        box = QMessageBox(
            QMessageBox.Icon.Question,
            self.tr("Remove the encoder"),
            self.tr("Remove {name} from this workspace?").format(name=entry.name),
            parent=self,
        )
        gone = wording.size(entry.model_bytes + entry.vectors_bytes)
        if entry.patches:
            text = self.tr(
                "{patches} of {slides} that it has encoded go with it and would have to be made again."
                " {size} become free."
            ).format(patches=words.patches(entry.patches), slides=words.slides(entry.slides), size=gone)
        else:
            text = self.tr("It has encoded nothing here. {size} become free.").format(size=gone)
        box.setInformativeText(text)
        remove = box.addButton(self.tr("Remove"), QMessageBox.ButtonRole.DestructiveRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.buttonClicked.connect(lambda button: self._remove(entry) if button is remove else None)
        self._ask(box)

    def _remove(self, entry: m.ModelEntry) -> None:
        def done(removed: m.Removed) -> None:
            self.notices.say(
                "removed",
                "info",
                self.tr("{name} is removed; {size} are free again.").format(
                    name=entry.name, size=wording.size(removed.freed_bytes)
                ),
            )

        self._controller.remove(entry.id, done, lambda failure: self._fail(failure, "removed"))

    # --- comparing ----------------------------------------------------------------------------------------------------

    def open_comparison(self) -> None:
        """Ask this encoder and another one the same."""
        entry = self.entry
        if entry is None or "compare" not in self._controller.state.allowed(entry):
            return
        dialog = CompareDialog(self._controller, self._store, self._theme, self._search.draft, entry.id, self)
        dialog.hit_opened.connect(self.hit_wanted)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.dialog = dialog
        dialog.finished.connect(self._answered)
        dialog.show()

    def hit_wanted(self, hit: object) -> None:
        """Show a hit in the main window's viewer, if there is one."""
        opener = getattr(self.parent(), "open_hit", None)
        if opener is not None:
            opener(hit)

    # --- what came of it ----------------------------------------------------------------------------------------------

    def _on_job_ended(self, job: JobRow) -> None:
        name = str(job.result.get("name") or target_of(job))
        key = f"job:{job.job_id}"
        if job.state == "failed":
            failure = m.failure_of(job)
            text = job.reason or "" if failure is None else failure_text(m.failed(failure))
            self.notices.say(key, "error", text)
        elif job.state == "done" and job.kind == "export-model":
            self.notices.say(key, "info", self.tr("{name} is in {path}.").format(name=name, path=job.params["path"]))
        elif job.state == "done":
            text = self.tr("{name} is installed.").format(name=name)
            if job.result.get("verdict") == "differs":
                text += " " + self.tr("Its answers differ from those on record for this model: do not rely on it.")
            model_id = str(job.result.get("id", ""))
            self.notices.say(
                key,
                "warning" if job.result.get("verdict") == "differs" else "info",
                text,
                action=(self.tr("Look at it"), partial(self.look_at, model_id)),
            )
        elif job.state == "cancelled" and job.kind == "download-model":
            self.notices.say(key, "info", self.tr("The download was stopped; what came is kept for the next time."))

    def _fail(self, failure: m.Failed, key: str) -> None:
        self.notices.failure(failure, key=key)
