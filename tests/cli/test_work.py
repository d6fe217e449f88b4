"""`work` as a process, and as several: how it ends, and what it answers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from platform_events.bus.bus import EventBus
from platform_events.settings import Settings
from tests.cli.conftest import Cli, Spawn
from tests.cli.test_route import status_of
from tests.service.serving import ask_text
from tests.support import admin_client, free_port, is_alive, wait_until

EVENT = "Order_Placed__e"
Orders = Callable[..., None]
APP = """
import os, time
from platform_events import RetryPolicy, Start, Worker

app = Worker(
    "billing",
    "Order_Placed__e",
    start=Start.EARLIEST,
    retry=RetryPolicy(max_attempts=1),
    on_failure="stop-worker",
)

@app.handler
def bill(event):
    order = event.payload["order_id"]
    print(os.getpid(), order, flush=True)
    match order.partition("-")[0]:
        case "slow":
            time.sleep(2)
            print(os.getpid(), "finished", flush=True)
        case "hangs":
            time.sleep(3600)
        case "stops":
            app.stop()
        case "fails":
            raise ValueError("an order that fails")
"""


def write_app(more: str = "") -> None:
    """Write a module with a worker into the working directory."""
    Path("jobs").mkdir(exist_ok=True)
    Path("jobs/billing.py").write_text(APP + more)


@pytest.fixture
def place(bus_cli: Cli, settings: Settings) -> Iterator[Orders]:
    """Publish orders; a worker for them is in the working directory."""
    write_app()
    with EventBus(settings) as bus:
        yield lambda *orders: [bus.publish(EVENT, {"order_id": one}) for one in orders]


def lines_of(process: subprocess.Popen[bytes]) -> Iterator[tuple[int, str]]:
    """Yield what handlers print: a PID and a word."""
    assert process.stdout is not None
    for line in process.stdout:
        pid, word = line.decode().split()
        yield int(pid), word


@pytest.fixture(params=["1", "2"])
def processes(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def work(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """Run `work` in this process, in a directory that has the worker."""
    write_app()
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield lambda *arguments: cli("work", *arguments)
    for name in [name for name in sys.modules if name.partition(".")[0] == "jobs"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["jobs.billing:ap"], "module jobs.billing has no 'ap'; did you mean app?"),
        (["jobs.biling:app"], "there is no module jobs.biling"),
        (["jobs.billing:os"], "not a Worker"),
        (["jobs/billing.py:app"], "did you mean jobs.billing:app?"),
        (["jobs.billing:app", "--grace", "-1"], "--grace is a number of seconds, 0 or more"),
        (["jobs.billing:app", "--instance-id", "a b"], "instance_id is letters, digits"),
        (["jobs.billing:app", "--processes", "0"], "0 is not in the range x>=1"),
        ([], "missing argument 'MODULE:APP'"),
    ],
)
def test_wrong_usage_is_one_line_and_2(work: Cli, arguments: list[str], says: str) -> None:
    result = work(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert "USAGE: " in line
    assert says in line


def test_several_processes_say_it_once(spawn: Spawn) -> None:
    write_app()
    process = spawn("work", "jobs.billing:ap", "--processes", "3")
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2
    said = [line for line in error.splitlines() if b"USAGE" in line]
    assert len(said) == 1
    assert b"did you mean app?" in said[0]


class TestEnding:
    def test_the_first_signal_lets_it_finish(
        self, spawn: Spawn, place: Orders, processes: str
    ) -> None:
        place("slow")
        process = spawn("work", "jobs.billing:app", "--processes", processes)
        assert next(lines_of(process))[1] == "slow"
        process.send_signal(signal.SIGTERM)
        out, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
        assert b"finished" in out
        assert error.splitlines()[-1].endswith(b"stopped")

    @pytest.mark.parametrize(
        ("first", "second", "status"),
        [(signal.SIGTERM, signal.SIGTERM, 143), (signal.SIGTERM, signal.SIGINT, 130)],
    )
    def test_the_second_ends_it_at_once_whatever_hangs(
        self, spawn: Spawn, place: Orders, processes: str, first: int, second: int, status: int
    ) -> None:
        place("hangs")
        process = spawn("work", "jobs.billing:app", "--processes", processes)
        pid, word = next(lines_of(process))
        assert word == "hangs"
        process.send_signal(first)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(second)
        assert process.wait(60) == status
        wait_until(lambda: not is_alive(pid))

    def test_a_thread_that_hangs_does_not_keep_it(self, spawn: Spawn, place: Orders) -> None:
        place("hangs")
        process = spawn("work", "jobs.billing:app", "--grace", "0.3")
        next(lines_of(process))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0

    def test_a_user_s_own_threads_do_not_keep_it_either(self, spawn: Spawn, place: Orders) -> None:
        write_app("\nimport threading\nthreading.Thread(target=time.sleep, args=[3600]).start()\n")
        place("A-1")
        process = spawn("work", "jobs.billing:app")
        next(lines_of(process))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0

    def test_its_policy_ends_it_with_3(self, spawn: Spawn, place: Orders, processes: str) -> None:
        place("fails")
        process = spawn("work", "jobs.billing:app", "--processes", processes)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 3
        assert re.search(b"WORKER_STOPPED: .*an order that fails", error)

    def test_what_it_cannot_do_ends_it_with_1(
        self, spawn: Spawn, place: Orders, processes: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PLATFORM_EVENTS_KAFKA__SECURITY_PROTOCOL", "none")
        process = spawn("work", "jobs.billing:app", "--processes", processes)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 1
        assert b"CONFIGURATION: " in error

    def test_the_worker_may_end_itself(self, spawn: Spawn, place: Orders, processes: str) -> None:
        place("stops")
        process = spawn("work", "jobs.billing:app", "--processes", processes)
        process.communicate(timeout=60)
        assert process.returncode == 0


class TestProcesses:
    def start(self, spawn: Spawn, number: int) -> tuple[subprocess.Popen[bytes], list[int]]:
        """Return the parent of so many processes, and their PIDs, when all run."""
        process = spawn("work", "jobs.billing:app", "--processes", str(number))
        assert process.stderr is not None
        pids = []
        while len(pids) < number:
            found = re.search(rb"process \d+ runs with PID (\d+)", process.stderr.readline())
            pids += [int(found[1])] if found else []
        return process, pids

    def test_one_that_is_killed_is_started_again(self, spawn: Spawn, place: Orders) -> None:
        process, pids = self.start(spawn, 2)
        os.kill(pids[1], signal.SIGKILL)
        assert process.stderr is not None
        said, again = b"", None
        while again is None:
            # The other one may say something too.
            said += process.stderr.readline()
            again = re.search(rb"process 2 runs with PID (\d+)", said)
        assert b"process 2 was ended by SIGKILL and is started again in 1 s" in said
        assert int(again[1]) not in pids
        assert is_alive(pids[0])
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert not is_alive(pids[0])

    def test_none_is_left_when_the_parent_is_killed(self, spawn: Spawn, place: Orders) -> None:
        place("slow")
        process, pids = self.start(spawn, 2)
        lines = lines_of(process)
        assert next(lines)[1] == "slow"
        process.kill()
        assert "finished" in [word for _, word in lines]
        wait_until(lambda: not any(map(is_alive, pids)))

    def test_each_is_a_static_member_of_its_own(
        self, spawn: Spawn, place: Orders, settings: Settings
    ) -> None:
        process = spawn("work", "jobs.billing:app", "--processes", "2", "--instance-id", "pod-1")
        group = settings.namespace.worker("billing")
        client = admin_client(settings)

        def members() -> list[str]:
            described = client.describe_consumer_groups([group])[group].result()
            return sorted(str(one.group_instance_id) for one in described.members)

        wait_until(lambda: members() == ["pod-1-1", "pod-1-2"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0

    def test_ctrl_c_of_a_terminal_reaches_each_once(self, spawn: Spawn, place: Orders) -> None:
        place("slow")
        process = spawn("work", "jobs.billing:app", "--processes", "2", start_new_session=True)
        next(lines_of(process))
        os.killpg(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert b"finished" in out

    def test_one_that_ends_by_itself_ends_all(self, spawn: Spawn, place: Orders) -> None:
        process, pids = self.start(spawn, 3)
        place("fails")
        assert process.wait(60) == 3
        assert not any(map(is_alive, pids))


class TestHealth:
    @pytest.fixture
    def port(self, monkeypatch: pytest.MonkeyPatch) -> int:
        port = free_port()
        monkeypatch.setenv("PLATFORM_EVENTS_HEALTH_PORT", str(port))
        monkeypatch.setenv("PLATFORM_EVENTS_HEALTH_HOST", "127.0.0.1")
        monkeypatch.setenv("PLATFORM_EVENTS_METRICS", "true")
        return port

    def test_one_process_answers(
        self, spawn: Spawn, place: Orders, processes: str, port: int
    ) -> None:
        write_app("\nfrom prometheus_client import Counter\nCounter('jobs', 'Loaded.').inc()\n")
        process = spawn("work", "jobs.billing:app", "--processes", processes)
        wait_until(lambda: status_of(port, "/readyz") == 200)
        assert status_of(port, "/livez") == 200
        wait_until(
            lambda: (
                f"\njobs_total {processes}.0\n" in ask_text(f"http://127.0.0.1:{port}/metrics")[1]
            )
        )
        text = ask_text(f"http://127.0.0.1:{port}/metrics")[1]
        assert re.search(r'platform_events_build_info{version="[^"]+"} 1\.0', text)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_handlers_log_with_ids_and_without_payload(
    spawn: Spawn, place: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("jobs/logs.py").write_text(
        APP.replace("def bill(event):", "def bill(event, context):").replace(
            "    match", "    context.logger.info('billed', extra={'invoice': 7})\n    match"
        )
    )
    place("stops-4000-1234")
    monkeypatch.setenv("PLATFORM_EVENTS_LOG_FORMAT", "json")
    _, error = spawn("work", "jobs.logs:app").communicate(timeout=60)
    assert b"4000-1234" not in error
    (said,) = [one for one in map(json.loads, error.splitlines()) if one["message"] == "billed"]
    assert said["logger"] == "platform_events.worker"
    assert (said["subscription"], said["attempt"], said["invoice"]) == ("billing", 1, 7)
    assert len(said["event_id"]) == 36
    assert said["replay_id"]
