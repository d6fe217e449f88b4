"""The Dockerfile: what the image sets, and that it holds nothing that would not be there."""

from __future__ import annotations

import re

from tests.deployment.image import environment, list_of, value_of
from tests.deployment.programs import Process, find_problems
from tests.docs.pages import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_image_runs_the_program_as_nobody_in_particular() -> None:
    assert list_of("ENTRYPOINT") == ["platform-events"]
    assert list_of("CMD") == ["--help"]
    assert value_of("USER") == "10001:10001"
    assert value_of("EXPOSE") == environment()["PLATFORM_EVENTS_HEALTH_PORT"]


def test_its_variables_are_settings() -> None:
    assert find_problems(Process("image", ["route"], environment(), 30)) == []


def test_it_builds_without_buildkit() -> None:
    assert not re.search(r"--mount|--chmod|^# syntax|<<", DOCKERFILE, re.MULTILINE)


def test_what_is_copied_is_there_and_let_in() -> None:
    names = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    copied = {name for each in names for name in each.split()}
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert let_in == copied
    assert all((ROOT / name).exists() for name in copied)
