"""What can be wrong with a probe."""

from __future__ import annotations

from plipdesk.base.errors import EnvironmentProblem


class ProbeProblem(EnvironmentProblem):
    """A probe cannot be learned from these examples, or its file cannot be used."""

    kind = "probe"
