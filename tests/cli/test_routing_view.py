"""What a router shows on stderr: lines, or bars on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from platform_events.channels.states import Progress
from platform_events.cli.views import router as routing
from platform_events.cli.views.router import RoutingView

NAME = "All__chn"


@pytest.fixture
def view() -> Iterator[RoutingView]:
    with RoutingView() as view:
        yield view


def test_little_to_catch_up_with_is_not_mentioned(
    view: RoutingView, capsys: pytest.CaptureFixture[str]
) -> None:
    view.show_progress(NAME, 0, Progress(0, 999))
    view.show_progress(NAME, 0, Progress(999, 999))
    view.show_progress(NAME, 0, None)
    assert capsys.readouterr().err == ""


def test_without_a_terminal_there_is_a_line_now_and_then(
    view: RoutingView, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    view.show_progress(NAME, 1, Progress(10, 2_000))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(routing, "_LINE_SECONDS", 0.0)
    view.show_progress(NAME, 1, Progress(1_500, 2_000))
    view.show_progress(NAME, 1, Progress(2_000, 2_000))
    view.show_progress(NAME, 1, None)
    assert capsys.readouterr().err == (
        "All__chn[1]: 1,500 of 2,000 records caught up\nAll__chn[1]: 2,000 records caught up\n"
    )


def test_what_was_given_up_is_not_called_caught_up(
    view: RoutingView, capsys: pytest.CaptureFixture[str]
) -> None:
    view.show_progress(NAME, 0, Progress(10, 2_000))
    view.show_progress(NAME, 0, None)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("done", [300, 2_000])
def test_a_bar_goes_when_catching_up_is_over_or_given_up(
    view: RoutingView, monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    view.show_progress(NAME, 0, Progress(done, 2_000))
    bars = view._bars
    assert bars is not None
    assert [(bar.description, bar.completed, bar.total) for bar in bars.tasks] == [
        (NAME, done, 2_000)
    ]
    view.show_progress(NAME, 0, None)
    assert bars.tasks == []


def test_states_are_shown_but_not_what_the_log_says_already(
    view: RoutingView, capsys: pytest.CaptureFixture[str]
) -> None:
    view.show_state(NAME, 0, "taking over", "")
    view.show_state(NAME, 0, "live", "")
    view.show_state(NAME, 0, "broken", "its topic is gone")
    assert capsys.readouterr().err == "All__chn: live\n"
