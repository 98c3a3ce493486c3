"""``plipdesk collections``: named sets of slides."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import typer

from plipdesk.cli.commands import command, group
from plipdesk.cli.places import slide_place
from plipdesk.cli.session import Session
from plipdesk.engine import messages

app = group("List, create, fill and empty collections.")
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The collection.")]
SlidesArgument = Annotated[list[str], typer.Argument(metavar="SLIDE…", help="Paths, slide ids or unique names.")]


@command(app, "list")
def list_collections(session: Session) -> None:
    """List the collections of the workspace."""
    catalogue = session.catalogue()
    rows = []
    if catalogue is not None:
        with catalogue:
            rows = catalogue.collections.all()
    if session.as_json:
        session.answer({"collections": [dataclasses.asdict(row) for row in rows]})
    else:
        for row in rows:
            session.say(f"{row.name}  ({row.slides} slides)")


@command(app, "create")
def create(session: Session, name: NameArgument) -> None:
    """Create an empty collection."""
    _edit(session, "create", name, ())


@command(app, "add")
def add(session: Session, name: NameArgument, slides: SlidesArgument) -> None:
    """Add slides to a collection, which is made if it is new."""
    _edit(session, "add", name, tuple(slides))


@command(app, "remove")
def remove(
    session: Session,
    name: NameArgument,
    slides: Annotated[list[str] | None, typer.Argument(metavar="SLIDE…", help="None: the collection itself.")] = None,
) -> None:
    """Take slides out of a collection, or delete the collection; the slides stay in the workspace."""
    _edit(session, "remove" if slides else "delete", name, tuple(slides or ()))


def _edit(
    session: Session, action: Literal["create", "delete", "add", "remove"], name: str, slides: tuple[str, ...]
) -> None:
    places = tuple(slide_place(slide) for slide in slides)
    with session.engine() as engine:
        reply = engine.request(messages.EditCollection(action=action, name=name, slides=places))
    assert isinstance(reply, messages.CollectionList)
    if session.as_json:
        session.answer({"collections": [dataclasses.asdict(row) for row in reply.collections]})
    else:
        session.say("Done.")
