"""What containers run: whether the program takes their arguments and their environment."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import click
import pytest

from platform_events.channels.router import _STOP_SECONDS
from platform_events.cli.program import program
from platform_events.errors import ConfigurationError
from platform_events.kafka.properties import check_properties
from platform_events.settings import OTHER_VARIABLES, Settings
from platform_events.variables import PREFIX
from tests.deployment.references import of_kind, pods
from tests.deployment.rendering import Object, find

_OURS = re.compile(r"([\w.:-]+/)*platform-events(:[\w.-]+)?")
_MARGIN = 5.0
"""Seconds between the program's own limit and the one that kills it."""
_WORKER_GRACE = 30.0
"""What a worker's handlers have at the end without `--grace`."""


@dataclass(frozen=True)
class Process:
    """A container that runs the program, wherever it is described."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    grace_seconds: float
    directories: tuple[str, ...] = field(default=())
    """Where files are mounted."""


def is_ours(image: str) -> bool:
    return _OURS.fullmatch(image) is not None


def find_problems(process: Process) -> list[str]:
    """Return what is wrong, one line each."""
    found = [
        *_arguments(process),
        *_variables(process),
        *_values(process),
        *_files(process),
        *_grace(process),
    ]
    return [f"{process.name}: {problem}" for problem in found]


def load_settings(process: Process) -> Settings:
    """Return the settings that the program has in the container."""
    with pytest.MonkeyPatch.context() as patch:
        for name in (f"{PREFIX}{field.upper()}" for field in Settings.model_fields):
            patch.delenv(name, raising=False)
        for name, value in process.environment.items():
            patch.setenv(name, value)
        return Settings()


def in_pods(objects: list[Object], image: Mapping[str, str]) -> list[Process]:
    """Return the processes of an overlay.

    Args:
        objects: the rendered overlay.
        image: the environment that the image gives.
    """
    return [
        Process(
            f"{pod.owner}, {container['name']}",
            container["args"],
            {**image, **_environment(objects, container)},
            pod.spec.get("terminationGracePeriodSeconds", 30),
            tuple(mount["mountPath"] for mount in container.get("volumeMounts", [])),
        )
        for pod in pods(objects)
        for container in pod.spec["containers"]
        if is_ours(container["image"])
    ]


def _environment(objects: list[Object], container: Object) -> dict[str, str]:
    found: dict[str, str] = {}
    there = {each["metadata"]["name"] for each in of_kind(objects, "ConfigMap")}
    for source in container.get("envFrom", []):
        name = source["configMapRef"]["name"]
        if name in there:
            found.update(find(objects, "ConfigMap", name)["data"])
    found.update({each["name"]: each["value"] for each in container.get("env", [])})
    return found


def _arguments(process: Process) -> Iterator[str]:
    name, *rest = process.arguments
    command = program.get_command(click.Context(program), name)
    if command is None:
        yield f"there is no command {name}"
        return
    try:
        command.make_context(name, rest)
    except click.UsageError as error:
        yield f"{name}: {error.format_message()}"


def _variables(process: Process) -> Iterator[str]:
    known = {*(name.upper() for name in Settings.model_fields), *OTHER_VARIABLES}
    for variable in process.environment:
        name = variable.removeprefix(PREFIX)
        if name != variable and name not in known and not name.startswith("KAFKA__"):
            yield f"{variable} is no setting"


def _values(process: Process) -> Iterator[str]:
    try:
        check_properties(load_settings(process).kafka)
    except ConfigurationError as error:
        yield str(error)


def _files(process: Process) -> Iterator[str]:
    """Check that what the program reads is in a directory that is mounted."""
    paths = [
        value
        for name, value in process.environment.items()
        if name.startswith(PREFIX) and name.endswith("_LOCATION")
    ]
    for path in paths:
        if not any(PurePosixPath(path).is_relative_to(mount) for mount in process.directories):
            yield f"nothing is mounted where {path} should be"


def _grace(process: Process) -> Iterator[str]:
    limit = {"route": _STOP_SECONDS, "work": _worker_grace(process)}.get(process.arguments[0], 0.0)
    if process.grace_seconds < limit + _MARGIN:
        yield f"it is killed after {process.grace_seconds:g} s, and may take {limit:g} s to stop"


def _worker_grace(process: Process) -> float:
    """Return the seconds that the handlers of a worker may take to finish."""
    if "--grace" not in process.arguments:
        return _WORKER_GRACE
    return float(process.arguments[process.arguments.index("--grace") + 1])
