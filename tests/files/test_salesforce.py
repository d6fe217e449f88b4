"""Salesforce metadata becomes definitions that the project's own loader takes."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_events.definitions.model import Definitions, Member
from platform_events.errors import DefinitionsError
from platform_events.files.loader import load_definitions
from platform_events.files.salesforce import Imported, import_metadata
from platform_events.files.starting_files import definition_file
from tests.files.metadata import (
    NAMESPACE,
    OBJECTS,
    as_files,
    channel,
    document,
    event,
    field,
    fields,
    member,
    source_format,
    tags,
)
from tests.files.reading import read

CHANNEL = "platformEventChannels/C__chn.platformEventChannel-meta.xml"
MEMBER = "platformEventChannelMembers/C_chn_{}.platformEventChannelMember-meta.xml"
AN_EVENT = source_format(
    "A__e",
    field("Amount__c", "Number", precision="18", scale="2"),
    field("City__c", "Text", length="50"),
    field("Due__c", "Date"),
    field("Open__c", "Checkbox", defaultValue="true"),
    field("Placed__c", "DateTime"),
)


def run(files: dict[str, Any]) -> Imported:
    return import_metadata(as_files(files))


def remarks(files: dict[str, Any]) -> list[str]:
    return [str(remark) for remark in run(files).remarks]


def problems(files: dict[str, Any]) -> list[str]:
    with pytest.raises(DefinitionsError) as refusal:
        run(files)
    return [str(problem) for problem in refusal.value.problems]


def assert_begin(lines: list[str], *beginnings: str) -> None:
    assert len(lines) == len(beginnings), lines
    for line, beginning in zip(lines, beginnings, strict=True):
        assert line.startswith(beginning)


def load(imported: Imported, root: Path) -> Definitions:
    for name, text in map(definition_file, (*imported.events, *imported.channels)):
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return load_definitions(root)


def made_field(content: str) -> dict[str, Any]:
    (found,) = run(source_format("A__e", content)).events[0]["fields"]
    return found


def filters(expression: str) -> tuple[dict[str, str] | None, list[str]]:
    """Return the member that an expression becomes, and the remarks."""
    written = member("C__chn", "A__e", expression=expression)
    found = run(AN_EVENT | {CHANNEL: channel(), MEMBER.format("A_e"): written})
    notes = [remark.message for remark in found.remarks]
    return (found.channels[0]["members"][0] if found.channels else None), notes


def test_both_formats_give_the_same_definitions_and_the_loader_takes_them(tmp_path: Path) -> None:
    contents = [
        field("Number__c", "Text", length="10", required="true", description="Such as A-1."),
        field("Amount__c", "Number", precision="18", required="false", scale="2"),
        field("Expedited__c", "Checkbox", defaultValue="false"),
        field("Due__c", "Date"),
        field("Placed__c", "DateTime", inlineHelpText="When it\n came in."),
        field("Note__c", "LongTextArea", length="32768", visibleLines="3"),
    ]
    texts = {"label": "Order placed", "description": "A customer\n    has placed: an order #1."}
    source = source_format("Order_Placed__e", *contents, **texts) | {
        CHANNEL: channel(label="Orders"),
        MEMBER.format("Order_Placed_e"): member("C__chn", "Order_Placed__e"),
    }
    metadata = {
        "src/objects/Order_Placed__e.object": event(fields(*contents), **texts),
        "src/platformEventChannels/C__chn.platformEventChannel": channel(label="Orders"),
        "src/platformEventChannelMembers/C_chn_Order_Placed_e.platformEventChannelMember": member(
            "C__chn", "Order_Placed__e"
        ),
    }
    assert run(source) == run(metadata)
    assert run(source).remarks == ()
    definitions = load(run(source), tmp_path)
    found = definitions.events["Order_Placed__e"]
    assert (found.label, found.retention_ms) == ("Order placed", 72 * 3_600_000)
    assert found.description == "A customer has placed: an order #1."
    assert [
        (one["name"], one["type"], one.get("default"), one.get("doc"))
        for one in json.loads(found.schema.text)["fields"][2:]
    ] == [
        ("Number__c", "string", None, "Such as A-1."),
        ("Amount__c", ["null", "double"], None, None),
        ("Expedited__c", ["boolean", "null"], False, None),
        ("Due__c", ["null", "long"], None,
         "Midnight UTC of the day, in milliseconds since 1970-01-01."),
        ("Placed__c", ["null", "long"], None,
         "When it came in. Milliseconds since 1970-01-01 UTC."),
        ("Note__c", ["null", "string"], None, None),
    ]  # fmt: skip
    orders = definitions.channels["C__chn"]
    assert (orders.label, orders.members) == ("Orders", (Member("Order_Placed__e"),))


@given(
    label=st.text(max_size=30),
    description=st.text(max_size=150),
    default=st.text(max_size=20),
    required=st.booleans(),
)
def test_any_text_comes_through_the_files_unchanged(
    label: str, description: str, default: str, required: bool
) -> None:
    label, description, default = map(_in_xml, (label, description, default))
    default = default.replace("'", "").replace("\\", "").replace("\r", "")
    content = field(
        "T__c", "Text", defaultValue=f"'{default}'", description=description,
        required=str(required).lower(),
    )  # fmt: skip
    (document,) = run(source_format("A__e", content, label=label, description=description)).events
    found, mistakes = read(definition_file(document)[1])
    assert not mistakes
    assert found is not None
    assert (found.label, found.description) == (_one_line(label), _one_line(description))
    last = json.loads(found.schema.text)["fields"][-1]
    assert last.get("doc", "") == _one_line(description)
    assert last["default"] == default
    assert last["type"] == ("string" if required else ["string", "null"])


def _in_xml(text: str) -> str:
    """Leave out what XML cannot have."""
    return re.sub("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text)


def _one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("kind", "written", "default"),
    [
        ("Checkbox", "false", False),
        ("Checkbox", "TRUE", True),
        ("Number", "0", 0.0),
        ("Number", "-10.5", -10.5),
        ("Text", '"New"', "New"),
        ("Text", "''", ""),
        ("LongTextArea", "'null'", "null"),
    ],
)
def test_a_default_that_is_a_constant_holds_and_comes_first(
    kind: str, written: str, default: Any
) -> None:
    optional = made_field(field("F__c", kind, defaultValue=written))
    assert (optional["default"], optional["type"][1]) == (default, "null")
    assert type(optional["default"]) is type(default)
    required = made_field(field("F__c", kind, defaultValue=written, required="true"))
    assert (required["default"], required["type"]) == (default, optional["type"][0])


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("Date", "TODAY()"),
        ("DateTime", "2021-07-09T10:30:11Z"),
        ("Number", "1e400"),
        ("Number", "1 + 1"),
        ("Text", "'a' & 'b'"),
        ("Text", r"'a\'b'"),
        ("Text", "$User.FirstName"),
        ("Checkbox", "1"),
    ],
)
def test_a_default_that_is_a_formula_is_left_out_and_said(kind: str, written: str) -> None:
    found = run(source_format("A__e", field("F__c", kind, defaultValue=written)))
    assert found.events[0]["fields"][0]["optional"] is True
    assert [remark.message for remark in found.remarks] == [
        "the default of F__c is a formula; leave that to whoever publishes"
    ]


def test_what_has_no_counterpart_is_listed_with_its_place() -> None:
    files = source_format(
        "A__e",
        field("P__c", "Picklist"),
        field("T__c", "Text", unique="true"),
        tags(fullName="S__c"),
        publishBehavior="PublishAfterCommit",
        eventType="StandardVolume",
    ) | {
        f"{OBJECTS}/Account/Account.object-meta.xml": "not even XML",
        f"{OBJECTS}/Account/fields/X__c.field-meta.xml": "not even XML",
        f"{OBJECTS}/pkg__B__e/pkg__B__e.object-meta.xml": event(),
        f"{OBJECTS}/Other__e/fields/X__c.field-meta.xml": document(
            "CustomField", field("X__c", "Text")
        ),
        "managedEventSubscriptions/M.managedEventSubscription-meta.xml": "",
    }
    assert_begin(
        remarks(files),
        f"{OBJECTS}/A__e/A__e.object-meta.xml:2: publishBehavior PublishAfterCommit has no",
        f"{OBJECTS}/A__e/A__e.object-meta.xml:2: eventType StandardVolume has no counterpart",
        f"{OBJECTS}/A__e/fields/F0.field-meta.xml:2: the field P__c has the type Picklist, which",
        f"{OBJECTS}/A__e/fields/F1.field-meta.xml:10: unique has no counterpart",
        f"{OBJECTS}/A__e/fields/F2.field-meta.xml:2: the field S__c has no type; left out",
        f"{OBJECTS}/Account/Account.object-meta.xml: Account is no platform event; left out",
        f"{OBJECTS}/Other__e/fields/X__c.field-meta.xml:2: a field of Other__e, whose",
        f"{OBJECTS}/pkg__B__e/pkg__B__e.object-meta.xml: pkg__B__e cannot name an event here",
        "managedEventSubscriptions/M.managedEventSubscription-meta.xml: M is a managed",
    )
    assert [one["name"] for one in run(files).events[0]["fields"]] == ["T__c"]


def test_standard_fields_are_there_without_being_written() -> None:
    files = source_format("A__e", tags(fullName="CreatedDate"), field("T__c", "Text"))
    assert [one["name"] for one in run(files).events[0]["fields"]] == ["T__c"]
    assert run(files).remarks == ()


@pytest.mark.parametrize(
    ("expression", "becomes"),
    [
        ("City__c LIKE 'S%' OR (NOT(City__c='New York'))", None),
        ("Amount__c>10.50", None),
        ("CreatedDate > 2021-07-09T10:30:11Z", None),
        ("Due__c IN (2021-07-09, 1969-12-31) AND City__c = '2021-07-09'",
         "Due__c IN (1625788800000, -86400000) AND City__c = '2021-07-09'"),
        ("Placed__c >= 2021-07-09T10:30:11.5-08:00", "Placed__c >= 1625855411500"),
        ("Placed__c != null", None),
    ],
)  # fmt: skip
def test_a_filter_is_kept_but_for_dates_which_are_milliseconds(
    expression: str, becomes: str | None
) -> None:
    assert filters(expression) == ({"event": "A__e", "filter": becomes or expression}, [])


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("city__c = 'x'", "A__e has no field 'city__c'; did you mean City__c?"),
        ("Due__c = TODAY", "date words such as TODAY are not supported"),
        ("Amount__c >", "the filter ends where a value is expected"),
        ("Placed__c > 2021-07-09T10:30:11.0001Z", "Placed__c is a whole number"),
    ],
)
def test_a_member_whose_filter_is_refused_is_left_out_and_said(
    expression: str, reason: str
) -> None:
    found, notes = filters(expression)
    assert found is None
    refusal, empty = sorted(notes, reverse=True)
    assert refusal.startswith(f"the filter of A__e is refused ({reason}")
    assert empty == "no member of C__chn is imported; left out"


def test_a_filter_on_a_checkbox_is_kept_and_its_difference_said() -> None:
    found, notes = filters("Open__c = TRUE")
    assert found == {"event": "A__e", "filter": "Open__c = TRUE"}
    assert [note.partition(":")[0] for note in notes] == [
        "the filter compares the Checkbox Open__c"
    ]


def test_channels_of_change_events_and_members_of_what_is_not_there_are_listed() -> None:
    enriched = "<enrichedFields><name>Industry</name></enrichedFields>\n"
    files = AN_EVENT | {
        CHANNEL: channel(),
        "Data__chn.platformEventChannel": channel(channelType="data"),
        "pkg__D__chn.platformEventChannel": channel(),
        "1.platformEventChannelMember": member("ChangeEvents", "AccountChangeEvent"),
        "2.platformEventChannelMember": member("C__chn", "LoginEventStream"),
        "3.platformEventChannelMember": member("C__chn", "A__e", enriched),
    }
    found = [
        line.replace("platformEventChannel", "PEC").partition(" (")[0] for line in remarks(files)
    ]
    assert found == [
        "1.PECMember:2: the channel ChangeEvents is not imported; left out",
        "2.PECMember:2: the event LoginEventStream is not imported; left out",
        "3.PECMember:3: enrichedFields has no counterpart",
        "Data__chn.PEC:2: Data__chn is a channel of type data, which has no counterpart; left out",
        "pkg__D__chn.PEC:2: pkg__D__chn cannot name a channel here",
    ]
    assert run(files).channels == (
        {"channel": "C__chn", "label": "C", "members": [{"event": "A__e"}]},
    )


def test_a_name_that_two_files_define_names_both() -> None:
    files = AN_EVENT | {
        "other/a__e.object": event(),
        "extra/A__e/fields/F0.field-meta.xml": document("CustomField", field("city__c", "Text")),
        CHANNEL: channel(),
        "other/C__chn.platformEventChannel": channel(),
        "1.platformEventChannelMember": member("C__chn", "A__e"),
        "2.platformEventChannelMember": member("C__chn", "A__e"),
    }
    own = f"{OBJECTS}/A__e"
    assert_begin(
        problems(files),
        "2.platformEventChannelMember:2: A__e is a member of C__chn in "
        "1.platformEventChannelMember too",
        "extra/A__e/fields/F0.field-meta.xml:2: A__e has the field city__c already, in "
        f"{own}/fields/F1.field-meta.xml:2",
        f"other/C__chn.platformEventChannel:2: C__chn is defined in {CHANNEL} too",
        f"other/a__e.object:2: a__e is defined in {own}/A__e.object-meta.xml too",
    )


BOMB = """<!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>
<CustomObject><label>&b;</label></CustomObject>"""


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (BOMB, ":1:1: a document type (DTD) is refused"),
        ("\n<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", ":2:1: a document type (DTD)"),
        ("<CustomObject>\n<label></CustomObject>", ":2:10: not valid XML: mismatched tag;"),
        ("<CustomObject>&nbsp;</CustomObject>", ":1:15: not valid XML: undefined entity;"),
        ("", ":1:1: not valid XML: no element found;"),
        ("<a>" * 201, ":1:1: elements are nested more than 200 levels deep"),
        (b"\n<\xff>", ":2:2: the file is not UTF-8 from here on; save it as UTF-8"),
        ("<a/>".encode("utf-16"), ":1:1: the file is not UTF-8 from here on"),
        (b" " * (1 << 20) + b"<a/>", ": the file has 1,048,580 bytes; at most"),
        ("<CustomObject/>", (f":1:1: the root element must be CustomObject in the namespace "
         f"{NAMESPACE}, not CustomObject without a namespace")),
        (document("CustomField", ""), ":2:1: the root element must be CustomObject in the"),
        (event(fields(tags(type="Text"))), ":8: fullName is missing or no field's name"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_says_where_and_why(content: str | bytes, problem: str) -> None:
    (found,) = problems({"A__e.object": content})
    assert found.startswith(f"A__e.object{problem}")


@given(st.binary(max_size=60) | st.text(alphabet="<>/&;![]CDAT\"'=a \n", max_size=60))
def test_any_bytes_are_read_or_refused(content: bytes | str) -> None:
    text = document("CustomObject", content) if isinstance(content, str) else content
    with suppress(DefinitionsError):
        run({"A__e.object": text})


def test_what_fields_say_besides_is_remarked_on_once_for_an_event() -> None:
    parts = "<a>false</a>\n<a>true</a>\n<b/>\n"
    more = (field(f"F{n}__c", "Text", complianceGroup="PII") for n in range(3))
    assert remarks({"A__e.object": document("CustomObject", parts + fields(*more))}) == [
        "A__e.object:4: a has no counterpart",
        "A__e.object:7: complianceGroup has no counterpart, 3 times",
    ]
