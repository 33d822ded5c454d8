"""Tokens of sources in the marketplace."""

from auction.source_tokens import compile_source_tokens
from config.marketplace import Source
from config.sealing import resolve_secret
from config.secret_values import Secret
from storage.tokens import TokenGrant, hash_token


def a_source(name: str, token: object) -> Source:
    return Source.model_validate({"id": name, "name": name.upper(), "token": token})


def plain(secret: Secret) -> str:
    return resolve_secret(secret, None, {})


def test_a_sources_token_sees_that_sources_calls_and_no_more() -> None:
    sources = [a_source("p1", "first"), a_source("p2", "second"), Source(id="p3")]
    assert compile_source_tokens(sources, plain) == {
        hash_token("first"): TokenGrant("source:p1", "P1", frozenset({"read"}), source="p1"),
        hash_token("second"): TokenGrant("source:p2", "P2", frozenset({"read"}), source="p2"),
    }


def test_a_token_that_two_sources_share_is_good_for_neither() -> None:
    sources = [a_source("p1", "same"), a_source("p2", "same"), a_source("p3", "own")]
    assert set(compile_source_tokens(sources, plain)) == {hash_token("own")}


def test_a_token_that_cant_be_had_leaves_the_others_good() -> None:
    sources = [a_source("p1", {"env": "NOT_SET"}), a_source("p2", "own")]
    assert set(compile_source_tokens(sources, plain)) == {hash_token("own")}
