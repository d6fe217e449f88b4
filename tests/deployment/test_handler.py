"""What the labs run in the place of the example's worker fits what they check it by."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree

from platform_events.catalog.apply import apply, plan_options
from platform_events.files.loader import load_definitions
from platform_events.settings import Settings
from tests.deployment import references
from tests.deployment.handler_files import (
    FILES,
    MAX_UNCOMMITTED,
    PARTITIONS,
    SUBSCRIPTION,
    put_into_overlay,
    put_into_project,
)
from tests.deployment.modules import load_from
from tests.deployment.rendering import find, render
from tests.docs.pages import ROOT

WORKLOAD = ROOT / "tests" / "deployment" / "workload.py"


def test_its_constants_are_those_of_the_files() -> None:
    assert load_from(FILES, "billing:app") == SUBSCRIPTION
    assert f"max_uncommitted={MAX_UNCOMMITTED}," in (FILES / "billing.py").read_text()
    definitions = load_definitions(FILES)
    assert {each.partitions for each in definitions.events.values()} == {PARTITIONS}


def test_an_overlay_takes_it(tmp_path: Path) -> None:
    copytree(ROOT / "k8s", tmp_path / "k8s")
    overlay = tmp_path / "k8s" / "overlays" / "dev"
    put_into_overlay(overlay)
    objects = render(overlay)
    assert references.find_problems(objects) == []
    assert set(find(objects, "ConfigMap", "definitions")["data"]) == {
        path.name for path in overlay.glob("schemas/*.yaml")
    }
    assert find(objects, "ConfigMap", "billing")["data"] == {
        "billing.py": (FILES / "billing.py").read_text()
    }


def test_what_it_handles_is_found(settings: Settings, tmp_path: Path) -> None:
    copytree(ROOT / "schemas", tmp_path / "schemas")
    copytree(ROOT / "examples" / "billing", tmp_path / "examples" / "billing")
    put_into_project(tmp_path)
    apply(settings, load_definitions(tmp_path / "schemas"), plan_options(settings))
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("PLATFORM_EVENTS_")},
        "PLATFORM_EVENTS_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "PLATFORM_EVENTS_TENANT": settings.tenant,
    }
    worker = subprocess.Popen(
        [sys.executable, "-m", "platform_events.cli", "work", "billing:app"],
        cwd=tmp_path / "examples" / "billing",
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    with worker:
        try:
            done = subprocess.run(
                [sys.executable, WORKLOAD, "--handled", "--seconds", "1"],
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        finally:
            worker.terminate()
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["handlings"]["events"] == found["published"] == 50
    assert worker.returncode == 0
