"""Logging in as principals: over OAuth and SOAP, as clients do it, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote_plus
from xml.etree import ElementTree

import pytest

from platform_events.bus.bus import EventBus
from platform_events.service import principal_access
from platform_events.service.access import (
    OpenAccess,
    Session,
    TooManyLoginsError,
    principal_id,
    tenant_id,
)
from platform_events.service.access_log import AccessLog
from platform_events.service.http.application import make_application
from platform_events.service.http.oauth import oauth_routes
from platform_events.service.messages import TopicRequest
from platform_events.service.principal_access import PrincipalAccess
from platform_events.service.principals_file import PrincipalsFile, disable_principal
from platform_events.service.slowdown import FREE, Slowdown
from platform_events.service.tokens import LIFETIMES, Tokens
from platform_events.settings import Settings
from tests.channels.samples import event
from tests.service.guarded import KEY, PASSWORD, SECRET, Service, add, basic, guarded, metadata
from tests.service.pubsub import Client, failure
from tests.service.serving import served
from tests.service.test_soap import JAVASCRIPT, PYTHON, post
from tests.support import wait_until

TOKEN, USER, REVOKE = (f"/services/oauth2/{name}" for name in ("token", "userinfo", "revoke"))
AWAY = Settings(bootstrap_servers="127.0.0.1:1", request_timeout=1)
MACHINE = {"grant_type": "client_credentials", "client_id": "billing", "client_secret": SECRET}
PERSON = {"grant_type": "password", "username": "me@example.com", "password": PASSWORD}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have failed logins take no time."""
    monkeypatch.setattr(principal_access, "_FAILURE_SECONDS", 0.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "principals.yaml"
    add(file, "billing", "shop", "subscribe")
    add(file, "me@example.com", "shop", "publish", has_password=True)
    return file


@pytest.fixture
def service(file: Path, quick: None) -> Iterator[Service]:
    with guarded(AWAY, file) as service:
        yield service


def told(service: Service, form: dict[str, str] | str, authorization: str = "") -> tuple[int, str]:
    """Return status and code of a refusal."""
    reply = service.ask(TOKEN, form, authorization=authorization)
    assert set(reply.document) == {"error", "error_description"}
    assert reply.headers["cache-control"] == "no-store"
    return reply.status, reply.document["error"]


class TestTokens:
    def test_the_answer_has_what_clients_read(self, service: Service) -> None:
        # Camel sends format, and cuts the tenant out of id.
        reply = service.ask(TOKEN, MACHINE | {"format": "json"})
        assert reply.status == 200
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["cache-control"] == "no-store"
        document = reply.document
        identity = document["id"]
        at = identity.index("id/") + 3
        assert identity[at : at + 18] == tenant_id("shop")
        assert identity == f"{service.http}/id/{tenant_id('shop')}/{principal_id('billing')}"
        assert document["instance_url"] == service.http
        assert document["token_type"] == "Bearer"
        assert document["issued_at"].isdigit()
        assert document["expires_in"] == LIFETIMES["access"]
        assert document["access_token"].partition("!")[0] == tenant_id("shop")
        assert "refresh_token" not in document

    def test_a_client_secret_may_come_in_the_header(self, service: Service) -> None:
        form = {"grant_type": "client_credentials"}
        header = basic(quote_plus("billing"), quote_plus(SECRET))
        assert service.ask(TOKEN, form, authorization=header).status == 200
        wrong = service.ask(TOKEN, form, authorization=basic("billing", "wrong"))
        assert (wrong.status, wrong.document["error"]) == (401, "invalid_client")
        assert wrong.headers["www-authenticate"].startswith("Basic")

    def test_a_password_s_login_can_be_refreshed(self, service: Service, file: Path) -> None:
        document = service.ask(
            TOKEN, PERSON | {"client_id": "any", "client_secret": "any"}
        ).document
        refresh = {"grant_type": "refresh_token", "refresh_token": document["refresh_token"]}
        again = service.ask(TOKEN, refresh).document
        assert again["id"] == document["id"]
        assert again["access_token"] != document["access_token"]
        assert "refresh_token" not in again
        # An access token is none, and what was revoked is none any more.
        assert told(service, refresh | {"refresh_token": again["access_token"]}) == (
            400, "invalid_grant",
        )  # fmt: skip
        assert service.ask(REVOKE, {"token": document["refresh_token"]}).status == 200
        assert told(service, refresh) == (400, "invalid_grant")

    def test_a_refresh_ends_with_its_principal(self, service: Service, file: Path) -> None:
        document = service.ask(TOKEN, PERSON).document
        refresh = {"grant_type": "refresh_token", "refresh_token": document["refresh_token"]}
        disable_principal(file, "me@example.com")
        wait_until(lambda: service.ask(TOKEN, refresh).status == 400)
        assert told(service, PERSON) == (400, "invalid_grant")

    @pytest.mark.parametrize(
        ("form", "code"),
        [
            (MACHINE | {"client_secret": "wrong"}, "invalid_client"),
            (MACHINE | {"client_id": "nobody"}, "invalid_client"),
            (MACHINE | {"client_secret": ""}, "invalid_request"),
            (PERSON | {"password": "wrong"}, "invalid_grant"),
            (PERSON | {"username": "billing"}, "invalid_grant"),
            ({"grant_type": "password"}, "invalid_request"),
            ({"grant_type": "refresh_token"}, "invalid_request"),
            ({"grant_type": "refresh_token", "refresh_token": "x"}, "invalid_grant"),
            ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
            ({}, "unsupported_grant_type"),
            ("grant_type=password&grant_type=password", "invalid_request"),
            ("grant_type=%ff", "invalid_request"),
            ("x" * 70_000, "invalid_request"),
            ("&".join(f"a{n}=1" for n in range(60)), "invalid_request"),
        ],
    )
    def test_what_is_wrong_has_the_code_that_clients_read(
        self, service: Service, form: dict[str, str] | str, code: str
    ) -> None:
        assert told(service, form) == (400, code)


class TestUserInfo:
    @pytest.mark.parametrize("kind", ["Bearer", "bearer", "OAuth"])
    def test_it_says_who_has_a_token(self, service: Service, kind: str) -> None:
        token = service.token("billing")
        document = service.ask(USER, authorization=f"{kind} {token}").document
        assert document["organization_id"] == tenant_id("shop")
        assert document["user_id"] == principal_id("billing")
        assert document["preferred_username"] == "billing"
        assert document["sub"].endswith(f"/id/{tenant_id('shop')}/{principal_id('billing')}")

    @pytest.mark.parametrize("header", ["", "Bearer ", "Bearer x", "Basic eDp5"])
    def test_it_tells_nobody_else(self, service: Service, header: str) -> None:
        reply = service.ask(USER, authorization=header)
        assert (reply.status, reply.text) == (403, "Bad_OAuth_Token")

    @pytest.mark.parametrize("by", ["GET", "POST"])
    def test_a_revoked_token_is_none(self, service: Service, by: str) -> None:
        token, other = service.token("billing"), service.token("billing")
        if by == "GET":
            # As Camel does, without escaping.
            reply = service.ask(f"{REVOKE}?token={token}")
        else:
            reply = service.ask(REVOKE, {"token": token})
        assert (reply.status, reply.text) == (200, "")
        assert service.ask(USER, authorization=f"Bearer {token}").status == 403
        assert service.ask(USER, authorization=f"Bearer {other}").status == 200
        client = Client(service.grpc)
        with pytest.raises(Exception, match="authentication") as caught:
            client.ask("GetTopic", TopicRequest(topic_name="/event/A__e"), metadata(token, "shop"))
        assert failure(caught.value)[1] == "service.auth.error"  # type: ignore[arg-type]
        client.close()

    def test_one_that_is_none_is_revoked_already(self, service: Service) -> None:
        assert service.ask(f"{REVOKE}?token=x").status == 200
        assert service.ask(REVOKE).status == 400


class TestSoap:
    @pytest.mark.parametrize("form", [PYTHON, JAVASCRIPT])
    @pytest.mark.parametrize(
        ("name", "password"), [("billing", SECRET), ("me@example.com", PASSWORD)]
    )
    def test_a_principal_logs_in(
        self, service: Service, form: str, name: str, password: str
    ) -> None:
        server = service.http.removeprefix("http://")
        status, text = post(server, form.format(name=name, password=password))
        assert status == 200
        result = ElementTree.fromstring(text).find(".//{*}result")
        assert result is not None
        token = result.findtext("{*}sessionId")
        assert service.ask(USER, authorization=f"Bearer {token}").document["name"] == name
        assert result.findtext("{*}userInfo/{*}organizationId") == tenant_id("shop")
        assert result.findtext("{*}userInfo/{*}sessionSecondsValid") == str(LIFETIMES["access"])

    def test_others_are_refused_and_logged_without_the_password(
        self, service: Service, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = service.http.removeprefix("http://")
        for name in ("billing", "nobody"):
            status, text = post(server, PYTHON.format(name=name, password="a wrong one"))
            assert status == 500
            assert "INVALID_LOGIN: there is nobody with this name and password" in text
        assert caplog.messages == [
            "login of 'billing' from 127.0.0.1 refused: the password is wrong",
            "login of 'nobody' from 127.0.0.1 refused: there is nobody of this name",
        ]


class TestFailures:
    def make(self, file: Path, slowdown: Slowdown) -> PrincipalAccess:
        return PrincipalAccess(PrincipalsFile(file), Tokens(KEY), AccessLog(), slowdown)

    def test_repeated_ones_wait_longer_and_longer(
        self, file: Path, quick: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        access = self.make(file, Slowdown(lambda: 0.0))
        waits = []

        async def sleep(seconds: float) -> None:
            waits.append(max(seconds, 0))

        monkeypatch.setattr(principal_access.asyncio, "sleep", sleep)

        async def fail(times: int) -> None:
            for _ in range(times):
                assert await access.log_in("billing", "wrong", "10.0.0.1") is None

        asyncio.run(fail(FREE + 3))
        assert [wait for wait in waits if wait] == [1.0, 2.0, 4.0]
        # The right secret is let in all the same, late; from elsewhere at once.
        waits.clear()
        assert asyncio.run(access.log_in("billing", SECRET, "10.0.0.2"))
        assert not any(waits)
        assert asyncio.run(access.log_in("billing", SECRET, "10.0.0.1"))
        assert any(waits)

    def test_each_takes_the_same_time_at_least(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        access = self.make(file, Slowdown())
        slept = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        monkeypatch.setattr(principal_access.asyncio, "sleep", sleep)
        monkeypatch.setattr(principal_access.time, "monotonic", lambda: 1000.0)
        for name in ("billing", "me@example.com", "nobody"):
            assert asyncio.run(access.log_in(name, "wrong", "10.0.0.1")) is None
        assert slept == [0.0, principal_access._FAILURE_SECONDS] * 3

    def test_too_many_at_once_are_refused_as_clients_know_it(
        self, file: Path, quick: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(principal_access, "_MOST_PASSWORDS", 0)
        with guarded(AWAY, file) as service:
            reply = service.ask(TOKEN, PERSON)
            assert (reply.status, reply.document["error"]) == (400, "invalid_grant")
            assert "login rate exceeded" in reply.document["error_description"]
            server = service.http.removeprefix("http://")
            _, text = post(server, PYTHON.format(name="me@example.com", password=PASSWORD))
            assert "LOGIN_RATE_EXCEEDED" in text
            header = basic("me@example.com", PASSWORD)
            assert service.ask("/schemas/guids/x", authorization=header).status == 429
            # Whoever has a secret is not held up.
            assert service.token("billing")

    def test_attempts_that_would_wait_too_long_are_refused(self, file: Path, quick: None) -> None:
        slowdown = Slowdown(lambda: 0.0)
        for _ in range(20):
            slowdown.fail(("billing", "a"))
        while slowdown.begin(("billing", "a")) is not None:
            pass
        with pytest.raises(TooManyLoginsError):
            asyncio.run(self.make(file, slowdown).log_in("billing", SECRET, "a"))


class TestSchemas:
    def test_they_are_answered_to_those_of_the_tenant(
        self, settings: Settings, define: Callable[..., None], tmp_path: Path, quick: None
    ) -> None:
        define(event("A__e"))
        with EventBus(settings) as bus:
            guid = bus.catalog.event("A__e").schema.guid.hex()
        parts = (guid[:8], guid[8:12], guid[12:16], guid[16:20], guid[20:])
        path = f"/schemas/guids/{'-'.join(parts)}"
        file = tmp_path / "principals.yaml"
        add(file, "billing", settings.tenant)
        add(file, "other", f"{settings.tenant}-b")
        with guarded(settings, file) as service:
            token = service.token("billing")
            for good in (basic("billing", SECRET), f"Bearer {token}"):
                assert service.ask(path, authorization=good).document["schemaType"] == "AVRO"
            for bad in ("", basic("billing", "wrong"), "Bearer x", "Basic !", "Digest x"):
                reply = service.ask(path, authorization=bad)
                assert reply.status == 401
                assert reply.headers["www-authenticate"].startswith("Basic")
            of_other = service.ask(path, authorization=basic("other", SECRET))
            assert (of_other.status, of_other.document["error_code"]) == (404, 40403)


class TestOpen:
    """A service at which nobody is checked speaks OAuth as well."""

    def test_anybody_gets_what_clients_read(self) -> None:
        with EventBus(bootstrap_servers="127.0.0.1:1") as bus:
            routes = oauth_routes(OpenAccess("shop"), "https://localhost:7444")
            with served(make_application(bus, routes)) as url:
                service = Service("", url)
                document = service.ask(TOKEN, MACHINE | {"client_secret": "any"}).document
                assert document["instance_url"] == "https://localhost:7444"
                token = document["access_token"]
                user = service.ask(USER, authorization=f"Bearer {token}").document
                assert user["organization_id"] == tenant_id("shop")
                person = service.ask(TOKEN, PERSON).document
                refresh = {"grant_type": "refresh_token", "refresh_token": person["refresh_token"]}
                assert service.ask(TOKEN, refresh).status == 200
                assert service.ask(f"{REVOKE}?token={token}").status == 200

    def test_a_session_of_it_may_do_all(self) -> None:
        session = Session("me", "shop")
        assert session.may("publish", "A__e")
        assert session == Session("me", "shop")
        OpenAccess("shop").check(session)
