"""Running other programs for `make compose-test` and `make k8s-test`, and saying what happens."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.docs.pages import ROOT

IMAGE = "platform-events:dev"
KAFKA = "apache/kafka:4.2.0"
_BEGIN = time.monotonic()


class DeploymentError(Exception):
    """What was to be shown is not so."""


def say(text: str) -> None:
    """Say what happens, with the seconds since the script began."""
    print(f"{time.monotonic() - _BEGIN:6.1f} s  {text}", flush=True)


def require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise DeploymentError(otherwise)


def run(
    *command: str,
    text: str | None = None,
    environment: Mapping[str, str] | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end.

    Raises:
        DeploymentError: it failed, unless that is not to be checked.
    """
    done = subprocess.run(
        command,
        input=text,
        env={**os.environ, **(environment or {})},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode != 0:
        shown = shlex.join(command)
        raise DeploymentError(f"{shown}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def await_that(what: str, condition: Callable[[], bool], seconds: float) -> float:
    """Wait until something holds; return how long that took.

    Raises:
        DeploymentError: it did not in time.
    """
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > seconds:
            raise DeploymentError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.5)
    return time.monotonic() - begin


def words(variable: str, default: str) -> list[str]:
    """Return a command that the environment may give, with its arguments."""
    return shlex.split(os.environ.get(variable) or default)


def has_engine() -> bool:
    """Whether there is a Docker engine that answers."""
    return shutil.which("docker") is not None and run("docker", "info", check=False).returncode == 0


def build_image() -> None:
    """Build the image; DOCKER_BUILD is the command that does it, without the last arguments."""
    begin = time.monotonic()
    build(IMAGE, ROOT)
    size = int(run("docker", "image", "inspect", "--format", "{{.Size}}", IMAGE).stdout)
    say(f"built {IMAGE} in {time.monotonic() - begin:.0f} s, {size / 1e6:.0f} MB with its base")
    times = [_time_of("docker", "run", "--rm", "--read-only", IMAGE, "--version") for _ in range(3)]
    say(f"a container of it that prints its version takes {min(times):.1f} s")


def build(image: str, directory: Path) -> None:
    """Build the image of a directory with a Dockerfile, as DOCKER_BUILD says."""
    run(*words("DOCKER_BUILD", "docker build"), "-t", image, str(directory))


def _time_of(*command: str) -> float:
    begin = time.monotonic()
    run(*command)
    return time.monotonic() - begin


def finish(main: Callable[[], None]) -> int:
    """Run a script; return its exit status."""
    try:
        main()
    except DeploymentError as error:
        say(f"FAILED: {error}")
        return 1
    say("all of this holds")
    return 0


def skip(reason: str) -> int:
    """Say why nothing is tried; return the exit status."""
    print(f"skipped: {reason}", file=sys.stderr)
    return 0


def summary(found: Mapping[str, Any]) -> str:
    """Say in a line what a workload found."""
    return (
        f"{found['published']} published: {found['statuses']}; {found['stream']['events']} in the "
        f"stream, {found['channel']['events']} in the channel, none missing or twice; longest "
        f"publish {found['longest_publish_seconds']} s, longest gap in the channel "
        f"{found['longest_channel_gap_seconds']} s"
    )


def summary_of_handling(found: Mapping[str, Any]) -> str:
    """Say in a line what a workload found that a worker has handled."""
    handlings = found["handlings"]
    return (
        f"{found['published']} published: {found['statuses']}; {handlings['events']} handled, none "
        f"missing, {handlings['repeated']} repeated, first and last handlings in order; "
        f"longest time without one of a key {found['longest_gap_seconds']} s"
    )
