"""Where things lie: the workspace, one folder on a local disk that holds everything, and the shared cache."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

WORKSPACE_VARIABLE = "PLIPDESK_WORKSPACE"
CACHE_VARIABLE = "PLIPDESK_CACHE"


@dataclass(frozen=True)
class Workspace:
    """The folder layout of a workspace; makes no folder by itself.

    ``catalogue.sqlite`` is the truth. ``vectors`` holds one file per (slide, tiling, encoder). ``index`` and ``cache``
    can be deleted at any time and come back. ``run`` belongs to the processes that are alive.
    """

    root: Path

    @property
    def catalogue(self) -> Path:
        """SQLite database with all rows."""
        return self.root / "catalogue.sqlite"

    @property
    def vectors(self) -> Path:
        """Folder of the embeddings."""
        return self.root / "vectors"

    @property
    def index(self) -> Path:
        """Folder of the HNSW caches, one sub-folder per encoder fingerprint."""
        return self.root / "index"

    @property
    def thumbnails(self) -> Path:
        """Folder of slide thumbnails (never label or macro images)."""
        return self.root / "cache" / "thumbnails"

    @property
    def models(self) -> Path:
        """Folder of imported encoders, one sub-folder per encoder id."""
        return self.root / "models"

    @property
    def masks(self) -> Path:
        """Folder of tissue masks drawn or corrected by a person."""
        return self.root / "masks"

    @property
    def labels(self) -> Path:
        """Folder of label sets that a person made or imported."""
        return self.root / "labels"

    @property
    def runs(self) -> Path:
        """Folder of training and evaluation runs."""
        return self.root / "runs"

    @property
    def run(self) -> Path:
        """Folder of the living engine: lock, address, logs."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        """Folder of log files that a person can read."""
        return self.root / "logs"

    def vectors_file(self, slide_id: str, tiling_id: str, encoder_fingerprint: str) -> Path:
        """Path of the embeddings of one (slide, tiling, encoder); the name says which, so nothing is made twice."""
        return self.vectors / slide_id[:2] / f"{slide_id}-{tiling_id}-{encoder_fingerprint[:16]}.safetensors"

    def relative(self, path: Path) -> str:
        """``path`` relative to the workspace, with forward slashes, as the catalogue stores it."""
        return path.relative_to(self.root).as_posix()


def workspace_at(chosen: Path | str | None = None) -> Workspace:
    """The workspace at ``chosen``, else at ``PLIPDESK_WORKSPACE``, else in the person's data folder."""
    import platformdirs

    place = chosen or os.environ.get(WORKSPACE_VARIABLE) or platformdirs.user_data_path("plipdesk", appauthor=False)
    return Workspace(Path(place).expanduser().absolute())


def cache_folder() -> Path:
    """Folder for what every workspace of this person shares and can lose, such as exported ONNX graphs."""
    import platformdirs

    place = os.environ.get(CACHE_VARIABLE)
    return Path(place) if place else platformdirs.user_cache_path("plipdesk", appauthor=False)
