"""Who sends a request over HTTP."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from starlette.exceptions import HTTPException

from platform_events.service.access import TooManyLoginsError

if TYPE_CHECKING:
    from starlette.requests import Request

    from platform_events.service.access import Access, Session

_LARGEST_REQUEST = 64 * 1024
_REALM = {"WWW-Authenticate": 'Basic realm="platform-events", charset="UTF-8"'}


class TooLargeError(Exception):
    """A request is larger than any that is meant."""


def address_of(request: Request) -> str:
    """Return where a request comes from."""
    return request.client.host if request.client is not None else "nowhere"


async def read_small(request: Request) -> bytes:
    """Return the body of a request that can only be small.

    Raises:
        TooLargeError: it is not.
    """
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > _LARGEST_REQUEST:
            raise TooLargeError(f"a request has at most {_LARGEST_REQUEST:,} bytes")
    return data


def bearer_token(request: Request) -> str:
    """Return the token in a request's header, empty if there is none."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    # Clients of Salesforce write OAuth as well.
    return token.strip() if kind.lower() in ("bearer", "oauth") else ""


def basic_credentials(request: Request, *, is_form: bool = False) -> tuple[str, str] | None:
    """Return name and secret in a request's header; None if there are none.

    Args:
        request: with the header.
        is_form: whether both are encoded as in forms first, as OAuth has it.
    """
    kind, _, text = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(text.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    name, separator, secret = decoded.partition(":")
    if not separator:
        return None
    return (unquote_plus(name), unquote_plus(secret)) if is_form else (name, secret)


async def caller(request: Request, access: Access) -> Session:
    """Return who sends a request with a token, or with name and secret.

    Raises:
        HTTPException: that is nobody who may.
    """
    token = bearer_token(request)
    if token:
        session = access.identify(token)
    elif given := basic_credentials(request):
        try:
            login = await access.log_in(*given, address_of(request))
        except TooManyLoginsError:
            raise HTTPException(429, "there are too many attempts; try again later") from None
        session = login.session if login else None
    else:
        session = None
    if session is None:
        raise HTTPException(401, "give a token, or name and secret", _REALM)
    return session
