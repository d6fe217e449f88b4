"""What the probes of the manifests ask is answered by a started process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from platform_events.settings import Settings
from tests.deployment.references import PROBES
from tests.deployment.rendering import containers, render
from tests.docs.pages import ROOT
from tests.service.serving import ask_text
from tests.support import ORDER, free_port, wait_until


def probe_paths() -> set[str]:
    (router,) = (each for each in containers(render(ROOT / "k8s/base")) if each["name"] == "router")
    return {router[probe]["httpGet"]["path"] for probe in PROBES}


def status_of(url: str) -> int | None:
    """Return the HTTP status; None while nobody answers."""
    try:
        return ask_text(url)[0]
    except OSError:
        return None


def test_all_paths_answer_once_the_router_is_ready(
    settings: Settings, define: Callable[..., None], tmp_path: Path
) -> None:
    define(ORDER)
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
            [sys.executable, "-m", "platform_events.cli", "route"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        ) as router,
    ):
        try:
            for path in probe_paths():
                url = f"http://127.0.0.1:{port}{path}"
                wait_until(lambda url=url: router.poll() is None and status_of(url) == 200)
            router.send_signal(signal.SIGTERM)
            assert router.wait(40) == 0, log.read_text()
        finally:
            router.kill()
