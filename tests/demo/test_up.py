"""`platform-events up` as a process: from its ready line to an end that leaves nothing running."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from platform_events.bus.bus import EventBus
from platform_events.bus.values import Start
from platform_events.kafka.local.artifacts import cache_directory
from platform_events.service.messages import SERVICE, TopicInfo, TopicRequest
from tests.service.pubsub import METADATA, PATIENCE
from tests.service.test_soap import PYTHON
from tests.support import ORDER, free_port, free_ports, wait_until

pytestmark = pytest.mark.end_to_end

if TYPE_CHECKING:
    from tests.demo.conftest import StartProgram

IsAlive = Callable[[int], bool]


def define(directory: Path, text: str = ORDER) -> None:
    (directory / "schemas").mkdir(exist_ok=True)
    (directory / "schemas/Order_Placed__e.yaml").write_text(text)


def test_events_outlive_ctrl_c_and_sigterm_and_a_refused_change_stops_kafka(
    start: StartProgram, directory: Path, port: str, is_alive: IsAlive
) -> None:
    define(directory)
    http_port = str(free_port())
    published = []
    authorities = set()
    for number, end in enumerate((signal.SIGINT, signal.SIGTERM)):
        # A cluster that these settings are for must not be asked, nor its properties used.
        run = start(
            "up", "--kafka-port", port, "--http-plain-port", http_port,
            PLATFORM_EVENTS_BOOTSTRAP_SERVERS="127.0.0.1:1",
            PLATFORM_EVENTS_KAFKA__SECURITY_PROTOCOL="SSL",
            PLATFORM_EVENTS_REPLICATION_FACTOR="3",
        )  # fmt: skip
        ready = run.await_ready()
        assert list(ready) == ["kafka", "http", "https", "grpc", "plaintext", "ca", "data"]
        assert ready["kafka"] == f"127.0.0.1:{port}"
        assert ready["http"] == f"http://127.0.0.1:{http_port}"
        assert ready["data"] == str(directory / ".platform-events")
        assert f"PLATFORM_EVENTS_BOOTSTRAP_SERVERS=127.0.0.1:{port}" in run.stderr
        assert ("created Order_Placed__e" if number == 0 else "nothing to apply") in run.stderr
        with EventBus(bootstrap_servers=ready["kafka"]) as bus:
            published.append(bus.publish("Order_Placed__e", {"order_id": str(number)}).replay_id)
            with bus.subscribe("Order_Placed__e", Start.EARLIEST, follow=False) as stream:
                assert [event.replay_id for event in stream] == published
            schema = bus.catalog.event("Order_Placed__e").schema
            guid = uuid.UUID(bytes=schema.guid)
            with urllib.request.urlopen(f"{ready['http']}/schemas/guids/{guid}") as answer:
                assert json.load(answer)["schema"] == schema.text
            assert schema_id_over_grpc(ready) == schema.id
            authorities.add(Path(ready["ca"]).read_bytes())
        running = run.descendants()
        assert len(running) == 2, "the guard and Java"
        run.send(end)
        assert run.end() == (0, ""), run.stderr
        assert not any(is_alive(pid) for pid in running)
        assert ".platform-events keeps the events" in run.stderr
    assert len(authorities) == 1, "who trusts it goes on trusting it"
    define(directory, ORDER.replace("type: double", "type: string").replace("0.0", "''"))
    refused = start("up", "--kafka-port", port)
    assert refused.end() == (1, ""), refused.stderr
    starting, *lines = refused.stderr.splitlines()
    assert starting == "starting Kafka, which takes some seconds"
    assert all(line.startswith("error: PLAN_REFUSED: ") for line in lines), lines
    assert "Order_Placed__e: amount" in lines[0]
    assert not accepts(port)
    assert not accepts(http_port)


def test_any_paths_in_any_locale_and_ports_from_variables(
    start: StartProgram, directory: Path
) -> None:
    define(directory)
    (directory / "schemas").rename(directory / "Schemata für Aufträge")
    jars = directory / "Käthe/.cache/platform-events"
    jars.parent.mkdir(parents=True)
    jars.symlink_to(cache_directory().parent)
    names = ("kafka", "http_plain", "http", "grpc", "plaintext")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    run = start(
        "up", "--data-dir", "Bestellüngen", "--schemas", "Schemata für Aufträge",
        HOME=str(directory / "Käthe"), LC_ALL="C", XDG_CACHE_HOME="cache",
        **{f"PLATFORM_EVENTS_UP_{name.upper()}_PORT": str(p) for name, p in ports.items()},
    )  # fmt: skip
    ready = run.await_ready()
    assert ready == {
        "kafka": f"127.0.0.1:{ports['kafka']}",
        "http": f"http://127.0.0.1:{ports['http_plain']}",
        "https": f"https://127.0.0.1:{ports['http']}",
        "grpc": f"127.0.0.1:{ports['grpc']}",
        "plaintext": f"127.0.0.1:{ports['plaintext']}",
        "ca": str(directory / "Bestellüngen/tls/ca.pem"),
        "data": str(directory / "Bestellüngen"),
    }
    assert logged_in(ready) == f"https://localhost:{ports['http']}"
    assert "created Order_Placed__e" in run.stderr
    assert "no setting is read" not in run.stderr
    run.send(signal.SIGTERM)
    assert run.end() == (0, ""), run.stderr
    assert sorted(file.name for file in directory.iterdir()) == [
        "Bestellüngen", "Käthe", "Schemata für Aufträge",
    ]  # fmt: skip


def test_sigkill_leaves_no_java_and_a_usual_port_that_is_taken_gives_the_next(
    start: StartProgram, directory: Path, port: str, is_alive: IsAlive
) -> None:
    with contextlib.ExitStack() as taken:
        with contextlib.suppress(OSError):  # or another program has it
            taken.enter_context(socket.create_server(("127.0.0.1", 7080)))
        run = start("up", "--kafka-port", port, "--data-dir", "own data")
        ready = run.await_ready()
    assert ready["data"] == str(directory / "own data")
    url, _, http_port = ready["http"].rpartition(":")
    assert url == "http://127.0.0.1"
    assert 7080 < int(http_port) < 7180
    assert "there is no schemas; `platform-events init`" in run.stderr
    running = run.descendants()
    assert running
    run.send(signal.SIGKILL)
    run.end()
    wait_until(lambda: not any(is_alive(pid) for pid in running))


def test_a_broker_that_dies_ends_it_and_its_log_is_named(
    start: StartProgram, directory: Path, port: str, is_alive: IsAlive
) -> None:
    run = start("up", "--kafka-port", port)
    run.await_ready()
    running = run.descendants()
    os.kill(run.java(), signal.SIGKILL)
    assert run.end() == (1, ""), run.stderr
    error = run.stderr.splitlines()[-1]
    assert error.startswith("error: LOCAL_BROKER: broker 1 of the embedded Kafka ended by itself")
    assert str(directory / ".platform-events/kafka-1.log") in error
    assert not any(is_alive(pid) for pid in running)


def test_every_problem_of_the_definitions_is_named_before_anything_starts(
    start: StartProgram, directory: Path, port: str
) -> None:
    define(
        directory, "event: Order_Placed__e\nfields:\n  - {name: a, type: strin}\n  - {name: b}\n"
    )
    run = start("up", "--kafka-port", port)
    assert run.end() == (1, ""), run.stderr
    lines = run.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("error: INVALID_DEFINITIONS: schemas/Order_Placed__e.yaml:3:")
    assert lines[1].startswith("error: INVALID_DEFINITIONS: schemas/Order_Placed__e.yaml:4:")
    assert not (directory / ".platform-events").exists()


@pytest.mark.parametrize(
    ("code", "option", "variable"),
    [
        ("LOCAL_BROKER", "--kafka-port", ""),
        ("SERVICE", "--http-plain-port", ""),
        ("SERVICE", "--http-plain-port", "PLATFORM_EVENTS_UP_HTTP_PLAIN_PORT"),
        ("SERVICE", "--grpc-port", ""),
        ("SERVICE", "--plaintext-port", "PLATFORM_EVENTS_UP_PLAINTEXT_PORT"),
    ],
)
def test_a_busy_port_is_one_line(
    start: StartProgram, directory: Path, code: str, option: str, variable: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        busy = str(holder.getsockname()[1])
        given = [] if variable else [option, busy]
        run = start("up", *given, "--schemas", "none", **({variable: busy} if variable else {}))
        assert run.end() == (1, ""), run.stderr
    note, *_, error = run.stderr.splitlines()
    assert "there is no none" in note
    assert error.startswith(f"error: {code}: port {busy} on 127.0.0.1 cannot be used")
    assert error.endswith(option)
    assert list(directory.glob("**/*.log")) == []


def test_a_data_directory_with_other_things_in_it_is_refused(
    start: StartProgram, directory: Path, port: str
) -> None:
    (directory / "thesis.txt").write_text("years of work")
    run = start("up", "--kafka-port", port, "--data-dir", ".")
    assert run.end() == (1, ""), run.stderr
    assert "error: LOCAL_BROKER: " in run.stderr
    assert "'thesis.txt'" in run.stderr


def test_naming_another_cluster_is_wrong_usage(start: StartProgram) -> None:
    run = start("--bootstrap-servers", "kafka:9092", "up")
    assert run.end() == (2, ""), run.stderr
    assert run.stderr.startswith("error: USAGE: up starts a Kafka of its own")


def schema_id_over_grpc(ready: dict[str, str]) -> str:
    """Ask with TLS for a topic; return its schema's ID."""
    credentials = grpc.ssl_channel_credentials(Path(ready["ca"]).read_bytes())
    with grpc.secure_channel(ready["grpc"], credentials) as channel:
        ask = channel.unary_unary(f"/{SERVICE}/GetTopic")
        request = TopicRequest(topic_name="/event/Order_Placed__e").SerializeToString()
        answer = TopicInfo.FromString(ask(request, metadata=METADATA, timeout=PATIENCE))
    return str(answer.schema_id)


def logged_in(ready: dict[str, str]) -> str:
    """Log in over HTTPS; return the URL at which to go on."""
    context = ssl.create_default_context(cafile=ready["ca"])
    body = PYTHON.format(name="me", password="any").encode()
    url = f"{ready['https']}/services/Soap/u/57.0/"
    with urllib.request.urlopen(url, body, timeout=PATIENCE, context=context) as answer:
        (found,) = re.findall("<serverUrl>(.*)/services/", answer.read().decode())
    return str(found)


def accepts(port: str) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", int(port))) == 0
