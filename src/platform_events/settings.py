"""Settings: from arguments, then `PLATFORM_EVENTS_*` variables, then defaults."""

from __future__ import annotations

import logging
import os
import re
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from platform_events.errors import ConfigurationError
from platform_events.names import Namespace
from platform_events.variables import PREFIX, LogFormat, LogLevel
from platform_events.wording import closest, is_unicode, shown, suggest

if TYPE_CHECKING:
    from pydantic_settings import PydanticBaseSettingsSource

DEFAULT_BOOTSTRAP_SERVERS = "127.0.0.1:9092"
_SERVED_AT = ("GRPC_PORT", "HTTP_PLAIN_PORT", "HTTP_PORT", "PLAINTEXT_PORT")
_OF_SERVE = (
    "DRAIN_TIMEOUT", "HOST", "INSECURE", "PRINCIPALS", "PUBLIC_URL", "TLS_CERT", "TLS_KEY",
    "TOKEN_KEY", *_SERVED_AT,
)  # fmt: skip
OTHER_VARIABLES = frozenset(
    {
        "DEBUG",
        "MAVEN_URL",
        "TEST_BROKER",
        *(f"SERVE_{option}" for option in _OF_SERVE),
        *(f"UP_{option}" for option in ("KAFKA_PORT", *_SERVED_AT)),
    }
)
"""What follows the prefix in variables that are no settings and yet read."""
_NESTED = "KAFKA__"
_SECRET_WORDS = ("password", "secret", "token", "private", "key.pem", "sasl.jaas", "credentials")
_SERVER = re.compile(r"(\w+://)?(\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]+)(:(?P<port>[0-9]{1,5}))?")
_LAST_PORT = 65_535
_LONGEST = 2_147_483
"""Seconds that the client can count in milliseconds, 24 days."""
_LONGEST_REQUEST = 3_600
"""Seconds that the client waits at most for an answer to anything but publishing."""
_FIRST_WARNED = 5
"""Variables that one warning names at most."""
_OF_KUBERNETES = re.compile(
    r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_PORT_OF_KUBERNETES = re.compile(r"(\w+_)?PORT=(tcp|udp|sctp)://.*")

_logger = logging.getLogger("platform_events")


def _check_text(text: str) -> str:
    if not text or not text.isprintable() or not is_unicode(text):
        raise ValueError("give a text of printable characters")
    return text


def _check_servers(servers: str) -> str:
    given = [server.strip() for server in servers.split(",")]
    for server in filter(None, given):
        match = _SERVER.fullmatch(server)
        if match is None or not 0 < int(match["port"] or 1) <= _LAST_PORT:
            raise ValueError(f"{shown(server)} is not host:port")
    if not any(given):
        raise ValueError("give host:port of some brokers, separated by commas")
    return _check_text(servers)


_Text = Annotated[str, AfterValidator(_check_text)]


class Settings(BaseSettings):
    """Everything that can be configured. Each field is also `PLATFORM_EVENTS_<FIELD>`.

    Arguments win over the environment.

    Raises:
        ConfigurationError: a value is not allowed or a name is unknown.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
    )

    bootstrap_servers: Annotated[str, AfterValidator(_check_servers)] = DEFAULT_BOOTSTRAP_SERVERS
    """Comma-separated `host:port` of some brokers."""
    prefix: str = "platform-events"
    """First part of every topic, group and transactional id. `[a-z0-9-]+`."""
    tenant: str = "default"
    """Second part: the isolated set of definitions and streams. `[a-z0-9-]+`."""
    source: _Text = "platform-events"
    """CloudEvents `source` of published events: a URI reference that names the producer."""
    created_by: _Text = "platform-events"
    """`CreatedById` of published events, unless the payload has it."""
    replication_factor: int = Field(default=-1, ge=-1, le=32_767)
    """Replicas of topics made by `apply`. -1: the broker's `default.replication.factor`."""
    min_insync_replicas: int | None = Field(default=None, ge=1, le=32_767)
    """`min.insync.replicas` of topics made by `apply`. None: the broker's default."""
    delivery_timeout: float = Field(default=30.0, ge=0.001, le=_LONGEST, allow_inf_nan=False)
    """Seconds from publishing to a final result, after which it is NOT_PERSISTED or UNKNOWN."""
    request_timeout: float = Field(default=10.0, ge=0.001, le=_LONGEST_REQUEST, allow_inf_nan=False)
    """Seconds to wait for a broker's answer to anything but publishing."""
    close_timeout: float = Field(default=10.0, ge=0, le=_LONGEST, allow_inf_nan=False)
    """Seconds `close()` waits for events on their way; what is left has no certain outcome."""
    publish_buffer: int = Field(default=64 * 1024 * 1024, ge=1024, le=2**40)
    """Bytes of events on their way, with what each costs besides its contents (0.6 kB, and 2.6 kB
    for `submit`). When it is full, publishing waits."""
    linger: float = Field(default=5.0, ge=0, le=900_000, allow_inf_nan=False)
    """Milliseconds a batch waits for more events. `publish()` alone does not wait for it."""
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "lz4"
    """Compression of published batches."""
    health_port: int | None = Field(default=None, ge=1, le=_LAST_PORT)
    """TCP port at which `serve`, `route` and `work` answer `/livez`, `/readyz` and `/metrics`.
    None, in the environment an empty value: they do not."""
    health_host: _Text = "0.0.0.0"  # noqa: S104 - probes come from outside
    """Address of this machine at which they do."""
    metrics: bool = False
    """Whether this process keeps metrics for Prometheus, in the registry of `prometheus_client`."""
    log_format: LogFormat | None = None
    """`text` or `json`: each message of a command is a line of a log. None: only those of
    `serve`, `route` and `work` are, as text."""
    log_level: LogLevel = "info"
    """The least level that is logged: `debug`, `info`, `warning` or `error`."""
    kafka: dict[str, Any] = Field(default_factory=dict)
    """Properties of librdkafka, such as `security.protocol`; in the environment
    `PLATFORM_EVENTS_KAFKA__SECURITY_PROTOCOL` (underscores become dots)."""

    def __init__(self, **values: Any) -> None:
        _warn_of_unknown_variables()
        for name in values:
            if name not in type(self).model_fields:
                guess = suggest(name, type(self).model_fields)
                raise ConfigurationError(f"there is no setting {shown(name)}{guess}")
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _refusal(error) from None
        except (SettingsError, RecursionError):
            raise ConfigurationError(
                f"setting 'kafka' ({PREFIX}KAFKA): give one JSON object, or each property as a "
                f"variable of its own, such as {PREFIX}KAFKA__SECURITY_PROTOCOL=SSL"
            ) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Look nowhere else: each source costs as much, though there is no file for it."""
        return init_settings, env_settings

    @field_validator("health_port", "log_format", mode="before")
    @classmethod
    def _take_empty_as_none(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator("log_format", "log_level", mode="before")
    @classmethod
    def _take_any_case(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("replication_factor")
    @classmethod
    def _check_replicas(cls, value: int) -> int:
        if value == 0:
            raise ValueError("give at least 1, or -1 for the broker's default")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        Namespace(self.prefix, self.tenant)
        if self.delivery_timeout * 1000 <= self.linger:
            raise ConfigurationError(
                f"setting 'delivery_timeout' ({PREFIX}DELIVERY_TIMEOUT): {self.delivery_timeout:g} "
                f"s must be more than what {PREFIX}LINGER says, {self.linger:g} ms"
            )
        return self

    @field_validator("kafka", mode="before")
    @classmethod
    def _dotted(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise ValueError("give a mapping of librdkafka's properties, by their names")
        return {
            key if callable(entry) or "." in key or key == "log_level" else key.replace("_", "."): (
                entry
            )
            for key, entry in value.items()
        }

    def of_tenant(
        self, tenant: str, source: str | None = None, created_by: str | None = None
    ) -> Settings:
        """Return these settings for another tenant; None leaves a value as it is.

        Raises:
            ConfigurationError: a value is not allowed.
        """
        Namespace(self.prefix, tenant)
        texts = {"source": source, "created_by": created_by}
        given = {name: text for name, text in texts.items() if text is not None}
        for name, text in given.items():
            try:
                _check_text(text)
            except ValueError as error:
                raise ConfigurationError(f"setting {name!r}: {error}") from None
        return self.model_copy(update={"tenant": tenant, **given})

    @property
    def namespace(self) -> Namespace:
        """The Kafka names of this tenant."""
        return Namespace(self.prefix, self.tenant)

    def __repr_args__(self) -> Any:
        for name, value in super().__repr_args__():
            yield name, _masked(value) if name == "kafka" else value


def _refusal(error: ValidationError) -> ConfigurationError:
    first = error.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][0])
    reason = first["msg"].removeprefix("Value error, ")
    return ConfigurationError(f"setting {name!r} ({PREFIX}{name.upper()}): {reason}")


@cache
def _warn_of_unknown_variables() -> None:
    """Name variables that look like settings and are none: once in a process, never an end.

    Kubernetes makes variables of that prefix in pods beside a Service named platform-events.
    """
    known = {*(name.upper() for name in Settings.model_fields), *OTHER_VARIABLES}
    unknown = []
    for variable, value in sorted(os.environ.items()):
        name = variable.upper().removeprefix(PREFIX)
        if name == variable.upper() or name in known or name.startswith(_NESTED):
            continue
        if _OF_KUBERNETES.fullmatch(name) or _PORT_OF_KUBERNETES.fullmatch(f"{name}={value}"):
            continue
        guess = closest(name, known)
        if name.startswith("KAFKA_"):
            guess = _NESTED + name.removeprefix("KAFKA_")
        unknown.append(shown(variable) + (f" (did you mean {PREFIX}{guess}?)" if guess else ""))
    if unknown:
        named = ", ".join(unknown[:_FIRST_WARNED])
        more = f" and {len(unknown) - _FIRST_WARNED} more" if unknown[_FIRST_WARNED:] else ""
        _logger.warning("no setting is read from the environment's %s%s", named, more)


def _masked(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        key: "**********" if any(word in key for word in _SECRET_WORDS) else value
        for key, value in properties.items()
    }
