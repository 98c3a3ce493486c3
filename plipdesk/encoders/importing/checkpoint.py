"""The tensors of a weights file, whatever its kind: safetensors, a pickle, TorchScript, or several files with an index.

Sizes are checked before memory is taken. A pickle is read by a process of its own, which is given little memory, little
time and no trust (:mod:`plipdesk.encoders.importing.unpickling`).
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

from plipdesk.base.progress import JobContext
from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.importing.unpickling import unpickle

if TYPE_CHECKING:
    import torch

_MOST_HEADER_BYTES = 100 << 20
_MOST_FILE_BYTES = 64 << 30
_ROOM_BYTES = 512 << 20
_LEAST_S = 120.0
_BYTES_PER_S = 20e6
"""What the slowest disk we would wait for reads."""
_TWICE = "Copy or download the file again and compare its size or checksum with the source's."


def check_room(files: list[Path], models_folder: Path) -> None:
    """Refuse files that cannot be held in memory, or whose copy would not fit on the disk.

    Raises:
        EncoderProblem: too large for this machine, or no model at all.
    """
    import psutil

    total = sum(path.stat().st_size for path in files)
    if total > _MOST_FILE_BYTES:
        raise EncoderProblem("The weights are larger than any model that can be used here.", path=files[0])
    # The tensors, the model built of them and its graph, beside torch and ONNX Runtime themselves.
    if 3 * total + _ROOM_BYTES > psutil.virtual_memory().available:
        raise EncoderProblem(
            f"The weights take {total / 1e9:.1f} GB, and importing them three times that: more memory than is free.",
            path=files[0],
            remedy="Close other programs, or import the model on a larger machine and carry it over.",
        )
    if 2 * total + _ROOM_BYTES > shutil.disk_usage(models_folder).free:
        raise EncoderProblem(
            f"There is not enough room on the disk: converting takes {2 * total / 1e9:.1f} GB for a while.",
            path=models_folder,
            remedy="Free some space, or keep the workspace on a larger disk.",
        )


def read_weights(
    files: list[Path], scratch: Path, context: JobContext
) -> tuple[dict[str, torch.Tensor], bool]:  # fmt: skip
    """The tensors of ``files`` by name, and whether they were in a TorchScript archive.

    ``scratch`` is a folder for what is needed on the way.

    Raises:
        EncoderProblem: a file is damaged, lies about its sizes, or is more than weights.
        Cancelled: ``context`` was asked to stop.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    tensors: dict[str, torch.Tensor] = {}
    scripted = False
    for number, path in enumerate(files):
        context.check_cancel()
        readable = path
        if not is_safetensors(path):
            readable = scratch / f"unpickled-{number}.safetensors"
            scripted = _unpickled(path, readable, context)
        try:
            tensors.update(load_file(readable))
        except (SafetensorError, OSError) as error:
            raise EncoderProblem(
                f"The weights are incomplete or damaged: {error}.", path=path, remedy=_TWICE
            ) from error
    return tensors, scripted


def is_safetensors(path: Path) -> bool:
    """Whether ``path`` is meant as safetensors; its header is checked before anything is taken for it.

    Raises:
        EncoderProblem: it calls itself safetensors and is not, or its header is longer than the file.
    """
    if path.suffix != ".safetensors":
        return False
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(9)
    declared = struct.unpack("<Q", start[:8])[0] if len(start) == 9 else 0
    if size < 10 or start[8:9] != b"{":
        raise EncoderProblem("This is no safetensors file, though it is called one.", path=path, remedy=_TWICE)
    if declared > min(size - 8, _MOST_HEADER_BYTES):
        raise EncoderProblem(
            f"The file declares a header of {declared:,} bytes, more than it holds or than a model needs.",
            path=path,
            remedy=_TWICE,
        )
    return True


def shards(index: Path) -> list[Path]:
    """The files that an index (``model.safetensors.index.json``) names, which lie beside it.

    Raises:
        EncoderProblem: it is no index, names a file outside its folder, or one that is not there.
    """
    try:
        if index.stat().st_size > _MOST_HEADER_BYTES:
            raise ValueError("too large")
        names = sorted({str(name) for name in json.loads(index.read_bytes())["weight_map"].values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise EncoderProblem("The index of the weights cannot be read.", path=index, remedy=_TWICE) from error
    for name in names:
        if Path(name).name != name or not (index.parent / name).is_file():
            raise EncoderProblem(
                f"The weights are in several files, and {name} is not among them.",
                path=index.parent,
                remedy="Copy all files of the model into one folder.",
            )
    return [index.parent / name for name in names]


def _unpickled(source: Path, target: Path, context: JobContext) -> bool:
    """Let a child read ``source`` into ``target``; it is ended when it takes too much or too long.

    Returns whether ``source`` is a TorchScript archive.
    """
    import psutil

    size = source.stat().st_size
    most_bytes = 3 * size + _ROOM_BYTES
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe(duplex=False)
    child = spawning.Process(target=unpickle, args=(theirs, str(source), str(target), most_bytes), daemon=True)
    child.start()
    theirs.close()
    deadline = time.monotonic() + _LEAST_S + size / _BYTES_PER_S
    answer: dict[str, object] = {}
    try:
        watched = psutil.Process(child.pid)
        while not ours.poll(0.1):
            context.check_cancel()
            if time.monotonic() > deadline:
                raise _refused(source, "It takes longer to read than a model of its size may.")
            try:
                held = watched.memory_info().rss
            except psutil.Error:
                break
            # What torch itself takes comes on top.
            if held > most_bytes + _ROOM_BYTES:
                raise _refused(source, "It takes more memory than a model of its size may.")
        if ours.poll(0.5):
            answer = json.loads(ours.recv_bytes())
    except EOFError:
        answer = {}
    finally:
        child.kill()
        child.join()
        child.close()
        ours.close()
    if "refused" in answer or not answer:
        raise _refused(source, str(answer.get("refused", "The process that read it died.")))
    return bool(answer["scripted"])


def _refused(path: Path, reason: str) -> EncoderProblem:
    return EncoderProblem(
        f"This weights file was not loaded. {reason}",
        path=path,
        remedy="Use the model's safetensors file, or one saved from its state dict alone.",
    )
