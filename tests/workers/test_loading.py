"""Finding a worker by MODULE:APP."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from platform_events import UsageError, Worker
from platform_events.workers.loading import load_app

HEAD = "from platform_events import Event, Worker\n"
APP = HEAD + "app = Worker('billing', 'Order_Placed__e')\n@app.handler\ndef bill(event): ...\n"

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write modules into the working directory, and forget them at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)

    def write(**sources: str) -> None:
        for name, source in sources.items():
            path = tmp_path / (name.replace("__", "/") + ".py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(textwrap.dedent(source))

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("tried_"):
            del sys.modules[name]


def refused(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        load_app(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_module_of_the_working_directory_is_found(write: Write, tmp_path: Path) -> None:
    write(tried_billing=APP, tried_shop__worker=APP.replace("app", "jobs"))
    app = load_app("tried_billing:app")
    assert isinstance(app, Worker)
    assert app.name == "billing"
    assert app.handlers.find("Order_Placed__e") is not None
    assert load_app("tried_shop.worker:jobs").name == "billing"
    assert sys.path.count(str(tmp_path)) == 1


def test_it_may_be_an_attribute_of_something(write: Write) -> None:
    write(tried_held=APP + "class Held:\n    worker = app\n")
    assert load_app("tried_held:Held.worker").name == "billing"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("billing", "'billing' is not MODULE:APP, such as billing.worker:app"),
        (":app", "':app' is not MODULE:APP"),
        ("billing:", "'billing:' is not MODULE:APP"),
        ("./shop/worker.py:app", "is a file, .* did you mean shop.worker:app?"),
        (".worker:app", "'.worker' does not name a module"),
        ("no-such:app", "'no-such' does not name a module"),
    ],
)
def test_what_does_not_name_a_worker(text: str, says: str) -> None:
    assert re.search(says, refused(text))


def test_a_module_that_is_not_there(write: Write, tmp_path: Path) -> None:
    write(tried_shop__worker=APP)
    assert f"there is no module tried_none: neither in {tmp_path} nor" in refused("tried_none:app")
    assert "there is no module tried_shop.wroker" in refused("tried_shop.wroker:app")


def test_a_module_that_fails_to_import(write: Write) -> None:
    write(
        tried_other="import tried_nowhere\n",
        tried_syntax="app = Worker(\n",
        tried_raises="x = 1\n\nraise RuntimeError('no\\nreason')\n",
        tried_exits="import sys\nsys.exit(3)\n",
        tried_deep="import tried_raises\n",
        tried_option=HEAD + "app = Worker('billing', 'Order_Placed__e', concurrency=0)\n",
        tried_policy="from platform_events import RetryPolicy\n"
        "retry = RetryPolicy(max_attempts=0)\n",
        tried_handler=HEAD
        + "app = Worker('billing', 'Order_Placed__e')\n@app.handler\ndef bill(): ...\n",
    )
    begin = "module {0} cannot be imported: {0}.py:"
    for module, says in {
        "tried_other": "1: ModuleNotFoundError: No module named 'tried_nowhere'",
        "tried_syntax": "1: SyntaxError: '(' was never closed",
        "tried_raises": "3: RuntimeError: no reason",
        "tried_option": "2: concurrency is a whole number of at least 1, not 0",
        "tried_policy": "2: RetryPolicy: max_attempts is a whole number, 1 or more, not 0",
        "tried_handler": "3: handler bill takes no argument: write it as (event, context) or "
        "(event)",
    }.items():
        assert refused(f"{module}:app") == begin.format(module) + says
    assert refused("tried_deep:app").endswith("tried_raises.py:3: RuntimeError: no reason")
    assert "ends the program when it is imported" in refused("tried_exits:app")


def test_what_is_no_worker(write: Write) -> None:
    write(tried_billing=APP + "other = 5\n", tried_empty="")
    assert refused("tried_billing:ap").endswith("has no 'ap'; did you mean app?")
    assert refused("tried_billing:zzz").endswith("has no 'zzz'; it has app")
    assert refused("tried_empty:app").endswith("has no 'app' and no Worker at all")
    assert "tried_billing:other is of type int, not a Worker" in refused("tried_billing:other")
    assert "tried_billing:Worker is a class, not a Worker" in refused("tried_billing:Worker")


def test_what_python_has_by_itself_is_told_apart(write: Write) -> None:
    write(stat=APP, sys=APP)
    assert re.search(r"module stat at /.*/stat\.py has no 'app'", refused("stat:app"))
    assert "module sys, which is built into Python, has no 'app'" in refused("sys:app")


def test_one_without_handlers(write: Write) -> None:
    write(tried_bare=HEAD + "app = Worker('billing', 'Order_Placed__e')\n")
    assert "worker billing has no handler" in refused("tried_bare:app")
