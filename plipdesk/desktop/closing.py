"""What becomes of running jobs when the window closes."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtWidgets import QMessageBox, QWidget

from plipdesk.desktop.jobs.controller import JobsController
from plipdesk.desktop.link import Link
from plipdesk.engine import messages as m

WAIT_MS = 3000
"""How long closing waits for the jobs to take note that they pause."""


class Closing(QObject):
    """Asks once whether jobs go on in the background; closes ``window`` when that is settled."""

    def __init__(self, link: Link, jobs: JobsController, window: QWidget) -> None:
        super().__init__(window)
        self._link = link
        self._jobs = jobs
        self._window = window
        self._settled = False

    def may_close(self) -> bool:
        """Whether the window may close now; if not, the person is being asked."""
        active = self._jobs.state.active()
        if self._settled or not active or not self._link.is_connected:
            return True
        self._ask(len(active))
        return False

    def close_now(self) -> None:
        """Close without asking: the jobs go on."""
        self._settled = True
        self._window.close()

    def stop_and_close(self) -> None:
        """Pause every job, then close."""
        waiting = {view.job.job_id for view in self._jobs.state.active()}

        def ordered(job_id: int, _: object) -> None:
            waiting.discard(job_id)
            if not waiting:
                self.close_now()

        for job_id in sorted(waiting):
            self._link.ask(m.ControlJob(job_id, "pause"), partial(ordered, job_id), partial(ordered, job_id))
        QTimer.singleShot(WAIT_MS, self, self.close_now)

    def _ask(self, count: int) -> None:
        text = (
            self.tr("A job is still running.") if count == 1 else self.tr("{n} jobs are still running.").format(n=count)
        )
        box = QMessageBox(QMessageBox.Icon.Question, self.tr("Close plipdesk"), text, parent=self._window)
        box.setObjectName("closeQuestion")
        box.setInformativeText(
            self.tr("Indexing can go on in the background until it is finished. Stopped jobs wait, and can be resumed.")
        )
        keep = box.addButton(self.tr("Keep indexing in the background"), QMessageBox.ButtonRole.AcceptRole)
        stop = box.addButton(self.tr("Stop now"), QMessageBox.ButtonRole.DestructiveRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(keep)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)

        def chosen(button: object) -> None:
            if button is keep:
                self.close_now()
            elif button is stop:
                self.stop_and_close()

        box.buttonClicked.connect(chosen)
        box.open()
