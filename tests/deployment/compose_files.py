"""Compose files as data: variables filled in, files on top of each other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from tests.deployment.programs import Process, is_ours
from tests.deployment.rendering import Object, read_documents

_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z0-9_]+):-(?P<default>[^}]*)\}")
_DURATION = re.compile(r"(\d+)s")


def read(*paths: Path, variables: Mapping[str, str] | None = None) -> dict[str, Object]:
    """Return the services of compose files, each on top of those before it."""
    services: dict[str, Object] = {}
    for path in paths:
        (document,) = read_documents(path)
        _lay_over(services, _filled_in(document["services"], variables or {}))
    return services


def processes(services: dict[str, Object], image: Mapping[str, str]) -> list[Process]:
    """Return those services that run the program."""
    return [
        Process(
            f"service {name}",
            service["command"],
            {**image, **service.get("environment", {})},
            _seconds(service.get("stop_grace_period", "10s")),
            tuple(volume.split(":")[1] for volume in service.get("volumes", [])),
        )
        for name, service in services.items()
        if is_ours(service["image"])
    ]


def published_ports(services: Iterable[Object]) -> list[str]:
    return [port for service in services for port in service.get("ports", [])]


def _lay_over(target: dict[str, Any], other: Mapping[str, Any]) -> None:
    """Merge as compose does what these files need: maps by key, volumes by where they are."""
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _lay_over(target[key], value)
        elif key == "volumes" and key in target:
            mounted = {volume.split(":")[1]: volume for volume in (*target[key], *value)}
            target[key] = list(mounted.values())
        else:
            target[key] = deepcopy(value)


def _filled_in(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled_in(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled_in(each, variables) for each in value]
    if isinstance(value, str):
        text = _VARIABLE.sub(lambda m: variables.get(m["name"]) or m["default"], value)
        assert "${" not in text, f"{value}: give the variable a default"
        return text
    return value


def _seconds(text: str) -> float:
    found = _DURATION.fullmatch(text)
    assert found, text
    return float(found[1])
