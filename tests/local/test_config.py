from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_events.errors import UsageError
from platform_events.kafka.local.config import NodePorts, build_properties, render_properties

ONE = [NodePorts(client=1, controller=2)]
THREE = [NodePorts(client=at, controller=at + 10) for at in (1, 2, 3)]


def parse_properties(text: str) -> dict[str, str]:
    """Read a properties file by the rules of java.util.Properties.load."""
    result = {}
    for line in text.split("\n"):
        if not line or line.lstrip(" ").startswith(("#", "!")):
            continue
        key, value = re.fullmatch(
            r"[ \t\f]*((?:[^\\=: \t\f]|\\.)*)[ \t\f]*[=:]?[ \t\f]*(.*)", line, re.DOTALL
        ).groups()
        result[unescape(key)] = unescape(value)
    return result


def unescape(text: str) -> str:
    named = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
    units = re.sub(
        r"\\(?:u([0-9a-f]{4})|(.))",
        lambda m: chr(int(m[1], 16)) if m[1] else named.get(m[2], m[2]),
        text,
    )
    return units.encode("utf-16", "surrogatepass").decode("utf-16")


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
        st.text(st.characters(exclude_categories=["Cs"])),
    )
)
def test_properties_survive_the_file_format(properties: dict[str, str]) -> None:
    text = render_properties(properties)
    assert text.isascii()
    assert parse_properties(text) == properties


def test_everything_listens_on_loopback_alone() -> None:
    users = {"alice": "secret"}
    ports = [NodePorts(client=1, controller=2, sasl=3)]
    properties = build_properties(1, ports, "data", users, {})
    for name in ("listeners", "advertised.listeners"):
        assert re.fullmatch(r"([A-Z]+://127\.0\.0\.1:\d(,|$))+", properties[name])


@pytest.mark.parametrize(("ports", "replicas", "in_sync"), [(ONE, "1", "1"), (THREE, "3", "2")])
def test_replication_follows_the_number_of_brokers(
    ports: list[NodePorts], replicas: str, in_sync: str
) -> None:
    properties = build_properties(1, ports, "data", {}, {})
    found = {key: value for key, value in properties.items() if "replication.factor" in key}
    assert found == dict.fromkeys(
        [
            "default.replication.factor",
            "offsets.topic.replication.factor",
            "transaction.state.log.replication.factor",
            "share.coordinator.state.topic.replication.factor",
        ],
        replicas,
    )
    assert properties["min.insync.replicas"] == in_sync
    assert properties["transaction.state.log.min.isr"] == in_sync
    assert properties["share.coordinator.state.topic.min.isr"] == in_sync


def test_every_node_knows_the_whole_quorum() -> None:
    voters = {
        build_properties(n, THREE, "d", {}, {})["controller.quorum.voters"] for n in (1, 2, 3)
    }
    assert voters == {"1@127.0.0.1:11,2@127.0.0.1:12,3@127.0.0.1:13"}


def test_overrides_win() -> None:
    assert build_properties(1, ONE, "d", {}, {"num.io.threads": "9"})["num.io.threads"] == "9"


def test_without_users_there_is_no_access_control() -> None:
    properties = build_properties(1, ONE, "d", {}, {})
    assert "authorizer.class.name" not in properties
    assert "SASL://" not in properties["listeners"]


@pytest.mark.parametrize(
    "users", [{"al ice": "x"}, {"": "x"}, {"a": 'x"y'}, {"a": "x\\y"}, {"a": "x\ny"}, {"a": ""}]
)
def test_accounts_that_would_break_out_of_the_jaas_line_are_refused(users: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="is not allowed"):
        build_properties(1, [NodePorts(1, 2, 3)], "d", users, {})
