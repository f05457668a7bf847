"""Encrypted columns and access tokens, before, while and after a key is changed."""

from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.secrets import UnreadableSecretError, Vault

OLD, NEW = "old-key-of-at-least-thirty-two-bytes", "new-key-of-at-least-thirty-two-bytes"
PURCHASE, OTHER = UUID(int=1), UUID(int=2)


def test_what_is_sealed_can_be_opened_and_not_read() -> None:
    """A dump of the database must not hold a client secret that anybody can use."""
    vault = Vault([OLD])
    sealed = vault.seal("pi_1_secret_é")
    assert vault.open(sealed) == "pi_1_secret_é"
    assert b"pi_1" not in sealed
    assert vault.seal("pi_1_secret_é") != sealed


def test_a_new_key_reads_what_the_old_one_wrote() -> None:
    """A key is changed while purchases wait for payment."""
    sealed = Vault([OLD]).seal("secret")
    both = Vault([NEW, OLD])
    assert both.open(sealed) == "secret"
    assert Vault([NEW]).open(both.seal("secret")) == "secret"


@pytest.mark.parametrize(
    "sealed",
    [Vault([OLD]).seal("secret"), b"", b"rubbish", b"\xff\x00"],
    ids=["of another key", "empty", "rubbish", "no text"],
)
def test_what_no_key_reads_is_an_error_of_its_own(sealed: bytes) -> None:
    """A key that was taken away too early is found by its name, not by a library's."""
    with pytest.raises(UnreadableSecretError, match="SECRET_KEY"):
        Vault([NEW]).open(sealed)


def test_an_access_token_opens_one_purchase() -> None:
    """A guest follows the own purchase and nobody else's."""
    vault = Vault([OLD])
    token = vault.access_token(PURCHASE)
    assert vault.is_access_token(PURCHASE, token)
    assert not vault.is_access_token(OTHER, token)


def test_a_purchase_has_the_same_token_in_every_process() -> None:
    """A repeat of a request is answered with the token of the first, and nothing is stored for it."""
    assert Vault([OLD]).access_token(PURCHASE) == Vault([OLD]).access_token(PURCHASE)


def test_tokens_of_the_old_key_are_good_while_it_is_configured() -> None:
    """Links in e-mails outlive a change of keys; without the old key they end."""
    token = Vault([OLD]).access_token(PURCHASE)
    assert Vault([NEW, OLD]).is_access_token(PURCHASE, token)
    assert not Vault([NEW]).is_access_token(PURCHASE, token)
    assert Vault([NEW, OLD]).access_token(PURCHASE) == Vault([NEW]).access_token(PURCHASE)


def test_a_token_can_be_part_of_an_address_and_tells_nothing() -> None:
    """It stands in links; it must need no escaping there, and hold neither key nor purchase."""
    token = Vault([OLD]).access_token(PURCHASE)
    assert len(token) == 43
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@settings(max_examples=100)
@given(st.text())
def test_no_other_text_is_a_token(guess: str) -> None:
    """Whatever a stranger sends, surrogates and zero bytes included, is refused and breaks nothing."""
    assert not Vault([NEW, OLD]).is_access_token(PURCHASE, guess)


@pytest.mark.parametrize("change", ["{}=", " {}", "{}\n", "{}A", "\ud800{}"])
def test_a_token_is_compared_as_a_whole(change: str) -> None:
    """One spelling of a token, so that a blocked one cannot come back in another."""
    vault = Vault([OLD])
    assert not vault.is_access_token(PURCHASE, change.format(vault.access_token(PURCHASE)))


def test_each_purpose_has_a_key_of_its_own() -> None:
    """Who learns an access token must be no step nearer to the columns."""
    as_column_key = Vault([OLD]).access_token(PURCHASE).encode() + b"="
    with pytest.raises(UnreadableSecretError):
        Vault([OLD]).open(as_column_key)
