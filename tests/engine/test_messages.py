"""Messages: each kind travels, and errors come back as they were."""

from __future__ import annotations

from typing import get_args

import pytest

from plipdesk.base.errors import Bug, EnvironmentProblem, NotFound, UsageProblem
from plipdesk.base.files import DiskFull
from plipdesk.engine import messages as m
from plipdesk.search.query import PicturePart, Query, RegionPart, TextPart


def _kinds() -> list[type[m.Message]]:
    return [kind for kind in m.Message.__subclasses__() if kind.__module__ == m.__name__]


def test_every_kind_of_message_is_understood() -> None:
    assert set(_kinds()) == set(get_args(m.AnyMessage))
    assert len(_kinds()) >= 50


def test_a_query_travels_with_all_its_parts() -> None:
    query = Query(
        texts=(TextPart("gland", -0.5),),
        regions=(RegionPart("a.svs", polygon=((0.0, 0.0), (1.5, 0.0), (0.0, 2.0))),),
        pictures=(PicturePart(content=b"\x89PNG\x00"),),
        k=3,
    )
    envelope = m.Envelope(7, m.Search(query))
    assert m.decode(m.encode(envelope)) == envelope


@pytest.mark.parametrize("kind", [UsageProblem, NotFound, DiskFull, Bug])
def test_known_errors_come_back_as_their_own_class(kind: type[EnvironmentProblem]) -> None:
    error = kind("It went wrong.", path="/a/b", remedy="Do this.")
    again = m.rebuilt(m.failed(error))
    assert type(again) is kind
    assert again.document() == error.document()


def test_errors_of_other_rooms_keep_kind_and_exit_code() -> None:
    again = m.rebuilt(m.Failed("slide", "It is broken.", "/a.svs", "Copy it again.", 3))
    assert isinstance(again, EnvironmentProblem)
    assert (again.kind, again.exit_code) == ("slide", 3)
    assert str(again) == "It is broken. (/a.svs) Copy it again."
