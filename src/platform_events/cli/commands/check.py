"""`platform-events check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from platform_events.cli.arguments import Command, definitions_path, json_option
from platform_events.cli.terminal.failures import BreakingChangeError
from platform_events.cli.terminal.output import print_json, print_lines
from platform_events.definitions.durations import format_duration
from platform_events.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from platform_events.definitions.model import (
        ChannelDefinition,
        Definition,
        Definitions,
        EventDefinition,
    )

_GIT = "git:"


@click.command(
    cls=Command,
    examples=(
        "platform-events check",
        "platform-events check schemas --against git:origin/main",
    ),
)
@definitions_path
@click.option(
    "--against",
    metavar="git:REF",
    help="Also judge whether each may follow what it was in a revision, such as git:main.",
)
@json_option
def check(path: Path, against: str | None, as_json: bool) -> None:
    """Check definitions, without a broker.

    PATH is a directory of definitions or one file (default: schemas). With --against each of
    them is new, unchanged, compatible, BREAKING or removed; the exit status is 1 if one is
    BREAKING.
    """
    reference = None if against is None else _read_reference(against)
    from platform_events.files.loader import load_definitions

    definitions = load_definitions(path)
    verdicts: dict[str, dict[str, Any]] | None = None
    if reference is not None:
        from platform_events.cli.views.comparison import judge_changes
        from platform_events.files.revision import load_definitions_at

        verdicts = judge_changes(load_definitions_at(reference, path, definitions), definitions)
    if as_json:
        print_json(_document(definitions, against, verdicts))
    else:
        print_lines(_lines(definitions, verdicts))
    breaking = [name for name, verdict in (verdicts or {}).items() if verdict["breaks"]]
    if breaking:
        raise BreakingChangeError(
            f"{', '.join(breaking)}: incompatible with {against}; undo the change, "
            "or take one of the ways out above"
        )


def _read_reference(against: str) -> str:
    reference = against.removeprefix(_GIT)
    if reference == against or not reference:
        raise UsageError(f"--against {against!r:.100} is not git:REF, such as git:main")
    return reference


def _document(
    definitions: Definitions, against: str | None, verdicts: dict[str, dict[str, Any]] | None
) -> dict[str, Any]:
    parts: dict[str, list[dict[str, Any]]] = {
        "events": [_describe_event(event) for event in definitions.events.values()],
        "channels": [_describe_channel(channel) for channel in definitions.channels.values()],
    }
    if verdicts is None:
        return {"project": definitions.project, **parts}
    judged: dict[str, list[dict[str, Any]]] = {"events": [], "channels": []}
    known = {one["name"]: one for part in parts.values() for one in part}
    for name, verdict in sorted(verdicts.items()):
        facts = {key: value for key, value in verdict.items() if key != "kind"}
        judged[f"{verdict['kind']}s"].append(known.get(name, {"name": name}) | facts)
    return {"project": definitions.project, "against": against, **judged}


def _describe_event(definition: EventDefinition) -> dict[str, Any]:
    return {
        "name": definition.name,
        "file": definition.file,
        "schema_id": definition.schema.id,
        "partitions": definition.partitions,
        "partition_key": definition.partition_key,
        "retention": format_duration(definition.retention_ms),
    }


def _describe_channel(definition: ChannelDefinition) -> dict[str, Any]:
    return {
        "name": definition.name,
        "file": definition.file,
        "members": [
            {"event": member.event, "filter": member.filter or None, "from": member.start}
            for member in definition.members
        ],
        "partitions": definition.partitions,
        "retention": format_duration(definition.retention_ms),
    }


def _lines(definitions: Definitions, verdicts: dict[str, dict[str, Any]] | None) -> Iterator[str]:
    if verdicts is None:
        every: list[Definition] = [*definitions.events.values(), *definitions.channels.values()]
        for one in every:
            yield f"{one.name}  {one.file}"
    for name, verdict in sorted((verdicts or {}).items()):
        yield f"{verdict['verdict']:<10}  {name}"
        for text in verdict["breaks"] or verdict["details"]:
            yield f"    {text}"
    yield f"{_count(definitions)} valid, project {definitions.project}"


def _count(definitions: Definitions) -> str:
    counted = [(len(definitions.events), "event")]
    if definitions.channels:
        counted.append((len(definitions.channels), "channel"))
    words = " and ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counted)
    return f"{words} {'is' if sum(count for count, _ in counted) == 1 else 'are'}"
