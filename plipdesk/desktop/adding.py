"""Files on their way in: submits them, asks for µm per pixel where nothing tells, tries again."""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QDialog, QWidget

from plipdesk.catalogue.rows import JobItemRow
from plipdesk.desktop.jobs.controller import JobsController
from plipdesk.desktop.library.controller import LibraryController
from plipdesk.desktop.mpp_dialog import MppDialog
from plipdesk.desktop.state.library import Entry
from plipdesk.desktop.state.mpp import MppQuestions, index_params, lacks_mpp, resubmission


class Adding(QObject):
    """``window`` is the parent of the one dialog that asks."""

    def __init__(self, jobs: JobsController, library: LibraryController, window: QWidget) -> None:
        super().__init__(window)
        self._jobs = jobs
        self._library = library
        self._window = window
        self._questions = MppQuestions()
        self.dialog: MppDialog | None = None
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
        given = None if view is None else view.job.params.get("mpp_um")
        self._questions.ask_again(entry.path)
        params = resubmission(None if view is None else view.job, [entry.path], given)
        self._jobs.submit("index", params if tissue is None else {**params, "tissue": tissue})

    def ask_mpp(self, entry: Entry) -> None:
        """Ask for the µm per pixel of one file, although it was asked before."""
        self._questions.ask_again(entry.path)
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
        if not lacks_mpp(item) or self._settled_since(item):
            return
        known = self._questions.add(item)
        if known is not None:
            self._submit([item], known)
        else:
            self._ask_next()

    def _settled_since(self, item: JobItemRow) -> bool:
        """Whether a later job has dealt with the same file."""
        later = (view for view in self._jobs.state.newest_first() if view.job.job_id > item.job_id)
        if any(item.path in view.items for view in later):
            return True
        slide_id = self._library.row_at(item.path)
        return slide_id is not None and self._library.state.patches_of(slide_id) > 0

    def _ask_next(self) -> None:
        if self.dialog is not None or not self._questions.waiting:
            return
        item = self._questions.waiting[0]
        dialog = MppDialog(item.path, self._window)
        self.dialog = dialog

        def finished(result: int) -> None:
            self.dialog = None
            answer = dialog.answer() if result == QDialog.DialogCode.Accepted else None
            again = self._questions.answer(item, answer)
            if answer is not None:
                self._submit(again, answer.mpp_um)
            dialog.deleteLater()
            self._ask_next()

        dialog.finished.connect(finished)
        dialog.open()

    def _submit(self, items: list[JobItemRow], mpp_um: float) -> None:
        by_job: dict[int, list[str]] = {}
        for item in items:
            by_job.setdefault(item.job_id, []).append(item.path)
        for job_id, paths in by_job.items():
            view = self._jobs.state.views.get(job_id)
            self._jobs.submit("index", resubmission(None if view is None else view.job, paths, mpp_um))
