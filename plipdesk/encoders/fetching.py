"""Downloading a known model and importing it. The network is met in a process of its own, started only for this."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plipdesk.base.errors import Bug, EnvironmentProblem, UsageProblem
from plipdesk.base.files import DiskFull, atomic_write
from plipdesk.base.progress import JobContext, QuietContext
from plipdesk.encoders.download import DownloadProblem, one_at_a_time
from plipdesk.encoders.hub_token import find_token
from plipdesk.encoders.known import KnownModel, known_model

if TYPE_CHECKING:
    from plipdesk.encoders.importing import ImportReport

DOWNLOADS = ".downloads"
"""Folder inside the models folder in which downloads grow; nothing in it is an encoder."""
ORIGIN_NAME = "origin.json"
_MB = 1_000_000
_ASK_S = 0.2
_END_S = 5.0
# Nothing of the hub's client but plain downloads of what was asked for.
_QUIET = {
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
}


def licence_in_words(model: KnownModel) -> str:
    """What a person is shown before a download, and accepts."""
    if model.licence == "not stated":
        named = "The authors state no licence for the weights."
    elif " " in model.licence:
        named = "The licence is the one on the model's page at the hub."
    else:
        named = f"The licence is {model.licence}."
    size = f" About {model.download_bytes / _MB:,.0f} MB are fetched." if model.download_bytes else ""
    return " ".join(part for part in (f"{model.name} ({model.repository}). {named}", model.licence_note) if part) + size


def install_known(
    model_id: str, models_folder: Path, *, accepted_licence: str, context: JobContext | None = None
) -> ImportReport:
    """Download a known model and make an encoder of it; what was fetched goes once it is converted.

    Raises:
        NotFound: no such model is known.
        UsageProblem: its licence was not accepted, or it cannot be used yet.
        EncoderProblem: an encoder of that id is there, or what came cannot be imported.
        DownloadProblem, DiskFull, Cancelled: as :func:`download_model` says.
    """
    from plipdesk.encoders.importing import import_model

    watcher = context or QuietContext()
    model = known_model(model_id)
    if (models_folder / model.id).exists():
        raise UsageProblem(f"{model.name} is installed already.", remedy=f"Use it: plipdesk models use {model.id}.")
    folder = download_model(model, models_folder, accepted_licence=accepted_licence, context=watcher)
    record = json.loads((folder / "download.json").read_bytes())
    # A bare checkpoint is imported as the file that it is.
    source = folder / record["files"][0]["name"] if model.layout == "checkpoint" else folder
    report = import_model(
        source,
        models_folder,
        encoder_id=model.id,
        architecture=model.checkpoint_architecture,
        overrides=_card_fields(model),
        context=watcher,
    )
    with atomic_write(report.folder / ORIGIN_NAME) as stream:
        stream.write(json.dumps(record, indent=2).encode())
    shutil.rmtree(folder, ignore_errors=True)
    return report


def download_model(
    model: KnownModel, models_folder: Path, *, accepted_licence: str, context: JobContext | None = None
) -> Path:
    """Fetch the files of ``model``; returns the folder that holds them. An earlier download that stopped goes on.

    Raises:
        UsageProblem: the licence was not accepted, or the model cannot be used yet.
        DownloadProblem: why it cannot be had.
        DiskFull: no room.
        Cancelled: ``context`` was asked to stop; what was fetched is kept.
    """
    watcher = context or QuietContext()
    if model.obstacle is not None:
        raise UsageProblem(f"{model.name} cannot be downloaded: {model.obstacle}")
    if accepted_licence != model.licence:
        raise UsageProblem("The licence has to be accepted first.", remedy=licence_in_words(model))
    folder = models_folder / DOWNLOADS / model.id
    token = find_token()
    request = {
        "repository": model.repository,
        "revision": model.revision,
        "files": [
            {"names": file.names, "optional": file.optional, "size_bytes": file.size_bytes, "sha256": file.sha256}
            for file in model.files
        ],
        "folder": str(folder),
        "token": None if token is None else token[0],
        "licence": model.licence,
    }
    watcher.report(0, 0, unit="MB", note="Asking the hub")
    with one_at_a_time(folder):
        _run(request, models_folder.parent, watcher)
    return folder


def _card_fields(model: KnownModel) -> dict[str, Any]:
    """What the catalogue knows and the model's files do not say."""
    fields: dict[str, Any] = {
        "name": model.name,
        "licence": model.licence if " " not in model.licence else f"{model.licence}: see {model.repository}",
        "source": f"huggingface.co: {model.repository}",
        "credit": model.paper or "",
        "scores": dict(model.scores),
        "languages": model.languages,
        "notes": model.notes,
    }
    if model.mpp_um is not None:
        fields["mpp_um"] = model.mpp_um
    return fields


def _run(request: Mapping[str, Any], workspace: Path, context: JobContext) -> None:
    """Let the downloading process work, pass on what it tells, and end it when asked to stop."""
    environment = {key: value for key, value in os.environ.items() if not key.endswith("_OFFLINE")} | _QUIET
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            # As every process of a workspace, it can be told whose it is.
            [sys.executable, "-P", "-m", "plipdesk.encoders.download", "--workspace", str(workspace)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        told: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        stdout = process.stdout

        def listen() -> None:
            for line in stdout:
                told.put(line)
            told.put(b"")

        listener = threading.Thread(target=listen, name="download", daemon=True)
        listener.start()
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(request).encode() + b"\n")
                process.stdin.flush()
            while not _heard(told, context):
                context.check_cancel()
            process.wait(timeout=_END_S)
        finally:
            process.kill()
            process.wait()
            listener.join(timeout=_END_S)
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            stdout.close()
        if process.returncode != 0:
            errors.seek(0)
            last = errors.read().decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise Bug(f"The downloading process ended by itself: {last[0]}", remedy="Try again: it goes on.")


def _heard(told: queue.SimpleQueue[bytes], context: JobContext) -> bool:
    """Take one line of what the process tells; returns whether it was the last.

    Raises:
        DownloadProblem, DiskFull: what it failed with.
    """
    try:
        line = told.get(timeout=_ASK_S)
    except queue.Empty:
        return False
    if not line:
        return True
    said = json.loads(line)
    if "failed" in said:
        failure = said["failed"]
        kind: type[EnvironmentProblem] = DiskFull if failure["kind"] == DiskFull.kind else DownloadProblem
        raise kind(failure["message"], path=failure["path"], remedy=failure["remedy"])
    if "done" in said:
        note = f"Downloading {said['name']}"
        context.report(said["done"] // _MB, max(1, said["total"] // _MB), unit="MB", note=note)
    return False
