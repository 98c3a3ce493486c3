"""What is being imported, downloaded or exported now, each with a bar and a way to stop it."""

from __future__ import annotations

from PySide6.QtWidgets import QGridLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from plipdesk.desktop import words
from plipdesk.desktop.elided import ElidedLabel
from plipdesk.desktop.models.controller import ModelsController
from plipdesk.desktop.state.jobs import JobView, short_name
from plipdesk.desktop.state.models import target_of


class ProgressStrip(QWidget):
    """One line for each job; not there when nothing is at work."""

    def __init__(self, controller: ModelsController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._lines: dict[int, _Line] = {}
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(12, 6, 12, 6)
        self._column.setSpacing(6)
        controller.jobs_changed.connect(self._show)
        self._show()

    def line(self, job_id: int) -> _Line | None:
        """The line of a job."""
        return self._lines.get(job_id)

    def _show(self) -> None:
        views = {view.job.job_id: view for view in self._controller.at_work()}
        for job_id in self._lines.keys() - views.keys():
            line = self._lines.pop(job_id)
            self._column.removeWidget(line)
            line.hide()
            line.deleteLater()
        for job_id, view in views.items():
            if job_id not in self._lines:
                line = self._lines[job_id] = _Line(self._title(view))
                line.stop.clicked.connect(lambda _=False, job_id=job_id: self._controller.stop(job_id))
                self._column.addWidget(line)
            self._lines[job_id].show_view(view)
        self.setVisible(bool(self._lines))

    def _title(self, view: JobView) -> str:
        titles = {
            "import-model": self.tr("Importing {name}"),
            "download-model": self.tr("Downloading {name}"),
            "export-model": self.tr("Exporting {name}"),
        }
        return titles[view.job.kind].format(name=short_name(target_of(view.job)))


class _Line(QWidget):
    """One job."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(2)
        self.title = QLabel(title)
        self.title.setObjectName("panelTitle")
        self.text = ElidedLabel()
        self.text.setObjectName("muted")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        self.bar.setAccessibleName(title)
        self.stop = QPushButton(self.tr("Stop"))
        self.stop.setToolTip(
            self.tr("Stop this; what was downloaded is kept, and the next download goes on from there")
        )
        self.stop.setAccessibleName(self.tr("Stop: {title}").format(title=title))
        grid.addWidget(self.title, 0, 0)
        grid.addWidget(self.text, 0, 1)
        grid.addWidget(self.bar, 1, 0, 1, 2)
        grid.addWidget(self.stop, 0, 2, 2, 1)
        grid.setColumnStretch(1, 1)

    def show_view(self, view: JobView) -> None:
        """How far it is."""
        progress = view.progress
        share = view.share
        self.bar.setRange(0, 0 if share is None and view.job.state == "running" else 1000)
        self.bar.setValue(round(1000 * (share or 0.0)))
        if progress is None:
            self.text.setText(words.job_state(view.job.state))
            return
        done = ""
        if progress.unit != "steps" and progress.total:
            done = self.tr("{done} of {total} {unit}").format(
                done=words.count(progress.done), total=words.count(progress.total), unit=words.unit(progress.unit)
            )
            done = ", ".join(
                part
                for part in (
                    done,
                    words.rate(progress.rate_per_s, progress.unit),
                    words.remaining(progress.remaining_s),
                )
                if part
            )
        self.text.setText(" · ".join(part for part in (progress.note, done) if part))
