"""Who calls, and what they may do."""

from __future__ import annotations

import hashlib
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from platform_events.service.errors import HEADERS_INVALID, CallError

if TYPE_CHECKING:
    from collections.abc import Mapping

Right: TypeAlias = Literal["publish", "subscribe", "manage"]
_METADATA = ("accesstoken", "instanceurl", "tenantid")
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase


@dataclass(frozen=True, slots=True)
class Session:
    """A caller that is known."""

    principal: str
    """Its name."""
    tenant: str
    """Whose events it works with."""

    def may(self, right: Right, stream: str) -> bool:  # noqa: ARG002 - one who is known may do all
        """Whether it has a right to a stream, given by its bare name."""
        return True


@dataclass(frozen=True, slots=True)
class Login:
    """What somebody gets who has logged in."""

    session: Session
    token: str
    """What calls have to carry."""


class Access(Protocol):
    """Who knows callers."""

    def log_in(self, name: str, password: str) -> Login | None:
        """Return what one with this password gets; None if that is nobody."""

    def authenticate(self, metadata: Mapping[str, str]) -> Session:
        """Return who calls; raises `CallError` if that is nobody who may."""


class OpenAccess:
    """Whoever calls may do all in one tenant: for a service that only this machine reaches.

    Args:
        tenant: which.
    """

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant

    def log_in(self, name: str, password: str) -> Login | None:  # noqa: ARG002 - any will do
        """Return what anybody gets: a token that nobody checks."""
        return Login(Session(name, self._tenant), f"{tenant_id(self._tenant)}!unchecked")

    def authenticate(self, metadata: Mapping[str, str]) -> Session:
        """Return who calls; raises `CallError` if the metadata that clients send is missing."""
        missing = [name for name in _METADATA if not metadata.get(name)]
        if missing:
            raise CallError(
                HEADERS_INVALID,
                "An authentication exception occurred. Provide valid authentication via metadata "
                f"headers: {', '.join(missing)} missing.",
            )
        return Session("anybody", self._tenant)


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
