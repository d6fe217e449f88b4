"""A service as `up` runs it, and clients in the virtual environment that `make clients` makes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.cli.serving import GRPC, HTTP, HTTPS, PLAINTEXT, listening, serving
from platform_events.service.certificates import CA_FILE, own_certificate
from platform_events.service.principal_access import PrincipalAccess
from platform_events.settings import Settings
from tests.docs.pages import ROOT
from tests.support import ORDER, wait_until

PYTHON = ROOT / ".venv-clients/bin/python"
PROGRAMS = Path(__file__).parent / "programs"
TOPIC = "/event/Order_Placed__e"


class Program:
    """A program with a client; what it prints is JSON, line by line."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [str(PYTHON), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._stdout = self._process.stdout

    def next(self) -> dict[str, Any]:
        """Return the next document; fail if the program has ended."""
        line = self._stdout.readline()
        if not line:
            _, said = self._process.communicate()
            pytest.fail(f"it has ended: {said}")
        document: dict[str, Any] = json.loads(line)
        return document

    def next_with(self, key: str) -> dict[str, Any]:
        """Return the next document that has a key."""
        while key not in (document := self.next()):
            pass
        return document

    def take(self, count: int) -> list[dict[str, Any]]:
        """Return the next events."""
        return [self.next_with("order_id") for _ in range(count)]

    def finish(self) -> list[dict[str, Any]]:
        """Return the rest, once the program has ended by itself."""
        output, said = self._process.communicate(timeout=120)
        assert self._process.returncode == 0, said
        return [json.loads(line) for line in output.splitlines()]

    def fail(self) -> str:
        """Return what it said, once it has failed."""
        _, said = self._process.communicate(timeout=120)
        assert self._process.returncode == 1, said
        return said

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


class Site:
    """Where a service is, and clients that trust it.

    Args:
        addresses: by server, as in the ready line.
        authority: the certificate to trust.
        directory: of this test.
    """

    def __init__(self, addresses: dict[str, str], authority: Path, directory: Path) -> None:
        self.addresses = addresses
        self.authority = authority
        self.environment = trusting(directory, authority.read_bytes())
        self.programs: list[Program] = []

    @property
    def port(self) -> str:
        """Of gRPC with TLS."""
        return self.addresses[GRPC].rpartition(":")[2]

    def start(self, client: str, *arguments: str, port: str | None = None) -> Program:
        """Start the program of a client with what it is to do."""
        given = [self.addresses[HTTP], port or self.port, TOPIC, *arguments]
        program = Program([str(PROGRAMS / f"with_{client}.py"), *given], self.environment)
        self.programs.append(program)
        return program


def trusting(directory: Path, authority: bytes | None) -> dict[str, str]:
    """Return an environment in which certifi has a copy of its file, with one authority more."""
    script = "import certifi; print(certifi.__path__[0])"
    found = subprocess.run([PYTHON, "-c", script], capture_output=True, text=True, check=True)
    packages = directory / "packages"
    shutil.copytree(found.stdout.strip(), packages / "certifi")
    if authority is not None:
        with (packages / "certifi/cacert.pem").open("ab") as file:
            file.write(b"\n" + authority)
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "PYTHONPATH": str(packages), "PYTHONUNBUFFERED": "1"}


@contextmanager
def running(
    settings: Settings, directory: Path, principals: PrincipalAccess | None = None
) -> Iterator[dict[str, str]]:
    """Serve on free ports with an authority in a directory, as `up` does; or only principals."""
    certificate = own_certificate(directory)
    ports = dict.fromkeys((HTTP, HTTPS, GRPC, PLAINTEXT), 0)
    with (
        listening(ports, dict.fromkeys(ports, "127.0.0.1"), exactly=True) as listeners,
        serving(
            settings, listeners, certificate, drain_timeout=0, principals=principals
        ) as servers,
    ):
        wait_until(lambda: not servers.health.obstacle)
        yield servers.addresses


@pytest.fixture(autouse=True)
def _clients_are_installed() -> None:
    if not PYTHON.exists():
        pytest.skip("there are no clients: make clients installs them")


@pytest.fixture
def site(settings: Settings, define: Callable[..., None], tmp_path: Path) -> Iterator[Site]:
    """A service with Order_Placed__e."""
    define(ORDER)
    tls = tmp_path / "tls"
    with running(settings, tls) as addresses:
        site = Site(addresses, tls / CA_FILE, tmp_path)
        yield site
        for program in site.programs:
            program.end()


@pytest.fixture
def publish(bus: EventBus) -> Callable[[int, int], list[str]]:
    """Publish orders from a number up to another one; return their replay IDs in hex."""

    def publish(first: int, end: int) -> list[str]:
        payloads = [{"order_id": f"A-{number}"} for number in range(first, end)]
        results = bus.publish_many("Order_Placed__e", payloads)
        return [bytes(result.replay_id).hex() for result in results if result.replay_id]

    return publish
