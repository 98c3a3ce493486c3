"""The child process that reads a pickle: torch's weights-only loader, nothing else, in a process that may die.

What it finds is written as safetensors; the parent never opens the pickle. A TorchScript archive holds a pickle as
well: its code is left where it is, its objects become inert, and its numbers are read by the same loader.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

WRAPPERS = ("state_dict", "model_state_dict", "model", "teacher", "student", "module", "net", "encoder", "backbone")
"""Names under which training scripts keep the weights among other things."""
_PREFIXES = ("module.", "_orig_mod.")
# What views of few numbers as many, or weights that are shared, may add to what the file holds.
_ROOM_BYTES = 64 << 20
_JIT_HELPERS = "torch.jit._pickle."


class Refused(Exception):
    """The file is not what may be loaded; the words are for the person."""


class Inert:
    """Stands for every object of a TorchScript archive: it keeps its attributes and can do nothing."""


def kept(value: object) -> object:
    """Stands for TorchScript's own helpers, which only mark what kind of list follows."""
    return value


def unpickle(connection: Connection, source: str, target: str, memory_bytes: int) -> None:
    """Entry of the child: read ``source``, write ``target``, answer in JSON through ``connection``."""
    try:
        import torch

        _limit_memory(memory_bytes)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = _convert(Path(source), Path(target), torch)
    except Refused as error:
        answer = {"refused": str(error)}
    except MemoryError:
        answer = {"refused": "It takes more memory than a model of its size may."}
    except Exception as error:  # noqa: BLE001 - the process's edge
        answer = {"refused": _reason(error)}
    connection.send_bytes(json.dumps(answer).encode())
    connection.close()


def _limit_memory(memory_bytes: int) -> None:
    """Let this process take ``memory_bytes`` more than it has; where the platform cannot, the parent watches."""
    if sys.platform == "win32":
        return
    import resource

    import psutil

    most = psutil.Process().memory_info().vms + memory_bytes
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _reason(error: Exception) -> str:
    found = re.search(r"GLOBAL (\S+)", str(error))
    if found is not None:
        return f"It is more than weights: reading it would make or run {found.group(1)}."
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"It cannot be read as weights: {lines[0][:200]}"


def _convert(source: Path, target: Path, torch: Any) -> dict[str, Any]:
    from safetensors.torch import save_file

    size = source.stat().st_size
    scripted = _check_archive(source, size)
    if scripted is None:
        content = torch.load(source, map_location="cpu", weights_only=True)
        tensors = state_of(content, torch)
    else:
        tensors = dict(_attributes(_load_scripted(source, scripted, target.with_suffix(".lean"), torch), torch))
    if not tensors:
        raise Refused("It holds no weights.")
    if any(tensor.layout != torch.strided or tensor.is_quantized for tensor in tensors.values()):
        raise Refused("It holds sparse or quantised weights, which are not known here.")
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) > 2 * size + _ROOM_BYTES:
        raise Refused("It declares more numbers than it holds.")
    plain = {name: _plain(tensor, torch) for name, tensor in tensors.items()}
    save_file(plain, target)
    return {"tensors": len(plain), "scripted": scripted is not None}


def _plain(tensor: Any, torch: Any) -> Any:
    tensor = tensor.detach()
    if tensor.dtype in (torch.float64, torch.bfloat16):
        tensor = tensor.to(torch.float32)
    # Weights that share memory cannot be told apart in a file.
    return tensor.clone(memory_format=torch.contiguous_format)


def _check_archive(source: Path, size: int) -> str | None:
    """Check the sizes a zip declares; the archive's folder where it is TorchScript's, else None."""
    if not zipfile.is_zipfile(source):
        return None
    with zipfile.ZipFile(source) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > 2 * size + _ROOM_BYTES:
            raise Refused("Its parts declare more bytes than it holds.")
        names = [entry.filename for entry in entries]
    scripts = [name for name in names if name.endswith("/constants.pkl")]
    return scripts[0].removesuffix("/constants.pkl") if scripts else None


def _load_scripted(source: Path, folder: str, lean: Path, torch: Any) -> Any:
    """The root object of a TorchScript archive, made of :class:`Inert` objects and tensors.

    Its code and constants are not copied, so what is left is the kind of archive that the weights-only loader takes.
    """
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(lean, "w", zipfile.ZIP_STORED) as copy:
        for entry in archive.infolist():
            name = entry.filename.removeprefix(f"{folder}/")
            if name in ("data.pkl", "version", "byteorder") or name.startswith("data/"):
                with archive.open(entry) as reading, copy.open(f"archive/{name}", "w", force_zip64=True) as writing:
                    while block := reading.read(1 << 20):
                        writing.write(block)
    names = torch.serialization.get_unsafe_globals_in_checkpoint(lean)
    stand_ins: list[Any] = [(Inert, name) for name in names if name.startswith("__torch__.")]
    stand_ins += [(kept, name) for name in names if name.startswith(_JIT_HELPERS)]
    with torch.serialization.safe_globals(stand_ins):
        return torch.load(lean, map_location="cpu", weights_only=True)


def _attributes(root: object, torch: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    if not isinstance(root, Inert) or depth > 64:
        return
    for name, value in vars(root).items():
        if isinstance(value, torch.Tensor):
            yield prefix + name, value
        else:
            yield from _attributes(value, torch, f"{prefix}{name}.", depth + 1)


def state_of(content: object, torch: Any, depth: int = 0) -> dict[str, Any]:
    """The weights among what a training script may have saved: by name, without the wrappers' prefixes."""
    if isinstance(content, torch.Tensor) or not isinstance(content, Mapping) or depth > 4:
        return {}
    direct = {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
    if 2 * len(direct) < len(content):
        for wrapper in WRAPPERS:
            inner = state_of(content.get(wrapper), torch, depth + 1)
            if inner:
                return inner
    for prefix in _PREFIXES:
        if direct and all(name.startswith(prefix) for name in direct):
            direct = {name.removeprefix(prefix): tensor for name, tensor in direct.items()}
    return direct
