"""What the probes of the manifests ask is answered by a started process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from platform_events.settings import Settings
from tests.deployment.references import PROBES
from tests.deployment.rendering import Object, containers, render
from tests.docs.pages import ROOT
from tests.service.serving import ask_text
from tests.support import ORDER, free_port, wait_until

PROCESSES = {
    "router": (ROOT / "k8s" / "base", ROOT),
    "worker": (ROOT / "k8s" / "worker", ROOT / "examples" / "billing"),
}
"""Names of containers, the manifests that have them, and where their processes run."""


def container_named(name: str) -> Object:
    objects = render(PROCESSES[name][0])
    (found,) = (each for each in containers(objects) if each["name"] == name)
    return found


def status_of(url: str) -> int | None:
    """Return the HTTP status; None while nobody answers."""
    try:
        return ask_text(url)[0]
    except OSError:
        return None


@pytest.mark.parametrize("name", PROCESSES)
def test_all_paths_answer_once_the_process_is_ready(
    name: str, settings: Settings, define: Callable[..., None], tmp_path: Path
) -> None:
    define(ORDER)
    container = container_named(name)
    port = free_port()
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("PLATFORM_EVENTS_")},
        "PLATFORM_EVENTS_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "PLATFORM_EVENTS_TENANT": settings.tenant,
        "PLATFORM_EVENTS_HEALTH_PORT": str(port),
        "PLATFORM_EVENTS_HEALTH_HOST": "127.0.0.1",
    }
    log = tmp_path / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "platform_events.cli", *container["args"]],
            cwd=PROCESSES[name][1],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            for path in {container[probe]["httpGet"]["path"] for probe in PROBES}:
                url = f"http://127.0.0.1:{port}{path}"
                wait_until(lambda url=url: process.poll() is None and status_of(url) == 200)
            process.send_signal(signal.SIGTERM)
            assert process.wait(40) == 0, log.read_text()
        finally:
            process.kill()
