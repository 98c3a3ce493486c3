"""The token of a person's account at the hub, for models whose authors let people in one by one.

It lies in the system's keyring and nowhere else; ``HF_TOKEN`` goes before it. It is never written into a workspace, a
log, a job or a command line.
"""

from __future__ import annotations

import os
from typing import Literal

from plipdesk.base.errors import EnvironmentProblem, UsageProblem

TOKEN_VARIABLE = "HF_TOKEN"
_SERVICE, _ACCOUNT = "plipdesk", "huggingface"
TokenPlace = Literal["environment", "keyring"]


class NoKeyring(EnvironmentProblem):
    """The system has no keyring that can be used."""

    kind = "keyring"

    def __init__(self) -> None:
        super().__init__(
            "This system has no keyring in which a token could be kept.",
            remedy=f"Set the environment variable {TOKEN_VARIABLE} for the download instead.",
        )


def find_token() -> tuple[str, TokenPlace] | None:
    """The token and where it was found; None where there is none, or no keyring."""
    given = os.environ.get(TOKEN_VARIABLE, "").strip()
    if given:
        return given, "environment"
    import keyring
    from keyring.errors import KeyringError

    try:
        kept = keyring.get_password(_SERVICE, _ACCOUNT)
    except KeyringError:
        return None
    return None if not kept else (kept, "keyring")


def keep_token(token: str) -> None:
    """Keep a token in the keyring.

    Raises:
        UsageProblem: it cannot be a token.
        NoKeyring: there is nowhere to keep it.
    """
    import keyring
    from keyring.errors import KeyringError

    token = token.strip()
    if not token or not token.isascii() or any(letter.isspace() for letter in token):
        raise UsageProblem("This cannot be a token.", remedy="Copy it whole from your account's settings at the hub.")
    try:
        keyring.set_password(_SERVICE, _ACCOUNT, token)
    except KeyringError as error:
        raise NoKeyring from error


def forget_token() -> bool:
    """Take the token out of the keyring; returns whether there was one.

    Raises:
        NoKeyring: there is none to look into.
    """
    import keyring
    from keyring.errors import KeyringError, PasswordDeleteError

    try:
        keyring.delete_password(_SERVICE, _ACCOUNT)
    except PasswordDeleteError:
        return False
    except KeyringError as error:
        raise NoKeyring from error
    return True
