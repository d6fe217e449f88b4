"""A service for principals in a test: their file, logins, and calls."""

from __future__ import annotations

import base64
import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import grpc
import pytest

from platform_events.cli.serving import HTTP, PLAINTEXT, listening, serving
from platform_events.service.access import tenant_id
from platform_events.service.access_log import AccessLog
from platform_events.service.credentials import PasswordHash, SecretDigest
from platform_events.service.principal_access import PrincipalAccess
from platform_events.service.principals import Grant, Principal, Right
from platform_events.service.principals_file import PrincipalsFile, add_principal
from platform_events.service.tokens import KEY_BYTES, Tokens
from platform_events.settings import Settings
from tests.service.pubsub import PATIENCE, Client, failure

KEY = b"k" * KEY_BYTES
SECRET = "pe_the-secret-of-everybody"
PASSWORD = "the password of people"
_PASSWORD_HASH = PasswordHash.of(PASSWORD)


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def document(self) -> Any:
        return json.loads(self.text)


class Service(NamedTuple):
    grpc: str
    http: str

    def ask(
        self,
        path: str,
        form: Mapping[str, str] | str | None = None,
        *,
        method: str = "",
        authorization: str = "",
    ) -> Reply:
        """Return the answer to a request; with a form it is a POST."""
        connection = http.client.HTTPConnection(urlsplit(self.http).netloc, timeout=PATIENCE)
        body = urlencode(form) if isinstance(form, Mapping) else form
        headers = {"content-type": "application/x-www-form-urlencoded"} if body else {}
        headers |= {"authorization": authorization} if authorization else {}
        method = method or ("GET" if form is None else "POST")
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        reply = Reply(answer.status, dict(answer.getheaders()), answer.read().decode())
        connection.close()
        return reply

    def token(self, name: str, secret: str = SECRET) -> str:
        """Return a token of a principal."""
        form = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret}
        token: str = self.ask("/services/oauth2/token", form).document["access_token"]
        return token

    def metadata(self, name: str, tenant: str) -> tuple[tuple[str, str], ...]:
        """Return what a principal's calls carry."""
        return metadata(self.token(name), tenant)


def metadata(token: str, tenant: str) -> tuple[tuple[str, str], ...]:
    pairs = {
        "accesstoken": token,
        "instanceurl": "https://localhost",
        "tenantid": tenant_id(tenant),
    }
    return tuple(pairs.items())


def basic(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


def add(
    file: Path,
    name: str,
    tenant: str,
    *rights: Right,
    streams: str = "*",
    has_password: bool = False,
) -> None:
    """Add a principal with the secret, or the password, that all have."""
    kept = _PASSWORD_HASH if has_password else SecretDigest.of(SECRET)
    grants = (Grant(frozenset(rights), streams),) if rights else ()
    add_principal(file, Principal(name, tenant, kept, grants))


@contextmanager
def guarded(
    settings: Settings, file: Path, key: bytes = KEY, clock: Callable[[], float] = time.time
) -> Iterator[Service]:
    """Serve the principals of a file."""
    ports = {PLAINTEXT: 0, HTTP: 0}
    access = PrincipalAccess(PrincipalsFile(file, every=0.05), Tokens(key, clock), AccessLog())
    with (
        listening(ports, dict.fromkeys(ports, "127.0.0.1"), exactly=True) as listeners,
        serving(settings, listeners, None, drain_timeout=0, principals=access) as servers,
    ):
        yield Service(servers.addresses[PLAINTEXT], servers.addresses[HTTP])


def refusal(
    client: Client, method: str, request: Any, metadata: Any
) -> tuple[grpc.StatusCode, str, str]:
    """Return status, code and text of a call that fails, without the call's own ID."""
    with pytest.raises(grpc.RpcError) as caught:
        client.ask(method, request, metadata)
    status, code, trailers = failure(caught.value)
    details = caught.value.details() or ""
    rpc_id = trailers["rpc-id"]
    assert details.endswith(f" rpcId: {rpc_id}")
    return status, code, f"{details} {sorted(trailers.items())}".replace(rpc_id, "ID")
