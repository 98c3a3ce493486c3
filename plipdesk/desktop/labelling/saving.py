"""Taking labels elsewhere: a menu of formats, each written by a job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QMenu, QToolButton, QWidget

from plipdesk.base.progress import Json
from plipdesk.desktop.jobs.controller import JobsController


@dataclass(frozen=True)
class Wish:
    """What is to be labelled and written: the slide (id, path, name), the label set, the settings."""

    slide: tuple[str, str, str]
    labels: dict[str, Json]
    settings: dict[str, Json]


class SaveButton(QToolButton):
    """Asks ``wish`` what is chosen at that moment."""

    def __init__(self, jobs: JobsController, wish: Callable[[], Wish | None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self._wish = wish
        self.setText(self.tr("Save as…"))
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self)
        for text, output, ending in (
            (self.tr("GeoJSON for QuPath…"), "geojson", "geojson"),
            (self.tr("Table as CSV…"), "csv", "csv"),
            (self.tr("Report with pictures…"), "report", "html"),
            (self.tr("Heat maps and label maps…"), "heatmap", ""),
            (self.tr("DICOM…"), "dicom", ""),
        ):
            menu.addAction(text).triggered.connect(
                lambda _=False, output=output, ending=ending: self._ask(output, ending)
            )
        self.setMenu(menu)

    def _ask(self, output: str, ending: str) -> None:
        wish = self._wish()
        if wish is None:
            return
        if ending:
            suggested = str(Path.home() / f"{Path(wish.slide[2]).stem}-labels.{ending}")
            path, _ = QFileDialog.getSaveFileName(self, self.tr("Save the labels"), suggested, f"*.{ending}")
        else:
            path = QFileDialog.getExistingDirectory(self, self.tr("Save the labels into a folder"))
        if path:
            self.export({output: path})

    def export(self, out: dict[str, Json]) -> None:
        """Write files by a job, with what is chosen."""
        wish = self._wish()
        if wish is not None:
            params = {"slides": [wish.slide[0]], "labels": wish.labels, "settings": wish.settings, "out": out}
            self._jobs.submit("label", params)
