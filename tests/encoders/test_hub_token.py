"""Where the token of gated models lies: in the environment, or in the system's keyring."""

from __future__ import annotations

from collections.abc import Iterator

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoBackend
from keyring.errors import PasswordDeleteError

from plipdesk.base.errors import UsageProblem
from plipdesk.encoders.hub_token import NoKeyring, find_token, forget_token, keep_token


class InMemory(KeyringBackend):
    """A keyring that forgets everything at the end."""

    priority = 1  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.kept.pop((service, username), None) is None:
            raise PasswordDeleteError


@pytest.fixture(autouse=True)
def own_keyring(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    before = keyring.get_keyring()
    keyring.set_keyring(InMemory())
    yield
    keyring.set_keyring(before)


def test_a_token_is_kept_found_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_token() is None
    keep_token(" hf_abc\n")
    assert find_token() == ("hf_abc", "keyring")
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    assert find_token() == ("hf_other", "environment")
    monkeypatch.delenv("HF_TOKEN")
    assert forget_token()
    assert not forget_token()
    assert find_token() is None


@pytest.mark.parametrize("wrong", ["", "  ", "two words", "naïve"])
def test_what_cannot_be_a_token(wrong: str) -> None:
    with pytest.raises(UsageProblem):
        keep_token(wrong)


def test_without_a_keyring_the_variable_is_named() -> None:
    keyring.set_keyring(NoBackend())
    assert find_token() is None
    for use in (lambda: keep_token("hf_abc"), forget_token):
        with pytest.raises(NoKeyring) as caught:
            use()
        assert "HF_TOKEN" in (caught.value.remedy or "")
