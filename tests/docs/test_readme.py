"""README as a reader follows it: two terminals, and a virtual environment of his own."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Block, page
from tests.docs.running import assert_like, commands_of
from tests.support import free_port

pytestmark = pytest.mark.end_to_end

README = page("README.md")
_TOP = [block for block in README.blocks if block.is_exempt]
_TYPED = [block for block in README.blocks if not block.is_exempt]
_MARK = "\x1e"
_PYTHON = """\
#!/bin/sh
if [ "$1 $2" = "-m venv" ]; then shift 2; set -- -m venv --without-pip "$@"; fi
exec {base} "$@"
"""
"""Installing pip into a virtual environment takes 5 s; it is lent, as what is installed here is."""
_PIP = """\
#!/bin/sh
exec "${0%/*}/python3" -m pip "$@"
"""
ENDLESS = {"platform-events up": "ready ", "platform-events work billing:app": "billed "}
"""Commands that do not end, with the beginning of the line that tells that they work."""


class Terminal:
    """A shell that commands are typed into; one that fails ends it."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail"],
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @property
    def directory(self) -> Path:
        """Where it is now."""
        return Path(self.run("pwd").strip())

    def run(self, command: str) -> str:
        """Return what a command printed."""
        self._type(command)
        return self._read_to_the_end(command)

    def start(self, command: str, until: str) -> None:
        """Type a command that does not end, and wait for a line that begins with `until`."""
        assert self._shell.stdout is not None
        self._type(command)
        said = []
        for line in self._shell.stdout:
            said.append(line)
            if line.startswith(until):
                return
            if line == f"{_MARK}\n":
                break
        pytest.fail(f"{command} printed\n{''.join(said)}")

    def press_ctrl_c(self) -> str:
        """Return what the command that ran printed since it was started."""
        os.killpg(self._shell.pid, signal.SIGINT)
        return self._read_to_the_end("Ctrl-C")

    def close(self) -> None:
        with self._shell:
            if self._shell.poll() is None:
                os.killpg(self._shell.pid, signal.SIGKILL)

    def _type(self, command: str) -> None:
        assert self._shell.stdin is not None
        # The shell reads commands from the pipe that programs would otherwise read from too.
        self._shell.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\n{_MARK}\\n'\n")
        self._shell.stdin.flush()

    def _read_to_the_end(self, command: str) -> str:
        assert self._shell.stdout is not None
        said = []
        for line in self._shell.stdout:
            if line == f"{_MARK}\n":
                return "".join(said).removesuffix("\n")
            said.append(line)
        pytest.fail(f"{command} failed with status {self._shell.wait()}:\n{''.join(said)}")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables of a reader who has not installed the package, and whose usual ports are taken."""
    assert find_spec("hatchling"), (
        "what builds the package is missing: install the extra test again"
    )
    assert find_spec("pip"), "pip is missing: make the virtual environment again"
    kafka_port = free_port()
    while (http_port := free_port()) == kafka_port:
        pass
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PLATFORM_EVENTS_", "PIP_", "PYTHON", "PYTEST_", "VIRTUAL_ENV"))
    }
    commands = tmp_path / "bin"
    commands.mkdir()
    python = commands / "python3"
    base = getattr(sys, "_base_executable", sys.executable)
    python.write_text(_PYTHON.format(base=shlex.quote(base)))
    python.chmod(0o755)
    others = [
        folder
        for folder in os.environ["PATH"].split(os.pathsep)
        if not (Path(folder) / "platform-events").exists()
    ]
    return kept | {
        "PATH": os.pathsep.join([str(commands), *others]),
        "PLATFORM_EVENTS_BOOTSTRAP_SERVERS": f"127.0.0.1:{kafka_port}",
        "PLATFORM_EVENTS_UP_KAFKA_PORT": str(kafka_port),
        "PLATFORM_EVENTS_UP_HTTP_PLAIN_PORT": str(http_port),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_BUILD_ISOLATION": "0",  # so says pip for "no isolation"
        "PIP_NO_CACHE_DIR": "1",
        "PIP_NO_COMPILE": "1",
        "PIP_NO_INDEX": "1",
    }


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


def test_what_a_reader_types_works(
    environment: dict[str, str], terminals: list[Terminal], tmp_path: Path
) -> None:
    beside = tmp_path / "code"
    beside.mkdir()
    (beside / "platform-events").symlink_to(ROOT)
    terminals.append(Terminal(beside, environment))
    printed = ""
    for block in _TYPED:
        place = terminals[-1].directory if block.language != "sh" else beside
        match block:
            case Block(language="sh"):
                printed = "".join(
                    type_in(command, terminals, environment) for command in commands_of(block)
                )
                assert not (order := order_below(block)) or orders_in(printed) == [order]
            case Block(language="text"):
                assert_like(printed, block.text, block.place)
            case Block(title=str() as title):
                assert not (place / title).exists(), block.place
                (place / title).write_text(block.text)
            case Block(addition=str() as addition):
                with (place / addition).open("a") as file:
                    file.write(block.text)
    used_for_up, used_for_work, last = terminals
    assert last.directory.parent == beside
    assert "stopped" in used_for_work.press_ctrl_c()
    assert "keeps the events" in used_for_up.press_ctrl_c()


def type_in(command: str, terminals: list[Terminal], environment: dict[str, str]) -> str:
    """Return what a command printed; one that does not end keeps its terminal for itself."""
    terminal = terminals[-1]
    if command in ENDLESS:
        directory = terminal.directory
        terminal.start(command, until=ENDLESS[command])
        terminals.append(Terminal(directory, environment))
        return ""
    printed = terminal.run(command)
    if command.startswith("python3 -m venv "):
        lend_dependencies(terminal.directory / command.rpartition(" ")[2])
    return printed


def order_below(block: Block) -> str | None:
    """Return the order that a block's program prints, as the text below it says."""
    lines = README.path.read_text().splitlines()
    end = lines.index("```", block.line - 1)
    said = re.match(r"It prints order `(A-\d)`", "".join(lines[end + 1 : end + 3]))
    return said and said[1]


def orders_in(printed: str) -> list[str]:
    return re.findall(r"(?<![\w-])A-\d(?![\w-])", printed)


def lend_dependencies(venv: Path) -> None:
    """Let a virtual environment see what is installed here, with pip, which downloads nothing."""
    (site_packages,) = venv.glob("lib/python3.*/site-packages")
    lent = [path for path in sys.path if path and any(Path(path).glob("*.dist-info"))]
    (site_packages / "lent.pth").write_text("\n".join(lent) + "\n")
    pip = venv / "bin" / "pip"
    pip.write_text(_PIP)
    pip.chmod(0o755)


@pytest.mark.parametrize("command", ["false", "false | true", "nothing-of-this-name", "exit 3"])
def test_a_command_that_fails_fails_the_test(
    command: str, terminals: list[Terminal], tmp_path: Path
) -> None:
    terminals.append(Terminal(tmp_path, dict(os.environ)))
    assert terminals[0].run("echo 1; echo 2") == "1\n2\n"
    with pytest.raises(pytest.fail.Exception, match=r"failed with status [1-9]"):
        terminals[0].run(command)


def test_a_program_that_does_not_get_ready_fails_the_test(
    terminals: list[Terminal], tmp_path: Path
) -> None:
    terminals.append(Terminal(tmp_path, dict(os.environ)))
    with pytest.raises(pytest.fail.Exception, match="not ready"):
        terminals[0].start("echo not ready", until="ready ")


def test_everything_but_make_is_typed() -> None:
    assert [commands_of(block) for block in _TOP] == [
        ["make demo    # a real Kafka, real flights as events, subscribers that resume, channels",
         "make test    # the tests, some six minutes on two cores",
         "make e2e     # whole programs, the examples, and every command of these pages"]
    ]  # fmt: skip
    for block in _TYPED:
        kind = (block.language, bool(block.title or block.addition), "output" in block.words)
        assert kind in {
            ("sh", False, False), ("python", True, False), ("yaml", True, False),
            ("text", False, True),
        }, block.place  # fmt: skip


@pytest.mark.parametrize(
    ("target", "command"),
    [("demo", r"\.venv/bin/platform-events demo"), ("test", r"\.venv/bin/pytest -n \d+ .*")],
)
def test_make_runs_what_other_tests_run(target: str, command: str) -> None:
    steps = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert re.fullmatch(command, steps.splitlines()[-1])


def test_the_text_says_what_two_programs_print() -> None:
    assert [order for block in _TYPED if (order := order_below(block))] == ["A-2", "A-2"]


def test_the_reader_is_told_where_a_file_goes() -> None:
    lines = README.path.read_text().splitlines()
    files = [block for block in README.blocks if block.title or block.addition]
    assert len(files) >= 4
    for block in files:
        paragraph = "\n".join(lines[: block.line - 1]).rpartition("\n\n")[0].rpartition("\n\n")[2]
        assert f"`{block.title or block.addition}`" in paragraph, block.place
