"""Callers' identity at rest."""

import hashlib

import pytest

from auction.domain.call import Caller
from auction.domain.ids import CallId
from config.secret_box import SecretBox, SecretBoxError
from storage.vault import CallerVault
from tests.builders import a_call
from tests.ledger_steps import VAULT


def test_what_was_sealed_comes_back_and_can_not_be_read_without_the_key() -> None:
    call = a_call(fields={"zip_code": "90210", "age": 42, "ratio": 0.5, "owner": True})
    sealed = VAULT.seal(call)
    opened = VAULT.open(sealed, call.call_id)
    assert (opened.caller, opened.fields) == (call.caller, call.fields)
    assert b"3105551234" not in sealed
    assert b"90210" not in sealed
    with pytest.raises(SecretBoxError):
        CallerVault(SecretBox(b"x" * 32), b"identity").open(sealed, call.call_id)


def test_what_was_sealed_for_one_call_does_not_open_for_another() -> None:
    with pytest.raises(SecretBoxError):
        VAULT.open(VAULT.seal(a_call("call-1")), CallId("call-2"))


def test_a_withheld_caller_has_no_hash_and_comes_back_withheld() -> None:
    call = a_call(caller=Caller())
    assert VAULT.hash(None) is None
    assert VAULT.open(VAULT.seal(call), call.call_id).caller.withheld


def test_a_callers_hash_depends_on_the_identity_key_alone() -> None:
    number = "+13105551234"
    rotated = CallerVault(SecretBox(b"x" * 32), b"identity")
    stranger = CallerVault(SecretBox(b"k" * 32), b"another")
    assert rotated.hash(number) == VAULT.hash(number)
    assert stranger.hash(number) != VAULT.hash(number)
    assert VAULT.hash("+13105551235") != VAULT.hash(number)


def test_a_fingerprint_can_not_be_found_by_trying_without_the_key() -> None:
    content = b'{"caller_id":"+13105551234"}'
    rotated = CallerVault(SecretBox(b"x" * 32), b"identity")
    stranger = CallerVault(SecretBox(b"k" * 32), b"another")
    assert rotated.fingerprint(content) == VAULT.fingerprint(content)
    assert stranger.fingerprint(content) != VAULT.fingerprint(content)
    assert VAULT.fingerprint(content) != hashlib.sha256(content).digest()
    assert len(VAULT.fingerprint(content)) == 32


def test_a_fingerprint_of_a_bare_number_is_not_the_callers_hash() -> None:
    assert VAULT.fingerprint(b"+13105551234") != VAULT.hash("+13105551234")
