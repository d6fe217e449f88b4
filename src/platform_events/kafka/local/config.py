"""The configuration files of an embedded broker, as pure functions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from platform_events.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HOST = "127.0.0.1"
"""Every listener is bound to this address and advertises it."""

_USER_NAME = re.compile(r"[A-Za-z0-9._-]+")
_PASSWORD = re.compile(r"[ !#-\[\]-~]+")
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"}

_TUNING = {
    # Streams are created by `apply` alone; a typing error in a topic must not make one.
    "auto.create.topics.enable": "false",
    # Everything that a test would otherwise wait for.
    "group.initial.rebalance.delay.ms": "0",
    # A killed broker cannot register again before its old session ends.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.min.heartbeat.interval.ms": "200",
    "group.consumer.heartbeat.interval.ms": "500",
    "group.share.heartbeat.interval.ms": "500",
    "group.share.min.session.timeout.ms": "1000",
    "group.share.min.heartbeat.interval.ms": "200",
    "group.share.min.record.lock.duration.ms": "1000",
    "log.initial.task.delay.ms": "500",
    "log.retention.check.interval.ms": "1000",
    "log.segment.delete.delay.ms": "1000",
    "log.cleaner.backoff.ms": "1000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    # By default the controller writes a record twice a second that says nothing.
    "metadata.max.idle.interval.ms": "0",
    # A laptop has few clients and shares its memory: the cleaner alone would take 128 MB.
    "log.cleaner.dedupe.buffer.size": "4194304",
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.num.partitions": "3",
    "share.coordinator.state.topic.num.partitions": "3",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
}

LOG4J_CONFIGURATION = """\
<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="ERROR" shutdownHook="disable">
  <Appenders>
    <RollingFile name="file" fileName="${sys:platform.events.log}.log"
                 filePattern="${sys:platform.events.log}.%i.log">
      <PatternLayout pattern="[%d] %p %m (%c)%n"/>
      <SizeBasedTriggeringPolicy size="8 MB"/>
      <DefaultRolloverStrategy max="2"/>
    </RollingFile>
  </Appenders>
  <Loggers>
    <Logger name="org.apache.kafka.common.config" level="WARN"/>
    <Root level="INFO"><AppenderRef ref="file"/></Root>
  </Loggers>
</Configuration>
"""
"""log4j 2: at most 24 MB a broker, in the directory in which Java runs."""


@dataclass(frozen=True, slots=True)
class NodePorts:
    """The TCP ports of one node, which is both broker and controller."""

    client: int
    """Where clients and the other brokers connect, without authentication."""
    controller: int
    """Where the quorum connects."""
    sasl: int | None = None
    """Where clients connect with SASL/PLAIN; None without `users`."""
    proxied: int | None = None
    """Where a proxy connects, without authentication; None without `proxy`."""
    proxy: int | None = None
    """Where that proxy listens: clients that come through it are told to come there again."""


def build_properties(
    node: int,
    ports: Sequence[NodePorts],
    log_dir: str,
    users: Mapping[str, str],
    overrides: Mapping[str, str],
) -> dict[str, str]:
    """Return the broker settings of one node of a KRaft cluster on the loopback interface.

    Args:
        node: 1-based number, also Kafka's `node.id`.
        ports: of every node, in order.
        log_dir: where Kafka keeps its data.
        users: name to password of the SASL/PLAIN listener. When there are any, ACLs are enforced,
            and whoever comes through the listener without authentication may do everything.
        overrides: settings that win over all others.

    Raises:
        UsageError: a user name or password has characters that a JAAS line cannot hold.
    """
    count = len(ports)
    own = ports[node - 1]
    replicas, in_sync = str(min(3, count)), str(min(2, count))
    listeners = {"PLAINTEXT": own.client}
    properties = {
        "process.roles": "broker,controller",
        "node.id": str(node),
        "controller.quorum.voters": ",".join(
            f"{number}@{HOST}:{each.controller}" for number, each in enumerate(ports, 1)
        ),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,PROXIED:PLAINTEXT"
        ),
        "log.dirs": log_dir,
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
    }
    for topic in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
        properties[f"{topic}.replication.factor"] = replicas
    for topic in ("transaction.state.log", "share.coordinator.state.topic"):
        properties[f"{topic}.min.isr"] = in_sync
    if own.sasl is not None:
        listeners["SASL"] = own.sasl
        properties |= _access_control(users)
    advertised = dict(listeners)
    if own.proxied is not None and own.proxy is not None:
        listeners["PROXIED"], advertised["PROXIED"] = own.proxied, own.proxy
    properties["advertised.listeners"] = _addresses(advertised)
    properties["listeners"] = _addresses({**listeners, "CONTROLLER": own.controller})
    return properties | _TUNING | dict(overrides)


def _addresses(listeners: Mapping[str, int]) -> str:
    return ",".join(f"{name}://{HOST}:{port}" for name, port in listeners.items())


def _access_control(users: Mapping[str, str]) -> dict[str, str]:
    for name, password in users.items():
        if not _USER_NAME.fullmatch(name):
            raise UsageError(f"user name {name!r} is not allowed: use letters, digits, '.', _ or -")
        if not _PASSWORD.fullmatch(password):
            raise UsageError(
                f"the password of user {name!r} is not allowed: use printable ASCII characters "
                "except the double quote and the backslash"
            )
    accounts = "".join(f' user_{name}="{password}"' for name, password in users.items())
    return {
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl.plain.sasl.jaas.config": (
            f"org.apache.kafka.common.security.plain.PlainLoginModule required{accounts};"
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }


def render_properties(properties: Mapping[str, str]) -> str:
    """Return the text of a Java properties file (`java.util.Properties.load`), ASCII only."""
    return "".join(
        f"{_escape(key, '=: #!')}={_escape(value, '')}\n" for key, value in properties.items()
    )


def _escape(text: str, special: str) -> str:
    escaped = [
        _ESCAPES.get(char)
        or (f"\\{char}" if char in special else char if " " <= char <= "~" else _unicode(char))
        for char in text
    ]
    if escaped and escaped[0] == " ":
        escaped[0] = "\\ "
    return "".join(escaped)


def _unicode(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
