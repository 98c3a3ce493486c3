"""What can be wrong with stored vectors or with what is asked of them."""

from __future__ import annotations

from plipdesk.base.errors import EnvironmentProblem


class IndexProblem(EnvironmentProblem):
    """A file of vectors is damaged, or does not fit the index it should join."""

    kind = "index"
