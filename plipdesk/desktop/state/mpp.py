"""Slides whose µm per pixel nothing tells: which they are, what was answered, and what to submit again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from plipdesk.base.progress import Json
from plipdesk.catalogue.rows import JobItemRow, JobRow
from plipdesk.desktop.viewer.camera import OBJECTIVE_MPP_UM

OBJECTIVES = (5, 10, 20, 40)
LEAST_MPP_UM, MOST_MPP_UM = 0.02, 100.0


def objective_mpp_um(power: float) -> float:
    """µm per pixel of a scan at an objective, by the common rule."""
    return OBJECTIVE_MPP_UM / power


def lacks_mpp(item: JobItemRow) -> bool:
    """Whether an item was skipped because its µm per pixel are unknown."""
    return item.status == "skipped" and reason_lacks_mpp(item.reason, item.remedy)


def reason_lacks_mpp(reason: str | None, remedy: str | None) -> bool:
    """Whether a reason with its remedy says that µm per pixel are unknown."""
    said = f"{reason or ''} {remedy or ''}".lower()
    return any(words in said for words in ("micrometres a pixel", "the mpp", "--mpp"))


@dataclass(frozen=True)
class MppAnswer:
    """What a person said: a value for one file, or for everything in its folder."""

    mpp_um: float
    whole_folder: bool


class MppQuestions:
    """Asks about each slide at most once; a folder's answer holds for what comes later from that folder."""

    def __init__(self) -> None:
        self.waiting: list[JobItemRow] = []
        self._asked: set[str] = set()
        self._folders: dict[str, float] = {}

    def add(self, item: JobItemRow) -> float | None:
        """Note a skipped item; returns the value its folder was given, else None, and the question waits."""
        known = self._folders.get(_folder(item.path))
        if known is not None:
            return known if self._first_time(item.path) else None
        if self._first_time(item.path):
            self.waiting.append(item)
        return None

    def answer(self, item: JobItemRow, answer: MppAnswer | None) -> list[JobItemRow]:
        """Take an answer (None: not now); returns the items to be submitted again with it."""
        self.waiting = [other for other in self.waiting if other.path != item.path]
        if answer is None:
            return []
        if not answer.whole_folder:
            return [item]
        folder = _folder(item.path)
        self._folders[folder] = answer.mpp_um
        same = [other for other in self.waiting if _folder(other.path) == folder]
        self.waiting = [other for other in self.waiting if _folder(other.path) != folder]
        return [item, *same]

    def ask_again(self, path: str) -> None:
        """A person wants the question back."""
        self._asked.discard(path)

    def _first_time(self, path: str) -> bool:
        if path in self._asked:
            return False
        self._asked.add(path)
        return True


def index_params(paths: list[str], *, collection: str | None = None, recursive: bool = True) -> dict[str, Json]:
    """Parameters of an index job with the defaults of the application."""
    return {
        "paths": paths,
        "collection": collection,
        "case": None,
        "encoder": None,
        "mpp_um": None,
        "patch_mpp_um": [],
        "overlap": 0.0,
        "tissue": "auto",
        "recursive": recursive,
    }


def resubmission(job: JobRow | None, paths: list[str], mpp_um: float | None) -> dict[str, Json]:
    """The same job for these paths only, with their µm per pixel given."""
    params = dict(job.params) if job is not None else index_params(paths)
    return {**params, "paths": paths, "mpp_um": mpp_um, "recursive": False}


def _folder(path: str) -> str:
    return str(PurePath(path).parent)
