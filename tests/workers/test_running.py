"""Running a worker in a program: with signals, in threads, on somebody's loop."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from platform_events import Event, Settings, Start, UsageError, Worker
from platform_events.bus.bus import EventBus
from tests.support import ORDER, apply_texts, wait_until

EVENT = "Order_Placed__e"
Program = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def _defined(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> None:
    apply_texts(settings, tmp_path_factory.mktemp("schemas"), ORDER)


@pytest.fixture
def place(settings: Settings) -> Iterator[Callable[..., None]]:
    """Publish orders."""
    with EventBus(settings) as bus:
        yield lambda *orders: [bus.publish(EVENT, {"order_id": one}) for one in orders]


def worker(seen: list[str]) -> Worker:
    app = Worker("billing", EVENT, start=Start.EARLIEST)

    @app.handler
    async def bill(event: Event) -> None:
        seen.append(event.payload["order_id"])

    return app


@pytest.fixture
def program(settings: Settings) -> Iterator[Program]:
    """Start a program that has a worker, `app`; what it does is given as text."""
    processes: list[subprocess.Popen[str]] = []
    head = f"""
import asyncio, signal, sys, threading, time
from platform_events import Settings, Start, Worker

settings = Settings(bootstrap_servers={settings.bootstrap_servers!r}, tenant={settings.tenant!r})
app = Worker("billing", "Order_Placed__e", start=Start.EARLIEST, grace=30)

@app.handler
def bill(event):
    print(event.payload["order_id"], flush=True)
    if event.payload["order_id"].startswith("slow"):
        time.sleep(2)
        print("finished", flush=True)
    if event.payload["order_id"].startswith("hangs"):
        time.sleep(3600)
"""

    def start(code: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", head + textwrap.dedent(code)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


class TestSignals:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_the_first_lets_it_finish(
        self, program: Program, place: Callable[..., None], number: int
    ) -> None:
        process = program("app.run(settings)\nprint('over')")
        place("slow-1")
        assert next_line(process) == "slow-1"
        process.send_signal(number)
        out, error = process.communicate(timeout=60)
        assert (out.split(), error, process.returncode) == (["finished", "over"], "", 0)

    @pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_the_second_ends_it_at_once_whatever_hangs(
        self, program: Program, place: Callable[..., None], number: int, status: int
    ) -> None:
        process = program("app.run(settings)\nprint('over')")
        place("hangs")
        assert next_line(process) == "hangs"
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(number)
        out, error = process.communicate(timeout=60)
        assert (out, error, process.returncode) == ("", "", status)

    def test_those_that_somebody_else_handles_are_left_alone(
        self, program: Program, place: Callable[..., None]
    ) -> None:
        process = program(
            """
            def stop(number, _):
                print("theirs", flush=True)
                app.stop()

            signal.signal(signal.SIGTERM, stop)
            app.run(settings)
            print(signal.getsignal(signal.SIGTERM) is stop)
            print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
            """
        )
        place("A-1")
        assert next_line(process) == "A-1"
        process.send_signal(signal.SIGTERM)
        out, error = process.communicate(timeout=60)
        assert (out.split(), error, process.returncode) == (["theirs", "True", "True"], "", 0)

    def test_in_a_thread_they_are_nobody_s(
        self, program: Program, place: Callable[..., None]
    ) -> None:
        process = program(
            """
            before = signal.getsignal(signal.SIGTERM)
            thread = threading.Thread(target=app.run, args=[settings])
            thread.start()
            sys.stdin.readline()
            print(signal.getsignal(signal.SIGTERM) is before, flush=True)
            app.stop()
            thread.join()
            """
        )
        place("A-1")
        assert next_line(process) == "A-1"
        out, error = process.communicate("go on\n", timeout=60)
        assert (out.split(), error, process.returncode) == (["True"], "", 0)


class TestLoops:
    def test_it_runs_on_somebody_s_loop(
        self, settings: Settings, place: Callable[..., None]
    ) -> None:
        seen: list[str] = []
        app = worker(seen)

        async def serve() -> None:
            running = asyncio.create_task(app.run_async(settings))
            await asyncio.to_thread(wait_until, lambda: len(seen) == 2)
            app.stop()
            await running

        place("A-1", "A-2")
        asyncio.run(serve())
        assert seen == ["A-1", "A-2"]

    def test_run_needs_a_thread_without_one(self, settings: Settings) -> None:
        async def serve() -> None:
            worker([]).run(settings)

        with pytest.raises(UsageError, match=r"await run_async\(\) here"):
            asyncio.run(serve())

    def test_one_worker_runs_once_at_a_time(self, settings: Settings) -> None:
        app = worker([])

        async def serve() -> None:
            running = asyncio.create_task(app.run_async(settings))
            await asyncio.sleep(0)
            with pytest.raises(UsageError, match="worker billing runs already"):
                await app.run_async(settings)
            app.stop()
            await running

        asyncio.run(serve())

    def test_it_can_run_again(self, settings: Settings, place: Callable[..., None]) -> None:
        seen: list[str] = []
        app = Worker("billing", EVENT, start=Start.EARLIEST)

        @app.handler
        async def bill(event: Event) -> None:
            seen.append(event.payload["order_id"])
            app.stop()

        place("A-1")
        app.run(settings)
        assert seen == ["A-1"]
        place("A-2")
        app.run(settings)
        assert seen[-1] in ("A-1", "A-2")
        assert len(seen) == 2

    def test_what_was_stopped_before_it_began_ends_at_once(self, settings: Settings) -> None:
        app = worker([])
        app.stop()
        thread = threading.Thread(target=app.run, args=[settings], daemon=True)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()

    def test_without_a_handler_it_does_not_begin(self, settings: Settings) -> None:
        with pytest.raises(UsageError, match="has no handler"):
            Worker("billing", EVENT).run(settings)

    def test_the_settings_are_those_of_the_environment(
        self, settings: Settings, place: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PLATFORM_EVENTS_BOOTSTRAP_SERVERS", settings.bootstrap_servers)
        monkeypatch.setenv("PLATFORM_EVENTS_TENANT", settings.tenant)
        app = Worker("billing", EVENT, start=Start.EARLIEST)
        app.handler(lambda event: app.stop())
        place("A-1")
        app.run()

    def test_threads_that_hang_do_not_keep_the_loop(
        self, program: Program, place: Callable[..., None]
    ) -> None:
        process = program(
            """
            app = Worker("billing", "Order_Placed__e", start=Start.EARLIEST, grace=0.2)

            @app.handler
            async def bill(event):
                app.stop()
                await asyncio.to_thread(time.sleep, 3600)

            app.run(settings)
            print("over", flush=True)
            """
        )
        place("A-1")
        assert next_line(process) == "over"
