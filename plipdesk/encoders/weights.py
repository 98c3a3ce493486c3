"""The files of a model: checked against the card before anything is built from them."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from numpy.typing import NDArray

from plipdesk.base.files import atomic_write, sha256_of
from plipdesk.base.paths import cache_folder
from plipdesk.encoders.card import EncoderProblem, ModelFile

if TYPE_CHECKING:
    import torch

# Threads of one process share the name under which the memory of a check is written.
_ONE_AT_A_TIME = threading.Lock()
_REMEDY = "Import the model again, or install plipdesk again if it is the embedded one."


def verified_file(folder: Path, file: ModelFile) -> Path:
    """The path of ``file`` in ``folder``, after its SHA-256 was compared with the card's.

    A file that was once found right is not read again while its size and time of change stay the same.

    Raises:
        EncoderProblem: it is missing, or its content is not what the card says.
    """
    path = folder / file.name
    try:
        state = path.stat()
    except OSError as error:
        raise EncoderProblem("A file of the model is missing.", path=path, remedy=_REMEDY) from error
    seen = {"path": str(path.absolute()), "bytes": state.st_size, "changed_ns": state.st_mtime_ns}
    memory = cache_folder() / "verified" / f"{file.sha256}.json"
    with _ONE_AT_A_TIME:
        if _recalled(memory) == seen:
            return path
        if sha256_of(path) != file.sha256:
            raise EncoderProblem("A file of the model is not the one its card describes.", path=path, remedy=_REMEDY)
        with atomic_write(memory) as stream:
            stream.write(json.dumps(seen).encode())
    return path


def _recalled(memory: Path) -> object:
    try:
        return json.loads(memory.read_bytes())
    except (OSError, ValueError):
        return None


class TensorFile(Mapping[str, NDArray[Any]]):
    """The tensors of a safetensors file by name, each read when it is asked for; close it, or use it in ``with``."""

    def __init__(self, path: Path) -> None:
        """Open ``path``; the sizes its header declares are checked against its length before memory is taken.

        Raises:
            EncoderProblem: no safetensors file, or one whose header does not fit its length.
        """
        from safetensors import SafetensorError, safe_open

        try:
            self._file = cast(Any, safe_open(path, framework="numpy"))
            self._names = frozenset(self._file.keys())
        except (SafetensorError, OSError) as error:
            raise EncoderProblem(f"The weights cannot be read: {error}.", path=path, remedy=_REMEDY) from error
        self._path = path

    def __enter__(self) -> TensorFile:
        self._file.__enter__()
        return self

    def __exit__(self, *reason: object) -> None:
        self._file.__exit__(*reason)

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._names:
            raise KeyError(name)
        tensor: NDArray[Any] = self._file.get_tensor(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def float32_bytes(path: Path) -> int:
    """Bytes that the tensors of a safetensors file take as float32, told from its header alone.

    Raises:
        EncoderProblem: no safetensors file, or one whose header does not fit its length.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as tensors:
            return sum(4 * math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise EncoderProblem(f"The weights cannot be read: {error}.", path=path, remedy=_REMEDY) from error


def load_weights(model: torch.nn.Module, path: Path) -> None:
    """Fill ``model`` from a safetensors file, in float32 whatever the file holds.

    Raises:
        EncoderProblem: unreadable, or its tensors are not exactly those of the model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise EncoderProblem(f"The weights cannot be read: {error}.", path=path, remedy=_REMEDY) from error
    try:
        model.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        # torch lists every name; the first line after the heading says enough.
        reason = str(error).splitlines()[1:2] or [str(error)]
        raise EncoderProblem(
            f"The weights do not fit the architecture: {reason[0].strip()[:200]}", path=path, remedy=_REMEDY
        ) from error
