"""Running a page: its files written, its commands and programs executed, its output compared."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from platform_events.bus.bus import EventBus
from platform_events.catalog.apply import apply, plan_options
from platform_events.files.loader import load_definitions
from platform_events.service.http.application import make_application
from platform_events.settings import Settings
from platform_events.testing import KafkaBroker
from tests.docs.pages import Block
from tests.nested import share_broker
from tests.service.serving import served

SECONDS = 60
_PROMPT = "$ "
_WILDCARD = "..."
_MARK = "\x1e"
_USUAL_URL = "http://127.0.0.1:7080"
"""Where pages say that `up` serves HTTP."""


@dataclass
class PageRun:
    """One page in one directory, tenant and Python namespace."""

    directory: Path
    settings: Settings
    broker: KafkaBroker
    ran: list[str] = field(default_factory=list)
    """Languages of the blocks that were run or checked."""
    _names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__docs__"})
    _printed: str | None = None
    """What the block before printed."""
    _unapplied: bool = False
    """Whether there are definitions that the next program needs."""
    _router: subprocess.Popen[str] | None = None
    """Runs from the first block on that shows a command with one."""
    _worker: subprocess.Popen[bytes] | None = None
    """What the last block started that shows `platform-events work`."""
    _seen: int = 0
    """How much of what it printed blocks have shown."""
    _http: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _url: str = _USUAL_URL
    """Where HTTP is served, from the first block on that shows a command that does it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Kafka clients that a page leaves behind must end before the broker does.
        self._names.clear()
        self._http.close()
        if self._worker is not None:
            with self._worker:
                self._worker.kill()
        if self._router is not None:
            with self._router:
                self._router.kill()

    def finish(self) -> None:
        """Check what no block used, and how what still runs ends."""
        self._end_worker()
        if self._router is not None:
            # From its first line on it ends in order; a short page may be faster than that.
            assert self._router.stdout is not None
            assert self._router.stdout.readline()
            self._router.terminate()
            output, _ = self._router.communicate(timeout=SECONDS)
            assert self._router.returncode == 0, output
        if (self.directory / "schemas").exists():
            load_definitions(self.directory / "schemas")

    def run(self, block: Block) -> None:
        """Run or check one block; fail if it does not do what it shows."""
        printed, self._printed = self._printed, None
        if block.is_exempt:
            self._stand_in(block)
        elif block.title:
            self._write(block)
        elif block.language in _ACTIONS:
            _ACTIONS[block.language](self, block)
            self.ran.append(block.language)
        elif block.words == ("output",):
            assert printed is not None, f"{block.place}: there is no output before it"
            assert_like(printed, block.text, block.place)
        elif block.words == ("worker",):
            self._await_worker(block)

    def _write(self, block: Block) -> None:
        assert block.title is not None
        path = self.directory / block.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)
        if path.name.startswith("test_"):
            share_broker(self.broker, path.parent)
        self._unapplied = self._unapplied or block.language in ("yaml", "json")

    def _stand_in(self, block: Block) -> None:
        """Do what matters to the next example of commands that would not end.

        That is what `init` writes. The broker of `up` is there; definitions are applied, a router
        runs, and HTTP is served. A worker runs, instead of the one before.
        """
        for command in commands_of(block):
            match shlex.split(command, comments=True):
                case ["platform-events", "init", *_]:
                    self._shell(command, block)
                case ["platform-events", "up", *_]:
                    self._unapplied = (self.directory / "schemas").exists()
                    self._start_router()
                    self._serve()
                case ["platform-events", "route"]:
                    self._start_router()
                case ["platform-events", "work", app, *options] if self._has_module(app):
                    self._start_worker(["work", app, *options])
                case ["docker", "compose", "up", *_] if not (self.directory / "schemas").exists():
                    self._shell("platform-events init && platform-events apply", block)
                    self._start_router()

    def _start_router(self) -> None:
        if self._router is None:
            self._router = subprocess.Popen(
                [sys.executable, "-m", "platform_events.cli", "route"],
                cwd=self.directory,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def _has_module(self, app: str) -> bool:
        """Whether the page has written the module of a worker."""
        return (self.directory / f"{app.partition(':')[0]}.py").exists()

    def _start_worker(self, arguments: list[str]) -> None:
        """Start a worker in a terminal of its own."""
        self._end_worker()
        with self._worker_output.open("wb") as output:
            self._worker = subprocess.Popen(
                [sys.executable, "-m", "platform_events.cli", *arguments],
                cwd=self.directory,
                env={**self._environment(), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._seen = 0

    def _end_worker(self) -> None:
        """Press Ctrl-C in the worker's terminal."""
        if self._worker is not None:
            self._worker.send_signal(signal.SIGINT)
            status = self._worker.wait(SECONDS)
            assert status == 0, f"status {status}:\n{self._worker_output.read_text()}"
            self._worker = None

    def _await_worker(self, block: Block) -> None:
        """Wait until the worker's terminal shows this after what blocks before have shown."""
        assert self._worker is not None, f"{block.place}: there is no worker"
        deadline = time.monotonic() + SECONDS
        while True:
            printed = self._worker_output.read_text()
            if is_like(printed[self._seen :], block.text):
                self._seen = len(printed)
                return
            if time.monotonic() > deadline or self._worker.poll() is not None:
                assert_like(printed[self._seen :], block.text, block.place)
            time.sleep(0.05)

    @property
    def _worker_output(self) -> Path:
        return self.directory / ".worker-output"

    def _serve(self) -> None:
        if self._url == _USUAL_URL:
            bus = self._http.enter_context(EventBus(self.settings))
            self._url = self._http.enter_context(served(make_application(bus)))

    def _apply(self) -> None:
        definitions = load_definitions(self.directory / "schemas")
        apply(self.settings, definitions, plan_options(self.settings))
        self._unapplied = False

    def _python(self, block: Block) -> None:
        if self._unapplied:
            self._apply()
        text = "\n" * (block.line - 1) + block.text.replace(_USUAL_URL, self._url)
        code = compile(text, block.page, "exec", dont_inherit=True)
        output = io.StringIO()
        before = Path.cwd()
        os.chdir(self.directory)
        try:
            with contextlib.redirect_stdout(output):
                exec(code, self._names)
        finally:
            os.chdir(before)
        self._printed = output.getvalue()

    def _sh(self, block: Block) -> None:
        output, status = self._shell(block.text, block)
        assert status == 0, f"{block.place}: status {status}:\n{output}"
        self._printed = output

    def _console(self, block: Block) -> None:
        steps = console_steps(block)
        script = "".join(
            f"{{\n{command}\n}} && s=0 || s=$?\nprintf '{_MARK}%s{_MARK}' $s\n"
            for command, _ in steps
        )
        output, _ = self._shell(script, block)
        parts = output.split(_MARK)
        assert len(parts) == 2 * len(steps) + 1, f"{block.place}: it ended early:\n{output}"
        for (command, expected), printed, status in zip(
            steps, parts[0::2], parts[1::2], strict=False
        ):
            place = f"{block.place}: {command}"
            assert_like(printed, expected, place)
            assert status == "0" or "error" in expected, f"{place}: status {status}:\n{printed}"

    def _shell(self, script: str, block: Block) -> tuple[str, int]:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.directory,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return done.stdout, done.returncode

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}",
            "PLATFORM_EVENTS_BOOTSTRAP_SERVERS": self.settings.bootstrap_servers,
            "PLATFORM_EVENTS_TENANT": self.settings.tenant,
            "HOME": str(self.directory),
            **{
                f"GIT_{who}_{what}": "docs@example.com"
                for who in ("AUTHOR", "COMMITTER")
                for what in ("NAME", "EMAIL")
            },
        }

    def _yaml(self, block: Block) -> None:
        text = block.text
        if text.startswith("-"):
            text = "event: Example__e\nfields:\n" + text
        path = self.directory / f"fragment-{block.line}" / "Example__e.yaml"
        path.parent.mkdir()
        path.write_text(text)
        load_definitions(path)

    def _json(self, block: Block) -> None:
        json.loads(block.text)


_ACTIONS: dict[str, Callable[[PageRun, Block], None]] = {
    "python": PageRun._python,
    "sh": PageRun._sh,
    "console": PageRun._console,
    "yaml": PageRun._yaml,
    "json": PageRun._json,
}
RUNNABLE = frozenset(_ACTIONS)


def commands_of(block: Block) -> list[str]:
    """Return the commands of a shell block, without comments and blank lines."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def console_steps(block: Block) -> list[tuple[str, str]]:
    """Return each command of a console block and the output that is shown below it."""
    steps: list[list[str]] = []
    for line in block.text.splitlines(keepends=True):
        if line.startswith(_PROMPT):
            steps.append([line.removeprefix(_PROMPT), ""])
        else:
            assert steps, f"{block.place}: output without a command"
            steps[-1][1] += line
    assert steps, f"{block.place}: no command"
    return [(command.strip(), output) for command, output in steps]


def assert_like(printed: str, expected: str, place: str) -> None:
    """Check output against what a page shows, in which `...` stands for anything."""
    assert is_like(printed, expected), f"{place} printed\n{printed}\ninstead of\n{expected}"


def is_like(printed: str, expected: str) -> bool:
    """Whether output is what a page shows, in which `...` stands for anything."""
    pattern = ".*?".join(map(re.escape, expected.strip().split(_WILDCARD)))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None
