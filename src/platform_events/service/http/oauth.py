"""Logging in as OAuth 2.0 has it, in the form in which clients of Salesforce read it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from platform_events.service.access import TooManyLoginsError, principal_id, tenant_id
from platform_events.service.http.callers import (
    TooLargeError,
    address_of,
    basic_credentials,
    bearer_token,
    read_small,
)
from platform_events.wording import one_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    from platform_events.service.access import Access, Login, Session

_MOST_FIELDS = 50
_NOT_STORED = {"Cache-Control": "no-store"}


class _RefusedError(Exception):
    """A request is refused.

    Args:
        code: which clients branch on.
        text: for people.
        status: of the answer. Clients read the code of no other one than 400.
    """

    def __init__(self, code: str, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.code = code
        self.status = status


def oauth_routes(access: Access, url: str) -> list[Route]:
    """Return the routes that log in, say who somebody is, and revoke tokens.

    Args:
        access: knows who may.
        url: what clients are told to go on with, such as `https://localhost:7444`.
    """
    tokens = _Tokens(access, url)
    return [
        Route("/services/oauth2/token", _answering(tokens.issue), methods=["POST"]),
        Route("/services/oauth2/userinfo", _answering(tokens.tell), methods=["GET", "POST"]),
        # Some clients send GET, with the token in the query.
        Route("/services/oauth2/revoke", _answering(tokens.revoke), methods=["GET", "POST"]),
    ]


class _Tokens:
    def __init__(self, access: Access, url: str) -> None:
        self._access = access
        self._url = url

    async def issue(self, request: Request) -> Response:
        """Answer with a token."""
        form = await _read_form(request)
        kind = form.get("grant_type", "")
        grants = {
            "client_credentials": self._client_credentials,
            "password": self._password,
            "refresh_token": self._refresh_token,
        }
        grant = grants.get(kind)
        if grant is None:
            raise _RefusedError(
                "unsupported_grant_type", f"grant_type has to be {one_of(list(grants))}"
            )
        return JSONResponse(await grant(form, request), headers=_NOT_STORED)

    async def tell(self, request: Request) -> Response:
        """Answer with who has a token."""
        token = bearer_token(request) or request.query_params.get("access_token", "")
        session = self._access.identify(token) if token else None
        if session is None:
            return Response("Bad_OAuth_Token", 403, media_type="text/plain")
        organization, user = tenant_id(session.tenant), principal_id(session.principal)
        return JSONResponse(
            {
                "sub": self._identity(session),
                "user_id": user,
                "organization_id": organization,
                "preferred_username": session.principal,
                "nickname": session.principal,
                "name": session.principal,
                "user_type": "STANDARD",
                "language": "en_US",
                "locale": "en_US",
                "active": True,
                "urls": {"rest": f"{self._url}/services/data/v{{version}}/"},
            },
            headers=_NOT_STORED,
        )

    async def revoke(self, request: Request) -> Response:
        """Revoke a token. One that is none is revoked already, as RFC 7009 has it."""
        form = await _read_form(request) if request.method == "POST" else {}
        token = form.get("token") or request.query_params.get("token", "")
        if not token:
            raise _RefusedError("invalid_request", "token is missing")
        self._access.revoke(token)
        return Response(status_code=200, headers=_NOT_STORED)

    async def _client_credentials(self, form: Mapping[str, str], request: Request) -> Any:
        given = basic_credentials(request, is_form=True)
        name, secret = given or _both(form, "client_id", "client_secret")
        login = await self._log_in(name, secret, request)
        if login is None:
            # 401 is for those who have chosen the header; others read the code of 400.
            text = "there is nobody with this client_id and client_secret"
            raise _RefusedError("invalid_client", text, 401 if given else 400)
        return self._document(login)

    async def _password(self, form: Mapping[str, str], request: Request) -> Any:
        name, password = _both(form, "username", "password")
        login = await self._log_in(name, password, request)
        if login is None:
            raise _RefusedError("invalid_grant", "there is nobody with this username and password")
        return {**self._document(login), "refresh_token": login.refresh_token}

    async def _refresh_token(self, form: Mapping[str, str], request: Request) -> Any:
        token = form.get("refresh_token", "")
        if not token:
            raise _RefusedError("invalid_request", "refresh_token is missing")
        login = self._access.refresh(token, address_of(request))
        if login is None:
            raise _RefusedError("invalid_grant", "expired access/refresh token")
        return self._document(login)

    async def _log_in(self, name: str, password: str, request: Request) -> Login | None:
        try:
            return await self._access.log_in(name, password, address_of(request))
        except TooManyLoginsError:
            raise _RefusedError(
                "invalid_grant", "login rate exceeded: there are too many attempts; try again later"
            ) from None

    def _document(self, login: Login) -> dict[str, Any]:
        return {
            "access_token": login.token,
            "instance_url": self._url,
            "id": self._identity(login.session),
            "token_type": "Bearer",
            "issued_at": str(int(time.time() * 1000)),
            "expires_in": login.valid_for,
        }

    def _identity(self, session: Session) -> str:
        """Return the URL of which clients cut a tenant's ID."""
        return f"{self._url}/id/{tenant_id(session.tenant)}/{principal_id(session.principal)}"


def _answering(
    answer: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    async def run(request: Request) -> Response:
        try:
            return await answer(request)
        except _RefusedError as error:
            headers = dict(_NOT_STORED)
            if error.status == 401:
                headers["WWW-Authenticate"] = 'Basic realm="platform-events"'
            # Camel takes these two fields, and fails on any other.
            document = {"error": error.code, "error_description": str(error)}
            return JSONResponse(document, error.status, headers)

    return run


async def _read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form.

    Raises:
        _RefusedError: it is none, or a field is repeated.
    """
    try:
        text = (await read_small(request)).decode()
        pairs = parse_qsl(
            text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
        )
    except (TooLargeError, ValueError):
        raise _RefusedError("invalid_request", "the body is no form") from None
    form = dict(pairs)
    if len(form) < len(pairs):
        raise _RefusedError("invalid_request", "a field is repeated")
    return form


def _both(form: Mapping[str, str], first: str, second: str) -> tuple[str, str]:
    if not form.get(first) or not form.get(second):
        raise _RefusedError("invalid_request", f"{first} and {second} are needed")
    return form[first], form[second]
