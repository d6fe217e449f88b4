"""YAML and JSON text to values with places."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_events.files.document import MAX_BYTES, Node, Report, decode_text
from platform_events.files.json_document import read_json
from platform_events.files.yaml_document import read_yaml
from tests.files.definition_strategies import TREES


def yaml(text: str) -> Any:
    report = Report("f")
    node = read_yaml(text, report)
    assert not report.problems
    assert node is not None
    return node.plain()


def problems(text: str, read: Any = read_yaml) -> list[str]:
    report = Report("f")
    read(text, report)
    return [str(problem) for problem in report.problems]


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("NO", "NO"),
        ("off", "off"),
        ("y", "y"),
        ("12:30", "12:30"),
        ("2013-01-01", "2013-01-01"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("=", "="),
        ("014", 14),
        ("0o14", 12),
        ("0x1F", 31),
        ("+7", 7),
        ("-7", -7),
        ("-0x1F", "-0x1F"),
        ("1.", 1.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("~", None),
        ("", None),
        ("Null", None),
        ("nULL", "nULL"),
        ("true", True),
        ("FALSE", False),
        ("tRUE", "tRUE"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("! 12", "12"),
        ("!!str 12", "12"),
        ("!!int '12'", 12),
        ("!!float 12", 12.0),
    ],
)
def test_scalars_follow_the_core_schema(scalar: str, value: Any) -> None:
    read = yaml(f"a: {scalar}")["a"]
    assert read == value
    assert type(read) is type(value)


def test_nan_is_a_number() -> None:
    assert math.isnan(yaml("a: .nan")["a"])


def test_values_know_their_places() -> None:
    node = read_yaml("a:\n  - b: 1\n    cc: x\n", Report("f"))
    assert node is not None
    items = node.get("a")
    assert items is not None
    assert isinstance(items.value, tuple)
    found = items.value[0].get("cc")
    assert found is not None
    assert (found.mark, found.key, found.path) == ((3, 9), (3, 5), "a[0].cc")


def test_an_alias_is_written_out_where_it_stands() -> None:
    report = Report("f")
    node = read_yaml("a: &x {k: 1}\nb: [*x, *x]\n", report)
    assert node is not None
    assert node.plain() == {"a": {"k": 1}, "b": [{"k": 1}, {"k": 1}]}
    items = node.get("b")
    assert items is not None
    assert isinstance(items.value, tuple)
    inner = items.value[1].get("k")
    assert isinstance(inner, Node)
    assert inner.path == "b[1].k"


def test_an_anchor_may_be_set_again() -> None:
    assert yaml("a: &x 1\nb: *x\nc: &x 2\nd: *x\n") == {"a": 1, "b": 1, "c": 2, "d": 2}


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", "f:3:1: a: the key is repeated; it is first on line 1"),
        ("a:\n  1: x\n", "f:2:3: a: a key is text, not the number 1; put it in quotes"),
        ("true: x\n", "f:1:1: a key is text, not true; put it in quotes"),
        ("a: {[b]: c}\n", "f:1:5: a: a key is text, not a list; put it in quotes"),
        ("a: &x [1, *x]\n", "f:1:11: the alias *x is inside what it refers to"),
        ("a: *x\n", "f:1:4: no anchor &x comes before this alias"),
        (bomb(9), "f:5:10: the file has more than 20,000 values, aliases written out"),
        ("a: &x {b: 1}\nc: {<<: *x}\n", "f:2:5: c.'<<': merge keys are not part of YAML 1.2"),
        ("a: !!python/object:os.system x\n", "f:1:4: the tag 'tag:yaml.org,2002:python/object"),
        ("a: !mine x\n", "f:1:4: the tag '!mine' does not fit here; remove it"),
        ("a: !!int x\n", "f:1:4: the tag 'tag:yaml.org,2002:int' does not fit here"),
        ("a: !!set {b}\n", "f:1:4: the tag 'tag:yaml.org,2002:set' is not allowed; remove it"),
        ("a: 1\n---\nb: 2\n", "f:2:1: a second document begins here"),
        ("", "f:1:1: the file is empty"),
        ("# only a comment\n", "f:1:1: the file is empty"),
        ("---\n", "f:1:1: the file is empty"),
        ("%YAML 1.1\n---\na: NO\n", "f:1:1: definitions are YAML 1.2; remove the %YAML line"),
        ("a:\n\t- b\n", "f:2:1: not valid YAML: found character '\\t' that cannot start any token"),
        ("a: [1,\n", "f:2:1: not valid YAML: expected the node content"),
        ("a: b: c\n", "f:1:5: not valid YAML: mapping values are not allowed here"),
        ("a: \x07\n", "f:1:4: the character U+0007 is not allowed in YAML"),
        ('a: "\\ud800"\n', "f:1:4: text has half of a surrogate pair"),
        ("a: " + "9" * 500, "f:1:4: the number has too many digits"),
        ("a: 0x" + "f" * 5000, "f:1:4: the number has too many digits"),
        ("[" * 300, "f:1:202: values are nested deeper than 200 levels"),
        ("!" + "a" * 20_000, "f:1:1: the line has more than 10,000 characters; break it"),
        ("%YAML " + "1" * 5000 + ".1\n---\na", "f: not valid YAML: "),
        ("-\n" * 21_000, "f:20000:2: the file has more than 20,000 values"),
    ],
)
def test_yaml_that_cannot_be_read_is_one_problem(text: str, problem: str) -> None:
    (found,) = problems(text)
    assert found.startswith(problem)
    assert "\n" not in found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "f:1:1: the file is empty"),
        ('{"a": 1,\n "a": 2}', "f:2:2: a: the key is repeated; it is first on line 1"),
        ('{"a" 1}', "f:1:6: not valid JSON: : is missing here"),
        ('{"a": 1,}', "f:1:9: not valid JSON: a key in double quotes is missing here"),
        ("[1 2]", "f:1:4: not valid JSON: , or ] is missing here"),
        ("[1] 2", "f:1:5: not valid JSON: something follows the end of the document"),
        ("[NaN]", "f:1:2: not valid JSON: NaN is not JSON"),
        ("[01]", "f:1:3: not valid JSON: , or ] is missing here"),
        ('["\\ud800"]', "f:1:2: text has half of a surrogate pair"),
        ("[" * 5000, "f:1:202: values are nested deeper than 200 levels"),
        ("[" + "9" * 5000 + "]", "f:1:2: not valid JSON: "),
        ("[" + "1," * 21_000 + "1]", "f:1:40000: the file has more than 20,000 values"),
        ("{'a': 1}", "f:1:2: not valid JSON: a key in double quotes is missing here"),
        ('// of orders\n{"a": 1}', "f:1:1: JSON has no comments; remove it, or write what it says"),
        ('{"a": 1, // Cents.\n "b": 2}', "f:1:10: JSON has no comments"),
        ('{"a": 1 /* Cents. */}', "f:1:9: JSON has no comments"),
        ('{"a": # Cents.\n 1}', "f:1:7: JSON has no comments"),
        ('{"a": 1}\n// end', "f:2:1: JSON has no comments"),
    ],
)
def test_json_that_cannot_be_read_is_one_problem(text: str, problem: str) -> None:
    (found,) = problems(text, read_json)
    assert found.startswith(problem)
    assert "\n" not in found


def test_bytes_that_are_no_utf_8_are_placed() -> None:
    report = Report("f")
    assert decode_text("é: ".encode() + b"\xff", report) is None
    assert str(report.problems[0]).startswith("f:1:4: the file is not UTF-8 from here on")


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert decode_text(b"\xef\xbb\xbfa: 1", Report("f")) == "a: 1"


def test_a_file_over_the_limit_is_refused() -> None:
    report = Report("f")
    assert decode_text(b"#" * (MAX_BYTES + 1), report) is None
    assert "1,048,577 bytes" in str(report.problems[0])


def finite(value: Any) -> bool:
    match value:
        case float():
            return math.isfinite(value)
        case list():
            return all(map(finite, value))
        case dict():
            return all(map(finite, value.values()))
    return True


@given(TREES.filter(finite))
@settings(max_examples=60)
def test_json_reads_as_the_standard_library_reads_it(tree: Any) -> None:
    report = Report("f")
    node = read_json(json.dumps(tree), report)
    if node is None:
        assert "surrogate" in str(report.problems[0])
    else:
        assert node.plain() == tree


@given(st.text() | st.text(st.sampled_from("ab:-?[]{},&*!|>'\"%@#\n \t~<.0x"), max_size=40))
def test_any_text_is_read_or_reported(text: str) -> None:
    for read in (read_yaml, read_json):
        report = Report("f")
        node = read(text, report)
        assert node is not None or report.problems
        assert all("\n" not in str(problem) for problem in report.problems)
