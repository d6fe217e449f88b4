"""Access for principals: who has logged in with a secret or password, and may do what."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NoReturn, Self

from platform_events.names import stream_path
from platform_events.service.access import (
    Login,
    Session,
    TooManyLoginsError,
    check_metadata,
    tenant_id,
)
from platform_events.service.errors import AUTH_ERROR, CallError, topic_not_found
from platform_events.service.slowdown import Slowdown
from platform_events.service.tokens import LIFETIMES, InvalidTokenError, fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_events.service.access_log import AccessLog
    from platform_events.service.principals import Principal
    from platform_events.service.principals_file import PrincipalsFile
    from platform_events.service.tokens import Claims, Tokens

_FAILURE_SECONDS = 0.5
"""How long a failed login takes at least, so that its time does not say what failed."""
_PASSWORD_THREADS = 2
"""Passwords that are hashed at a time: each takes 32 MiB."""
_MOST_PASSWORDS = 64
"""Those that wait for a thread, too: more are refused, and whoever has a secret is not held up."""
_SHORT_ID = 15
"""Some clients leave the last three characters of a tenant's ID out."""
_LONGEST_NAME = 200


class PrincipalAccess:
    """Lets principals in, for the length of a `with`.

    What the file says now counts, whenever a token was issued.

    Args:
        file: who there is.
        tokens: issues and reads what they carry.
        log: is told of logins and refusals.
        slowdown: of failed logins.
    """

    def __init__(
        self, file: PrincipalsFile, tokens: Tokens, log: AccessLog, slowdown: Slowdown | None = None
    ) -> None:
        self._file = file
        self._tokens = tokens
        self._log = log
        self._slowdown = slowdown or Slowdown()
        self._threads = ThreadPoolExecutor(_PASSWORD_THREADS, "platform-events-passwords")
        self._lock = threading.Lock()
        self._hashing = 0
        """Passwords that are compared, or wait for that."""
        self._revoked: dict[str, int] = {}
        """Tokens by their IDs, and when they expire. Each was good: others cannot fill this."""

    async def log_in(self, name: str, password: str, address: str) -> Login | None:
        """Return what one with this password or secret gets; None if that is nobody.

        Raises:
            TooManyLoginsError: too many wait already.
        """
        name = name[:_LONGEST_NAME]
        key = name, address
        wait = self._slowdown.begin(key)
        if wait is None:
            self._refuse_many(name, address)
        await asyncio.sleep(wait)
        began = time.monotonic()
        principal = self._file.principals.get(name)
        reason = ""
        if principal is None:
            reason = "there is nobody of this name"
        elif not await self._matches(principal, password, address):
            reason = "the password is wrong"
        elif principal.disabled:
            reason = "it is disabled"
        if principal is None or reason:
            self._slowdown.fail(key)
            self._log.login_refused(name, address, reason)
            await asyncio.sleep(began + _FAILURE_SECONDS - time.monotonic())
            return None
        self._slowdown.succeed(key)
        return self._let_in(principal, address, self._tokens.issue(principal, "refresh"))

    def _refuse_many(self, name: str, address: str) -> NoReturn:
        self._log.login_refused(name, address, "there are too many attempts")
        raise TooManyLoginsError

    async def _matches(self, principal: Principal, password: str, address: str) -> bool:
        if not principal.credential.is_slow:
            return principal.credential.matches(password)
        with self._lock:
            has_room = self._hashing < _MOST_PASSWORDS
            self._hashing += has_room
        if not has_room:
            self._refuse_many(principal.name, address)
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, principal.credential.matches, password)
        finally:
            with self._lock:
                self._hashing -= 1

    def _let_in(self, principal: Principal, address: str, refresh_token: str = "") -> Login:
        session = _session(principal)
        self._log.logged_in(session, address)
        token = self._tokens.issue(principal, "access")
        return Login(session, token, LIFETIMES["access"], refresh_token)

    def refresh(self, token: str, address: str) -> Login | None:
        """Return what one with this refresh token gets; None if it is not good."""
        try:
            claims = self._tokens.read(token, "refresh")
            principal = self._principal(claims)
        except InvalidTokenError as error:
            self._log.call_refused(address, f"of its refresh token: {error}")
            return None
        return self._let_in(principal, address)

    def identify(self, token: str) -> Session | None:
        """Return who has this token; None if it is not good."""
        try:
            return self._session_of(token)
        except InvalidTokenError:
            return None

    def revoke(self, token: str) -> None:
        """Let nobody in with this token any more, in this process. Streams go on."""
        for kind in LIFETIMES:
            try:
                claims = self._tokens.read(token, kind)
            except InvalidTokenError:
                continue
            now = time.time()
            with self._lock:
                kept = {id_: until for id_, until in self._revoked.items() if until > now}
                self._revoked = kept | {claims.id: claims.expires_at}

    def authenticate(self, metadata: Mapping[str, str], address: str) -> Session:
        """Return who calls; raises `CallError` if that is nobody who may."""
        check_metadata(metadata)
        try:
            session = self._session_of(metadata["accesstoken"])
            _check_tenant(session.tenant, metadata["tenantid"])
        except InvalidTokenError as error:
            self._log.call_refused(address, f"of its token: {error}")
            raise _refusal() from None
        return session

    def check(self, session: Session) -> None:
        """Raise `CallError` if one that was let in would not be now, or not with what it uses."""
        principal = self._file.principals.get(session.principal)
        if (
            principal is None
            or principal.disabled
            or principal.tenant != session.tenant
            or fingerprint(principal) != session.fingerprint
        ):
            raise _refusal()
        for right, stream in session.used:
            if not principal.may(right, stream):
                raise topic_not_found(stream_path(stream))

    def _session_of(self, token: str) -> Session:
        return _session(self._principal(self._tokens.read(token, "access")))

    def _principal(self, claims: Claims) -> Principal:
        """Return whose token it is.

        Raises:
            InvalidTokenError: it is not let in any more.
        """
        principal = self._file.principals.get(claims.principal)
        who = f"{claims.principal} of tenant {claims.tenant}"
        if claims.id in self._revoked:
            raise InvalidTokenError(f"{who} has revoked it")
        if principal is None or principal.tenant != claims.tenant:
            raise InvalidTokenError(f"there is no {who} any more")
        if principal.disabled:
            raise InvalidTokenError(f"{who} is disabled")
        if fingerprint(principal) != claims.fingerprint:
            raise InvalidTokenError(f"{who} has another secret now")
        return principal

    def __enter__(self) -> Self:
        self._file.__enter__()
        return self

    def __exit__(self, *exit_: object) -> None:
        self._file.__exit__(*exit_)
        self._threads.shutdown(wait=False, cancel_futures=True)


def _check_tenant(tenant: str, given_id: str) -> None:
    own = tenant_id(tenant)
    if given_id not in (own, own[:_SHORT_ID]):
        raise InvalidTokenError("it is of another tenant than the tenantid beside it")


def _session(principal: Principal) -> Session:
    return Session(principal.name, principal.tenant, principal.grants, fingerprint(principal))


def _refusal() -> CallError:
    return CallError(
        AUTH_ERROR,
        "An authentication exception occurred. Provide valid authentication via metadata headers.",
    )
