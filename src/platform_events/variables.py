"""What environment variables are called, for those who read them before there are settings."""

from __future__ import annotations

from typing import Literal, TypeAlias

PREFIX = "PLATFORM_EVENTS_"
LogFormat: TypeAlias = Literal["text", "json"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
