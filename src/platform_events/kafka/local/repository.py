"""A Maven repository: files by their paths, over HTTP."""

from __future__ import annotations

import base64
import re
import ssl
from http.client import HTTPException, HTTPResponse, IncompleteRead, InvalidURL
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPSHandler, Request, build_opener, getproxies, proxy_bypass

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import PurePosixPath

_PATIENCE = 30.0
"""Seconds without a byte until the server counts as silent."""
_PIECE = 1 << 16
_NOT_FOUND = 404
_NOT_HTTP = "the address must begin with https:// or http://"
_MALFORMED = "the address is malformed"


class RepositoryError(Exception):
    """A file cannot be had; the text is a few words for the user."""


class MavenRepository:
    """The central repository or a mirror of it.

    A proxy is taken from the environment, and certificates are judged as the system judges them.
    """

    def __init__(self, mirror: str | None = None) -> None:
        """Take files from `mirror`, an address that may hold a user and a password.

        Raises:
            ImportError: the extra `local` is not installed.
        """
        import truststore

        address = mirror or _central_repository()
        credentials = re.search(r"(?<=//)([^/]*)@", address)
        self.address = address.replace(credentials[0], "", 1) if credentials else address
        """Without what must not reach a log."""
        self._authorization = _basic(credentials[1]) if credentials else None
        context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._opener = build_opener(HTTPSHandler(context=context))

    def read(self, path: PurePosixPath, size: int) -> Iterator[bytes]:
        """Yield the first `size` bytes of a file, or all if they are fewer.

        Raises:
            RepositoryError: it is not there, or does not arrive whole.
        """
        try:
            with self._open(path) as response:
                rest = size
                while rest and (piece := response.read(min(rest, _PIECE))):
                    rest -= len(piece)
                    yield piece
                if rest and response.length:
                    raise IncompleteRead(b"")
        except (OSError, HTTPException, ValueError) as error:
            raise RepositoryError(self._explain(error, path)) from error

    def _open(self, path: PurePosixPath) -> HTTPResponse:
        parts = urlsplit(self.address)
        if parts.scheme not in ("https", "http"):
            raise RepositoryError(_NOT_HTTP)
        if not parts.hostname:
            raise RepositoryError(_MALFORMED)
        request = Request(f"{self.address.rstrip('/')}/{path}")  # noqa: S310 - judged above
        if self._authorization is not None:
            # Another server that this one redirects to must not get it.
            request.add_unredirected_header("Authorization", self._authorization)
        response: HTTPResponse = self._opener.open(request, timeout=_PATIENCE)
        return response

    def _explain(self, error: Exception, path: PurePosixPath) -> str:
        if isinstance(error, HTTPError):
            error.close()
            if error.code == _NOT_FOUND:
                *group, artifact, version, _ = path.parts
                return f"it does not have {'.'.join(group)}:{artifact}:{version}"
            return f"it answers {error.code} {error.reason}"
        reason = error.reason if isinstance(error, URLError) else error
        match reason:
            case ssl.SSLCertVerificationError():
                return "the server's TLS certificate is not trusted"
            case TimeoutError():
                return "the server does not answer"
            case InvalidURL() | ValueError():
                return _MALFORMED
        if not isinstance(error, URLError):
            return "the transfer broke off"
        if not self._has_proxy():
            return "the server cannot be reached"
        if str(reason).startswith("Tunnel connection failed"):
            return f"the proxy refuses: {reason}"
        return "the proxy cannot be reached"

    def _has_proxy(self) -> bool:
        parts = urlsplit(self.address)
        return parts.scheme in getproxies() and not proxy_bypass(str(parts.netloc))


def _central_repository() -> str:
    from packageurl.contrib.purl2url import DEFAULT_MAVEN_REPOSITORY

    address: str = DEFAULT_MAVEN_REPOSITORY
    return address


def _basic(credentials: str) -> str:
    return f"Basic {base64.b64encode(unquote(credentials).encode()).decode()}"
