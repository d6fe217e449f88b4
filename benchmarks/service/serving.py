"""The service in a process of its own: `platform-events serve`, as anybody runs it."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.deployment import CLI, environment
from benchmarks.processes import Vitals, read_vitals
from benchmarks.runner import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.rivals.base import Target

_PORTS = ("--grpc-port", "--plaintext-port", "--http-port", "--http-plain-port")
_TIME_LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class Service:
    """A service that runs."""

    process: subprocess.Popen[str]
    plaintext: str
    """`host:port` of gRPC without TLS."""
    grpc: str
    """`host:port` of gRPC with TLS."""
    ca: Path
    """The certificate to trust."""

    @property
    def vitals(self) -> Vitals:
        """What it uses now.

        Raises:
            MeasurementError: it has ended.
        """
        try:
            return read_vitals(self.process.pid)
        except ProcessLookupError as error:
            raise MeasurementError("the service has ended") from error

    def settle(self, seconds: float = 1.0) -> Vitals:
        """Return what it uses once memory has not changed for some time.

        Raises:
            MeasurementError: it has ended, or does not come to rest.
        """
        deadline = time.monotonic() + _TIME_LIMIT
        before = self.vitals
        while time.monotonic() < deadline:
            time.sleep(seconds)
            now = self.vitals
            if abs(now.resident - before.resident) < 0.1:
                return now
            before = now
        raise MeasurementError("the service's memory does not come to rest")

    def stop(self) -> float:
        """Send SIGTERM and wait for the end; return the seconds that it took.

        Raises:
            MeasurementError: it took too long, or ended with an error.
        """
        start = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(_TIME_LIMIT)
        except subprocess.TimeoutExpired:
            raise MeasurementError("the service did not end on SIGTERM") from None
        if status:
            raise MeasurementError(f"the service ended with status {status}")
        return time.monotonic() - start


def trusting(ca: str) -> ssl.SSLContext:
    """Return how to connect with TLS."""
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(["h2"])
    return context


@contextmanager
def served(target: Target) -> Iterator[Service]:
    """Serve a target's tenant for the length of a `with`.

    Raises:
        MeasurementError: the service did not become ready.
    """
    from platform_events.service.certificates import CA_FILE, own_certificate

    with tempfile.TemporaryDirectory() as folder:
        certificate = own_certificate(Path(folder))
        arguments = [
            *CLI, "serve", *(word for port in _PORTS for word in (port, "0")),
            "--tls-cert", str(certificate.file), "--tls-key", str(certificate.key_file),
        ]  # fmt: skip
        log = Path(folder) / "log"
        with log.open("w") as errors:
            process = subprocess.Popen(
                arguments,
                env=environment(target.bootstrap_servers, target.tenant)
                | {"GRPC_VERBOSITY": "NONE"},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        try:
            addresses = _addresses(process, log)
            ca = Path(folder) / CA_FILE
            yield Service(process, addresses["plaintext"], addresses["grpc"], ca)
        finally:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
            process.communicate()


def _addresses(process: subprocess.Popen[str], log: Path) -> dict[str, str]:
    assert process.stdout is not None
    line = process.stdout.readline()
    word, *pairs = line.split() or [""]
    if word != "ready":
        process.wait(_TIME_LIMIT)
        raise MeasurementError(f"the service did not become ready: {log.read_text()[-300:]}")
    return dict(pair.split("=", 1) for pair in pairs)
