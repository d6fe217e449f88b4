"""`platform-events dead-letters`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from platform_events.cli.arguments import (
    CONTEXT_SETTINGS,
    Command,
    CommandGroup,
    FiniteRange,
    json_option,
    parse_moment,
)
from platform_events.cli.completion import (
    complete_events,
    complete_subscriptions,
    complete_with_dead_letters,
)
from platform_events.cli.terminal.confirmation import ask
from platform_events.cli.terminal.failures import FAILED
from platform_events.cli.terminal.messages import note
from platform_events.cli.terminal.output import print_json, print_json_list, print_line
from platform_events.cli.terminal.progress import CountProgress
from platform_events.errors import UsageError
from platform_events.names import is_channel_name
from platform_events.workers.policy import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.cli.connection import Connection

_Decorated = TypeVar("_Decorated", bound="Callable[..., Any]")
_REASONS = [*map(str, Reason), "unroutable"]
"""What workers say, and what routers do."""
_owner = click.argument(
    "owner", metavar="SUBSCRIPTION|CHANNEL", shell_complete=complete_with_dead_letters
)
_name = click.argument("name", metavar="SUBSCRIPTION", shell_complete=complete_subscriptions)
_ids = click.argument("ids", metavar="[ID...]", nargs=-1)


def _filters(command: _Decorated) -> _Decorated:
    """Add options named as the parts of a `LetterFilter`."""
    reason = click.option("--reason", type=click.Choice(_REASONS), help="Only those of a reason.")
    type_ = click.option(
        "--type",
        metavar="EVENT",
        shell_complete=complete_events,
        help="Only those of an event definition.",
    )
    since = click.option(
        "--since",
        type=parse_moment,
        metavar="TIME",
        help="Only those that failed last at or after a time (ISO 8601 with zone) or an age (15m).",
    )
    until = click.option(
        "--until",
        type=parse_moment,
        metavar="TIME",
        help="Only those that failed last before a time or an age.",
    )
    return reason(type_(since(until(command))))


@click.group("dead-letters", cls=CommandGroup, context_settings=CONTEXT_SETTINGS)
def dead_letters() -> None:
    """Look at events not handled, redrive or discard them.

    A worker keeps an event as a dead letter when its retries are used up, and where it cannot be
    handled at all. A router keeps those that it cannot write into its channel.
    """


@dead_letters.command(
    "list",
    cls=Command,
    examples=(
        "platform-events dead-letters list billing",
        "platform-events dead-letters list billing --reason undecodable --since 2h",
        "platform-events dead-letters list billing --json | jq -c '.[].event.payload'",
    ),
)
@_owner
@_filters
@json_option
@click.pass_obj
def list_(
    connection: Connection,
    /,
    owner: str,
    as_json: bool,
    **filters: Any,
) -> None:
    """List the dead letters of a subscription, or those of a channel's router.

    ID is the partition and the offset of the event in its stream. STATUS is dead, redriving (asked
    for, and not handled yet) or parked (an event of the same key failed before it, and the key is
    stopped). With --json: a list with one dead letter on each line.
    """
    from platform_events.cli.views.dead_letters import LetterWriter, print_letters
    from platform_events.workers.letter_view import LetterFilter
    from platform_events.workers.letters import index_letters, show_letters

    wanted = LetterFilter(**filters)
    with connection.bus() as bus:
        if as_json:
            print_json_list(
                map(LetterWriter(bus.catalog).document, show_letters(bus, owner, wanted))
            )
            return
        found = index_letters(bus, owner, wanted)
    if found:
        print_letters(found)
    else:
        note(f"{owner} has no {'such ' if any(filters.values()) else ''}dead letters")


@dead_letters.command(
    cls=Command,
    examples=(
        "platform-events dead-letters show billing 0-42",
        "platform-events dead-letters show billing 0-42 --json | jq .event",
    ),
)
@_owner
@click.argument("letter", metavar="ID")
@json_option
@click.pass_obj
def show(connection: Connection, owner: str, letter: str, as_json: bool) -> None:
    """Show one dead letter: why it is one, and its event.

    An event that cannot be decoded has the payload null and its bytes as raw_base64.
    """
    from platform_events.cli.views.dead_letters import LetterWriter, print_letter
    from platform_events.workers.letter_view import LetterFilter
    from platform_events.workers.letters import show_letters

    show_one = print_json if as_json else print_letter
    with connection.bus() as bus:
        writer = LetterWriter(bus.catalog)
        # Two members of a channel may have one each.
        for shown in show_letters(bus, owner, LetterFilter((letter,))):
            show_one(writer.document(shown))


@dead_letters.command(
    cls=Command,
    examples=(
        "platform-events dead-letters redrive billing",
        "platform-events dead-letters redrive billing 0-42 0-57",
        "platform-events dead-letters redrive billing --reason timed_out --rate 50 --max 1000",
    ),
)
@_name
@_ids
@_filters
@click.option(
    "--rate",
    type=FiniteRange(min=0, min_open=True),
    metavar="N",
    help="Ask for N in a second at most.",
)
@click.option(
    "--max",
    "limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Ask for the first N only.",
)
@json_option
@click.pass_obj
def redrive(
    connection: Connection,
    /,
    name: str,
    ids: tuple[str, ...],
    rate: float | None,
    limit: int | None,
    as_json: bool,
    **filters: Any,
) -> None:
    """Have dead letters handled after all: those of the IDs, or all, as far as filters let them.

    Workers handle them in the order of their events, and keep those that fail again. A key that was
    stopped goes on once what stopped it is handled. Those that are being redriven are left as they
    are. Without a worker they wait for one.
    """
    _refuse_channel(name)
    from platform_events.workers.letter_view import LetterFilter
    from platform_events.workers.letters import SubscriptionLetters

    asked = 0
    with connection.bus() as bus:
        letters = SubscriptionLetters(bus, name)
        chosen = letters.select(LetterFilter(ids, **filters))
        due = [one for one in chosen if letters.status(one) != "redriving"][:limit]
        try:
            with CountProgress("redrive", len(due)) as progress:
                for _ in letters.redrive(due, rate):
                    asked += 1
                    progress.advance()
        except KeyboardInterrupt:
            note(f"interrupted; {_counted(asked)} asked for, which workers handle")
            raise
        is_worked_for = not asked or bool(bus.admin.members(bus.settings.namespace.worker(name)))
    _tell(name, "redriving", asked, as_json=as_json)
    if not is_worked_for:
        note(f"nobody works for {name}: its workers handle them when they start")


@dead_letters.command(
    cls=Command,
    examples=(
        "platform-events dead-letters discard billing 0-42",
        "platform-events dead-letters discard billing --type Order_Placed__e --until 7d --yes",
    ),
)
@_name
@_ids
@_filters
@click.option("--yes", is_flag=True, help="Confirm what would be asked.")
@json_option
@click.pass_obj
def discard(
    connection: Connection,
    /,
    name: str,
    ids: tuple[str, ...],
    yes: bool,
    as_json: bool,
    **filters: Any,
) -> int:
    """Throw dead letters away with their events: those of the IDs, or all, as far as filters let.

    Those that fail again meanwhile stay.
    """
    _refuse_channel(name)
    from platform_events.workers.letter_view import LetterFilter
    from platform_events.workers.letters import SubscriptionLetters

    with connection.bus() as bus:
        letters = SubscriptionLetters(bus, name)
        chosen = letters.select(LetterFilter(ids, **filters))
        loss = [f"discards {_counted(len(chosen))} of {name}, with their events"] if chosen else []
        if not (yes or ask(loss)):
            note("nothing was changed")
            return FAILED
        discarded = len(letters.discard(chosen))
    _tell(name, "discarded", discarded, as_json=as_json)
    return 0


def _refuse_channel(name: str) -> None:
    if is_channel_name(name.removeprefix("/event/")):
        raise UsageError(
            f"{name} is a channel, not a subscription: what its router could not write into it can "
            "be listed and shown only; publish it again"
        )


def _counted(number: int) -> str:
    return f"{number:,} dead letter{'' if number == 1 else 's'}"


def _tell(name: str, done: str, number: int, *, as_json: bool) -> None:
    if as_json:
        print_json({"subscription": name, done: number})
    else:
        print_line(f"{_counted(number)} of {name} {done}")
