"""The worker whose handlings can be checked, in the place of the example's."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.deployment.commands import require
from tests.docs.pages import ROOT

FILES = ROOT / "tests" / "deployment" / "handler"
SUBSCRIPTION = "handling"
PARTITIONS = 3
"""Of its stream."""
MAX_UNCOMMITTED = 20
"""Of the worker."""
MODULE = "billing.py"


def put_into_project(directory: Path) -> None:
    """Give a compose project the worker's module and definitions."""
    shutil.copy(FILES / MODULE, directory / "examples" / "billing")
    for definition in _definitions():
        shutil.copy(definition, directory / "schemas")


def put_into_overlay(overlay: Path) -> None:
    """Give an overlay the worker's module and definitions."""
    shutil.copy(FILES / MODULE, overlay)
    path = overlay / "kustomization.yaml"
    settings = YAML(typ="safe", pure=True).load(path)
    (generator,) = (g for g in settings["configMapGenerator"] if g["name"] == "definitions")
    for definition in _definitions():
        shutil.copy(definition, overlay / "schemas")
        generator["files"].append(f"schemas/{definition.name}")
    with path.open("w", encoding="utf-8") as file:
        YAML().dump(settings, file)


def require_few_repeats(found: Mapping[str, Any], kills: int) -> None:
    """Require that not more was handled again than processes that are killed may repeat.

    Args:
        found: what the workload found.
        kills: how many processes were killed.
    """
    most = kills * PARTITIONS * MAX_UNCOMMITTED
    repeated = found["handlings"]["repeated"]
    require(repeated <= most, f"{repeated} were handled again, and at most {most} may be")


def require_newer_protocol(subscription: Mapping[str, Any]) -> None:
    """Require that the brokers allow its group the session that a worker asks for.

    Args:
        subscription: what `subscriptions show --json` says of it.
    """
    protocol = subscription["protocol"]
    require(protocol == "consumer", f"the worker's group has the protocol {protocol}")


def _definitions() -> list[Path]:
    return sorted(FILES.glob("*.yaml"))
