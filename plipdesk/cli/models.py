"""``plipdesk models``: the encoders of the workspace."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from plipdesk.cli.commands import command, group
from plipdesk.cli.session import Session
from plipdesk.engine import messages

app = group("List and inspect encoders, and choose the one in use.")
EncoderArgument = Annotated[str, typer.Argument(metavar="ENCODER", help="The encoder's id.")]


@command(app, "list")
def list_models(session: Session) -> None:
    """List the encoders that can be used; the one in use is marked."""
    from plipdesk.encoders.loading import list_encoders

    current = _current(session)
    found = list_encoders(session.workspace.models)
    if session.as_json:
        rows = [_summary(installed.card, installed.embedded, current) for installed in found]
        session.answer({"models": rows, "current": current})
        return
    for installed in found:
        mark = "*" if installed.card.id == current else " "
        session.say(f"{mark} {installed.card.id}  {installed.card.name}  ({installed.card.licence})")


@command(app, "info")
def info(session: Session, encoder: EncoderArgument) -> None:
    """Show an encoder's card."""
    from plipdesk.encoders.loading import find_encoder

    card = find_encoder(encoder, session.workspace.models).card
    document = card.model_dump(mode="json") | {"fingerprint": card.fingerprint()}
    if session.as_json:
        session.answer(document)
    else:
        for key, value in document.items():
            session.say(f"{key:>16}  {value}")


@command(app, "use")
def use(session: Session, encoder: EncoderArgument) -> None:
    """Make an encoder the one that new searches and slides use."""
    with session.engine() as engine:
        reply = engine.request(messages.UseEncoder(id=encoder))
    assert isinstance(reply, messages.EncoderList)
    if session.as_json:
        session.answer({"current": reply.current})
    else:
        session.say(f"{reply.current} is in use now.")


def _current(session: Session) -> str:
    from plipdesk.encoders.loading import find_encoder

    chosen: str | None = None
    catalogue = session.catalogue()
    if catalogue is not None:
        with catalogue:
            chosen = catalogue.settings.get("encoder")
    return find_encoder(chosen, session.workspace.models).card.id


def _summary(card: Any, embedded: bool, current: str) -> dict[str, Any]:
    return {
        "id": card.id, "name": card.name, "fingerprint": card.fingerprint(), "mpp_um": card.mpp_um,
        "input_px": card.input_px, "dim": card.dim, "has_words": card.has_words, "embedded": embedded,
        "licence": card.licence, "current": card.id == current,
    }  # fmt: skip
