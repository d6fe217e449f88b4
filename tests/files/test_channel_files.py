"""Channel files: what is right, and what each mistake says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from platform_events.definitions.model import ChannelDefinition, Definitions, Member
from platform_events.errors import DefinitionsError, Problem
from platform_events.files.loader import load_definitions

EVENTS = {
    "A__e.yaml": "event: A__e\nfields: [{name: n, type: int}, {name: t, type: string}]\n",
    "B__e.yaml": "event: B__e\nretention: 96h\nfields: [{name: n, type: int}]\n",
    "K__e.yaml": "event: K__e\npartitions: 4\npartition_key: n\nfields: [{name: n, type: int}]\n",
}
PLACE = "channels/C__chn.yaml"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dedent(content).encode())
    return root


def define(root: Path, channel: str, **more: str) -> Definitions:
    return load_definitions(write(root, {**EVENTS, PLACE: channel, **more}))


def channel(root: Path, text: str) -> ChannelDefinition:
    (found,) = define(root, text).channels.values()
    return found


def problems_of(root: Path, path: Path | None = None) -> list[Problem]:
    with pytest.raises(DefinitionsError) as refusal:
        load_definitions(path or root)
    return list(refusal.value.problems)


def problems(root: Path, channel_text: str) -> list[str]:
    write(root, {**EVENTS, PLACE: channel_text})
    return [str(problem).replace(f"{root}/{PLACE}:", "") for problem in problems_of(root)]


def test_every_key_has_its_place(tmp_path: Path) -> None:
    found = channel(
        tmp_path,
        """
        channel: C__chn
        label: All
        description: Everything.
        owner: shop
        retention: 30d
        x-team: 1
        members:
          - event: B__e
            from: now
            x-why: because
          - event: A__e
            filter: n >= 1
        """,
    )
    assert found == ChannelDefinition(
        name="C__chn",
        members=(Member("A__e", "n >= 1"), Member("B__e", "", "now")),
        retention_ms=30 * 24 * 3_600_000,
        label="All",
        description="Everything.",
        owner="shop",
    )
    assert (found.file, found.line) == (str(tmp_path / PLACE), 2)


def test_the_retention_is_the_longest_of_the_members(tmp_path: Path) -> None:
    text = "channel: C__chn\nmembers: [{event: A__e}, {event: B__e}]\n"
    assert channel(tmp_path, text).retention_ms == 96 * 3_600_000


def test_partitions_are_one_or_those_of_each_member(tmp_path: Path) -> None:
    one = "channel: C__chn\nmembers: [{event: K__e}, {event: A__e}]\n"
    assert channel(tmp_path, one).partitions == 1
    as_many = "channel: C__chn\npartitions: 4\nmembers: [{event: K__e}]\n"
    assert channel(tmp_path, as_many).partitions == 4


def test_channels_are_found_in_directories_below_too(tmp_path: Path) -> None:
    text = "channel: {}__chn\nmembers: [{{event: A__e}}]\n"
    places = {"channels/x/y/D__chn.yml": text.format("D"), PLACE: text.format("C")}
    found = load_definitions(write(tmp_path, {**EVENTS, **places}))
    assert list(found.channels) == ["C__chn", "D__chn"]
    assert list(found.events) == ["A__e", "B__e", "K__e"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- a\n", "1:1: a channel file is a mapping with channel and members, not a list"),
        ("channel: C__chn\n", "1:1: members is missing: The events that"),
        ("members: [{event: A__e}]\n", "1:1: channel is missing: Name of the channel"),
        ("channel: C__chn\nmember: []\nmembers: [{event: A__e}]\n",
         "2:1: member: unknown key 'member'; did you mean members?"),
        ("channel: C__e\nmembers: [{event: A__e}]\n",
         "1:10: channel: this is an event's name; a channel's ends in __chn"),
        ("channel: C\nmembers: [{event: A__e}]\n",
         "1:10: channel: the text 'C' cannot name a channel: letters, digits"),
        ("event: C__e\nfields: []\n",
         "1:1: event: this file defines an event; move it out of the directory channels"),
        ("channel: C__chn\nmembers: []\n",
         "2:10: members: must be a list with at least one member, such as"),
        ("channel: C__chn\nmembers: A__e\n", "2:10: members: must be a list with at least one"),
        ("channel: C__chn\nmembers: [A__e]\n",
         "2:11: members[0]: a member is a mapping with event, not the text 'A__e'"),
        ("channel: C__chn\nmembers: [{filter: n = 1}]\n",
         "2:11: members[0]: event is missing: Name of an event of this project."),
        ("channel: C__chn\nmembers:\n- {event: A__e}\n- {event: B__e}\n- {event: A__e}\n",
         "5:11: members[2].event: A__e is a member already, on line 3"),
        ("channel: C__chn\nmembers: [{event: AA__e}]\n",
         "2:19: members[0].event: no file of this project defines 'AA__e'; did you mean A__e?"),
        ("channel: C__chn\nmembers: [{event: Quite_Other__e}]\n",
         "2:19: members[0].event: no file of this project defines 'Quite_Other__e'; define it"),
        ("channel: C__chn\nmembers: [{event: D__chn}]\n",
         "2:19: members[0].event: a channel cannot be a member; list that channel's members"),
        ("channel: C__chn\nmembers: [{event: 1}]\n",
         "2:19: members[0].event: the number 1 is no event's name: letters"),
        ("channel: C__chn\nmembers: [{event: A__e, form: now}]\n",
         "2:25: members[0].form: unknown key 'form'; did you mean from?"),
        ("channel: C__chn\nmembers: [{event: A__e, from: latest}]\n",
         "2:31: members[0].from: must be earliest or now, not the text 'latest'"),
        ("channel: C__chn\nmembers: [{event: A__e, filter: true}]\n",
         "2:33: members[0].filter: must be text, not true; put it in quotes"),
        ("channel: C__chn\nmembers: [{event: A__e, filter: }]\n",
         "2:32: members[0].filter: must be text, not null; leave filter out"),
        ("channel: C__chn\nmembers: [{event: A__e, filter: ' '}]\n",
         "2:33: members[0].filter: the filter is empty; leave it out, so that every event"),
        ("channel: C__chn\nretention: 72h\nmembers: [{event: A__e}, {event: B__e}]\n",
         "2:12: retention: is shorter than the 4d of the member B__e; a channel keeps"),
        ("channel: C__chn\nretention: 72\nmembers: [{event: A__e}]\n",
         "2:12: retention: must be a whole number with a unit"),
        ("channel: C__chn\npartitions: 4\nmembers: [{event: K__e}, {event: A__e}]\n",
         "2:13: partitions: the member A__e has 1; each member needs as many partitions"),
        ("channel: C__chn\npartitions: 2\nmembers: [{event: K__e}]\n",
         "2:13: partitions: the member K__e has 4; each member needs as many partitions"),
        ("channel: C__chn\nlabel: |\n  a\n  b\nmembers: [{event: A__e}]\n",
         "2:8: label: must be one line; write more in description"),
        ("channel: C__chn\nowner: 1\nmembers: [{event: A__e}]\n",
         "2:8: owner: must be text, not the number 1; put it in quotes"),
    ],
)  # fmt: skip
def test_a_mistake_says_where_and_what(tmp_path: Path, text: str, problem: str) -> None:
    (found,) = problems(tmp_path, text)
    assert found.startswith(problem)


def test_a_member_whose_file_has_problems_is_not_called_missing(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            **EVENTS,
            "A__e.yaml": "event: A__e\nfields: 1\n",
            PLACE: "channel: C__chn\nmembers: [{event: A__e, filter: n = }, {event: Z__e}]\n",
        },
    )
    found = [f"{Path(problem.file).name}: {problem.path}" for problem in problems_of(tmp_path)]
    assert found == ["A__e.yaml: fields", "C__chn.yaml: members[0].filter",
                     "C__chn.yaml: members[1].event"]  # fmt: skip


def test_nothing_is_called_missing_while_a_file_cannot_be_read(tmp_path: Path) -> None:
    text = "channel: C__chn\nmembers: [{event: Z__e}]\n"
    write(tmp_path, {**EVENTS, "Z__e.yaml": "event: [", PLACE: text})
    assert [Path(problem.file).name for problem in problems_of(tmp_path)] == ["Z__e.yaml"]


@pytest.mark.parametrize("name", ["C__chn.yaml", "sub/channels/C__chn.yaml"])
def test_a_channel_belongs_in_its_directory(tmp_path: Path, name: str) -> None:
    write(tmp_path, {**EVENTS, name: "channel: C__chn\nmembers: [{event: A__e}]\n"})
    (problem,) = problems_of(tmp_path)
    assert str(problem) == (
        f"{tmp_path}/{name}:1:1: channel: channels belong in the directory channels/; "
        "move the file to channels/C__chn.yaml"
    )


@pytest.mark.parametrize("path", [PLACE, "channels"])
def test_a_channel_is_not_checked_without_its_members(tmp_path: Path, path: str) -> None:
    write(tmp_path, {**EVENTS, PLACE: "channel: C__chn\nmembers: [{event: A__e}]\n"})
    (problem,) = problems_of(tmp_path, tmp_path / path)
    assert "together with its members: give the directory above channels/" in problem.message


def test_one_event_is_loaded_without_channels(tmp_path: Path) -> None:
    write(tmp_path, {**EVENTS, PLACE: "channel: wrong\n"})
    assert list(load_definitions(tmp_path / "A__e.yaml").events) == ["A__e"]


def test_two_channels_of_one_name_name_both_files(tmp_path: Path) -> None:
    text = "channel: {}\nmembers: [{{event: A__e}}]\n"
    write(
        tmp_path,
        {
            **EVENTS,
            "channels/1.yaml": text.format("C__chn"),
            "channels/2.yaml": "\n" + text.format("C__chn"),
            "channels/3.yaml": text.format("c__chn"),
        },
    )
    found = [str(problem).replace(f"{tmp_path}/channels/", "") for problem in problems_of(tmp_path)]
    assert found == [
        "2.yaml:2: channel: C__chn is already defined in 1.yaml:1",
        "3.yaml:1: channel: c__chn differs only in case from C__chn in 1.yaml:1",
    ]


@pytest.mark.parametrize(
    ("source", "place", "line", "carets"),
    [
        ("n >= 1 AND no = 2", (4, 24), "    filter: n >= 1 AND no = 2", "^~"),
        ("'t = ''a'' AND no = 2'", (4, 28), "    filter: 't = ''a'' AND no = 2'", "^~"),
        ("\"t = '\\u0061' AND no = 2\"", (4, 31), "    filter: \"t = '\\u0061' AND no = 2\"", "^~"),
        (">\n      n >= 1\n      AND no = 2", (6, 11), "      AND no = 2", "^~"),
        ("|\n\n      n >= 1\n      AND no = 2", (7, 11), "      AND no = 2", "^~"),
        ("n >= 1\n      AND\n\n      no = 2", (7, 7), "      no = 2", "^~"),
        ("'  n >= 1 AND no = 2  '", (4, 27), "    filter: '  n >= 1 AND no = 2  '", "^~"),
    ],
)
def test_a_filter_s_mistake_is_shown_in_the_file(
    tmp_path: Path, source: str, place: tuple[int, int], line: str, carets: str
) -> None:
    write(tmp_path, EVENTS)
    text = f"channel: C__chn\nmembers:\n  - event: A__e\n    filter: {source}\n    from: now\n"
    path = tmp_path / PLACE
    path.parent.mkdir()
    path.write_text(text)
    (problem,) = problems_of(tmp_path)
    assert (problem.line, problem.column) == place
    assert problem.path == "members[0].filter"
    assert problem.excerpt.splitlines() == [line, " " * (place[1] - 1) + carets]
    assert str(problem).startswith(f"{path}:{place[0]}:{place[1]}: members[0].filter: ")
    assert "\n" not in str(problem)


def test_what_is_missing_at_the_end_is_shown_after_it(tmp_path: Path) -> None:
    write(tmp_path, {**EVENTS, PLACE: "channel: C__chn\nmembers: [{event: A__e, filter: 'n ='}]\n"})
    (problem,) = problems_of(tmp_path)
    assert problem.excerpt.splitlines()[0] == "members: [{event: A__e, filter: 'n ='}]"
    assert problem.excerpt.splitlines()[1].strip() == "^"
    assert problem.column == len("members: [{event: A__e, filter: 'n =") + 1


def test_a_repeated_filter_is_shown_where_it_is_written(tmp_path: Path) -> None:
    text = "channel: C__chn\nx-f: &f m = 1\nmembers:\n- {event: A__e, filter: *f}\n"
    write(tmp_path, {**EVENTS, PLACE: text})
    (problem,) = problems_of(tmp_path)
    assert (problem.line, problem.column) == (2, 9)
    assert problem.excerpt.splitlines() == ["x-f: &f m = 1", "        ^"]


def test_the_parser_of_filters_is_loaded_only_for_filters(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from platform_events.files.loader import load_definitions\n"
        "load_definitions(Path(sys.argv[1])); print('lark' in sys.modules)"
    )

    def loads_parser(filter_text: str) -> bool:
        write(tmp_path, {PLACE: f"channel: C__chn\nmembers: [{{event: A__e{filter_text}}}]\n"})
        words = [sys.executable, "-c", code, str(tmp_path)]
        done = subprocess.run(words, capture_output=True, check=True, text=True)
        return done.stdout.strip() == "True"

    write(tmp_path, EVENTS)
    assert not loads_parser("")
    assert loads_parser(", filter: n = 1")
