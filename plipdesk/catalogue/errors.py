"""What can be wrong with a catalogue."""

from __future__ import annotations

from plipdesk.base.errors import EnvironmentProblem


class CatalogueProblem(EnvironmentProblem):
    """The workspace's database cannot be used as it is."""

    kind = "catalogue"


class WorkspaceTooNew(CatalogueProblem):
    """The workspace was written by a later version of plipdesk."""

    kind = "workspace-too-new"


class WorkspaceDamaged(CatalogueProblem):
    """The database is not one, or its pages are damaged."""

    kind = "workspace-damaged"
