"""The one way to the files that are shipped with plipdesk (models, vocabulary, recipes, icons, translations)."""

from __future__ import annotations

from pathlib import Path

from plipdesk.base.errors import Bug


def resource_path(name: str) -> Path:
    """Return the path of a shipped resource, such as ``"vocabulary/pathology.yaml"``.

    In an installed wheel the resources lie inside the package, in a checkout beside it.

    Raises:
        Bug: the resource is not there, so the installation is damaged.
    """
    package = Path(__file__).resolve().parent.parent
    for root in (package / "_resources", package.parent / "resources"):
        candidate = root / name
        if candidate.exists():
            return candidate
    raise Bug(f"The shipped file {name} is missing.", remedy="Install plipdesk again.")
