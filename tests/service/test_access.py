"""Principals call: what each may do and see, and how that ends."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from platform_events.service import calls as calls_module
from platform_events.service.access import tenant_id
from platform_events.service.credentials import SecretDigest
from platform_events.service.messages import (
    PublishResponse,
    SchemaInfo,
    SchemaRequest,
    TopicInfo,
    TopicRequest,
)
from platform_events.service.principals import Principal
from platform_events.service.principals_file import disable_principal, load_principals
from platform_events.service.tokens import LIFETIMES, Tokens
from platform_events.settings import Settings
from tests.channels.samples import channel, event
from tests.service.guarded import KEY, Service, add, guarded, metadata, refusal
from tests.service.publishing import Writer
from tests.service.pubsub import Client, failure
from tests.support import apply_texts, wait_until

TOPIC = "/event/A__e"
UNAUTHENTICATED, NOT_FOUND = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.NOT_FOUND


class Requests:
    """Requests of a stream, sent as they are put."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.put = self._queue.put

    def __iter__(self) -> Iterator[Any]:
        return iter(self._queue.get, None)


class PrincipalsClient(Client):
    """A client that calls as one principal."""

    def __init__(self, service: Service, name: str, tenant: str) -> None:
        super().__init__(service.grpc)
        self.metadata = service.metadata(name, tenant)

    def ask(self, method: str, request: Any, metadata: Any = None, answer: Any = None) -> Any:
        return super().ask(method, request, metadata or self.metadata, answer)


@pytest.fixture
def file(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(calls_module, "_CHECK_EVERY", 0.05)
    file = tmp_path / "principals.yaml"
    add(file, "all", settings.tenant, "publish", "subscribe")
    add(file, "reader", settings.tenant, "subscribe", streams="A_*")
    add(file, "writer", settings.tenant, "publish", streams="A__e")
    add(file, "nobody", settings.tenant)
    return file


@pytest.fixture
def service(settings: Settings, define: Callable[..., None], file: Path) -> Iterator[Service]:
    define(event("A__e"), event("B__e"), channel("All__chn", "A__e", "B__e"))
    with guarded(settings, file) as service:
        yield service


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    client = Client(service.grpc)
    yield client
    client.close()


class TestRights:
    @pytest.mark.parametrize(
        ("name", "topic", "can"),
        [
            ("all", "A__e", (True, True)),
            ("all", "All__chn", (False, True)),
            ("reader", "A__e", (False, True)),
            ("writer", "A__e", (True, False)),
        ],
    )
    def test_a_topic_says_what_its_caller_may_do(
        self, service: Service, client: Client, settings: Settings, name: str, topic: str,
        can: tuple[bool, bool],
    ) -> None:  # fmt: skip
        carried = service.metadata(name, settings.tenant)
        request = TopicRequest(topic_name=f"/event/{topic}")
        info = client.ask("GetTopic", request, carried, TopicInfo)
        assert (info.can_publish, info.can_subscribe) == can

    def test_without_a_right_a_stream_looks_like_one_that_does_not_exist(
        self, service: Service, client: Client, settings: Settings
    ) -> None:
        all_ = service.metadata("all", settings.tenant)
        writer = PrincipalsClient(service, "all", settings.tenant)
        written = Writer(writer, "/event/B__e")
        there = written.request(written.event(1))
        writer.close()
        for name in ("reader", "writer", "nobody"):
            carried = service.metadata(name, settings.tenant)
            for method in ("GetTopic", "Publish"):
                request = TopicRequest(topic_name="/event/B__e") if method == "GetTopic" else there
                forbidden = refusal(client, method, request, carried)
                request.topic_name = "/event/C__e"
                unknown = refusal(client, method, request, carried)
                assert forbidden[:2] == (NOT_FOUND, "topic.not.found")
                assert forbidden[2].replace("B__e", "C__e") == unknown[2]
                # The same as for one who may do all.
                assert unknown == refusal(client, method, request, all_)
                request.topic_name = "/event/B__e"

    def test_who_may_only_read_cannot_publish(
        self, service: Service, client: Client, settings: Settings
    ) -> None:
        writer = PrincipalsClient(service, "all", settings.tenant)
        written = Writer(writer)
        request = written.request(written.event(1))
        carried = service.metadata("writer", settings.tenant)
        answer = client.ask("Publish", request, carried, PublishResponse)
        assert not answer.results[0].HasField("error")
        reader = service.metadata("reader", settings.tenant)
        assert refusal(client, "Publish", request, reader)[:2] == (NOT_FOUND, "topic.not.found")
        writer.close()

    def test_what_is_refused_is_logged_without_a_secret(
        self, service: Service, client: Client, settings: Settings,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        with caplog.at_level(logging.INFO, logger="platform_events.service"):
            carried = service.metadata("nobody", settings.tenant)
            refusal(client, "GetTopic", TopicRequest(topic_name=TOPIC), carried)
            refusal(client, "GetTopic", TopicRequest(topic_name=TOPIC), metadata("x", "shop"))
        who = f"nobody of tenant {settings.tenant}"
        assert f"{who} logged in from 127.0.0.1" in caplog.messages
        assert (
            f"call of {who} from 127.0.0.1 refused: it may not publish A__e, subscribe A__e"
            in caplog.messages
        )
        assert "call from 127.0.0.1 refused: of its token: it is no token" in caplog.messages
        assert dict(carried)["accesstoken"].partition("!")[2] not in caplog.text


class TestTenants:
    def test_one_sees_nothing_of_another(
        self, settings: Settings, define: Callable[..., None], file: Path, tmp_path: Path
    ) -> None:
        other = settings.of_tenant(f"{settings.tenant}-b")
        define(event("A__e"), event("Mine__e"))
        apply_texts(other, tmp_path / "other", event("A__e"))
        add(file, "other", other.tenant, "publish", "subscribe")
        with guarded(settings, file) as service:
            mine = PrincipalsClient(service, "all", settings.tenant)
            theirs = PrincipalsClient(service, "other", other.tenant)
            for client, tenant in ((mine, settings.tenant), (theirs, other.tenant)):
                info = client.ask("GetTopic", TopicRequest(topic_name=TOPIC), answer=TopicInfo)
                assert info.tenant_guid == f"CORE/prod/{tenant_id(tenant)}"
            # Names and schemas.
            topic = TopicRequest(topic_name="/event/Mine__e")
            info = mine.ask("GetTopic", topic, answer=TopicInfo)
            forbidden = refusal(theirs, "GetTopic", topic, theirs.metadata)
            topic.topic_name = "/event/None__e"
            unknown = refusal(theirs, "GetTopic", topic, theirs.metadata)
            assert forbidden[2].replace("Mine__e", "None__e") == unknown[2]
            schema = SchemaRequest(schema_id=info.schema_id)
            assert mine.ask("GetSchema", schema, answer=SchemaInfo).schema_json
            code = refusal(theirs, "GetSchema", schema, theirs.metadata)[1]
            assert code == "schema.validation.failed"
            # Each publishes to its own stream: both get the first replay ID.
            for client in (mine, theirs):
                writer = Writer(client)
                answer = client.ask(
                    "Publish", writer.request(writer.event(1)), None, PublishResponse
                )
                assert int.from_bytes(answer.results[0].replay_id[:8], "big") == 1
            mine.close()
            theirs.close()

    def test_a_token_is_good_for_its_own_tenant_only(
        self, service: Service, client: Client, settings: Settings
    ) -> None:
        carried = dict(service.metadata("all", settings.tenant))
        request = TopicRequest(topic_name=TOPIC)
        short = tuple((carried | {"tenantid": carried["tenantid"][:15]}).items())
        assert client.ask("GetTopic", request, short)
        other = tuple((carried | {"tenantid": tenant_id("other")}).items())
        assert refusal(client, "GetTopic", request, other)[:2] == (
            UNAUTHENTICATED, "service.auth.error",
        )  # fmt: skip


class TestTokens:
    def test_what_is_no_good_token_is_refused_as_clients_know_it(
        self, service: Service, client: Client, settings: Settings, file: Path
    ) -> None:
        principals = load_principals(file)
        gone = Principal("gone", settings.tenant, SecretDigest.of("x"))
        changed = Principal("all", settings.tenant, SecretDigest.of("another secret"))
        moved = Principal("all", "elsewhere", principals["all"].credential)
        past = Tokens(KEY, lambda: 1_600_000_000)
        now = Tokens(KEY)
        tokens = [
            "nonsense",
            past.issue(principals["all"], "access"),
            now.issue(principals["all"], "refresh"),
            Tokens(b"K" * 32).issue(principals["all"], "access"),
            now.issue(gone, "access"),
            now.issue(changed, "access"),
            now.issue(moved, "access"),
        ]
        request = TopicRequest(topic_name=TOPIC)
        told = {refusal(client, "GetTopic", request, metadata(t, settings.tenant)) for t in tokens}
        ((status, code, text),) = told
        assert (status, code) == (UNAUTHENTICATED, "service.auth.error")
        assert text.startswith(
            "An authentication exception occurred. Provide valid authentication via metadata "
            "headers. rpcId: ID"
        )
        good = metadata(now.issue(principals["all"], "access"), settings.tenant)
        assert client.ask("GetTopic", request, good)

    def test_any_replica_with_the_key_takes_them(
        self, service: Service, settings: Settings, file: Path
    ) -> None:
        carried = service.metadata("all", settings.tenant)
        request = TopicRequest(topic_name=TOPIC)
        with guarded(settings, file) as replica:
            client = Client(replica.grpc)
            assert client.ask("GetTopic", request, carried)
            client.close()
        with guarded(settings, file, b"K" * 32) as stranger:
            client = Client(stranger.grpc)
            assert refusal(client, "GetTopic", request, carried)[0] is UNAUTHENTICATED
            client.close()


class TestStreams:
    """Live PublishStreams; that nothing of their handlers takes part is the point."""

    @pytest.fixture
    def requests(self) -> Iterator[Requests]:
        requests = Requests()
        yield requests
        requests.put(None)

    def begin(self, client: PrincipalsClient, requests: Requests, writer: Writer) -> Any:
        call = client.stream("PublishStream", requests, client.metadata)
        requests.put(writer.request(writer.event(1)))
        assert PublishResponse.FromString(next(call)).results
        return call

    @pytest.mark.parametrize("how", ["disabled", "removed", "another secret", "moved"])
    def test_they_end_with_their_principal(
        self, service: Service, settings: Settings, file: Path, how: str, requests: Requests,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        client = PrincipalsClient(service, "writer", settings.tenant)
        call = self.begin(client, requests, Writer(client))
        text = file.read_text()
        before, _, own = text.partition("- name: writer\n")
        own, _, after = own.partition("- name")
        if how == "disabled":
            disable_principal(file, "writer")
        elif how == "removed":
            file.write_text(f"{before}- name{after}")
        elif how == "moved":
            own = own.replace(f"tenant: {settings.tenant}", "tenant: elsewhere")
            file.write_text(f"{before}- name: writer\n{own}- name{after}")
        else:
            digest = SecretDigest.of("another").text
            own = own.replace(load_principals(file)["writer"].credential.text, digest)
            file.write_text(f"{before}- name: writer\n{own}- name{after}")
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
        assert failure(caught.value)[:2] == (UNAUTHENTICATED, "service.auth.error")
        assert (
            f"a stream of writer of tenant {settings.tenant} to 127.0.0.1 was ended" in caplog.text
        )
        client.close()

    def test_they_end_with_a_right_that_they_use_and_with_no_other(
        self, service: Service, settings: Settings, file: Path, requests: Requests
    ) -> None:
        reader = PrincipalsClient(service, "writer", settings.tenant)
        writer = PrincipalsClient(service, "all", settings.tenant)
        others = Requests()
        kept = self.begin(writer, others, Writer(writer))
        call = self.begin(reader, requests, Writer(reader))
        text = file.read_text()
        # One loses what it does not use, the other what it uses.
        text = text.replace("[publish, subscribe]", "[publish]").replace(
            "streams: A__e", "streams: B__e"
        )
        file.write_text(text)
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
        status, code, _ = failure(caught.value)
        assert (status, code) == (NOT_FOUND, "topic.not.found")
        assert "'/event/A__e' was not found" in (caught.value.details() or "")
        again = refusal(reader, "GetTopic", TopicRequest(topic_name=TOPIC), reader.metadata)
        assert again[:2] == (status, code)
        written = Writer(writer)
        others.put(written.request(written.event(2)))
        assert PublishResponse.FromString(next(kept)).results
        others.put(None)
        reader.close()
        writer.close()

    def test_they_outlive_their_token_and_a_wrong_file(
        self, settings: Settings, define: Callable[..., None], file: Path, requests: Requests,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        define(event("A__e"))
        now = [1_700_000_000.0]
        with guarded(settings, file, clock=lambda: now[0]) as service:
            client = PrincipalsClient(service, "all", settings.tenant)
            writer = Writer(client)
            call = self.begin(client, requests, writer)
            file.write_text("- wrong\n")
            now[0] += LIFETIMES["access"]
            wait_until(lambda: "the principals stay as they were" in caplog.text)
            request = TopicRequest(topic_name=TOPIC)
            refused = refusal(client, "GetTopic", request, client.metadata)
            assert refused[:2] == (UNAUTHENTICATED, "service.auth.error")
            requests.put(writer.request(writer.event(2)))
            assert PublishResponse.FromString(next(call)).results
            requests.put(None)
            client.close()

    def test_one_whose_client_is_gone_is_forgotten(
        self, service: Service, settings: Settings, requests: Requests, file: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        client = PrincipalsClient(service, "writer", settings.tenant)
        gone = self.begin(client, requests, Writer(client))
        gone.cancel()
        others = Requests()
        call = self.begin(client, others, Writer(client))
        disable_principal(file, "writer")
        with pytest.raises(grpc.RpcError):
            next(call)
        others.put(None)
        assert caplog.text.count("was ended") == 1
        client.close()
