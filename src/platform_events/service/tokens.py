"""Tokens: what somebody carries who has logged in.

A token is `{organization}!{body}.{signature}`. The body is base64url of a JSON list that begins
with the version of its form; the signature is an HMAC of all before it. So nothing has to be kept
of a token, and every replica that has the key can read it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from platform_events.errors import ServiceError
from platform_events.service.access import tenant_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from platform_events.service.principals import Principal

Kind: TypeAlias = Literal["access", "refresh"]
LIFETIMES: dict[Kind, int] = {"access": 12 * 3_600, "refresh": 30 * 24 * 3_600}
"""Seconds for which a token is good, whether it is used or not."""
KEY_BYTES = 32
_VERSION = 1
_LONGEST = 2_000
"""Characters of a token at most."""
_CONTEXT = b"platform-events token\0"
"""So that what is signed with the key for another purpose is no token."""


class InvalidTokenError(Exception):
    """A token is none, or is not good any more; the text says why, for the log."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says."""

    kind: Kind
    principal: str
    tenant: str
    issued_at: int
    """Seconds since 1970."""
    expires_at: int
    fingerprint: str
    """Of the credential that it was issued for: another secret or password ends the token."""
    id: str
    """That no other token has."""


class Tokens:
    """Issues tokens, and reads them.

    Args:
        key: signs them; every replica of a service has the same.
        clock: seconds since 1970.
    """

    def __init__(self, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._clock = clock

    def issue(self, principal: Principal, kind: Kind) -> str:
        """Return a new token of a principal."""
        now = int(self._clock())
        claims = [
            _VERSION, kind, principal.name, principal.tenant, now, now + LIFETIMES[kind],
            fingerprint(principal), secrets.token_urlsafe(9),
        ]  # fmt: skip
        body = _text(json.dumps(claims, separators=(",", ":")).encode())
        signed = f"{tenant_id(principal.tenant)}!{body}"
        return f"{signed}.{self._sign(signed)}"

    def read(self, token: str, kind: Kind) -> Claims:
        """Return what a token says.

        Raises:
            InvalidTokenError: it was not issued with this key, is of another kind, or has expired.
        """
        signed, separator, signature = token.rpartition(".")
        if not separator or len(token) > _LONGEST or not token.isascii():
            raise InvalidTokenError("it is no token")
        if not hmac.compare_digest(self._sign(signed), signature):
            raise InvalidTokenError("its signature is of another key, or it was changed")
        claims = _parse(signed.partition("!")[2])
        if claims.kind != kind:
            raise InvalidTokenError(f"it is a token for {claims.kind}")
        if claims.expires_at <= self._clock():
            raise InvalidTokenError("it has expired")
        return claims

    def _sign(self, signed: str) -> str:
        return _text(hmac.digest(self._key, _CONTEXT + signed.encode(), "sha256"))


def fingerprint(principal: Principal) -> str:
    """Return what tells a principal's credential from others, and says nothing about it."""
    return _text(hashlib.sha256(principal.credential.text.encode()).digest()[:9])


def load_key(file: Path) -> bytes:
    """Return the key in a file, all of its bytes.

    Raises:
        ServiceError: it cannot be read, or is too short.
    """
    try:
        key = file.read_bytes()
    except OSError as error:
        raise ServiceError(f"{file} cannot be read ({error.strerror})") from None
    if len(key) < KEY_BYTES:
        raise ServiceError(
            f"{file} has {len(key)} bytes, and a key for tokens at least {KEY_BYTES}: make one "
            f"with head -c {KEY_BYTES} /dev/urandom > {file}"
        )
    return key


def _parse(body: str) -> Claims:
    """Return what a body says whose signature is good."""
    try:
        version, *claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, TypeError, binascii.Error):
        raise InvalidTokenError("it is no token") from None
    if version != _VERSION:
        raise InvalidTokenError(f"its form is version {version!r:.10}, unknown here")
    fields: Any = claims
    return Claims(*fields)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
