"""What events are: their definitions in files, their Avro schemas, and how both may change."""

from platform_events.definitions.model import Definitions, EventDefinition
from platform_events.definitions.schema import SYSTEM_FIELDS, Schema

__all__ = ["SYSTEM_FIELDS", "Definitions", "EventDefinition", "Schema"]
