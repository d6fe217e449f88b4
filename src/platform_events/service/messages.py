"""The messages of the Pub/Sub API, as `pubsub.proto` says them.

They live in a pool of their own: in one process with a client that brings its own stubs, such as
pysfpubsub, the default pool refuses the second file that defines `eventbus.v1` (tried).
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

SERVICE = "eventbus.v1.PubSub"
POOL: DescriptorPool = DescriptorPool()
"""Knows the service and its messages, for reflection too."""
POOL.AddSerializedFile(files(__package__).joinpath("pubsub.binpb").read_bytes())


def _message(name: str) -> Any:
    return GetMessageClass(POOL.FindMessageTypeByName(f"eventbus.v1.{name}"))


TopicRequest = _message("TopicRequest")
TopicInfo = _message("TopicInfo")
SchemaRequest = _message("SchemaRequest")
SchemaInfo = _message("SchemaInfo")
EventHeader = _message("EventHeader")
ProducerEvent = _message("ProducerEvent")
ConsumerEvent = _message("ConsumerEvent")
PublishRequest = _message("PublishRequest")
PublishResult = _message("PublishResult")
PublishResponse = _message("PublishResponse")
Error = _message("Error")
FetchRequest = _message("FetchRequest")
FetchResponse = _message("FetchResponse")
ManagedFetchRequest = _message("ManagedFetchRequest")
ManagedFetchResponse = _message("ManagedFetchResponse")
CommitReplayRequest = _message("CommitReplayRequest")
CommitReplayResponse = _message("CommitReplayResponse")

LATEST, EARLIEST, CUSTOM = 0, 1, 2
"""`ReplayPreset`."""
UNKNOWN, PUBLISH, COMMIT = 0, 1, 2
"""`ErrorCode`."""
