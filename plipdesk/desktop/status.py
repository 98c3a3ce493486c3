"""The status bar's parts: what runs, with what, over how much."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from plipdesk.desktop import words
from plipdesk.desktop.elided import ElidedLabel
from plipdesk.desktop.state.jobs import JobsState
from plipdesk.engine import messages as m


class StatusLine(QWidget):
    """Jobs on the left (a click shows them); device, encoder and index on the right."""

    jobs_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.jobs = QPushButton("")
        self.jobs.setFlat(True)
        self.jobs.setToolTip(self.tr("Show the jobs"))
        self.jobs.clicked.connect(self.jobs_wanted)
        self.engine = ElidedLabel("")
        self.engine.setObjectName("muted")
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 0, 10, 0)
        row.addWidget(self.jobs)
        row.addStretch(1)
        row.addWidget(self.engine)
        self.show_jobs(JobsState())
        self.show_status(None, None)

    def show_status(self, status: m.Status | None, encoder: m.EncoderState | None) -> None:
        """What the engine says of itself; None while there is none."""
        if status is None:
            self.engine.setText(self.tr("Starting the engine…"))
            return
        phase = {
            "empty": self.tr("index empty"),
            "loading": self.tr("index loading…"),
            "building": self.tr("index being built…"),
            "ready": self.tr("index ready"),
        }[status.index]
        name = encoder.name if encoder is not None else status.encoder
        parts = [words.runtime(status.runtime), name, words.slides(status.slides), words.patches(status.patches), phase]
        self.engine.setText(" · ".join(part for part in parts if part))

    def show_jobs(self, jobs: JobsState) -> None:
        """The job in work, in a few words."""
        view, active = jobs.running(), jobs.active()
        paused = sum(1 for known in jobs.views.values() if known.job.state == "paused")
        if view is None and active:
            text = self.tr("Jobs waiting: {n}").format(n=len(active))
        elif view is None:
            text = self.tr("Jobs paused: {n}").format(n=paused) if paused else self.tr("No jobs")
        else:
            share = "" if view.share is None else f" {round(100 * view.share)} %"
            left = "" if view.progress is None else words.remaining(view.progress.remaining_s)
            text = self.tr("Indexing{share}").format(share=share) if view.job.kind == "index" else view.job.kind + share
            text = " · ".join(part for part in (text, left) if part)
        self.jobs.setText(text)
        self.jobs.setAccessibleName(text)
