"""Groups: who is in them, and how they are set and deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from platform_events.kafka.asking import AdminConnection
from platform_events.kafka.groups import Group, GroupMember

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ABSENT = (KafkaError.GROUP_ID_NOT_FOUND,)


class GroupAdmin(AdminConnection):
    """Administration of a cluster's groups. Thread-safe. Every method raises a `BrokerError`."""

    # What is about one group is asked with a client that has asked no coordinator before: one whose
    # broker was restarted since gets no answer for minutes, and may end the process (tried,
    # librdkafka 2.16).

    def members(self, group: str) -> tuple[GroupMember, ...]:
        """Return the processes of a group; none if there is no such group."""
        return self.groups([group])[group].members

    def groups(self, names: Iterable[str]) -> dict[str, Group]:
        """Return each group; one that there is not has no members."""
        wanted = list(names)
        if not wanted:
            return {}
        with GroupAdmin(self._settings) as fresh:
            return fresh._ask_until_settled(lambda: fresh._describe_groups(wanted))

    def delete_group(self, group: str) -> None:
        """Delete a group without members, and its positions; one that is not there is fine."""
        with GroupAdmin(self._settings) as fresh:
            fresh._ask_until_settled(lambda: fresh._delete_group(group))

    def _delete_group(self, group: str) -> None:
        futures = self._live().delete_consumer_groups([group], request_timeout=self._timeout)
        self._wait_or_none(futures[group], f"deleting group {group}", _ABSENT)

    def _describe_groups(self, names: list[str]) -> dict[str, Group]:
        futures = self._live().describe_consumer_groups(names, request_timeout=self._timeout)
        found = {
            name: self._wait_or_none(future, f"describing group {name}", _ABSENT)
            for name, future in futures.items()
        }
        return {name: _as_group(described) for name, described in found.items()}

    def configure_group(self, group: str, config: Mapping[str, str]) -> None:
        """Set these config values of a group, whether it has members or not, and leave others."""
        self._alter(ResourceType.GROUP, group, config, f"configuring group {group}")

    def _alter(self, kind: ResourceType, name: str, config: Mapping[str, str], doing: str) -> None:
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in config.items()
        ]
        resource = ConfigResource(kind, name, incremental_configs=entries)
        futures = self._live().incremental_alter_configs([resource], request_timeout=self._timeout)
        self._wait(futures[resource], doing)


def _as_group(described: Any) -> Group:
    if described is None or not described.members:
        return Group()
    members = (
        GroupMember(
            member.client_id,
            member.host.removeprefix("/"),
            frozenset((one.topic, one.partition) for one in member.assignment.topic_partitions),
        )
        for member in described.members
    )
    return Group(tuple(members), described.type.name.lower())
