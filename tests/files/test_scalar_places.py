"""Where a character of a YAML text value is in the file, in every style."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import (
    DoubleQuotedScalarString,
    LiteralScalarString,
    PlainScalarString,
    SingleQuotedScalarString,
)

from platform_events.files.document import Node, Report
from platform_events.files.scalar_places import find_offsets
from platform_events.files.yaml_document import read_yaml

MARKER = "¤"
WORDS = st.text(st.sampled_from("ab'\"\\<>=%(),.é😀#:"), min_size=1, max_size=6)


def scalar_of(text: str) -> Node:
    """Return the first text that is in a list or as a value in a file."""
    report = Report("f")
    root = read_yaml(text, report)
    assert root is not None, report.problems
    node = root.get("a") or root.get("members")
    assert node is not None
    while isinstance(node.value, tuple):
        node = node.value[0]
    found = node.get("filter") or node
    assert isinstance(found.value, str), found.value
    return found


def offsets_of(text: str) -> tuple[str, list[int]]:
    node = scalar_of(text)
    lines = text.split("\n")
    start = sum(len(line) + 1 for line in lines[: node.mark.line - 1]) + node.mark.column - 1
    assert isinstance(node.value, str)
    offsets = find_offsets(text, start, node.value)
    assert offsets is not None, text
    return node.value, offsets


def check(text: str) -> None:
    value, offsets = offsets_of(text)
    assert len(offsets) == len(value) + 1
    assert offsets == sorted(offsets)
    assert offsets[value.index(MARKER)] == text.index(MARKER)
    for character, offset in zip(value, offsets, strict=False):
        if not character.isspace():
            assert text[offset] in (character, "\\"), text


@pytest.mark.parametrize(
    "text",
    [
        "a: x = ¤\n",
        "a: x = ¤ # not this ¤\n",
        "a: 'it''s ''¤'''\n",
        "a: '¤'\n",
        'a: "\\x41 \\u00e9 \\U0001F600 \\" \\\\ ¤"\n',
        'a: "one \\\n  two ¤"\n',
        'a: "one\\\n  \\  two ¤"\n',
        "a: one\n  two\n\n\n  ¤ three\n",
        "a: 'one\n  two\n\n  ¤ three'\n",
        'a: "one  \n\n   \n  two ¤"\n',
        "a: |\n  one\n    two\n\n  ¤ three\n",
        "a: |2\n    one\n  ¤\n",
        "a: |-   # a comment ¤\n  one\n\n  ¤\n".replace("comment ¤", "comment"),
        "a: >\n  one\n  two\n  ¤ three\n",
        "a: >\n  one\n\n  two\n\n\n  ¤ three\n",
        "a: >\n  one\n    more\n    indented\n  ¤ three\n",
        "a: >+\n\n  one ¤\n\n\n",
        "a: >1\n   one\n  ¤\n",
        "members:\n- filter: >-\n    one\n    ¤\n- filter: x\n",
        "members: [{filter: 'a ¤', x-b: 1}]\n",
        "a: &anchor ¤\nb: *anchor\n",
        "a: !!str ¤\n",
        "a: !!str &anchor >\n  one\n  ¤\n",
        "a: &anchor\n  one ¤\n",
        "a: one\r\n  two\r\n  ¤\r\n",
        "a: |\r\n  one\r\n\r\n  ¤\r\n",
        "a: >\r\n  one\r\n  two\r\n\r\n  ¤\r\n",
        "a:\n  # a comment\n  one ¤\n",
    ],
)
def test_every_style(text: str) -> None:
    check(text)


@pytest.mark.parametrize(
    ("text", "end"),
    [("a: 'it''s'\n", "'\n"), ("a: x\n", "\n"), ('a: "\\x41"\n', '"\n'), ("a: |-\n  x\n", "\n")],
)
def test_the_place_after_the_last_character(text: str, end: str) -> None:
    _, offsets = offsets_of(text)
    assert text[offsets[-1] :] == end


@given(
    st.lists(WORDS, max_size=12),
    st.integers(0, 12),
    st.sampled_from(
        [DoubleQuotedScalarString, LiteralScalarString, PlainScalarString, SingleQuotedScalarString]
    ),
    st.sampled_from([" ", "\n", "  ", "\n\n"]),
    st.booleans(),
)
def test_what_a_library_writes(
    words: list[str], index: int, style: type[str], gap: str, allow_unicode: bool
) -> None:
    words.insert(index, MARKER)
    yaml = YAML()
    yaml.width = 20
    yaml.allow_unicode = allow_unicode
    stream = io.StringIO()
    yaml.dump({"members": [{"filter": style(gap.join(words))}]}, stream)
    text = stream.getvalue()
    if MARKER in text:
        check(text)
    else:
        value, offsets = offsets_of(text)
        assert text.startswith("\\xA4", offsets[value.index(MARKER)])


@given(
    st.lists(st.tuples(WORDS, st.integers(0, 2), st.integers(0, 2)), max_size=8),
    st.integers(0, 8),
    st.sampled_from([">", ">-", ">+", "|", "|-", "|+"]),
    st.integers(1, 4),
)
def test_blocks_with_blank_and_indented_lines(
    lines: list[tuple[str, int, int]], index: int, header: str, indentation: int
) -> None:
    lines.insert(index, (MARKER, 0, 0))
    body = "".join(
        " " * (indentation + (more if number else 0)) + word + "\n" * (1 + blank)
        for number, (word, more, blank) in enumerate(lines)
    )
    check(f"a: {header}\n{body}b: 1\n")


def test_a_source_that_is_not_the_value_s_gives_no_place() -> None:
    for text in ("a: one", "a: 'one'", 'a: "one"', "a: |\n  one\n", "a: >\n  one\n", "a: |"):
        assert find_offsets(text, 3, "other") is None
