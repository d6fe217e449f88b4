"""Settings: from arguments, then `PLATFORM_EVENTS_*` variables, then defaults."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from platform_events.errors import ConfigurationError
from platform_events.names import Namespace

DEFAULT_BOOTSTRAP_SERVERS = "127.0.0.1:9092"
_SECRET_WORDS = ("password", "secret", "token", "private", "key.pem", "sasl.jaas", "credentials")


class Settings(BaseSettings):
    """Everything that can be configured. Each field is also `PLATFORM_EVENTS_<FIELD>`.

    Arguments win over the environment.

    Raises:
        ConfigurationError: a value is not allowed or a name is unknown.
    """

    model_config = SettingsConfigDict(
        env_prefix="PLATFORM_EVENTS_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
    )

    bootstrap_servers: str = DEFAULT_BOOTSTRAP_SERVERS
    """Comma-separated `host:port` of some brokers."""
    prefix: str = "platform-events"
    """First part of every topic, group and transactional id. `[a-z0-9-]+`."""
    tenant: str = "default"
    """Second part: the isolated set of definitions and streams. `[a-z0-9-]+`."""
    source: str = "platform-events"
    """CloudEvents `source` of published events: a URI reference that names the producer."""
    created_by: str = "platform-events"
    """`CreatedById` of published events, unless the payload has it."""
    replication_factor: int = Field(default=-1, ge=-1, le=32767)
    """Replicas of topics made by `apply`. -1: the broker's `default.replication.factor`."""
    min_insync_replicas: int | None = Field(default=None, ge=1)
    """`min.insync.replicas` of topics made by `apply`. None: the broker's default."""
    delivery_timeout: PositiveFloat = 30.0
    """Seconds from publishing to a final result, after which it is NOT_PERSISTED or UNKNOWN."""
    request_timeout: PositiveFloat = 10.0
    """Seconds to wait for a broker's answer to anything but publishing."""
    close_timeout: float = Field(default=10.0, ge=0)
    """Seconds `close()` waits for events on their way; what is left has no certain outcome."""
    publish_buffer: PositiveInt = 64 * 1024 * 1024
    """Bytes of events on their way, with what each costs besides its contents (0.6 kB, and 2.6 kB
    for `submit`). When it is full, publishing waits."""
    linger: float = Field(default=5.0, ge=0, le=900_000)
    """Milliseconds a batch waits for more events. `publish()` alone does not wait for it."""
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "lz4"
    """Compression of published batches."""
    kafka: dict[str, Any] = Field(default_factory=dict)
    """Properties of librdkafka, such as `security.protocol`; in the environment
    `PLATFORM_EVENTS_KAFKA__SECURITY_PROTOCOL` (underscores become dots)."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _refusal(error) from None

    @model_validator(mode="after")
    def _check_namespace(self) -> Self:
        Namespace(self.prefix, self.tenant)
        return self

    @field_validator("kafka", mode="before")
    @classmethod
    def _dotted(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            key if callable(entry) or "." in key or key == "log_level" else key.replace("_", "."): (
                entry
            )
            for key, entry in value.items()
        }

    @property
    def namespace(self) -> Namespace:
        """The Kafka names of this tenant."""
        return Namespace(self.prefix, self.tenant)

    def __repr_args__(self) -> Any:
        for name, value in super().__repr_args__():
            yield name, _masked(value) if name == "kafka" else value


def _refusal(error: ValidationError) -> ConfigurationError:
    first = error.errors(include_url=False, include_input=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    return ConfigurationError(
        f"setting {name!r} (PLATFORM_EVENTS_{name.upper().replace('.', '__')}): {first['msg']}"
    )


def _masked(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        key: "**********" if any(word in key for word in _SECRET_WORDS) else value
        for key, value in properties.items()
    }
