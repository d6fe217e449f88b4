"""Runs the compose files for real: `make compose-test`.

From nothing to ready, definitions edited and applied again and applied from an image of their own,
a workload while the router is restarted and killed and Kafka is restarted, a worker that is scaled,
killed and restarted under load, three brokers of which one is killed, and nothing left behind.
Where there is no Docker engine it says so. DOCKER_BUILD is the command that builds the image
instead of `docker build`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from platform_events.kafka.local.network import reserve_port
from tests.deployment.commands import (
    IMAGE,
    DeploymentError,
    await_that,
    build_image,
    finish,
    has_engine,
    require,
    run,
    say,
    skip,
    summary,
    summary_of_handling,
)  # fmt: skip
from tests.deployment.handler_files import (
    PARTITIONS,
    SUBSCRIPTION,
    put_into_project,
    require_few_repeats,
    require_newer_protocol,
)  # fmt: skip
from tests.deployment.own_image import DEFINITIONS, build_definitions
from tests.docs.pages import ROOT

PROJECT = "platform-events-test"
SINGLE = ("docker-compose.yml",)
CLUSTER = (*SINGLE, "docker-compose.cluster.yml")
Act = tuple[float, Callable[[], None]]
"""When something is done, in seconds, and what."""
_LABEL = f"label=com.docker.compose.project={PROJECT}"


class Project:
    """One start of the compose files, on free ports, with definitions that can be changed."""

    def __init__(self, files: Sequence[str], directory: Path) -> None:
        self.directory = directory
        for name in files:
            shutil.copy(ROOT / name, directory)
        shutil.copytree(ROOT / "schemas", directory / "schemas")
        shutil.copytree(ROOT / "examples" / "billing", directory / "examples" / "billing")
        names = ("KAFKA_PORT", "KAFKA_2_PORT", "KAFKA_3_PORT", "HEALTH_PORT")
        with ExitStack() as reserved:
            self.ports = {name: str(reserve_port(reserved)) for name in names}
        self._environment = {
            **self.ports,
            "COMPOSE_PROJECT_NAME": PROJECT,
            "COMPOSE_PROFILES": "worker",
            "COMPOSE_FILE": ":".join(str(directory / name) for name in files),
        }

    def compose(self, *arguments: str) -> str:
        return run(*compose_command(), *arguments, environment=self._environment).stdout

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "--all", "--quiet", service).split()

    def inspect(self, service: str, form: str) -> str:
        """Return something about a service's first container."""
        return inspect(self.containers(service)[0], form)

    def show(self, subscription: str) -> dict[str, Any]:
        """Return what there is to know about a subscription."""
        show = ("platform-events", "subscriptions", "show", subscription, "--json")
        found: dict[str, Any] = json.loads(self.compose("exec", "-T", "router", *show))
        return found

    def members(self, subscription: str) -> list[list[int]]:
        """Return the partitions that each worker of a subscription has."""
        return [member["partitions"] for member in self.show(subscription)["members"]]

    def is_ready(self) -> bool:
        url = f"http://127.0.0.1:{self.ports['HEALTH_PORT']}/readyz"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return int(answer.status) == 200
        except (urllib.error.URLError, OSError):
            return False

    def state(self, service: str) -> str:
        return self.inspect(service, "{{.State.Status}}")

    def memory(self, service: str) -> str:
        form = ("--no-stream", "--format", "{{.MemUsage}}")
        container = self.containers(service)[0]
        return run("docker", "stats", *form, container).stdout.split("/")[0].strip()

    def kill(self, service: str) -> None:
        """End the process of a service's first container as a crash does.

        So the restart policy holds.
        """
        pid = self.inspect(service, "{{.State.Pid}}")
        code = f"import os; os.kill({pid}, 9)"
        command = ("docker", "run", "--rm", "--pid", "host", "--user", "0:0")
        run(*command, "--entrypoint", "python", IMAGE, "-c", code)

    def environment(self) -> dict[str, str]:
        """Return the environment of a client on this machine."""
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith("PLATFORM_EVENTS_")},
            "PLATFORM_EVENTS_BOOTSTRAP_SERVERS": f"127.0.0.1:{self.ports['KAFKA_PORT']}",
        }


def inspect(container: str, form: str) -> str:
    return run("docker", "inspect", "--format", form, container).stdout.strip()


def compose_command() -> list[str]:
    """Return how compose is called here; nothing where it is not there."""
    if run("docker", "compose", "version", check=False).returncode == 0:
        return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else []


@contextmanager
def started(files: Sequence[str]) -> Iterator[Project]:
    """Start everything, wait until it is ready, and take it down again."""
    with TemporaryDirectory() as directory:
        yield from _run_project(Project(files, Path(directory)), files)


def _run_project(project: Project, files: Sequence[str]) -> Iterator[Project]:
    try:
        say(f"up: {', '.join(files)}")
        begin = time.monotonic()
        project.compose("up", "--detach")
        await_that("the router is ready", project.is_ready, 180)
        say(f"ready {time.monotonic() - begin:.1f} s after the start")
        await_that("apply has ended", lambda: project.state("apply") != "running", 60)
        status = project.inspect("apply", "{{.State.ExitCode}}")
        require(status == "0", f"apply: {status}\n{project.compose('logs', 'apply')}")
        for service in ("router", "billing"):
            restarts = project.inspect(service, "{{.RestartCount}}")
            require(
                restarts == "0", f"{service} was restarted {restarts} times before it was ready"
            )
        yield project
    except DeploymentError:
        print(project.compose("logs", "--tail", "40"), flush=True)
        raise
    finally:
        project.compose("down", "--volumes", "--timeout", "30")


def work(project: Project, seconds: float, *acts: Act) -> None:
    """Run the workload of routers on this machine, and act at some of its seconds."""
    say(summary(_work(project, ["--seconds", str(seconds)], acts)))


def have_handled(project: Project, seconds: float, kills: int, *acts: Act) -> None:
    """Run the workload of workers, and act at some of its seconds, with so many kills."""
    found = _work(project, ["--handled", "--seconds", str(seconds)], acts)
    say(summary_of_handling(found))
    require_few_repeats(found, kills)


def _work(project: Project, arguments: list[str], acts: Sequence[Act]) -> dict[str, Any]:
    command = [sys.executable, "tests/deployment/workload.py", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, env=project.environment(), stdout=subprocess.PIPE, text=True
    ) as workload:
        assert workload.stdout is not None
        require(workload.stdout.readline() == "publishing\n", "the workload does not begin")
        begin = time.monotonic()
        for due, act in acts:
            time.sleep(max(begin + due - time.monotonic(), 0))
            act()
        output = workload.stdout.read()
    require(workload.returncode == 0, f"status {workload.returncode} of the workload: {output}")
    found: dict[str, Any] = json.loads(output)
    return found


def add_field(project: Project, name: str) -> None:
    """Give the example's event a field more, as its owner would."""
    with (project.directory / "schemas" / "Order_Placed__e.yaml").open("a") as file:
        file.write(f"  - name: {name}\n    type: string\n    optional: true\n")


def require_field(project: Project, name: str) -> None:
    show = ("exec", "-T", "router", "platform-events", "schema", "show", "Order_Placed__e")
    require(name in project.compose(*show), f"Order_Placed__e has no field {name}")


def apply_again(project: Project) -> None:
    """Edit the definitions, and apply them as the page on deployment says."""
    add_field(project, "edited")
    project.compose("run", "--rm", "-T", "apply")
    require_field(project, "edited")
    say("definitions were edited and applied again")


def apply_from_image(project: Project) -> None:
    """Apply definitions that are in an image of their own, with nothing mounted."""
    add_field(project, "baked")
    build_definitions(project.directory)
    servers = "PLATFORM_EVENTS_BOOTSTRAP_SERVERS=kafka:19092"
    network = f"{PROJECT}_default"
    container = ("docker", "run", "--rm", "--read-only", "--network", network, "--env", servers)
    try:
        run(*container, DEFINITIONS, "apply", "/schemas", "--wait", "60", "--yes")
    finally:
        run("docker", "image", "rm", DEFINITIONS)
    require_field(project, "baked")
    say("definitions in an image of their own were applied")


def try_one_broker() -> None:
    with started(SINGLE) as project:
        apply_again(project)
        apply_from_image(project)
        work(project, 4)
        say(f"the router takes {project.memory('router')}")

        def restart_router() -> None:
            say("restarting the router")
            project.compose("restart", "router")

        def kill_router() -> None:
            say("killing the router")
            project.kill("router")

        def restart_kafka() -> None:
            say("restarting Kafka")
            project.compose("restart", "kafka")
            say("Kafka was restarted")

        work(project, 40, (4, restart_router), (14, kill_router), (24, restart_kafka))
        took = await_that("the router is ready again", project.is_ready, 60)
        say(f"the router is ready, {took:.1f} s after the workload")
        begin = time.monotonic()
        project.compose("stop", "router")
        status = project.inspect("router", "{{.State.ExitCode}}")
        require(status == "0", f"the router ended with status {status}")
        say(f"the router stopped with status 0 in {time.monotonic() - begin:.1f} s")


def try_workers() -> None:
    with started(SINGLE) as project:
        await_that("the example's worker is there", lambda: project.members("billing") == [[0]], 60)
        say(f"the example's worker takes {project.memory('billing')}")
        put_into_project(project.directory)
        project.compose("run", "--rm", "-T", "apply")
        project.compose("restart", "billing")

        def scale(number: int) -> None:
            one = ("--scale", f"billing={number}", "billing")
            project.compose("up", "--detach", "--no-recreate", *one)
            took = await_that(f"{number} share the partitions", lambda: is_shared_by(number), 60)
            say(f"scaled to {number}; all partitions are shared {took:.1f} s later")

        def is_shared_by(number: int) -> bool:
            members = project.members(SUBSCRIPTION)
            shared = sorted(partition for each in members for partition in each)
            is_even = all(members) and len(members) == number
            return is_even and shared == list(range(PARTITIONS))

        def kill_one() -> None:
            say("killing one of them")
            form = "{{.State.StartedAt}}"
            begun = project.inspect("billing", form)
            project.kill("billing")
            await_that("it runs again", lambda: project.inspect("billing", form) != begun, 30)
            took = await_that("3 share the partitions", lambda: is_shared_by(3), 60)
            say(f"it runs again; all partitions are shared {took:.1f} s later")

        def restart_each() -> None:
            for container in project.containers("billing"):
                run("docker", "restart", "--time", "30", container)
            say("restarted one after the other")

        await_that("the worker has all partitions", lambda: is_shared_by(1), 60)
        require_newer_protocol(project.show(SUBSCRIPTION))
        acts = ((4, lambda: scale(3)), (20, kill_one), (36, restart_each), (52, lambda: scale(1)))
        have_handled(project, 66, 1, *acts)
        begin = time.monotonic()
        project.compose("stop", "billing")
        status = project.inspect("billing", "{{.State.ExitCode}}")
        require(status == "0", f"the worker ended with status {status}")
        say(f"the worker stopped with status 0 in {time.monotonic() - begin:.1f} s")


def try_three_brokers() -> None:
    with started(CLUSTER) as project:

        def kill_broker() -> None:
            say("killing one broker of three")
            project.kill("kafka-2")

        work(project, 20, (5, kill_broker))
        members = project.members("billing")
        require(members == [[0]], f"the worker has {members} of the event's one partition")


def require_nothing_left() -> None:
    left = [
        line
        for kind in (["ps", "--all"], ["volume", "ls"], ["network", "ls"])
        for line in run("docker", *kind, "--quiet", "--filter", _LABEL).stdout.split()
    ]
    require(not left, f"left behind: {left}")
    say("torn down, nothing is left")


def main() -> None:
    """Try everything."""
    build_image()
    require_nothing_left()
    try_one_broker()
    try_workers()
    try_three_brokers()
    require_nothing_left()


if __name__ == "__main__":
    if not has_engine():
        sys.exit(skip("there is no Docker engine that answers `docker info`"))
    if not compose_command():
        sys.exit(skip("there is neither `docker compose` nor `docker-compose`"))
    sys.exit(finish(main))
