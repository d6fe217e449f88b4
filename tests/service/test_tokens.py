"""Tokens: who can read them, and for how long."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_events.errors import ServiceError
from platform_events.service.access import tenant_id
from platform_events.service.credentials import SecretDigest
from platform_events.service.principals import Principal
from platform_events.service.tokens import (
    KEY_BYTES,
    LIFETIMES,
    InvalidTokenError,
    Tokens,
    fingerprint,
    load_key,
)

KEY = b"k" * KEY_BYTES
BILLING = Principal("billing", "shop", SecretDigest.of("secret"))


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def test_another_replica_with_the_key_reads_what_was_issued() -> None:
    token = Tokens(KEY, Clock()).issue(BILLING, "access")
    claims = Tokens(KEY, Clock()).read(token, "access")
    assert (claims.principal, claims.tenant) == ("billing", "shop")
    assert claims.expires_at - claims.issued_at == LIFETIMES["access"]
    assert claims.fingerprint == fingerprint(BILLING)
    assert token.startswith(f"{tenant_id('shop')}!")
    assert len(token) < 300
    with pytest.raises(InvalidTokenError, match="another key"):
        Tokens(b"K" * KEY_BYTES, Clock()).read(token, "access")


def test_a_token_says_nothing_about_the_secret() -> None:
    assert fingerprint(BILLING) not in BILLING.credential.text
    assert Principal("billing", "shop", SecretDigest.of("other")) != BILLING
    assert fingerprint(BILLING) != fingerprint(Principal("a", "b", SecretDigest.of("other")))


def test_two_tokens_are_never_the_same() -> None:
    tokens = Tokens(KEY, Clock())
    assert tokens.issue(BILLING, "access") != tokens.issue(BILLING, "access")


@pytest.mark.parametrize("kind", ["access", "refresh"])
def test_it_expires_and_no_use_prolongs_it(kind: str) -> None:
    clock = Clock()
    tokens = Tokens(KEY, clock)
    token = tokens.issue(BILLING, kind)  # type: ignore[arg-type]
    clock.now += LIFETIMES[kind] - 1  # type: ignore[index]
    tokens.read(token, kind)  # type: ignore[arg-type]
    clock.now += 1
    with pytest.raises(InvalidTokenError, match="expired"):
        tokens.read(token, kind)  # type: ignore[arg-type]


def test_one_kind_is_not_good_for_the_other() -> None:
    tokens = Tokens(KEY)
    with pytest.raises(InvalidTokenError, match="for refresh"):
        tokens.read(tokens.issue(BILLING, "refresh"), "access")
    with pytest.raises(InvalidTokenError, match="for access"):
        tokens.read(tokens.issue(BILLING, "access"), "refresh")


@given(st.integers(min_value=0), st.characters(max_codepoint=127))
def test_no_character_of_it_can_be_changed(at: int, other: str) -> None:
    tokens = Tokens(KEY)
    token = tokens.issue(BILLING, "access")
    at %= len(token)
    changed = f"{token[:at]}{other}{token[at + 1 :]}"
    if changed == token:
        tokens.read(changed, "access")
    else:
        with pytest.raises(InvalidTokenError):
            tokens.read(changed, "access")


@given(st.text())
def test_nonsense_is_refused_in_one_way(text: str) -> None:
    tokens = Tokens(KEY)
    for token in (
        text,
        f"00D!{text}.{text}",
        f"{text}.{tokens._sign(text)}" if text.isascii() else "",
    ):
        with pytest.raises(InvalidTokenError):
            tokens.read(token, "access")


def test_a_later_form_is_said_to_be_unknown() -> None:
    tokens = Tokens(KEY)
    signed = "00D!WzIsMV0"  # [2,1]
    with pytest.raises(InvalidTokenError, match="version 2"):
        tokens.read(f"{signed}.{tokens._sign(signed)}", "access")


def test_a_key_is_the_bytes_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token.key"
    with pytest.raises(ServiceError, match="cannot be read"):
        load_key(file)
    file.write_bytes(KEY[1:])
    with pytest.raises(ServiceError, match="has 31 bytes"):
        load_key(file)
    file.write_bytes(KEY)
    assert load_key(file) == KEY
