"""Files on their way in: submits them, asks once for what nothing tells (µm per pixel, channels), tries again."""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QDialog, QWidget

from plipdesk.base.progress import Json
from plipdesk.catalogue.rows import JobItemRow
from plipdesk.desktop.channel_dialog import ChannelDialog
from plipdesk.desktop.jobs.controller import JobsController
from plipdesk.desktop.library.controller import LibraryController
from plipdesk.desktop.mpp_dialog import MppDialog
from plipdesk.desktop.state.channels import ChannelQuestions, channel_names, lacks_channels
from plipdesk.desktop.state.library import Entry
from plipdesk.desktop.state.mpp import MppQuestions, index_params, lacks_mpp, resubmission


class Adding(QObject):
    """``window`` is the parent of the dialogs that ask, one at a time."""

    def __init__(self, jobs: JobsController, library: LibraryController, window: QWidget) -> None:
        super().__init__(window)
        self._jobs = jobs
        self._library = library
        self._window = window
        self._mpp = MppQuestions()
        self._channels = ChannelQuestions()
        self.dialog: MppDialog | ChannelDialog | None = None
        jobs.item_done.connect(self._on_item)

    def add(self, paths: list[str]) -> None:
        """Index files and folders, into the collection that is looked at."""
        if paths:
            self._jobs.submit("index", index_params(paths, collection=self._library.collection))

    def take_all(self, entry: Entry) -> None:
        """Index a file again, all of it as tissue."""
        self.retry(entry, tissue="all")

    def retry(self, entry: Entry, *, tissue: str | None = None) -> None:
        """Index one file again, as before or with another tissue rule."""
        view = None if entry.job_id is None else self._jobs.state.views.get(entry.job_id)
        self._mpp.ask_again(entry.path)
        self._channels.ask_again(entry.path)
        params = resubmission(None if view is None else view.job, [entry.path])
        self._jobs.submit("index", params if tissue is None else {**params, "tissue": tissue})

    def ask(self, entry: Entry) -> None:
        """Ask for the µm per pixel or the channels of one file, although it was asked before."""
        self._mpp.ask_again(entry.path)
        self._channels.ask_again(entry.path)
        self._on_item(
            JobItemRow(
                job_id=entry.job_id or 0,
                path=entry.path,
                slide_id=None,
                status="skipped",
                reason=entry.reason or "MPP",
                remedy=entry.remedy,
                patches=0,
                tissue_mm2=None,
                seconds=0.0,
                attempts=1,
            )
        )

    def _on_item(self, item: JobItemRow) -> None:
        if not (lacks_mpp(item) or lacks_channels(item)) or self._settled_since(item):
            return
        answered = self._answered(item)
        if answered:
            self._submit([item], answered)
        else:
            self._ask_next()

    def _answered(self, item: JobItemRow) -> dict[str, Json]:
        """What was answered for the item's whole folder before; else the question waits."""
        if lacks_channels(item):
            channels = self._channels.add(item)
            return {} if channels is None else {"channels": list(channels)}
        mpp_um = self._mpp.add(item)
        return {} if mpp_um is None else {"mpp_um": mpp_um}

    def _settled_since(self, item: JobItemRow) -> bool:
        """Whether a later job has dealt with the same file."""
        later = (view for view in self._jobs.state.newest_first() if view.job.job_id > item.job_id)
        if any(item.path in view.items for view in later):
            return True
        slide_id = self._library.row_at(item.path)
        return slide_id is not None and self._library.state.patches_of(slide_id) > 0

    def _ask_next(self) -> None:
        if self.dialog is not None:
            return
        if self._channels.waiting:
            self._ask_channels(self._channels.waiting[0])
        elif self._mpp.waiting:
            self._ask_mpp(self._mpp.waiting[0])

    def _ask_channels(self, item: JobItemRow) -> None:
        dialog = ChannelDialog(item.path, channel_names(item.remedy), self._window)

        def finished(result: int) -> None:
            answer = dialog.answer() if result == QDialog.DialogCode.Accepted else None
            chosen = None if answer is None else answer.channels
            again = self._channels.settle(item, chosen, whole_folder=answer is not None and answer.whole_folder)
            self._go_on(dialog, again, {} if chosen is None else {"channels": list(chosen)})

        dialog.finished.connect(finished)
        self.dialog = dialog
        dialog.open()

    def _ask_mpp(self, item: JobItemRow) -> None:
        dialog = MppDialog(item.path, self._window)

        def finished(result: int) -> None:
            answer = dialog.answer() if result == QDialog.DialogCode.Accepted else None
            again = self._mpp.answer(item, answer)
            self._go_on(dialog, again, {} if answer is None else {"mpp_um": answer.mpp_um})

        dialog.finished.connect(finished)
        self.dialog = dialog
        dialog.open()

    def _go_on(self, dialog: QDialog, items: list[JobItemRow], answered: dict[str, Json]) -> None:
        self.dialog = None
        if answered:
            self._submit(items, answered)
        dialog.deleteLater()
        self._ask_next()

    def _submit(self, items: list[JobItemRow], answered: dict[str, Json]) -> None:
        by_job: dict[int, list[str]] = {}
        for item in items:
            by_job.setdefault(item.job_id, []).append(item.path)
        for job_id, paths in by_job.items():
            view = self._jobs.state.views.get(job_id)
            self._jobs.submit("index", resubmission(None if view is None else view.job, paths, **answered))
