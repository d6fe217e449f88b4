"""Random filters on flights, against SQLite's three-valued logic."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from platform_events.demo.flights import WEEK, read_flights
from platform_events.filters import check_filter, compile_filter, evaluate
from platform_events.payloads.codec import PayloadEncoder
from tests.filters.filter_samples import fits, schema_of

if TYPE_CHECKING:
    from collections.abc import Iterator

AIRPORTS = ["EWR", "jfk", "LGA"]
FIELDS = {
    "tail": ["null", "string"],
    "carrier": "string",
    "origin": {"type": "enum", "name": "Airport", "symbols": AIRPORTS},
    "delay": ["null", "int"],
    "air": ["null", "double"],
    "late": ["null", "boolean"],
    "distance": "long",
    "fare": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}],
    "day": {"type": "int", "logicalType": "date"},
    "left": ["null", {"type": "long", "logicalType": "timestamp-millis"}],
}
SCHEMA = schema_of(FIELDS)
ODD_TEXTS = ["", "%", "_x", "N1'41\\8", "straße", "STRASSE", "İstanbul", "ﬁn", "Ångström", "n14\n8"]


class Case(NamedTuple):
    """One comparison in both languages."""

    text: str
    sql: str
    values: tuple[Any, ...] = ()


class Node(NamedTuple):
    """`NOT`, `AND` or `OR` of cases and nodes."""

    word: str
    operands: tuple[Any, ...]


def payloads() -> Iterator[dict[str, Any]]:
    """Yield every 150th flight of the week, some of them cancelled, and flights with odd texts."""
    airports = {name.upper(): name for name in AIRPORTS}
    for number, row in enumerate(islice(read_flights(WEEK), 0, None, 150)):
        delay = int(row["dep_delay"]) if row["dep_delay"] else None
        scheduled = datetime.fromisoformat(row["time_hour"])
        text = ODD_TEXTS[number % len(ODD_TEXTS)] if number % 4 == 0 else row["tailnum"]
        yield {
            "tail": text or (None if number % 8 else ""),
            "carrier": row["carrier"],
            "origin": airports[row["origin"]],
            "delay": delay,
            "air": float(row["air_time"]) / 8 if row["air_time"] else None,
            "late": None if delay is None else delay > 0,
            "distance": int(row["distance"]),
            "fare": None if delay is None else Decimal(int(row["distance"]) + delay) / 100,
            "day": date(int(row["year"]), int(row["month"]), int(row["day"])),
            "left": None if delay is None else scheduled + timedelta(minutes=delay),
        }


ROWS = list(payloads())
BODIES = [PayloadEncoder(SCHEMA.parsed).encode(row) for row in ROWS]


def like(pattern: str | None, text: str | None) -> bool | None:
    if pattern is None or text is None:
        return None
    return fits(pattern.casefold(), text.casefold())


def fold(text: str | None) -> str | None:
    return None if text is None else text.casefold()


def stored(value: Any) -> Any:
    """Return a value for a column: decimals in thousandths, dates and times as ISO text."""
    match value:
        case Decimal():
            return int(value * 1000)
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
        case date():
            return value.isoformat()
    return value


def database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.create_function("FOLD", 1, fold, deterministic=True)
    connection.create_function("MATCHES", 2, like, deterministic=True)
    # "left" is a word of SQL.
    columns = ", ".join(f'"{name}"' for name in FIELDS)
    connection.execute(f"CREATE TABLE flights (id INTEGER PRIMARY KEY, {columns})")
    marks = ", ".join("?" * (1 + len(FIELDS)))
    for number, row in enumerate(ROWS):
        connection.execute(
            f"INSERT INTO flights VALUES ({marks})", (number, *map(stored, row.values()))
        )
    return connection


DATABASE = database()


def quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


KNOWN_TEXTS = sorted({row["tail"] for row in ROWS if row["tail"] is not None})
TEXTS = st.one_of(
    st.sampled_from([*KNOWN_TEXTS, *ODD_TEXTS]),
    st.sampled_from(KNOWN_TEXTS).map(str.swapcase),
    st.text("nNsS1ß%_'\\ ", max_size=4),
)
PATTERNS = st.one_of(
    TEXTS,
    st.builds("{}%".format, TEXTS),
    st.lists(st.one_of(st.sampled_from(["%", "_"]), st.sampled_from("nN1Uss5a")), max_size=5).map(
        "".join
    ),
)
INTEGERS = st.one_of(
    st.integers(-30, 60), st.sampled_from(sorted({row["distance"] for row in ROWS}))
)
NUMBERS = st.one_of(
    INTEGERS.map(lambda number: (str(number), number)),
    INTEGERS.map(lambda number: (f"{number}.5", number + 0.5 if number >= 0 else number - 0.5)),
    INTEGERS.map(lambda number: (f"{number}e0", number)),
    INTEGERS.filter(bool).map(lambda number: (f"{number}.125", float(f"{number}.125"))),
)
FARES = st.integers(-3000, 60_000).map(lambda number: (f"{Decimal(number) / 1000:f}", number))
MOMENTS = [row["left"] for row in ROWS if row["left"]]


@st.composite
def moments(draw: st.DrawFn) -> tuple[str, str]:
    moment = draw(st.sampled_from(MOMENTS)) + timedelta(microseconds=draw(st.integers(-1, 1)))
    hours = draw(st.integers(-11, 12))
    local = (moment + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.%f")
    zone = f"{'-' if hours < 0 else '+'}{abs(hours):02}:00" if hours else "Z"
    return local + zone, stored(moment)


def pair(value: Any) -> tuple[str, Any]:
    return quote(value), value


LITERALS = {
    "tail": TEXTS.map(pair),
    "carrier": st.sampled_from(["ua", "AA", "b6", "B", "zz"]).map(pair),
    "origin": st.sampled_from([*AIRPORTS, "ewr", "JFK", "Lga"]).map(pair),
    "delay": NUMBERS,
    "air": NUMBERS,
    "late": st.sampled_from([("TRUE", 1), ("false", 0)]),
    "distance": NUMBERS,
    "fare": FARES,
    "day": st.integers(3, 13).map(lambda day: (f"2013-02-{day:02}", f"2013-02-{day:02}")),
    "left": moments(),
}
TEXTUAL = {"tail", "origin", "carrier"}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    name = draw(st.sampled_from(sorted(FIELDS)))
    column = f'"{name}"'
    operators = ["=", "!=", "null", "not null"]
    if name not in {"late", "origin"}:
        operators += ["<", "<=", ">", ">="]
    if name != "late":
        operators += ["IN", "NOT IN"]
    if name in {"tail", "carrier"}:
        operators += ["LIKE", "LIKE"]
    operator = draw(st.sampled_from(operators))
    value, mark = column, "?"
    if name in TEXTUAL:
        value, mark = f"FOLD({column})", "FOLD(?)"
    match operator:
        case "null":
            return Case(f"{name} = null", f"{column} IS NULL")
        case "not null":
            return Case(f"{name} != NULL", f"{column} IS NOT NULL")
        case "LIKE":
            pattern = draw(PATTERNS)
            return Case(f"{name} like {quote(pattern)}", f"MATCHES(?, {column})", (pattern,))
        case "IN" | "NOT IN":
            found = draw(st.lists(LITERALS[name], min_size=1, max_size=4))
            marks = ", ".join([mark] * len(found))
            return Case(
                f"{name} {operator} ({','.join(text for text, _ in found)})",
                f"{value} {operator} ({marks})",
                tuple(each for _, each in found),
            )
    text, constant = draw(LITERALS[name])
    return Case(f"{name}{operator}{text}", f"{value} {operator} {mark}", (constant,))


TREES = st.recursive(
    cases(),
    lambda trees: st.one_of(
        trees.map(lambda tree: Node("NOT", (tree,))),
        st.builds(
            Node, st.sampled_from(["AND", "OR"]), st.lists(trees, min_size=2, max_size=4).map(tuple)
        ),
    ),
    max_leaves=10,
)
BINDING = {"OR": 0, "AND": 1, "NOT": 2}


def write(tree: Any, strength: int = 0) -> str:
    """Write a tree as a filter, with parentheses only where precedence asks for them."""
    if isinstance(tree, Case):
        return tree.text
    own = BINDING[tree.word]
    if tree.word == "NOT":
        text = f"NOT {write(tree.operands[0], own)}"
    else:
        text = f" {tree.word.lower()} ".join(write(each, own) for each in tree.operands)
    return f"({text})" if own < strength else text


def write_sql(tree: Any) -> tuple[str, tuple[Any, ...]]:
    """Write a tree as SQL, everything in parentheses."""
    if isinstance(tree, Case):
        return f"({tree.sql})", tree.values
    parts = [write_sql(each) for each in tree.operands]
    values = tuple(value for _, found in parts for value in found)
    if tree.word == "NOT":
        return f"(NOT {parts[0][0]})", values
    return f"({f' {tree.word} '.join(sql for sql, _ in parts)})", values


@given(TREES)
def test_a_filter_selects_what_sql_selects(tree: Any) -> None:
    text = write(tree)
    sql, values = write_sql(tree)
    rows = DATABASE.execute(f"SELECT {sql} FROM flights ORDER BY id", values).fetchall()
    expected = [None if verdict is None else bool(verdict) for (verdict,) in rows]
    expression = check_filter(text, SCHEMA)
    passes = compile_filter(text, SCHEMA)
    assert [evaluate(expression, row) for row in ROWS] == expected
    assert [passes(body) for body in BODIES] == [verdict is True for verdict in expected]


def test_the_flights_have_what_the_comparison_is_about() -> None:
    assert len(ROWS) > 40
    for name, kind in FIELDS.items():
        found = [row[name] for row in ROWS]
        assert (None in found) is isinstance(kind, list), name
        assert len(set(found)) > 1, name
