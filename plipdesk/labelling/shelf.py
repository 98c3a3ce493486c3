"""Where label sets are found: files, those that come with plipdesk, and those kept in the workspace, by version."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from plipdesk.base.errors import NotFound
from plipdesk.base.files import atomic_write
from plipdesk.base.paths import Workspace
from plipdesk.labelling.label_sets import LabelSet, label_set_yaml, read_label_set, shipped_label_sets

_FILE = re.compile(r"(?P<name>.+)@(?P<version>[1-9][0-9]*)\.yaml")


@dataclass(frozen=True)
class Listed:
    """A label set that can be used by its name."""

    labels: LabelSet
    path: Path
    origin: Literal["shipped", "workspace"]


def list_label_sets(workspace: Workspace) -> list[Listed]:
    """The shipped label sets, then the newest version of each that is kept in the workspace."""
    shipped = [Listed(read_label_set(path), path, "shipped") for path in shipped_label_sets().values()]
    kept = [Listed(read_label_set(path), path, "workspace") for path in _newest(workspace).values()]
    return shipped + kept


def find_label_set(text: str, workspace: Workspace) -> tuple[LabelSet, str | None]:
    """The label set that ``text`` names, and the way of asking that it chooses, or None.

    ``text`` is a file, or a name; ``NAME@2`` is a version kept in the workspace, ``NAME:code`` a way of asking.

    Raises:
        NotFound: there is none of that name.
        LabelProblem: it is not a label set.
    """
    path = Path(text).expanduser()
    if path.is_file():
        return read_label_set(path), None
    name, _, way = text.partition(":")
    chosen = _kept(workspace, name) or shipped_label_sets().get(name)
    if chosen is None:
        if path.suffix.lower() in (".yaml", ".yml", ".json") or "/" in text:
            raise NotFound("There is no such label set.", path=path, remedy="Check the path.")
        raise NotFound(f"There is no label set called {text!r}.", remedy="See 'plipdesk labels list'.")
    labels = read_label_set(chosen)
    if way:
        labels.way_named(way)
    return labels, way or None


def keep_label_set(labels: LabelSet, workspace: Workspace) -> LabelSet:
    """Keep a label set in the workspace and return it as kept.

    A version that is there is never changed: other content under the same name becomes the next version.
    """
    before = _versions(workspace).get(labels.name, {})
    for version, path in before.items():
        kept = read_label_set(path)
        if kept == labels.model_copy(update={"version": version}):
            return kept
    if before and labels.version <= max(before):
        labels = labels.model_copy(update={"version": max(before) + 1})
    with atomic_write(workspace.labels / f"{labels.name}@{labels.version}.yaml") as stream:
        stream.write(label_set_yaml(labels).encode())
    return labels


def _versions(workspace: Workspace) -> dict[str, dict[int, Path]]:
    found: dict[str, dict[int, Path]] = {}
    if workspace.labels.is_dir():
        for path in sorted(workspace.labels.iterdir()):
            if match := _FILE.fullmatch(path.name):
                found.setdefault(match["name"], {})[int(match["version"])] = path
    return found


def _newest(workspace: Workspace) -> dict[str, Path]:
    return {name: versions[max(versions)] for name, versions in _versions(workspace).items()}


def _kept(workspace: Workspace, text: str) -> Path | None:
    name, _, version = text.partition("@")
    versions = _versions(workspace).get(name, {})
    if version:
        return versions.get(int(version)) if version.isdigit() else None
    return versions[max(versions)] if versions else None
