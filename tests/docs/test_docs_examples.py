"""Every example in the README and in docs/ really runs, and prints what it shows."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import click
import pytest

from platform_events.cli.program import program
from platform_events.errors import DefinitionsError
from platform_events.settings import Settings
from platform_events.testing import KafkaBroker
from tests.docs.pages import ROOT, Block, Page, all_pages
from tests.docs.running import PageRun, assert_like, commands_of, console_steps

pytestmark = pytest.mark.end_to_end

PAGES = all_pages()
FOLLOWED = "README.md"
"""Run by a test of its own, as a reader would."""
_SHELLS = {"sh", "console"}
_SHOWN = {"text", ""}
_WRITTEN = {"dockerfile", "xml"}
_LANGUAGES = {"python", "yaml", "json", *_WRITTEN, *_SHELLS, *_SHOWN}
_EXEMPT = (
    r"make [a-z0-9]+",
    r"pip install .+",
    r"git clone .+",
    r"cd \S+",
    r"export COMPOSE_FILE=\S+",
    r"docker .+",
    r"(echo '[^'|]*' \| )?kubectl .+",
    r"k8s/deploy\.sh \S+",
    r"(kind|minikube) .+",
    r"python \w+\.py( \S+)?",
    r"platform-events (init|up|demo|serve|route|work|subscriptions|dead-letters)\b.*",
)
"""What may be in a block that a test does not run."""


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.blocks and page.name != FOLLOWED],
    ids=lambda page: page.name,
)
def test_the_examples_of_a_page_run(
    page: Page,
    kafka_broker: KafkaBroker,
    tenant: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in list(os.environ):
        if name.startswith("PLATFORM_EVENTS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PLATFORM_EVENTS_BOOTSTRAP_SERVERS", kafka_broker.bootstrap_servers)
    monkeypatch.setenv("PLATFORM_EVENTS_TENANT", tenant)
    with PageRun(tmp_path, Settings(), kafka_broker) as run:
        for block in page.blocks:
            run.run(block)
        run.finish()


def test_there_are_examples_to_run() -> None:
    counts = {
        page.name: sum(
            block.language in {"python", *_SHELLS} and not block.is_exempt for block in page.blocks
        )
        for page in PAGES
    }
    least = {
        "docs/channels.md": 8,
        "docs/definitions.md": 1,
        "docs/publishing.md": 8,
        "docs/subscribing.md": 10,
        "docs/operations.md": 5,
        "docs/deployment.md": 1,
        "docs/local.md": 1,
        "docs/testing.md": 1,
        "docs/workers.md": 20,
        "docs/recipes.md": 6,
        "docs/salesforce.md": 3,
        "docs/kafka-tools.md": 2,
        "docs/reference/cli.md": 9,
        "docs/reference/errors.md": 1,
        "docs/reference/settings.md": 2,
        "docs/reference/wire.md": 4,
    }
    few = {name: counts.get(name) for name, count in least.items() if counts.get(name, 0) < count}
    assert not few


def test_every_block_has_a_language_that_is_run_or_only_shown() -> None:
    unknown = [block.place for block in _all() if block.language not in _LANGUAGES]
    assert not unknown
    unused = [b.place for b in _all() if b.language in _WRITTEN and b.title is None]
    assert not unused, "nothing reads a file that no title names"


def test_words_after_the_language_are_known() -> None:
    for block in _all():
        for word in block.words:
            is_known = word in ("no-test", "output", "worker") or word.startswith("title=")
            is_known = is_known or (word.startswith("append=") and block.page == FOLLOWED)
            assert is_known, block.place
        assert not block.is_exempt or block.language == "sh", (
            f"{block.place}: only sh may be exempt"
        )
        is_shown = not {"output", "worker"}.isdisjoint(block.words)
        assert not is_shown or block.language == "text", block.place


def test_only_commands_that_cannot_end_or_need_the_network_are_exempt() -> None:
    exempt = [block for block in _all() if block.is_exempt]
    assert exempt
    for block in exempt:
        for command in commands_of(block):
            bare = command.partition(" #")[0].strip()
            assert any(re.fullmatch(rule, bare) for rule in _EXEMPT), f"{block.place}: {command}"
            bare = re.sub(r"^echo '[^'|]*' \|", "", bare)
            assert not re.search(r"[;&|<>`$]", bare), f"{block.place}: {command}"


def test_exempt_commands_exist_with_their_options() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for block in _all():
        for command in commands_of(block) if block.is_exempt else ():
            words = shlex.split(command, comments=True)
            if "kubectl" in words and "--" in words:
                words = words[words.index("--") + 1 :]
            match words:
                case ["make", target]:
                    assert re.search(rf"^{target}:", makefile, re.MULTILINE), block.place
                case ["docker", "compose", "-f", first, "-f", second, *_]:
                    assert (ROOT / first).exists(), block.place
                    assert (ROOT / second).exists(), block.place
                case ["k8s/deploy.sh", overlay]:
                    assert (ROOT / overlay / "kustomization.yaml").exists(), block.place
                case ["platform-events", name, *arguments]:
                    found = program.get_command(click.Context(program), name)
                    assert found is not None
                    found.make_context(name, arguments)


def test_what_is_only_shown_holds_no_command() -> None:
    for block in _all():
        lines = block.text.splitlines() if block.language in _SHOWN else []
        if block.page == "docs/reference/cli.md" and len(lines) == 1:
            continue  # a usage, which the tests of the reference compare
        for line in lines:
            is_command = line.startswith(("platform-events ", "$ ", "pip ", "python "))
            assert not is_command, f"{block.place}: {line}"


_FROM_AN_INDEX = (
    r"""(pip install|dependencies:)[^\n]*[\s'"\[]platform-events(\[\w+\])?(?! @)[\s'"\]]"""
)


def test_the_package_is_not_installed_from_an_index_which_does_not_have_it() -> None:
    assert re.search(_FROM_AN_INDEX, "pip install 'platform-events[local]'")
    assert not re.search(_FROM_AN_INDEX, "pip install '../platform-events[local]' pytest")
    texts = [*ROOT.glob("docs/**/*.md"), *ROOT.glob("src/**/*.py"), ROOT / "README.md"]
    assert [path for path in texts if re.search(_FROM_AN_INDEX, path.read_text())] == []


class TestTheTestItself:
    def run_of(self, directory: Path) -> PageRun:
        return PageRun(
            directory, Settings(bootstrap_servers="127.0.0.1:1"), KafkaBroker("127.0.0.1:1")
        )

    def block(self, language: str, text: str, *words: str) -> Block:
        return Block("page.md", language, words, text, 1)

    @pytest.mark.parametrize(
        ("language", "text"),
        [
            ("sh", "true\nfalse\ntrue\n"),
            ("sh", "false | true\n"),
            ("sh", "echo $undefined_variable\n"),
            ("console", "$ false\n"),
            ("console", "$ echo a\nb\n"),
            ("console", "$ echo a\na\n$ exit 1\n"),
            ("console", "$ echo a; echo b\na\n"),
            ("python", "raise ValueError\n"),
            ("python", "assert 1 == 2\n"),
            ("json", "{,}\n"),
            ("yaml", "- {name: a, type: strin}\n"),
            ("yaml", "event: A__e\nfileds: []\n"),
        ],
    )
    def test_a_wrong_example_fails(self, tmp_path: Path, language: str, text: str) -> None:
        with pytest.raises(Exception):  # noqa: B017, PT011
            self.run_of(tmp_path).run(self.block(language, text))

    def test_a_right_example_passes(self, tmp_path: Path) -> None:
        run = self.run_of(tmp_path)
        run.run(self.block("python", "a = 1\n"))
        run.run(self.block("python", "print(a + 1)\nprint('x')\n"))
        run.run(self.block("text", "2\n...\n", "output"))
        run.run(self.block("console", "$ echo 1; echo 2; echo 3\n1\n...\n3\n$ echo b\nb\n"))
        run.run(self.block("sh", "test -d .\n"))
        run.run(self.block("yaml", "- {name: a, type: string}\n"))
        assert run.ran == ["python", "python", "console", "sh", "yaml"]

    def test_a_definition_that_no_block_uses_is_checked(self, tmp_path: Path) -> None:
        run = self.run_of(tmp_path)
        run.run(self.block("yaml", "event: A__e\nfileds: []\n", "title=schemas/A__e.yaml"))
        with pytest.raises(DefinitionsError):
            run.finish()

    def test_output_is_compared(self, tmp_path: Path) -> None:
        run = self.run_of(tmp_path)
        run.run(self.block("python", "print(1)\n"))
        with pytest.raises(AssertionError):
            run.run(self.block("text", "2\n", "output"))

    def test_output_needs_something_that_printed(self, tmp_path: Path) -> None:
        with pytest.raises(AssertionError, match="no output before"):
            self.run_of(tmp_path).run(self.block("text", "2\n", "output"))

    def test_a_worker_s_terminal_needs_a_worker(self, tmp_path: Path) -> None:
        with pytest.raises(AssertionError, match="no worker"):
            self.run_of(tmp_path).run(self.block("text", "...\n", "worker"))

    def test_wildcards_stand_for_anything_and_nothing_else_does(self) -> None:
        assert_like("a 12 b\nc\n", "a ...\nc", "here")
        for expected in ("a ... b", "... 13 ...", "a . b"):
            with pytest.raises(AssertionError):
                assert_like("a 12 b\nc\n", expected, "here")

    def test_console_steps_are_commands_with_their_output(self) -> None:
        steps = console_steps(self.block("console", "$ one\na\nb\n$ two\n"))
        assert steps == [("one", "a\nb\n"), ("two", "")]


def _all() -> list[Block]:
    return [block for page in PAGES for block in page.blocks]
