"""An event bus on Apache Kafka: event definitions, ordered streams, replay IDs."""
