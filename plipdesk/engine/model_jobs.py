"""Jobs that bring encoders, or carry one out: import, download, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from plipdesk.base.progress import Json
from plipdesk.engine.work import Work

if TYPE_CHECKING:
    from plipdesk.encoders.importing import ImportReport


def import_model_job(work: Work) -> dict[str, Json]:
    """Import the model at ``path``: a folder, a weights file or an exported bundle.

    Optional parameters: ``id``, ``architecture``, and the card's ``mpp_um``, ``name`` and ``licence``.
    """
    from plipdesk.encoders.bundle import is_bundle, read_bundle
    from plipdesk.encoders.importing import import_model

    params = work.job.params
    path = Path(params["path"])
    if is_bundle(path):
        card = read_bundle(path, work.workspace.models, encoder_id=params.get("id"), context=work).card
        return {"id": card.id, "name": card.name, "verdict": None, "notes": []}
    given = {key: params[key] for key in ("mpp_um", "name", "licence") if params.get(key) is not None}
    return _document(
        import_model(
            path,
            work.workspace.models,
            encoder_id=params.get("id"),
            architecture=params.get("architecture"),
            overrides=given,
            context=work,
        )
    )


def download_model_job(work: Work) -> dict[str, Json]:
    """Download and import the known model ``id``; ``accepted_licence`` is what a person was shown and accepted."""
    from plipdesk.encoders.fetching import install_known

    params = work.job.params
    accepted = str(params.get("accepted_licence") or "")
    return _document(install_known(params["id"], work.workspace.models, accepted_licence=accepted, context=work))


def export_model_job(work: Work) -> dict[str, Json]:
    """Write the encoder ``id`` into the file ``path``."""
    from plipdesk.encoders.bundle import write_bundle
    from plipdesk.encoders.loading import find_encoder

    params = work.job.params
    installed = find_encoder(params["id"], work.workspace.models)
    size_bytes = write_bundle(installed, Path(params["path"]), context=work)
    return {"id": installed.card.id, "path": params["path"], "bytes": size_bytes}


def _document(report: ImportReport) -> dict[str, Json]:
    card = report.card
    return {"id": card.id, "name": card.name, "verdict": report.probe.verdict, "notes": list(report.notes)}
