"""The job "index": from paths that a person gave to the document that says what became of each slide."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from plipdesk.base.budget import CpuBudget
from plipdesk.base.errors import NotFound, Paused
from plipdesk.base.paths import Workspace
from plipdesk.base.progress import Json
from plipdesk.catalogue.rows import JobItemRow
from plipdesk.encoders.protocol import Encoder
from plipdesk.indexing.desk import IndexDesk
from plipdesk.indexing.pipeline import Pipeline
from plipdesk.indexing.settings import IndexSettings
from plipdesk.slides.errors import SlideMissing
from plipdesk.slides.finding import find_slides


def run_index_job(
    params: Mapping[str, Json],
    state: Mapping[str, Json],
    desk: IndexDesk,
    encoder_called: Callable[[str | None], Encoder],
    workspace: Workspace,
) -> dict[str, Json]:
    """Index what ``params`` name; slides that ended in an earlier attempt of the same job are not looked at again.

    Args:
        params: see :class:`~plipdesk.indexing.settings.IndexSettings`.
        state: the checkpoint of an earlier attempt, or empty.
        desk: catalogue and progress.
        encoder_called: loads the encoder of an id; None: the workspace's default.
        workspace: where vectors are written.

    Returns:
        The document of ``plipdesk index --json``: ``slides`` in the order found, ``patches`` (new ones), ``seconds``,
        ``patches_per_second``, ``encoder``.

    Raises:
        UsageProblem: the parameters make no sense.
        NotFound: none of the paths exists, or there is no such encoder.
        Cancelled, Paused: as :meth:`Pipeline.run` says.
    """
    began_s = time.monotonic()
    settings = IndexSettings.from_params(params)
    paths, missing = _expand(settings, resumed=bool(state))
    # An attempt that goes on stays with its encoder, even if another has become the default since.
    encoder = encoder_called(state.get("encoder") or settings.encoder)
    before_s = float(state.get("seconds", 0.0))
    desk.checkpoint({"encoder": encoder.card.id, "seconds": before_s})
    done = {item.path for item in desk.items()}
    for path, error in missing.items():
        if str(path) not in done:
            desk.end(
                JobItemRow(
                    desk.job_id, str(path), None, "failed", error.message, error.remedy, 0, None, 0.0, 1
                )
            )  # fmt: skip
    threads = CpuBudget.of_machine().reader_threads
    pipeline = Pipeline(desk, settings, encoder, workspace, reader_threads=threads)
    try:
        pipeline.run([path for path in paths if str(path) not in done])
    finally:
        seconds = before_s + time.monotonic() - began_s
        desk.checkpoint({"encoder": encoder.card.id, "seconds": seconds})
    return _document(desk, [*paths, *missing], encoder.card.id, seconds)


def _expand(settings: IndexSettings, *, resumed: bool) -> tuple[list[Path], dict[Path, SlideMissing]]:
    """The slides to index, each once, and the paths that do not exist."""
    found: dict[Path, Path] = {}
    missing: dict[Path, SlideMissing] = {}
    for path in settings.paths:
        try:
            for slide in find_slides([path], recursive=settings.recursive):
                found.setdefault(slide.resolve(), slide)
        except SlideMissing as error:
            if resumed and not path.parent.exists():
                raise Paused(
                    f"The folder {path.parent} is gone. Connect its drive or share again, then resume; "
                    "finished work is kept."
                ) from error
            missing[path] = error
    if not found:
        raise next(iter(missing.values()), None) or NotFound(
            "No slide was found there.",
            path=settings.paths[0],
            remedy="Name slides or a folder that holds some; --recursive looks into the folders below it, too.",
        )
    return list(found.values()), missing


def _document(desk: IndexDesk, order: list[Path], encoder_id: str, seconds: float) -> dict[str, Json]:
    items = {item.path: item for item in desk.items()}
    ordered = [items.pop(str(path)) for path in order if str(path) in items]
    # Slides of an earlier attempt that have been moved away since.
    ordered.extend(items.values())
    patches = sum(item.patches for item in ordered if item.status == "indexed")
    return {
        "slides": [_slide(item) for item in ordered],
        "patches": patches,
        "seconds": round(seconds, 3),
        "patches_per_second": round(patches / seconds, 2) if seconds > 0 else 0.0,
        "encoder": encoder_id,
    }


def _slide(item: JobItemRow) -> dict[str, Json]:
    reason = " ".join(part for part in (item.reason, item.remedy) if part)
    return {
        "path": item.path,
        "slide_id": item.slide_id,
        "status": item.status,
        "reason": reason or None,
        "patches": item.patches,
        "tissue_mm2": item.tissue_mm2,
        "seconds": item.seconds,
    }
