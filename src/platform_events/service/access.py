"""Who calls, and what they may do."""

from __future__ import annotations

import hashlib
import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from platform_events.service.errors import HEADERS_INVALID, CallError
from platform_events.service.principals import RIGHTS, Grant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_events.service.principals import Right

_METADATA = ("accesstoken", "instanceurl", "tenantid")
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_EVERYTHING = (Grant(frozenset(RIGHTS), "*"),)
_ANYBODY = "anybody"
_UNCHECKED_SECONDS = 12 * 3_600
"""What is said of tokens that are good for ever."""


@dataclass(frozen=True, slots=True)
class Session:
    """A caller that is known, in one call."""

    principal: str
    """Its name."""
    tenant: str
    """Whose events it works with."""
    grants: tuple[Grant, ...] = _EVERYTHING
    """What it may do."""
    fingerprint: str = ""
    """Of the credential that it has logged in with."""
    used: set[tuple[Right, str]] = field(default_factory=set, compare=False, repr=False)
    """Rights that were asked for, with the stream, and are there: a stream ends without them."""
    refused: set[tuple[Right, str]] = field(default_factory=set, compare=False, repr=False)
    """Those that are not."""

    def may(self, right: Right, stream: str) -> bool:
        """Whether it has a right to a stream, given by its bare name."""
        allowed = any(grant.allows(right, stream) for grant in self.grants)
        (self.used if allowed else self.refused).add((right, stream))
        return allowed


@dataclass(frozen=True, slots=True)
class Login:
    """What somebody gets who has logged in."""

    session: Session
    token: str
    """What calls have to carry."""
    valid_for: int
    """Seconds for which they may."""
    refresh_token: str = ""
    """For which there is another token later."""


class TooManyLoginsError(Exception):
    """Somebody tries to log in too often."""


class Access(Protocol):
    """Who knows callers. Logging in may come from any event loop, calls from that of gRPC."""

    async def log_in(self, name: str, password: str, address: str) -> Login | None:
        """Return what one with this password or secret gets; None if that is nobody.

        Args:
            name: of a principal.
            password: or its secret.
            address: where it comes from.

        Raises:
            TooManyLoginsError: too many wait already.
        """

    def refresh(self, token: str, address: str) -> Login | None:
        """Return what one with this refresh token gets; None if it is not good."""

    def identify(self, token: str) -> Session | None:
        """Return who has this token; None if it is not good."""

    def revoke(self, token: str) -> None:
        """Let nobody in with this token any more."""

    def authenticate(self, metadata: Mapping[str, str], address: str) -> Session:
        """Return who calls; raises `CallError` if that is nobody who may."""

    def check(self, session: Session) -> None:
        """Raise `CallError` if one that was let in would not be now, or not with what it uses."""


class OpenAccess:
    """Whoever calls may do all in one tenant: for a service that only this machine reaches.

    Args:
        tenant: which.
    """

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant

    async def log_in(self, name: str, password: str, address: str) -> Login | None:  # noqa: ARG002
        """Return what anybody gets: a token that nobody checks."""
        token = f"{tenant_id(self._tenant)}!unchecked"
        return Login(Session(name, self._tenant), token, _UNCHECKED_SECONDS, token)

    def refresh(self, token: str, address: str) -> Login | None:  # noqa: ARG002 - any will do
        """Return what anybody gets."""
        session = Session(_ANYBODY, self._tenant)
        return Login(session, token, _UNCHECKED_SECONDS)

    def identify(self, token: str) -> Session | None:  # noqa: ARG002 - any will do
        """Return anybody."""
        return Session(_ANYBODY, self._tenant)

    def revoke(self, token: str) -> None:
        """Do nothing: nobody checks tokens."""

    def authenticate(self, metadata: Mapping[str, str], address: str) -> Session:  # noqa: ARG002
        """Return who calls; raises `CallError` if the metadata that clients send is missing."""
        check_metadata(metadata)
        return Session(_ANYBODY, self._tenant)

    def check(self, session: Session) -> None:
        """Do nothing: anybody may do all."""


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Raise `CallError` if the metadata that clients send is missing."""
    missing = [name for name in _METADATA if not metadata.get(name)]
    if missing:
        raise CallError(
            HEADERS_INVALID,
            "An authentication exception occurred. Provide valid authentication via metadata "
            f"headers: {', '.join(missing)} missing.",
        )


def tenant_id(tenant: str) -> str:
    """Return the 18 characters by which clients know a tenant."""
    return _identifier("00D", tenant)


def principal_id(principal: str) -> str:
    """Return the 18 characters by which clients know who they are."""
    return _identifier("005", principal)


def _identifier(kind: str, name: str) -> str:
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:9], "big")
    digits = ""
    for _ in range(12):
        number, digit = divmod(number, len(_DIGITS))
        digits += _DIGITS[digit]
    return f"{kind}{digits}AAA"
