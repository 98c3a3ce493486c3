"""The one place that maps a job's kind to its function."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from plipdesk.base.progress import Json
from plipdesk.engine.model_jobs import download_model_job, export_model_job, import_model_job
from plipdesk.engine.work import Work

JobFunction = Callable[[Work], dict[str, Json]]
"""Does a job to its end and returns its result document; raises Paused or Cancelled where it is asked to stop."""


def _index(work: Work) -> dict[str, Json]:
    from plipdesk.indexing.job import run_index_job

    return run_index_job(work.job.params, work.job.checkpoint, work, work.encoder, work.workspace)


def _label(work: Work) -> dict[str, Json]:
    from plipdesk.labelling.job import run_label_job

    return run_label_job(work.job.params, work, work.encoder, work.workspace)


KINDS: Mapping[str, JobFunction] = {
    "index": _index,
    "label": _label,
    "import-model": import_model_job,
    "download-model": download_model_job,
    "export-model": export_model_job,
}
