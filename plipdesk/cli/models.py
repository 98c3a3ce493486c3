"""``plipdesk models``: the encoders of the workspace."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from plipdesk.base.errors import Cancelled, NotFound, UsageProblem
from plipdesk.cli.commands import command, group
from plipdesk.cli.session import Session
from plipdesk.engine import messages

app = group("List and inspect encoders, and choose the one in use.")
EncoderArgument = Annotated[str, typer.Argument(metavar="ENCODER", help="The encoder's id.")]


@command(app, "list")
def list_models(
    session: Session,
    known: Annotated[bool, typer.Option("--known", help="Also those that can be downloaded, or not yet used.")] = False,
) -> None:
    """List the encoders that can be used; the one in use is marked."""
    from plipdesk.encoders.known import known_models
    from plipdesk.encoders.loading import list_encoders

    current = _current(session)
    found = list_encoders(session.workspace.models)
    have = {installed.card.id for installed in found}
    others = [model for model in known_models() if model.id not in have] if known else []
    if session.as_json:
        rows = [_summary(installed.card, installed.embedded, current) for installed in found]
        document: dict[str, Any] = {"models": rows, "current": current}
        if known:
            document["known"] = [model.model_dump(mode="json") for model in others]
        session.answer(document)
        return
    for installed in found:
        mark = "*" if installed.card.id == current else " "
        session.say(f"{mark} {installed.card.id}  {installed.card.name}  ({installed.card.licence})")
    if others:
        session.say("\nKnown, not installed:")
    for model in others:
        session.say(f"  {model.id}  {model.name}  (licence: {model.licence})")
        session.say(f"      {model.obstacle or model.summary}")


@command(app, "info")
def info(session: Session, encoder: EncoderArgument) -> None:
    """Show an encoder's card, or what is known of one that is not installed."""
    from plipdesk.encoders.known import known_model
    from plipdesk.encoders.loading import find_encoder

    try:
        card = find_encoder(encoder, session.workspace.models).card
    except NotFound as missing:
        try:
            known = known_model(encoder)
        except NotFound:
            raise missing from None
        document = known.model_dump(mode="json", exclude_none=True) | {"installed": False}
    else:
        document = card.model_dump(mode="json") | {"fingerprint": card.fingerprint(), "installed": True}
    if session.as_json:
        session.answer(document)
    else:
        for key, value in document.items():
            for number, line in enumerate(_lines(value)):
                session.say(f"{'' if number else key.replace('_', ' '):>18}  {line}")


@command(app, "use")
def use(
    session: Session,
    encoder: EncoderArgument,
    collection: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only for this collection: its new slides and its searches.")
    ] = None,
) -> None:
    """Make an encoder the one that new searches and slides use; "default" undoes what --collection chose."""
    chosen = "" if encoder == "default" and collection is not None else encoder
    with session.engine() as engine:
        reply = engine.request(messages.UseEncoder(id=chosen, collection=collection))
    assert isinstance(reply, messages.EncoderList)
    if session.as_json:
        session.answer({"current": reply.current, "collection": collection, "encoder": chosen or None})
    elif collection is None:
        session.say(f"{reply.current} is in use now.")
    else:
        session.say(f"{collection} uses {chosen or 'what the workspace uses'} now.")
        if chosen:
            session.remark(f"What its slides cost to encode: plipdesk models cost {chosen} --collection {collection!r}")


@command(app, "remove")
def remove(
    session: Session,
    encoder: EncoderArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove an imported encoder: its files, all that it encoded, and its index."""
    with session.engine() as engine:
        reply = engine.request(messages.ListModels())
        assert isinstance(reply, messages.ModelList)
        found = next((model for model in reply.models if model.id == encoder and model.installed), None)
        if found is not None and not found.embedded and not yes:
            _ask(session, f"Remove {found.name} and the {found.patches:,} patches of {counted(found.slides, 'slide')}?")
        removed = engine.request(messages.RemoveModel(id=encoder))
    assert isinstance(removed, messages.Removed)
    if session.as_json:
        session.answer({"id": encoder} | {key: getattr(removed, key) for key in ("patches", "slides", "freed_bytes")})
    else:
        session.say(
            f"{encoder} is removed, with {removed.patches:,} patches of {counted(removed.slides, 'slide')}; "
            f"{removed.freed_bytes / 1e6:,.0f} MB are free again."
        )


def counted(number: int, what: str) -> str:
    """``1 slide``, ``2,000 slides``."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _ask(session: Session, question: str) -> None:
    """Go on only after a typed yes.

    Raises:
        UsageProblem: nobody is there to answer.
        Cancelled: the answer is no.
    """
    if session.as_json or not sys.stdin.isatty():
        raise UsageProblem("This has to be confirmed.", remedy="Give --yes.")
    if not typer.confirm(question):
        raise Cancelled("Nothing was changed.")


def _lines(value: Any) -> list[str]:
    """A field of a card as lines for people."""
    if isinstance(value, dict):
        lines = []
        for key, inner in value.items():
            nested = _lines(inner)
            simple = len(nested) == 1 and not isinstance(inner, dict)
            lines += [f"{key}: {nested[0]}"] if simple else [f"{key}:", *(f"    {line}" for line in nested)]
        return lines or ["none"]
    if isinstance(value, list | tuple):
        if all(isinstance(inner, dict) for inner in value):
            return [", ".join(f"{key} {inner}" for key, inner in row.items() if inner) for row in value] or ["none"]
        if all(isinstance(inner, float | int) for inner in value):
            return [", ".join(str(inner) for inner in value)]
        return [str(inner) for inner in value] or ["none"]
    return [str(value)] if value != "" else ["none"]


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
