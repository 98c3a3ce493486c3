"""``plipdesk models download | export | token``: models that come, and models that are carried elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from plipdesk.base.errors import Cancelled, NotFound, UsageProblem
from plipdesk.cli.commands import command, group
from plipdesk.cli.model_import import tell_import
from plipdesk.cli.models import EncoderArgument
from plipdesk.cli.places import absolute
from plipdesk.cli.progress import BarContext
from plipdesk.cli.session import Session

token_app = group("Keep the token of your account at the hub, for models whose authors let people in one by one.")


def declare(app: typer.Typer) -> None:
    """Add the commands to ``plipdesk models``."""
    command(app, "download")(download)
    command(app, "export")(export)
    command(token_app, "set")(set_token)
    command(token_app, "remove")(remove_token)
    command(token_app, "status")(token_status)
    app.add_typer(token_app, name="token")


def download(
    session: Session,
    model: Annotated[str, typer.Argument(metavar="ID", help="See 'plipdesk models list --known'.")],
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="You have read the licence and accept it.")
    ] = False,
) -> None:
    """Download a known model and import it: the one command that uses the network.

    Its licence is shown and has to be accepted first. Ctrl-C stops; the next download goes on where this one stopped.
    HF_ENDPOINT names a mirror, HTTPS_PROXY a proxy; HF_TOKEN or 'plipdesk models token set' give a token.
    """
    from plipdesk.encoders.fetching import install_known, licence_in_words
    from plipdesk.encoders.known import known_model

    known = known_model(model)
    if known.obstacle is not None:
        raise UsageProblem(f"{known.name} cannot be downloaded: {known.obstacle}")
    if (session.workspace.models / known.id).exists():
        raise UsageProblem(f"{known.name} is installed already.", remedy=f"Use it: plipdesk models use {known.id}.")
    shown = licence_in_words(known)
    if accept_licence:
        session.remark(shown)
    else:
        if session.as_json or not sys.stdin.isatty():
            raise UsageProblem(f"The licence has to be accepted first. {shown}", remedy="Give --accept-licence.")
        session.say(shown)
        if not typer.confirm("Do you accept this, and shall the model be downloaded?"):
            raise Cancelled("Nothing was downloaded.")
    try:
        with session.progress_bar() as bar:
            report = install_known(
                known.id, session.workspace.models, accepted_licence=known.licence, context=BarContext(bar)
            )
    except KeyboardInterrupt:
        raise Cancelled("Stopped on request. What was fetched is kept: the same command goes on from there.") from None
    tell_import(session, report)


def export(
    session: Session,
    encoder: EncoderArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to make, such as plip.plipdesk-model.")],
) -> None:
    """Write an imported encoder into one file, to carry it to a machine without network.

    There, 'plipdesk models import FILE' checks every byte and installs it.
    """
    from plipdesk.encoders.bundle import write_bundle
    from plipdesk.encoders.loading import find_encoder

    installed = find_encoder(encoder, session.workspace.models)
    out = absolute(file)
    with session.progress_bar() as bar:
        size_bytes = write_bundle(installed, out, context=BarContext(bar))
    if session.as_json:
        session.answer({"id": encoder, "file": str(out), "bytes": size_bytes})
    else:
        session.say(f"{encoder} is in {out} ({size_bytes / 1e6:,.0f} MB).")


def set_token(
    session: Session,
    from_stdin: Annotated[bool, typer.Option("--stdin", help="Read the token from standard input.")] = False,
) -> None:
    """Keep a token in the system's keyring. It is typed unseen, never given on the command line."""
    from plipdesk.encoders.hub_token import keep_token

    if from_stdin:
        token = sys.stdin.readline()
    elif sys.stdin.isatty():
        token = typer.prompt("Token", hide_input=True)
    else:
        raise UsageProblem("There is nobody to type the token.", remedy="Give it on standard input with --stdin.")
    keep_token(token)
    if session.as_json:
        session.answer({"token": "keyring"})
    else:
        session.say("The token is kept in the system's keyring.")


def remove_token(session: Session) -> None:
    """Take the token out of the system's keyring."""
    from plipdesk.encoders.hub_token import forget_token

    if not forget_token():
        raise NotFound("There is no token in the keyring.")
    if session.as_json:
        session.answer({"token": None})
    else:
        session.say("The token is gone from the keyring.")


def token_status(session: Session) -> None:
    """Tell whether there is a token, and where; the token itself is never shown."""
    from plipdesk.encoders.hub_token import TOKEN_VARIABLE, find_token

    found = find_token()
    place = None if found is None else found[1]
    if session.as_json:
        session.answer({"token": place})
    elif place is None:
        session.say("There is no token.")
    else:
        session.say("The token is in the keyring." if place == "keyring" else f"{TOKEN_VARIABLE} holds a token.")
