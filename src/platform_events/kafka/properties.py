"""Which of librdkafka's properties a user may set: one table of all of them.

What is in none of its parts is refused too: a name that librdkafka does not have, or one that it
got later and nobody has judged. A test compares the table with the library.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from platform_events.errors import ConfigurationError
from platform_events.wording import shown, suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OWN_SETTING = {
    "bootstrap.servers": "bootstrap_servers",
    "metadata.broker.list": "bootstrap_servers",
    "compression.type": "compression",
    "compression.codec": "compression",
    "delivery.timeout.ms": "delivery_timeout",
    "message.timeout.ms": "delivery_timeout",
    "message.send.max.retries": "delivery_timeout",
    "retries": "delivery_timeout",
    "linger.ms": "linger",
    "queue.buffering.max.ms": "linger",
    "queue.buffering.max.messages": "publish_buffer",
    "queue.buffering.max.kbytes": "publish_buffer",
}
"""Properties that have a setting of ours."""

_REASONS = {
    "events would be lost when a leader fails": "acks request.required.acks",
    "a retry would store an event twice or out of order": """
        enable.idempotence queuing.strategy msg_order_cmp
    """,
    "events of one key would move to another partition": "partitioner partitioner_cb",
    "nothing would tell that an event was stored": """
        delivery.report.only.error dr_cb dr_msg_cb on_delivery enabled_events background_event_cb
    """,
    "it tells whether an unacknowledged event may be in the log": "error_cb",
    "events of 1 MiB, or the catalog, would not fit": "message.max.bytes",
    "writers are fenced by it": "transactional.id",
    "subscribers would wait longer for what a writer that ended had begun": """
        transaction.timeout.ms
    """,
    "a subscriber would skip or repeat events without notice": "auto.offset.reset",
    "positions are replay IDs, and what workers have handled": """
        enable.auto.commit auto.commit.enable auto.commit.interval.ms enable.auto.offset.store
        offset.store.method offset.store.path offset.store.sync.interval.ms offset_commit_cb
        on_commit
    """,
    "a subscriber would not notice the end of its stream": "enable.partition.eof",
    "events of aborted transactions would be delivered": "isolation.level",
    "work has the option --instance-id for it, and a Worker the argument instance_id": """
        group.instance.id
    """,
    "a Worker has the argument group_protocol for it": "group.protocol",
    "subscribers are in no group, and routers and workers are in groups of their own": """
        group.id group.protocol.type group.remote.assignor
        partition.assignment.strategy session.timeout.ms heartbeat.interval.ms
        max.poll.interval.ms rebalance_cb max.poll.records share.acknowledgement.mode
    """,
    "a stream that was deleted would be made again, empty and with other config": """
        allow.auto.create.topics
    """,
    "streams that are there would seem deleted": "topic.blacklist",
    "headers and transactions need what brokers say of themselves": """
        api.version.request api.version.fallback.ms broker.version.fallback
    """,
    "a plug-in could change events and what is told of them": "plugin.library.paths interceptors",
    "properties of topics are given by their own names, such as compression.level": """
        default.topic.config default_topic_conf
    """,
    "configure the Python logger platform_events.kafka": "logger log_cb log.queue",
    "give oauth_cb, which is Python": "oauthbearer_token_refresh_cb",
    "give the file or the text of the certificate": "ssl_ca ssl_certificate ssl_key",
    "signals belong to the process": "internal.termination.signal",
    "it is only for programs in C": """
        builtin.features closesocket_cb connect_cb consume.callback.max.messages consume_cb opaque
        open_cb resolve_cb socket_cb ssl.certificate.verify_cb ssl_engine_callback_data
    """,
}
REFUSED = {name: reason for reason, names in _REASONS.items() for name in names.split()}
"""Properties that carry what the bus guarantees, with what would break."""

_HARMLESS = """
api.version.request.timeout.ms batch.num.messages batch.size broker.address.family
broker.address.ttl check.crcs client.dns.lookup client.id client.rack compression.level
connections.max.idle.ms coordinator.query.interval.ms debug enable.gapless.guarantee
enable.metrics.push enable.random.seed enable.sasl.oauthbearer.unsecure.jwt
enable.ssl.certificate.verification fetch.error.backoff.ms fetch.max.bytes fetch.message.max.bytes
fetch.min.bytes fetch.queue.backoff.ms fetch.wait.max.ms log.connection.close log.thread.name
log_level max.in.flight max.in.flight.requests.per.connection max.partition.fetch.bytes
message.copy.max.bytes metadata.max.age.ms metadata.recovery.rebootstrap.trigger.ms
metadata.recovery.strategy oauth_cb produce.offset.report queue.buffering.backpressure.threshold
queued.max.messages.kbytes queued.min.messages receive.message.max.bytes
reconnect.backoff.jitter.ms reconnect.backoff.max.ms reconnect.backoff.ms request.timeout.ms
retry.backoff.max.ms retry.backoff.ms security.protocol socket.blocking.max.ms
socket.connection.setup.timeout.ms socket.keepalive.enable socket.max.fails socket.nagle.disable
socket.receive.buffer.bytes socket.send.buffer.bytes socket.timeout.ms statistics.interval.ms
stats_cb sticky.partitioning.linger.ms throttle_cb topic.metadata.propagation.max.ms
topic.metadata.refresh.fast.cnt topic.metadata.refresh.fast.interval.ms
topic.metadata.refresh.interval.ms topic.metadata.refresh.sparse
"""
PASSED = frozenset(_HARMLESS.split())
"""Properties that break nothing: tuning, addresses, what the client logs and counts."""
PASSED_FAMILIES = ("https.", "sasl.", "ssl.")
"""Beginnings of the names of properties for security, of which there are more with each version."""

ALIASES = {
    "fetch.message.max.bytes": "max.partition.fetch.bytes",
    "max.in.flight": "max.in.flight.requests.per.connection",
    "sasl.mechanism": "sasl.mechanisms",
    "sasl.oauthbearer.client.credentials.client.id": "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.credentials.client.secret": "sasl.oauthbearer.client.secret",
}
"""Second names of properties that pass, with the first."""
_OBSERVERS = ("stats_cb", "throttle_cb")

_logger = logging.getLogger("platform_events")


def check_properties(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return a user's properties as they go to the client.

    Raises:
        ConfigurationError: one would break what the bus guarantees, or is not known.
    """
    passed: dict[str, Any] = {}
    for name, value in properties.items():
        if name not in PASSED and (name in REFUSED or not name.startswith(PASSED_FAMILIES)):
            raise ConfigurationError(_refuse(name))
        if name in _OBSERVERS and callable(value):
            value = _guard(name, value)  # noqa: PLW2901 - what goes to the client instead
        passed[ALIASES.get(name, name)] = value
    return passed


def _refuse(name: str) -> str:
    if name in OWN_SETTING:
        setting = OWN_SETTING[name]
        return (
            f"Kafka property {name} cannot be set: use the setting {setting} "
            f"(PLATFORM_EVENTS_{setting.upper()}) instead"
        )
    if name in REFUSED:
        variable = f"PLATFORM_EVENTS_KAFKA__{name.upper().replace('.', '_')}"
        return f"Kafka property {name} cannot be set: {REFUSED[name]}; leave it out ({variable})"
    known = (*PASSED, *REFUSED, *OWN_SETTING)
    return (
        f"Kafka property {shown(name)} is not known{suggest(name, known)} "
        "(PLATFORM_EVENTS_KAFKA__... or the argument kafka)"
    )


def _guard(name: str, callback: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Keep a user's callback from ending the thread that serves all others."""

    def call(value: Any) -> None:
        try:
            callback(value)
        except Exception:
            _logger.exception("the callback %s failed", name)

    return call
