"""The reference and the tables of the other pages say what the code says."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import fields
from inspect import signature
from typing import Any, get_args

import click
import pytest
from confluent_kafka import KafkaException, Producer

import platform_events
from platform_events import Context, RetryPolicy, Worker
from platform_events.bus.pending import SubmittedEvent
from platform_events.bus.starts import OnExpired
from platform_events.bus.values import MAX_EVENT_ID
from platform_events.catalog.apply import plan_options
from platform_events.catalog.plan import Action, topic_config
from platform_events.catalog.positions import Checkpoint
from platform_events.channels.router import _CATCHING_UP_AT_ONCE
from platform_events.channels.states import FeedState, State
from platform_events.channels.status import ChannelStatus, LeaderStatus, MemberStatus
from platform_events.channels.transfer import _LONGEST_REASON, _MOST_RECORDS
from platform_events.channels.transfer_loop import _KEEP_SECONDS
from platform_events.cli.program import program
from platform_events.cli.terminal.failures import report_failure
from platform_events.cli.views.activation import _SECONDS
from platform_events.cli.views.plan import _MARKS
from platform_events.cli.views.replay_id import DELETED, READABLE
from platform_events.cli.views.streams import _MEMBER_COLUMNS, _describe_channel
from platform_events.cli.views.subscriptions import _COLUMNS
from platform_events.definitions.model import ChannelDefinition, EventDefinition
from platform_events.definitions.schema import Schema
from platform_events.envelope import DEAD_LETTER_REASON, ORIGIN, Origin
from platform_events.errors import PlatformEventsError
from platform_events.kafka.groups import SESSION_MS
from platform_events.kafka.outbox import Delivery
from platform_events.kafka.producer import MAX_RECORD_BYTES
from platform_events.kafka.properties import OWN_SETTING, PASSED, REFUSED
from platform_events.kafka.reader import PREFETCH, readers_group
from platform_events.metrics.exposition import Exposition
from platform_events.metrics.meters import Meters
from platform_events.partition_tasks import FIRST_PAUSE, LONGEST_PAUSE
from platform_events.replay import ReplayError
from platform_events.settings import OTHER_VARIABLES, Settings
from platform_events.variables import PREFIX
from platform_events.workers.app import OnFailure
from platform_events.workers.creation import _CONFIG
from platform_events.workers.dead_letter import _KEY_HEADER, _LETTER_HEADER, Letter
from platform_events.workers.holes import LONGEST_METADATA, Saved, encode
from platform_events.workers.journal import (
    Control,
    RedriveRequest,
    SavedPosition,
    Seek,
    SubscriptionRecord,
)
from platform_events.workers.policy import LONGEST_RETRYING
from tests.docs.pages import ROOT, all_pages, first_column, names_in, page

CLI_ONLY = ("platform_events.cli", "platform_events.demo")


def leaves(
    group: click.Group, context: click.Context
) -> Iterator[tuple[str, click.Command, click.Context]]:
    """Yield every command that is no group, with its path."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, context, info_name=name)
        if isinstance(command, click.Group):
            yield from leaves(command, inner)
        else:
            yield inner.command_path, command, inner


class TestCommands:
    PAGE = page("docs/reference/cli.md")
    ALL = tuple(leaves(program, click.Context(program, info_name="platform-events")))

    def test_every_command_has_its_section_in_the_order_of_the_help(self) -> None:
        headings = [name for name in self.PAGE.sections if name.startswith("platform-events ")]
        assert headings == [path for path, _, _ in self.ALL]

    @pytest.mark.parametrize(("path", "command", "context"), ALL, ids=[path for path, _, _ in ALL])
    def test_a_section_has_the_usage_and_every_option(
        self, path: str, command: click.Command, context: click.Context
    ) -> None:
        usages = [b.text for b in self.PAGE.blocks if b.language == "text"]
        shown = next(text for text in usages if text.startswith(path))
        pieces = command.collect_usage_pieces(context)
        options = [p for p in command.params if isinstance(p, click.Option)]
        assert shown.split() == [*path.split(), *(p for p in pieces if options or p != "[OPTIONS]")]
        rows = self.PAGE.table(path) if options else []
        documented = {
            tuple(re.findall(r"--[a-z-]+", row[0])): names_in(row[1]) or [row[1]] for row in rows
        }
        expected = {}
        for option in options:
            default = option.default if option.show_default else ""
            expected[*option.opts, *option.secondary_opts] = [str(default)]
        assert documented.pop(("--follow", "--no-follow"), ["follow"]) == ["follow"]
        expected.pop(("--follow", "--no-follow"), None)
        assert documented == expected

    def test_choices_are_complete(self) -> None:
        for path, command, _ in self.ALL:
            for option in command.params:
                if isinstance(option, click.Option) and isinstance(option.type, click.Choice):
                    choices = "|".join(str(choice) for choice in option.type.choices)
                    assert f"{option.opts[0]} {choices}" in self.PAGE.sections[path].replace(
                        "\\|", "|"
                    )

    def test_every_command_has_an_example(self) -> None:
        text = "".join(b.text for b in self.PAGE.blocks if b.language in ("sh", "console"))
        assert [path for path, _, _ in self.ALL if path not in text] == []

    def test_global_options(self) -> None:
        documented = {
            name for row in self.PAGE.table("Commands") for name in re.findall(r"--[a-z-]+", row[0])
        }
        assert documented == {
            *(name for option in program.params for name in option.opts),
            "--help",
        }


class TestSettings:
    PAGE = "docs/reference/settings.md"
    ROWS = page(PAGE).table("Settings")

    def test_every_setting_with_its_variable(self) -> None:
        assert [(names_in(r[0]), names_in(r[1])) for r in self.ROWS] == [
            ([name], [f"PLATFORM_EVENTS_{name.upper()}{'__...' if name == 'kafka' else ''}"])
            for name in Settings.model_fields
        ]

    def test_defaults(self) -> None:
        for row in self.ROWS:
            default = Settings.model_fields[names_in(row[0])[0]].get_default(
                call_default_factory=True
            )
            text = str(default).lower() if isinstance(default, bool) else str(default)
            assert names_in(row[2]) == ([] if default in (None, {}) else [text]), row

    def test_choices(self) -> None:
        meaning = next(row[4] for row in self.ROWS if names_in(row[0]) == ["compression"])
        for choice in get_args(Settings.model_fields["compression"].annotation):
            assert choice in meaning

    def test_kafka_properties(self) -> None:
        text = page(self.PAGE).sections["Kafka properties"]
        listed = text.partition("These pass too:")[2].partition("These are refused")[0]
        assert set(names_in(listed)) == PASSED
        rows = page(self.PAGE).table("Kafka properties")
        assert {
            name: row[1].replace("`", "") for row in rows for name in names_in(row[0])
        } == REFUSED
        rows = page(self.PAGE).table("Kafka properties", 1)
        assert {n: names_in(row[1])[0] for row in rows for n in names_in(row[0])} == OWN_SETTING

    def test_every_other_variable_that_the_code_reads(self) -> None:
        sources = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
        mentioned = set(re.findall(r"\bPLATFORM_EVENTS_[A-Z]+(?:_[A-Z]+)*\b", sources))
        own = {f"PLATFORM_EVENTS_{name.upper()}" for name in Settings.model_fields}
        completion = "PLATFORM_EVENTS_COMPLETE"  # click's, after an underscore
        others = {f"{PREFIX}{name}" for name in OTHER_VARIABLES}
        assert set(first_column(self.PAGE, "Other variables")) == others
        properties = f"{PREFIX}KAFKA_"
        assert others == {n for n in mentioned - own - {completion} if not n.startswith(properties)}

    def test_kafka_variables_on_all_pages_name_properties_that_exist(self) -> None:
        text = "".join(each.path.read_text() for each in all_pages())
        names = set(re.findall(r"PLATFORM_EVENTS_KAFKA__([A-Z_]+)=", text))
        assert len(names) >= 7
        unknown = {name for name in names if not is_property(name.lower().replace("_", "."))}
        assert not unknown


def is_property(name: str) -> bool:
    """Whether librdkafka knows a property; this value may be wrong for it."""
    try:
        Producer({name: "1"})
    except KafkaException as error:
        return "No such configuration property" not in str(error)
    return True


def every_error() -> list[type[PlatformEventsError]]:
    for module in pkgutil.walk_packages(platform_events.__path__, "platform_events."):
        if not module.name.endswith(("__main__", "supervisor")):
            importlib.import_module(module.name)
    return list(subclasses(PlatformEventsError))


def subclasses(of: type[PlatformEventsError]) -> Iterator[type[PlatformEventsError]]:
    for each in of.__subclasses__():
        yield each
        yield from subclasses(each)


class TestErrors:
    PAGE = "docs/reference/errors.md"

    def test_every_code_of_the_library(self) -> None:
        expected = {
            (each.code, each.__name__, "yes" if each.retriable else "no")
            for each in every_error()
            if not each.__module__.startswith(("tests", *CLI_ONLY))
            and isinstance(vars(each).get("code"), str)
        }
        rows = page(self.PAGE).table("Codes")
        documented = [(*names_in(row[0]), *names_in(row[1]), row[2]) for row in rows]
        assert sorted(documented) == sorted(expected)
        assert all(row[3] and row[4] for row in rows)

    def test_public_errors_are_those(self) -> None:
        for row in page(self.PAGE).table("Codes"):
            assert names_in(row[1])[0] in platform_events.__all__

    def test_every_code_of_the_command_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        report_failure(ZeroDivisionError("x"))
        (defect,) = re.findall(r"error: ([A-Z_]+):", capsys.readouterr().err)
        library = {names_in(row[0])[0] for row in page(self.PAGE).table("Codes")}
        expected = {each.code for each in every_error() if each.__module__.startswith(CLI_ONLY)}
        assert set(first_column(self.PAGE, "Codes of the command line only")) == {
            defect,
            *(expected - library),
        }


STATUS = ChannelStatus(
    definition=1,
    members=(MemberStatus("A__e", "", 1, 0, 0, 0, 0, 0, 0),),
    partitions=(LeaderStatus(0, None, None, "no router", "", None),),
)
"""How some channel is doing."""


class TestChannels:
    WIRE = page("docs/reference/wire.md")
    PAGE = page("docs/channels.md")

    def test_names_in_kafka(self) -> None:
        namespace = Settings().namespace
        event, channel = "Order_Placed__e", "Large_Orders__chn"
        names = [
            *(namespace.topic(event), namespace.topic(channel), namespace.dead_letters(channel)),
            *(namespace.catalog, namespace.catalog, f"{namespace.topic(channel)}.0"),
            *(namespace.routers, namespace.positions(channel)),
            *(namespace.worker("billing"), namespace.journal("billing")),
            readers_group(Settings()),
        ]
        rows = self.WIRE.table("Names")
        assert [names_in(row[2])[0] for row in rows] == names
        parts = {"prefix": "platform-events", "tenant": "default", "event": event,
                 "channel": channel, "partition": 0, "subscription": "billing"}  # fmt: skip
        patterns = [names_in(row[1]) for row in rows]
        shown = [pattern[0].format(**parts) if pattern else None for pattern in patterns]
        assert [name for name in shown if name] == [*names[:4], *names[5:]]

    def test_headers(self) -> None:
        tables = [self.WIRE.table("Channels", number) for number in range(4)]
        origin, reason, positions, leadership = [
            [name for row in rows for name in names_in(row[0])] for rows in tables
        ]
        assert origin == [ORIGIN]
        assert reason == [DEAD_LETTER_REASON]
        assert f"at most {_LONGEST_REASON:,} bytes" in tables[1][0][1]
        assert positions == [each.name for each in fields(Checkpoint)]
        assert leadership == [each.name for each in fields(FeedState)]
        assert first_column("docs/channels.md", "Dead letters") == [ORIGIN, DEAD_LETTER_REASON]

    def test_the_origin_that_is_shown_is_one(self) -> None:
        text = self.WIRE.sections["Channels"]
        (shown,) = re.findall(r"`(/event/[^`]+ [^`]+)`", text)
        origin = Origin.parse(shown.encode())
        assert origin is not None
        assert (origin.definition, origin.partition, origin.offset) == (3, 0, 41)
        (form,) = (span for span in names_in(text) if span.startswith("stream "))
        assert len(form.split(" ")) == len(shown.split(" ")) == len(fields(Origin))

    def test_attributes_of_an_origin(self) -> None:
        cells = dict(row for row in self.PAGE.table("What is guaranteed"))
        documented = {name for name in names_in(cells["`origin`"]) if name.isidentifier()}
        assert documented == {each.name for each in fields(Origin)} - {"appended_ms"}

    def test_states(self) -> None:
        states = {*get_args(State), "no router"}
        assert set(first_column("docs/channels.md", "Watching a channel", 1)) == states
        told = next(row[1] for row in self.WIRE.table("Channels", 3) if row[0] == "`state`")
        assert set(names_in(told)) == set(get_args(State))

    def test_columns_and_keys_of_streams(self) -> None:
        document = _describe_channel(STATUS)
        rows = self.PAGE.table("Watching a channel")
        assert [row[0] for row in rows] == [
            column for column in _MEMBER_COLUMNS if column not in ("CHANNEL", "MEMBER")
        ]
        assert {names_in(row[1])[0] for row in rows} == set(document["members"][0]) - {"event"}
        text = page("docs/reference/cli.md").sections["platform-events streams"]
        items = {names_in(item)[0]: names_in(item)[1:] for item in text.split("\n- ")[1:]}
        assert items == {part: list(document[part][0]) for part in ("members", "routing")}
        for path in first_column("docs/operations.md", "What to watch"):
            part, key = path.split("[].")
            assert key in document[part][0]

    def test_numbers(self) -> None:
        routers = page("docs/operations.md").sections["Routers"]
        assert f"noticed after {SESSION_MS // 1000} seconds" in routers
        assert _CATCHING_UP_AT_ONCE == 4
        assert "four channel partitions at a time" in " ".join(routers.split())
        assert _KEEP_SECONDS == 24 * 3600
        assert f"after {FIRST_PAUSE} to {LONGEST_PAUSE:.0f} seconds" in self.PAGE.prose
        assert f"up to {_MOST_RECORDS:,} events" in self.PAGE.sections["Latency and cost"]
        assert f"up to {_SECONDS:.0f} seconds in all" in page("docs/operations.md").prose


class TestWorkers:
    WIRE = page("docs/reference/wire.md")
    PAGE = page("docs/workers.md")

    def test_options(self) -> None:
        parameters = signature(Worker).parameters
        rows = self.PAGE.table("All options")
        documented = [name for row in rows for name in names_in(row[0])]
        assert documented == [name for name in parameters if name not in ("name", "stream")]
        for row in rows:
            names, given = names_in(row[0]), row[1].replace("`", "")
            defaults = [parameters[name].default for name in names]
            if names == ["retry"]:
                assert given == "RetryPolicy()"
            elif names == ["max_bytes"]:
                assert given == f"{defaults[0] // 2**20} MiB"
            else:
                assert given == ", ".join(map(str, defaults))

    def test_the_retry_policy(self) -> None:
        rows = self.PAGE.table("When a handler fails")
        documented = [name for row in rows for name in names_in(row[0])]
        assert documented == [each.name for each in fields(RetryPolicy)]
        defaults = [text for row in rows for text in row[1].replace("`", "").split(", ")]
        assert defaults == [str(each.default) for each in fields(RetryPolicy)]
        assert f"{LONGEST_RETRYING:.0f} seconds after its key failed first" in self.PAGE.prose
        choices = [names_in(row[0])[0] for row in self.PAGE.table("When a handler fails", 1)]
        assert choices == list(get_args(OnFailure))

    def test_what_a_handler_is_told(self) -> None:
        documented = {
            name.partition("(")[0] for name in first_column("docs/workers.md", "What a handler is")
        }
        told = {name for name in dir(Context) if not name.startswith("_")} - {"accepted"}
        assert documented == told

    def test_exit_statuses(self) -> None:
        assert [row[0] for row in self.PAGE.table("Stopping")] == ["0", "1", "2", "3", "130, 143"]

    def test_keys_and_columns_of_subscriptions(self) -> None:
        rows = self.PAGE.table("Commands")
        columns = [column.strip() for row in rows for column in row[0].split(",")]
        shown = [one for one in _COLUMNS if one not in ("NAME", "STREAM", "WORKERS")]
        assert columns == shown
        keys = {name for row in rows for name in names_in(row[1])}
        watched = first_column("docs/operations.md", "Watching workers")
        text = self.PAGE.sections["Commands"] + page("docs/reference/cli.md").prose
        assert keys | set(watched) <= set(names_in(text))

    def test_the_journal_s_configuration(self) -> None:
        rows = page("docs/operations.md").table("Workers", 1)
        documented = {name: row[1].replace("`", "") for row in rows for name in names_in(row[0])}
        assert documented.keys() == _CONFIG.keys()
        assert documented["cleanup.policy"] == _CONFIG["cleanup.policy"]
        assert documented["max.message.bytes"] == f"{int(_CONFIG['max.message.bytes']):,}"
        mebibytes, days = int(_CONFIG["segment.bytes"]) // 2**20, int(_CONFIG["segment.ms"])
        assert documented["segment.ms"] == f"{mebibytes} MiB, {days // 86_400_000} day"

    def test_what_a_commit_says(self) -> None:
        text = self.WIRE.sections["Workers"]
        (form,) = (span for span in names_in(text) if span.startswith("1;topic"))
        written, _ = encode(7, Saved(1, 9, 2, 3, topic="abcdefgh"))
        names = {
            "topic": "abcdefgh", "generation": "1", "low-high": "7-9", "running": "2",
            "failing": "3",
        }  # fmt: skip
        for name, value in names.items():
            form = form.replace(name, value)
        assert written == f"{form}R"
        assert f"At most {LONGEST_METADATA:,} characters" in text

    def test_records_of_a_journal(self) -> None:
        rows = {names_in(row[0])[0]: names_in(row[1]) for row in self.WIRE.table("Workers", 1)}
        for key, kind in (("subscription", SubscriptionRecord), ("position", SavedPosition)):
            assert rows[key] == [each.name for each in fields(kind)]
        assert rows["control"][:4] == [each.name for each in fields(Control)]
        assert rows["control"][4:] == [each.name for each in fields(Seek)]
        assert rows["redrive/{partition}-{offset}"] == [
            each.name for each in fields(RedriveRequest) if each.name != "id"
        ]
        headers = {names_in(row[0])[0]: names_in(row[1]) for row in self.WIRE.table("Workers", 2)}
        assert list(headers) == [_KEY_HEADER, _LETTER_HEADER]
        ours = {each.name for each in fields(Letter)} - {"partition", "offset", "key", "has_body"}
        assert set(headers[_LETTER_HEADER]) - {"dead", "parked"} == (ours - {"journal_offset"}) | {
            "format", "no_body", "has_key",
        }  # fmt: skip


class TestOtherTables:
    def test_metrics(self) -> None:
        families = [*Exposition(Meters()).collect()]
        names = {each.name + ("_total" if each.type == "counter" else "") for each in families}
        assert set(first_column("docs/operations.md", "Metrics")) == names
        (rules,) = (b.text for b in page("docs/operations.md").blocks if b.title == "alerts.yaml")
        used = set(re.findall(r"platform_events_\w+", rules))
        assert used
        assert used <= names

    def test_topic_configuration(self) -> None:
        settings = Settings(min_insync_replicas=2)
        definition = EventDefinition("A__e", Schema("", "", "A__e"))
        config = topic_config(definition, plan_options(settings))
        rows = page("docs/operations.md").table("Topic configuration")
        documented = {names_in(row[0])[0]: row[1].replace("`", "").replace(",", "") for row in rows}
        assert set(documented) == set(config)
        for key in ("cleanup.policy", "message.timestamp.type", "max.message.bytes",
                    "retention.bytes"):  # fmt: skip
            assert documented[key] == config[key]
        assert int(config["retention.ms"]) == 12 * int(config["segment.ms"])
        channel = ChannelDefinition("A__chn", (), definition.retention_ms)
        largest = int(topic_config(channel, plan_options(settings))["max.message.bytes"])
        reason = next(row[2] for row in rows if row[0] == "`max.message.bytes`")
        assert f"{largest:,} for channels" in reason

    def test_marks_of_a_plan(self) -> None:
        rows = page("docs/operations.md").table("Plan and apply")
        documented: dict[str, Any] = {row[1]: names_in(row[0])[0] for row in rows}
        assert documented == {
            **{action.value: _MARKS[action] for action in Action if action in _MARKS},
            "refused": "x",
        }

    def test_verdicts_on_replay_ids(self) -> None:
        rows = page("docs/subscribing.md").table("Replay IDs")
        assert {(*names_in(row[0]), *names_in(row[1])) for row in rows} == {
            (each.code, each.__name__) for each in subclasses(ReplayError)
        }
        choices = page("docs/subscribing.md").table("Expiry")
        assert [names_in(row[0])[0].strip('"') for row in choices] == list(get_args(OnExpired))
        inspected = page("docs/reference/cli.md").sections["platform-events replay-id inspect"]
        assert f"`{READABLE}`" in inspected
        assert f"`{DELETED}`" in inspected

    def test_bounds_of_memory(self) -> None:
        text = page("docs/subscribing.md").sections["Memory"]
        assert f"{PREFETCH['queued.min.messages']:,} events" in text
        assert f"{PREFETCH['queued.max.messages.kbytes'] // 1024} MiB" in text
        text = page("docs/publishing.md").sections["Back-pressure and time-outs"]
        assert f"{Delivery.OVERHEAD} bytes" in text
        assert f"`submit` {SubmittedEvent.OVERHEAD:,}." in text

    def test_limits(self) -> None:
        assert f"{MAX_RECORD_BYTES:,} bytes" in page("docs/publishing.md").sections["Sizes"]
        assert f"{MAX_EVENT_ID} printable" in page("docs/publishing.md").prose
