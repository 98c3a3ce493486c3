"""One tree of errors, each with what happened, to which file, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from plipdesk.base.errors import Bug, Cancelled, EnvironmentProblem, NotFound, PlipdeskError, UsageProblem


def test_an_error_reads_as_what_where_and_what_next() -> None:
    error = EnvironmentProblem("The slide is damaged.", path=Path("/s/a.svs"), remedy="Copy it again.")
    assert str(error) == "The slide is damaged. (/s/a.svs) Copy it again."
    assert error.document() == {
        "kind": "environment",
        "message": "The slide is damaged.",
        "path": "/s/a.svs",
        "remedy": "Copy it again.",
    }


def test_a_path_in_the_sentence_is_not_repeated() -> None:
    assert str(NotFound("There is no /s/a.svs.", path="/s/a.svs")) == "There is no /s/a.svs."


@pytest.mark.parametrize(("kind", "exit_code"), [(EnvironmentProblem, 3), (UsageProblem, 2), (NotFound, 3), (Bug, 3)])
def test_exit_codes_of_the_command_line(kind: type[PlipdeskError], exit_code: int) -> None:
    assert kind("x").exit_code == exit_code
    assert issubclass(kind, PlipdeskError)


def test_stopping_on_request_is_neither_problem_nor_bug() -> None:
    assert Cancelled().exit_code == 130
    assert not isinstance(Cancelled(), EnvironmentProblem | Bug)
