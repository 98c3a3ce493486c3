"""The small files beside a model's weights: configurations in JSON, and what a README says of its licence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plipdesk.encoders.card import EncoderProblem

_MOST_BYTES = 16 << 20
_MOST_README_BYTES = 1 << 20


def read_document(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``.

    Raises:
        EncoderProblem: it is missing, too large, or no JSON object.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("too large")
        document = json.loads(path.read_bytes())
        if not isinstance(document, dict):
            raise ValueError("no object")
    except FileNotFoundError as error:
        raise EncoderProblem(
            f"The model's folder lacks {path.name}.",
            path=path.parent,
            remedy=f"Fetch {path.name} from where the model came from and put it into this folder.",
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise EncoderProblem(
            f"{path.name} cannot be read as a configuration.", path=path, remedy="Fetch the file again."
        ) from error
    return document


def optional_document(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``, empty where there is no such file.

    Raises:
        EncoderProblem: it is there and no JSON object.
    """
    return read_document(path) if path.is_file() else {}


def section(document: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    """The object ``key`` of a configuration.

    Raises:
        EncoderProblem: it is missing or no object.
    """
    value = document.get(key)
    if not isinstance(value, dict):
        raise EncoderProblem(
            f"{path.name} has no {key}.", path=path, remedy="Fetch the file again from where the model came from."
        )
    return value


def said_in_readme(folder: Path) -> dict[str, str]:
    """``licence`` as the header of the folder's README tells it, where there is one that can be read."""
    import yaml

    path = folder / "README.md"
    try:
        if path.stat().st_size > _MOST_README_BYTES:
            return {}
        text = path.read_text(encoding="utf-8")
        if not text.startswith("---"):
            return {}
        header = yaml.safe_load(text.split("---", 2)[1])
    except (OSError, ValueError, IndexError, yaml.YAMLError):
        return {}
    licence = header.get("license") if isinstance(header, dict) else None
    return {"licence": licence[:200]} if isinstance(licence, str) else {}
