"""Slides whose µm per pixel nothing tells: which they are, what was answered, and what to submit again."""

from __future__ import annotations

from dataclasses import dataclass

from plipdesk.base.progress import Json
from plipdesk.catalogue.rows import JobItemRow, JobRow
from plipdesk.desktop.state.questions import FolderQuestions
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


class MppQuestions(FolderQuestions[float]):
    """See :class:`FolderQuestions`."""

    def answer(self, item: JobItemRow, answer: MppAnswer | None) -> list[JobItemRow]:
        """Take an answer (None: not now); returns the items to be submitted again with it."""
        if answer is None:
            return self.settle(item, None, whole_folder=False)
        return self.settle(item, answer.mpp_um, whole_folder=answer.whole_folder)


def index_params(paths: list[str], *, collection: str | None = None, recursive: bool = True) -> dict[str, Json]:
    """Parameters of an index job with the defaults of the application."""
    return {
        "paths": paths,
        "collection": collection,
        "case": None,
        "encoder": None,
        "mpp_um": None,
        "patch_mpp_um": [],
        "recursive": recursive,
    }


def resubmission(job: JobRow | None, paths: list[str], **answered: Json) -> dict[str, Json]:
    """The same job for these paths only, with what a person answered (``mpp_um``, ``channels``)."""
    params = dict(job.params) if job is not None else index_params(paths)
    return {**params, "paths": paths, "recursive": False, **answered}
