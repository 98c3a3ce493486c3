"""What can be wrong with files that come in or go out."""

from __future__ import annotations

from plipdesk.base.errors import EnvironmentProblem


class ExchangeProblem(EnvironmentProblem):
    """A file of another program cannot be used, or a result cannot be given to it."""

    kind = "exchange"
